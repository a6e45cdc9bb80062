"""``oban-workflows watch``."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.live import Live

from oban_pro.cli.bars import draw_legend
from oban_pro.cli.client import CLIENT, connected, open_waits_of, run, status_of
from oban_pro.cli.console import echo_json, json_option, make_console, plain, status_json
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.overview import draw_heading, draw_overview
from oban_pro.engine.session import session_for
from oban_pro.handles import waiting
from oban_pro.model.paths import join_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import Console

    from oban_pro import WorkflowStatus
    from oban_pro.engine.store import Store
    from oban_pro.model.outcome import EndLine
    from oban_pro.model.waiting import OpenWait

EXIT_CODES = {"completed": 0, "cancelled": 3, "discarded": 4}
INTERRUPTED = 130
PATIENCE = 3.0
"""Seconds without an answer of the database after which the command says so."""

MARGIN = 4
"""Lines of the terminal that are not for bars."""
MAX_LINES = 10
"""How many open waits to show, and how many final jobs."""


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
    """Yield the status of a workflow again and again, the last one once it has settled.

    Goes on through restarts and failovers of the database.
    """
    status = await status_of(id)
    yield status

    while status.state == "executing":
        await asyncio.sleep(interval)
        status = await _look_patiently(id)
        # A workflow that has vanished is reported like one that never existed.
        yield status if status.state != "unknown" else await status_of(id)


async def _look_patiently(id: str) -> WorkflowStatus:
    looking = asyncio.create_task(waiting.look(CLIENT, id))

    try:
        if not (await asyncio.wait([looking], timeout=PATIENCE))[0]:
            click.echo("The database does not answer, waiting for it.", err=True)

        return await looking
    finally:
        looking.cancel()


async def _redraw(console: Console, looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    with Live(console=console, auto_refresh=False) as live:
        async for status in looks:
            waits, ends = await session_for(CLIENT).read(partial(_read, status))
            lines = sum(2 + len(listed) for listed in (waits, ends) if listed)
            bars = max(console.height - MARGIN - lines, 1)
            live.update(draw_overview(status, bars, waits, ends, max_lines=MAX_LINES), refresh=True)

    return status


async def _read(status: WorkflowStatus, store: Store) -> tuple[list[OpenWait], list[EndLine]]:
    waits = await open_waits_of(store, status, MAX_LINES + 1)

    return waits, await _read_ends(status, store)


async def _read_ends(status: WorkflowStatus, store: Store) -> list[EndLine]:
    return await store.ends(status.id, MAX_LINES + 1)


async def _print_lines(console: Console, looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    seen = None
    told: dict[tuple[str, ...], str] = {}

    async for status in looks:
        shown = draw_legend(status.counts, waits=status.waits, paused=status.paused_at is not None)

        if shown != seen:
            console.print(shown)

        ends = await session_for(CLIENT).read(partial(_read_ends, status))

        for path, state in ends[:MAX_LINES]:
            if told.get(path, "suspended") != state:
                console.print(plain(f"  {join_path(path)} is {state}"))

        seen, told = shown, dict(ends)

    console.print(draw_heading(status))

    return status


async def _print_json(looks: AsyncIterator[WorkflowStatus]) -> WorkflowStatus:
    seen = None

    async for status in looks:
        if status != seen:
            echo_json(status_json(status), indent=False)

        seen = status

    return status
