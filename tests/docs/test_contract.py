"""The table of the published API names tests that exist, for everything that `Workflow` has."""

import re

import pytest

from oban_pro import WorkflowStatus
from tests.support.named_tests import names_in
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "reference" / "contract.md").read_text("utf-8")
ROWS = re.findall(r"^\| (.+) \| `(tests/.+\.py)::(\w+)::(\w+)` \|$", PAGE, re.MULTILINE)

PUBLISHED = {
    *("add", "add_workflow", "add_many", "add_cascade", "add_graft", "add_context"),
    *("for_job", "apply_graft", "get_job", "all_jobs", "get_recorded", "all_recorded"),
    *("get_context", "status", "cancel_jobs", "retry_jobs", "to_graph", "to_dot", "to_mermaid"),
}


class TestContract:
    def test_has_no_row_without_a_test(self) -> None:
        rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
        headings = [line for line in rows if line == "| what | shown by |"]

        assert len(rows) - len(headings) == len(ROWS)

    @pytest.mark.parametrize("path", sorted({path for _, path, _, _ in ROWS}))
    def test_names_tests_that_exist(self, path: str) -> None:
        named = {(group, test) for _, file, group, test in ROWS if file == path}

        assert named - names_in(path) == set()

    def test_names_every_method_and_attribute(self) -> None:
        words = set(re.findall(r"\w+", " ".join(what for what, *_ in ROWS)))
        attributes = set(WorkflowStatus.__dataclass_fields__)

        assert (PUBLISHED | attributes) - words == set()
