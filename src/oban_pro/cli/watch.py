"""``oban-workflows watch``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
from rich.live import Live

from .bars import draw_legend
from .client import connected, run, status_of
from .database import Database, database_options
from .output import echo_json, json_option, make_console, status_json
from .overview import draw_heading, draw_overview

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import Console

    from oban_pro import WorkflowStatus

EXIT_CODES = {"completed": 0, "cancelled": 3, "discarded": 4}
INTERRUPTED = 130
MARGIN = 4
"""Lines of the terminal that are not for bars."""


@click.command()
@click.argument("id")
@click.option(
    "--interval",
    type=click.FloatRange(0.05),
    default=0.5,
    show_default=True,
    help="Seconds between two looks.",
)
@json_option
@database_options
def watch(*, database: Database, id: str, interval: float, as_json: bool) -> None:
    """Watch the workflow ID until it has settled.

    The exit code tells how it ended: 0 completed, 3 cancelled, 4 discarded. With --json, and where
    the output is no terminal, there is one line for each change.
    """
    try:
        status = run(_watch(database, id, interval, as_json=as_json))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

    sys.exit(EXIT_CODES[status.state])


async def _watch(database: Database, id: str, interval: float, *, as_json: bool) -> WorkflowStatus:
    console = make_console()

    async with connected(database):
        looks = _look(id, interval)

        if as_json:
            return await _print_json(looks)

        if console.is_terminal:
            return await _redraw(console, looks)

        return await _print_lines(console, looks)


async def _look(id: str, interval: float) -> AsyncIterator[WorkflowStatus]:
    """Yield the status of a workflow again and again, the last one once it has settled."""
    status = await status_of(id)
    yield status

    while status.state == "executing":
        await asyncio.sleep(interval)
        status = await status_of(id)
        yield status


async def _redraw(console: Console, looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    with Live(console=console, auto_refresh=False) as live:
        async for status in looks:
            rows = max(console.height - MARGIN, 1)
            live.update(draw_overview(status, rows), refresh=True)

    return status


async def _print_lines(console: Console, looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    seen = None

    async for status in looks:
        if status.counts != seen:
            console.print(draw_legend(status.counts))

        seen = status.counts

    console.print(draw_heading(status))

    return status


async def _print_json(looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    seen = None

    async for status in looks:
        if status != seen:
            echo_json(status_json(status), indent=False)

        seen = status

    return status
