"""What people see of one workflow: a heading, and a bar for it and for each nested one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from oban_pro import settings
from oban_pro.model.links import page_of
from oban_pro.model.paths import join_path
from oban_pro.model.wording import human_duration, visible

from .bars import draw_bar, draw_legend, draw_state
from .console import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from oban_pro import WorkflowStatus
    from oban_pro.model.outcome import EndLine
    from oban_pro.model.waiting import OpenWait

BAR_WIDTH = 20  # characters
NAME_WIDTH = 26  # characters


def draw_overview(
    status: WorkflowStatus,
    max_rows: int,
    waits: Sequence[OpenWait] = (),
    ends: Sequence[EndLine] = (),
    *,
    max_lines: int = 0,
) -> RenderableType:
    """Draw a workflow, what is nested in it, the waits in it that are open, and how it ends.

    Args:
        status: Of the workflow.
        max_rows: How many bars to draw at most.
        waits: Those that are open.
        ends: Its final jobs, and the graft that undoes it.
        max_lines: How many of the waits to draw at most, and of the ends.
    """
    dashboard = settings.current().web_url
    page = [] if dashboard is None else [plain(page_of(dashboard, status.id))]

    return Group(
        draw_heading(status),
        *page,
        Text(),
        draw_progress(status, max_rows),
        *_draw_list("Waits", waits, draw_waits, max_lines),
        *_draw_list("Undo and final jobs", ends, draw_ends, max_lines),
    )


def _draw_list[Line](
    title: str, lines: Sequence[Line], draw: Callable[[Sequence[Line]], Table], most: int
) -> Iterator[RenderableType]:
    if lines:
        yield from (Text(), Text(title, style="bold"), draw(lines[:most]))

    if len(lines) > most:
        yield Text("  … and more", style="dim")


def draw_ends(ends: Sequence[EndLine]) -> Table:
    """Say in which state each final job is, and each graft that undoes a workflow."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True)

    for path, state in ends:
        grid.add_row("", plain(join_path(path)), draw_state(state))

    return grid


def draw_waits(waits: Sequence[OpenWait]) -> Table:
    """Say of each open wait for what it waits, and how long."""
    now = datetime.now(UTC)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")

    for one in waits:
        grid.add_row("", plain(join_path(one.path)), plain(one.wait.tell(now)))

    return grid


def draw_heading(status: WorkflowStatus) -> Text:
    """Draw the name and the state of a workflow."""
    heading = Text.assemble("Workflow ", plain(status.id, "bold"))

    if status.name:
        heading.append(f" ({visible(status.name)})")

    heading.append(" is ").append_text(draw_state(status.state))
    heading.append(f": {status.counts['completed']} of {status.total} jobs completed")

    if status.duration is not None:
        heading.append(f" in {human_duration(status.duration)}")
    elif status.started_at is not None:
        heading.append(f", started {human_duration(datetime.now(UTC) - status.started_at)} ago")

    if status.retried_at is not None:
        heading.append(f", retried {human_duration(datetime.now(UTC) - status.retried_at)} ago")

    if status.paused_at is not None:
        by = f" by {visible(status.paused_by)}" if status.paused_by else ""
        since = human_duration(datetime.now(UTC) - status.paused_at)
        heading.append(f", paused since {since}{by}", style="bold")

    return heading.append(".")


def draw_progress(status: WorkflowStatus, max_rows: int) -> Table:
    """Draw a bar for a workflow and for each one nested in it, as a tree."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, max_width=NAME_WIDTH, overflow="ellipsis")
    grid.add_column(no_wrap=True, min_width=BAR_WIDTH)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column()
    rows = list(_walk(status.name or "all", status, 0))

    for depth, name, part in rows[:max_rows]:
        grid.add_row(
            plain("  " * depth + name, "" if depth else "bold"),
            draw_bar(part.counts, BAR_WIDTH),
            f"{part.counts['completed']}/{part.total}",
            draw_legend(
                part.counts,
                without="completed",
                waits=part.waits,
                paused=part.paused_at is not None,
                limit=part.limit,
            ),
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
