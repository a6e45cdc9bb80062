"""The bar that `wait(progress=True)` shows."""

import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from oban import Oban

from oban_pro import Workflow
from oban_pro.handles.progress import progress_bar
from oban_pro.model.status import WorkflowStatus
from oban_pro.testing import run_workflow
from tests.support.wired import same


class Cells:
    """Stands for the outputs of a notebook: IPython with a kernel behind it."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def display(self, cell: Any, *, display_id: bool) -> Any:
        assert display_id
        self.shown.append(cell)

        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    cells = Cells()
    shell = SimpleNamespace(kernel=True)
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    display = SimpleNamespace(display=cells.display)
    monkeypatch.setitem(sys.modules, "IPython.display", display)

    return cells


async def settled(oban: Oban, name: str) -> Workflow:
    workflow = Workflow(name=name)
    workflow.each(same, [1, 2, 3])
    await run_workflow(workflow, oban)

    return workflow


class TestWait:
    async def test_shows_a_bar_on_stderr(
        self, oban: Oban, capsys: pytest.CaptureFixture[str]
    ) -> None:
        workflow = await settled(oban, "[red]nightly\x1b[0m")
        status = await workflow.wait(progress=True, timeout=10)
        output = capsys.readouterr()

        assert status.state == "completed"
        assert "[red]nightly�[0m" in output.err
        assert "3/3 3 completed" in output.err
        assert output.out == ""

    async def test_shows_one_in_the_cell_of_a_notebook(self, oban: Oban, cells: Cells) -> None:
        workflow = await settled(oban, "<b>nightly")
        await workflow.wait(progress=True, timeout=10)

        assert repr(cells.shown[-1]) == "<b>nightly: 3 of 3  3 completed"
        html = cells.shown[-1]._repr_html_()
        assert html.startswith('<progress value="3" max="3"></progress> <b>&lt;b&gt;nightly</b>')

    def test_takes_no_output_for_each_look(self, cells: Cells) -> None:
        with progress_bar() as show:
            show(WorkflowStatus("a", total=4))
            show(WorkflowStatus("a", total=5))

        assert len(cells.shown) == 2
        assert "of 5" in repr(cells.shown[-1])

    def test_says_that_somebody_is_waited_for(self, cells: Cells) -> None:
        with progress_bar() as show:
            show(WorkflowStatus("a", total=2, counts=Counter(suspended=2), waits=1))

        assert repr(cells.shown[-1]) == "a: 0 of 2  2 suspended, 1 waiting for a signal"

    def test_cuts_a_long_name(self, cells: Cells) -> None:
        with progress_bar() as show:
            show(WorkflowStatus("a", name="n" * 50))

        assert repr(cells.shown[-1]).startswith(f"{'n' * 23}…: 0 of 0")

    async def test_shows_nothing_unless_asked(
        self, oban: Oban, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await (await settled(oban, "quiet")).wait(timeout=10)

        assert capsys.readouterr() == ("", "")
