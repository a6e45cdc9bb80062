"""``oban-workflows stats``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from oban_pro.cli.client import CLIENT, connected, run
from oban_pro.cli.console import echo_json, json_option, make_console, plain
from oban_pro.cli.database import Database, database_options
from oban_pro.engine.session import session_for
from oban_pro.handles.stats import Stats, read_stats
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@click.command()
@json_option
@database_options
def stats(*, database: Database, as_json: bool) -> None:
    """Count what is open: jobs by queue, workflows by name, waits, nodes.

    It reads what is open, and nothing of what is settled.
    """
    found = run(read(database))

    if as_json:
        echo_json(_to_json(found))
        return

    console = make_console()

    for title, columns, rows in _tables(found):
        if rows:
            console.print(_draw(title, columns, rows))
            console.print()

    server = found.server
    console.print(
        f"Open waits: {server.signals} for signals, {server.timers} timers."
        f" Overdue: timers {_seconds(server.timers_late)},"
        f" scheduled jobs {_seconds(server.staging_late)}."
    )


async def read(database: Database) -> Stats:
    """Read the numbers of a database."""
    async with connected(database), session_for(CLIENT).connect() as store:
        return await read_stats(store)


def _to_json(found: Stats) -> dict[str, Any]:
    return {
        "queues": [one._asdict() for one in found.queues],
        "workflows": [one._asdict() for one in found.workflows],
        "nodes": [one._asdict() for one in found.nodes],
        **found.server._asdict(),
        **found.pulse._asdict(),
    }


def _tables(found: Stats) -> Iterable[tuple[str, Sequence[str], list[Sequence[str]]]]:
    yield (
        "Queue",
        ("State", "Jobs", "Oldest"),
        [
            (one.queue, one.state, str(one.jobs), _seconds(max(0.0, one.oldest)))
            for one in found.queues
        ],
    )
    yield (
        "Workflow",
        ("Open", "Oldest"),
        [(one.name or "", str(one.workflows), _seconds(one.oldest)) for one in found.workflows],
    )
    yield (
        "Node",
        ("Queue", "Heartbeat", ""),
        [
            (
                one.node,
                one.queue,
                f"{_seconds(max(0.0, one.silence))} ago",
                "dead" if not one.is_alive else "paused" if one.is_paused else "",
            )
            for one in found.nodes
        ],
    )


def _draw(first: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)

    for name in (first, *columns):
        numeric = name in ("Jobs", "Oldest", "Open", "Heartbeat")
        table.add_column(name, justify="right" if numeric else "left")

    for row in rows:
        table.add_row(*map(plain, row))

    return table


def _seconds(seconds: float) -> str:
    return human_duration(timedelta(seconds=seconds), units=1)
