"""The page on growing at run time: each block of code, run as printed."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oban_pro import Workflow
from tests.support.fixtures import Run, WaitUntil
from tests.support.graphs import settled
from tests.support.paths import DOCS

PAGE = DOCS / "how-to" / "grow-at-run-time.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def load(number: int) -> ModuleType:
    return importlib.import_module(f"grow_block_{number}")


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a module of each block."""
    monkeypatch.syspath_prepend(tmp_path)

    for number, block in enumerate(BLOCKS):
        (tmp_path / f"grow_block_{number}.py").write_text(block, encoding="utf-8")


@pytest.fixture
async def complete(run: Run) -> Run:
    """Provide a helper that runs a workflow, all of which must complete."""

    async def complete(workflow: Workflow) -> dict[str, Any]:
        recorded = await run(workflow)
        assert (await workflow.status()).state == "completed"

        return recorded

    return complete


class TestGrow:
    async def test_items_of_an_earlier_job(self, complete: Run) -> None:
        results = await complete(load(0).workflow)

        assert results["resize"]["2"] == "in/c.small.png"
        assert results["count"] == 3

    @pytest.mark.parametrize(
        ("total", "expected"), [(2_000, "pass"), (9_000, "hold"), (10, "unchecked")]
    )
    async def test_the_branch_of_the_page_runs(
        self, complete: Run, total: int, expected: str
    ) -> None:
        workflow = load(1).workflow.add_context({"total": total})
        workflow.id = f"branch-{total}"

        assert (await complete(workflow))["ship"] == expected

    async def test_the_pages_of_the_page_are_imported(self, complete: Run) -> None:
        assert (await complete(load(2).workflow))["report"] == ["A", "B", "C"]

    async def test_a_worker_class_grafts_as_the_page_says(
        self, complete: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await complete(load(3).workflow)

        assert sorted(capsys.readouterr().out.splitlines()) == ["notify 0", "notify 1"]

    async def test_the_addition_of_the_page_runs(
        self, complete: Run, wait_until: WaitUntil
    ) -> None:
        workflow = load(2).workflow
        await complete(workflow)
        (job,) = await load(4).add_audit(workflow.id)
        await wait_until(lambda: settled(workflow))

        assert job.meta["name"] == "audit"
        assert await workflow.get_recorded("audit") == "audited"
