"""What people see of a demo: live progress, the final status, the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from oban_pro.cli.bars import STYLES, draw_bar, draw_legend
from oban_pro.cli.console import plain

from .report import findings, human_size, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from oban_pro import WorkflowStatus
    from oban_pro.cli.bars import STYLES, draw_bar, draw_legend

from .report import Report

BAR_WIDTH = 24  # characters
MAX_FINDINGS = 20
MAX_LISTED = 5


def progress(status: WorkflowStatus) -> RenderableType:
    """Draw the states of a workflow's jobs, for the whole and for each group in it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, min_width=BAR_WIDTH)
    grid.add_column(no_wrap=True)

    for name, part in [("audit", status), *status.subs.items()]:
        label = plain(name if part is status else f"  {name}", "bold" if part is status else "")
        done = Text(f"{part.counts['completed']}/{part.total}", justify="right")
        grid.add_row(label, draw_bar(part.counts, BAR_WIDTH), done, draw_legend(part.counts))

    return Padding(grid, (1, 0))


def final(status: WorkflowStatus) -> Text:
    """Say how a workflow ended."""
    took = f" in {status.duration.total_seconds():.1f} s" if status.duration else ""
    style = STYLES.get(status.state, "")

    return Text.assemble(
        f"Workflow {status.id} is ", (status.state, style), f": {status.total} jobs{took}."
    )


def outcome(report: Report) -> RenderableType:
    """Show what an audit found."""
    parts: list[RenderableType] = [
        Text(verdict(report), style="bold green" if report["passed"] else "bold red")
    ]

    if not report["passed"]:
        parts.append(Padding(_findings(report), (1, 0, 0, 2)))

    return Group(*parts, Padding(_facts(report), (1, 0, 1, 2)))


def _findings(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    found = list(findings(report))

    for kind, distribution, file in found[:MAX_FINDINGS]:
        table.add_row(Text(kind, style="red"), plain(distribution), plain(file))

    if len(found) > MAX_FINDINGS:
        table.add_row(f"… and {len(found) - MAX_FINDINGS} more")

    return table


def _facts(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    sizes = (f"{name} {human_size(count)}" for name, count in report["biggest"].items())
    licences = (f"{name} ({len(holders)})" for name, holders in report["licences"].items())
    table.add_row("size", human_size(report["bytes"]))
    table.add_row("biggest", _first(sizes))
    table.add_row("licences", _first(licences))

    return table


def _first(texts: Iterator[str]) -> Text:
    listed = list(texts)
    rest = len(listed) - MAX_LISTED

    return plain(", ".join(listed[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else ""))
