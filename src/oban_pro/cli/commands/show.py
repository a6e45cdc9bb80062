"""``oban-workflows show``."""

from __future__ import annotations

import webbrowser
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.table import Table

from oban_pro import settings
from oban_pro.cli.bars import draw_state
from oban_pro.cli.client import CLIENT, connected, open_waits_of, run, status_of
from oban_pro.cli.console import (
    echo_json,
    job_json,
    json_option,
    make_console,
    plain,
    status_json,
    wait_json,
)
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.overview import draw_overview
from oban_pro.engine.session import session_for
from oban_pro.errors import message_of
from oban_pro.model.links import page_of
from oban_pro.model.paths import join_path
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from oban_pro import WorkflowStatus
    from oban_pro.engine.store import Store
    from oban_pro.model.explanation import JobLine
    from oban_pro.model.outcome import EndLine
    from oban_pro.model.waiting import OpenWait

FAILED = ("discarded", "cancelled", "retryable")
MAX_BARS = 50


@click.command()
@click.argument("id")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many running and failed jobs, open waits and final jobs to show.",
)
@click.option("--open", "is_opened", is_flag=True, help="Open its page in a browser, too.")
@json_option
@database_options
def show(*, database: Database, id: str, limit: int, is_opened: bool, as_json: bool) -> None:
    """Show the workflow ID: what runs, what waits, what failed and why."""
    dashboard = settings.current().web_url

    if is_opened and dashboard is None:
        raise click.UsageError(
            "--open needs the address of the dashboard: the setting web_url, or OBAN_WEB_URL."
        )

    status, running, failed, waits, ends = run(_read(database, id, limit))

    if is_opened and dashboard is not None:
        webbrowser.open(page_of(dashboard, id))

    if as_json:
        jobs = {"running": [*map(job_json, running)], "failed": [*map(job_json, failed)]}
        open_waits = {"open_waits": [*map(wait_json, waits[:limit])]}
        listed = {"ends": [end._asdict() for end in ends[:limit]]}
        page = {"url": None if dashboard is None else page_of(dashboard, id)}
        echo_json(status_json(status) | jobs | open_waits | listed | page)
        return

    console = make_console()
    console.print(draw_overview(status, MAX_BARS, waits, ends, max_lines=limit))
    _print_running(console, running, status.counts["executing"])
    _print_failed(console, failed, sum(status.counts[state] for state in FAILED))

    if failed:
        console.print("\nMore about one of them: oban-workflows explain ID NAME", style="dim")


async def _read(
    database: Database, id: str, limit: int
) -> tuple[WorkflowStatus, list[JobLine], list[JobLine], list[OpenWait], list[EndLine]]:
    async with connected(database):
        status = await status_of(id)

        async with session_for(CLIENT).connect() as store:
            running = await _list_jobs(store, status, ["executing"], limit)
            failed = await _list_jobs(store, status, FAILED, limit)
            waits = await open_waits_of(store, status, limit + 1)
            ends = await store.ends(id, limit + 1)

    return status, running, failed, waits, ends


async def _list_jobs(
    store: Store, status: WorkflowStatus, states: Sequence[str], limit: int
) -> list[JobLine]:
    """Read jobs in some states; ask nothing if the status counts none."""
    if not any(status.counts[state] for state in states):
        return []

    return await store.tree(status.id, list(states), limit)


def _print_running(console: Console, lines: Sequence[JobLine], total: int) -> None:
    if lines:
        now = datetime.now(UTC)
        rows = [(line, f"for {human_duration(now - (line.attempted_at or now))}") for line in lines]
        _print_jobs(console, "Running", rows, total)


def _print_failed(console: Console, lines: Sequence[JobLine], total: int) -> None:
    if lines:
        rows = [(line, message_of(line.error or "")) for line in lines]
        _print_jobs(console, "Failed", rows, total)


def _print_jobs(
    console: Console, title: str, rows: Sequence[tuple[JobLine, str]], total: int
) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")

    for line, text in rows:
        grid.add_row(
            "",
            plain(join_path(line.path)),
            draw_state(line.state),
            f"{line.attempt}/{line.max_attempts}",
            plain(text),
        )

    console.print(f"\n{title}", style="bold")
    console.print(grid)

    if total > len(rows):
        console.print(f"  … and {total - len(rows)} more", style="dim")
