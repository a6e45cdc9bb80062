"""The table of rules names tests that exist."""

import re

import pytest

from tests.support.named_tests import names_in
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "reference" / "rules.md").read_text("utf-8")
HEAD = "| rule | what holds | shown by |"
ROWS = re.findall(
    r"^\| (\d+[ab]?) \| (.+) \| `(tests/.+\.py)::(\w+)::(\w+)` \|$", PAGE, re.MULTILINE
)

NOT_YET = {*range(49, 93)}
"""Rules that are being built; a number may stand here and have a row as well."""


def order(rule: str) -> tuple[int, str]:
    """Sort 48a behind 48, and both before 49."""
    number = re.match(r"\d+", rule)
    assert number

    return int(number[0]), rule


# 60 to 63 do not exist; those before are listed as they are built
LATER = {*range(49, 64)}


class TestRules:
    def test_each_name_a_test(self) -> None:
        rows = [line for line in PAGE.splitlines() if line.startswith("| ")]

        assert len(rows) - rows.count(HEAD) == len(ROWS)

    @pytest.mark.parametrize("path", sorted({path for _, _, path, _, _ in ROWS}))
    def test_name_tests_that_exist(self, path: str) -> None:
        named = {(group, test) for _, _, file, group, test in ROWS if file == path}

        assert named - names_in(path) == set()

    def test_stand_in_their_order(self) -> None:
        rules = [rule for rule, *_ in ROWS]

        assert rules == sorted(rules, key=order)

    def test_leave_no_number_out(self) -> None:
        numbers = {order(rule)[0] for rule, *_ in ROWS}
        missing = {*range(1, max(numbers) + 1)} - numbers - NOT_YET

        assert missing - LATER == set()

    def test_say_each_thing_once(self) -> None:
        said = [(rule, what) for rule, what, *_ in ROWS if not what.startswith("…")]

        assert len(said) == len({*said})
