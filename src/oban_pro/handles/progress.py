"""A bar that shows how far a workflow is, in a terminal or a notebook."""

from __future__ import annotations

import html
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from oban_pro.model.wording import SETTLED, STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oban_pro.model.status import WorkflowStatus

TITLE = 24
"""The most characters of a title, so that the bar has a place on a line of 80."""

BAR = 20
"""The width of the bar in a terminal."""

type Show = Callable[[WorkflowStatus], None]


@contextmanager
def progress_bar() -> Iterator[Show]:
    """Provide a function that shows a status: in the cell of a notebook, else on stderr."""
    if _is_notebook():
        yield _in_notebook()
    else:
        with _in_terminal() as show:
            yield show


def _is_notebook() -> bool:
    """Tell whether this is a notebook. IPython is imported already if it is one."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None

    return shell is not None and hasattr(shell, "kernel")


def _in_notebook() -> Show:
    # No widgets: they need an extension, and vanish when the notebook is saved.
    display = import_module("IPython.display").display
    output: Any = None

    def show(status: WorkflowStatus) -> None:
        nonlocal output

        if output is None:
            output = display(_Cell(status), display_id=True)
        else:
            output.update(_Cell(status))

    return show


class _Cell:
    """One state of the bar in a notebook."""

    def __init__(self, status: WorkflowStatus) -> None:
        self._status = status

    def __repr__(self) -> str:
        done, total = _parts(self._status)

        return f"{_title(self._status)}: {done} of {total}  {_legend(self._status)}"

    def _repr_html_(self) -> str:
        done, total = _parts(self._status)
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress>'
        title = html.escape(_title(self._status))

        return f"{bar} <b>{title}</b> {done} of {total}&ensp;{_legend(self._status)}"


@contextmanager
def _in_terminal() -> Iterator[Show]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=BAR),
        MofNCompleteColumn(),
        TextColumn("{task.fields[legend]}"),
        TimeElapsedColumn(),
    )

    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None, legend="")

        def show(status: WorkflowStatus) -> None:
            done, total = _parts(status)
            progress.update(
                task,
                description=escape(_title(status)),
                completed=done,
                total=total,
                legend=_legend(status),
            )

        yield show


def _title(status: WorkflowStatus) -> str:
    title = status.name or status.id
    short = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"

    return "".join(character if character.isprintable() else "�" for character in short)


def _parts(status: WorkflowStatus) -> tuple[int, int]:
    """Return how many jobs have settled, and how many there are so far."""
    open_ones = sum(status.counts[state] for state in STATES if state not in SETTLED)

    return status.total - open_ones, status.total


def _legend(status: WorkflowStatus) -> str:
    parts = [f"{count} {state}" for state in STATES if (count := status.counts[state])]

    if status.waits:
        parts.append(f"{status.waits} waiting for a signal")

    return ", ".join(parts)
