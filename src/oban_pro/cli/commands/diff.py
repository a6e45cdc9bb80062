"""``oban-workflows diff``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from oban_pro.cli.bars import draw_state
from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.console import echo_json, json_option, make_console, plain, seconds
from oban_pro.cli.database import Database, database_options
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oban_pro.model.timing import Timing


@click.command()
@click.argument("id")
@click.argument("other")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many jobs to list."
)
@json_option
@database_options
def diff(*, database: Database, id: str, other: str, limit: int, as_json: bool) -> None:
    """Compare how long the jobs of the workflow ID took with those of OTHER.

    Of each job: how long it waited, was queued and ran, in its last attempt, and its attempts, each
    time that of ID first. Those whose run differs most come first.
    """
    found = run(_read(database, id, other))

    if as_json:
        echo_json([_to_json(one) for one in found])
        return

    console = make_console()
    console.print(_draw(sorted(found, key=_change, reverse=True)[:limit]))

    if len(found) > limit:
        console.print(f"{len(found) - limit} more: see --limit.", style="dim")


async def _read(database: Database, id: str, other: str) -> list[Timing]:
    async with connected(database):
        for one in (id, other):
            await status_of(one)

        return [*(await handle(id).timings(compare=other)).values()]


def _change(one: Timing) -> timedelta:
    """Tell by how much the runs of a job differ."""
    other = one.other and one.other.ran

    return abs((one.ran or timedelta()) - (other or timedelta()))


def _to_json(one: Timing) -> dict[str, Any]:
    return {
        "path": one.path,
        **_own_json(one),
        "other": None if one.other is None else _own_json(one.other),
    }


def _own_json(one: Timing) -> dict[str, Any]:
    return {
        "state": one.state,
        "waiting": seconds(one.waiting),
        "queued": seconds(one.queued),
        "ran": seconds(one.ran),
        "attempts": one.attempts,
    }


def _draw(found: Iterable[Timing]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("Path", no_wrap=True, overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("", no_wrap=True)

    for title in ("Waiting", "", "Queued", "", "Ran", "", "Attempts", ""):
        table.add_column(title, no_wrap=True, justify="right")

    for one in found:
        pair = one, one.other
        table.add_row(
            plain(one.path),
            *(draw_state(each.state if each else "absent") for each in pair),
            *(_spell(each.waiting if each else None) for each in pair),
            *(_spell(each.queued if each else None) for each in pair),
            *(_spell(each.ran if each else None) for each in pair),
            *(str(each.attempts) if each else "-" for each in pair),
        )

    return table


def _spell(duration: timedelta | None) -> str:
    return "-" if duration is None else human_duration(duration)
