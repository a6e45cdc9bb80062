"""What people see of one workflow: a heading, and a bar for it and for each nested one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from oban_pro.explanation import human_duration

from .bars import draw_bar, draw_legend, draw_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from oban_pro import WorkflowStatus

BAR = 20  # characters
NAME = 26  # characters


def draw_overview(status: WorkflowStatus, max_rows: int) -> RenderableType:
    """Draw a workflow and what is nested in it.

    Args:
        status: Of the workflow.
        max_rows: How many bars to draw at most.
    """
    return Group(draw_heading(status), Text(), draw_progress(status, max_rows))


def draw_heading(status: WorkflowStatus) -> Text:
    """Say which workflow it is, and how it stands."""
    heading = Text.assemble("Workflow ", (status.id, "bold"))

    if status.name:
        heading.append(f" ({status.name})")

    heading.append(" is ").append_text(draw_state(status.state))
    heading.append(f": {status.counts['completed']} of {status.total} jobs completed")

    if status.duration is not None:
        heading.append(f" in {human_duration(status.duration)}")
    elif status.started_at is not None:
        heading.append(f", started {human_duration(datetime.now(UTC) - status.started_at)} ago")

    return heading.append(".")


def draw_progress(status: WorkflowStatus, max_rows: int) -> Table:
    """Draw a bar for a workflow and for each one nested in it, as a tree."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, max_width=NAME, overflow="ellipsis")
    grid.add_column(no_wrap=True, min_width=BAR)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column()
    rows = list(_walk(status.name or "all", status, 0))

    for depth, name, part in rows[:max_rows]:
        grid.add_row(
            Text("  " * depth + name, style="" if depth else "bold"),
            draw_bar(part.counts, BAR),
            f"{part.counts['completed']}/{part.total}",
            draw_legend(part.counts, without="completed"),
        )

    if len(rows) > max_rows:
        grid.add_row(Text(f"… and {len(rows) - max_rows} more", style="dim"))

    return grid


def _walk(
    name: str, status: WorkflowStatus, depth: int
) -> Iterator[tuple[int, str, WorkflowStatus]]:
    pending = [(depth, name, status)]

    while pending:
        depth, name, status = pending.pop()
        yield depth, name, status
        nested = reversed(status.subs.items())
        pending += [(depth + 1, sub_name, sub) for sub_name, sub in nested]
