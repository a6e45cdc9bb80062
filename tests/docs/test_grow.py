"""The page on growing at run time: each block of code, run as printed."""

import importlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oban_pro import Workflow
from tests.conftest import StartOban
from tests.graphs import settled

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "grow-at-run-time.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)

type Run = Callable[[Workflow], Awaitable[dict[str, Any]]]


def load(number: int) -> ModuleType:
    return importlib.import_module(f"grow_block_{number}")


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a module of each block."""
    monkeypatch.syspath_prepend(tmp_path)

    for number, block in enumerate(BLOCKS):
        (tmp_path / f"grow_block_{number}.py").write_text(block, encoding="utf-8")


@pytest.fixture
async def run(start_oban: StartOban, wait_until: Callable[..., Awaitable[Any]]) -> Run:
    oban = await start_oban()

    async def run(workflow: Workflow) -> dict[str, Any]:
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)
        assert (await workflow.status()).state == "completed"
        return await workflow.all_recorded()

    return run


class TestGrow:
    async def test_items_of_an_earlier_job(self, run: Run) -> None:
        results = await run(load(0).workflow)

        assert results["resize"]["2"] == "in/c.small.png"
        assert results["count"] == 3

    @pytest.mark.parametrize(
        ("total", "expected"), [(2_000, "pass"), (9_000, "hold"), (10, "unchecked")]
    )
    async def test_a_branch(self, run: Run, total: int, expected: str) -> None:
        workflow = load(1).workflow.add_context({"total": total})
        workflow.id = f"branch-{total}"

        assert (await run(workflow))["ship"] == expected

    async def test_pages(self, run: Run) -> None:
        assert (await run(load(2).workflow))["report"] == ["A", "B", "C"]

    async def test_a_worker_class(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        await run(load(3).workflow)

        assert sorted(capsys.readouterr().out.splitlines()) == ["notify 0", "notify 1"]

    async def test_append(self, run: Run, wait_until: Callable[..., Awaitable[Any]]) -> None:
        workflow = load(2).workflow
        await run(workflow)
        (job,) = await load(4).add_audit(workflow.id)
        await wait_until(lambda: settled(workflow))

        assert job.meta["name"] == "audit"
        assert await workflow.get_recorded("audit") == "audited"
