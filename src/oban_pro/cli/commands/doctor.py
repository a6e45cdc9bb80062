"""``oban-workflows doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from oban_pro import doctor as engine
from oban_pro.cli.client import CLIENT, connected, run, status_of
from oban_pro.cli.console import echo_json, json_option, make_console, plain
from oban_pro.cli.database import Database, database_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from oban_pro.doctor import Difference

MAX_LISTED = 50

type Examination = tuple[list[Difference], int | None, list[Difference]]
"""What was wrong, how many rows were mended, and what is still wrong."""


@click.command()
@click.argument("id", required=False)
@click.option("--repair", is_flag=True, help="Mend what is wrong.")
@click.option("--store", help="Look at the store at this URL, too.")
@json_option
@database_options
def doctor(
    *, database: Database, id: str | None, repair: bool, store: str | None, as_json: bool
) -> None:
    """Recompute every counter, and report what differs.

    Of the workflow ID and all it belongs to, or of all workflows. Exits with 0 when nothing is
    wrong, or nothing is any more, else with 1.
    """
    found, mended, left = run(_examine(database, id, store, repair=repair))

    if as_json:
        echo_json(
            {
                "differences": [difference._asdict() for difference in found],
                "mended": mended,
                "left": [difference._asdict() for difference in left],
            }
        )
    else:
        _print(make_console(), found, mended, left)

    sys.exit(1 if left else 0)


async def _examine(
    database: Database, id: str | None, store: str | None, *, repair: bool
) -> Examination:
    async with connected(database):
        if id is not None:
            await status_of(id)

        found = await engine.audit(CLIENT, id, store=store)

        if not repair:
            return found, None, found

        mended = await engine.repair(CLIENT, id, store=store)

        return found, mended, await engine.audit(CLIENT, id, store=store)


def _print(
    console: Console,
    found: Sequence[Difference],
    mended: int | None,
    left: Sequence[Difference],
) -> None:
    if not found:
        console.print(Text("Everything is right.", style="green"))
        return

    console.print(_draw(found))
    console.print()

    if unknown := sum(difference.is_unknown for difference in left):
        console.print(
            f"{_jobs(unknown)} gone, and nobody knows how it ended. What depends on it waits until"
            " somebody says so: see Watch and monitor in production.",
            style="yellow",
        )

    if mended is None:
        console.print(f"{_count(found)}. Mend with --repair.", style="red")
    elif left:
        console.print(f"Mended {_rows(mended)}; {_count(left)} left.", style="red")
    else:
        console.print(f"Mended {_rows(mended)}.", style="green")


def _draw(found: Sequence[Difference]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("Workflow", overflow="fold", min_width=12)
    table.add_column("Name", overflow="fold")
    table.add_column("Field", no_wrap=True)
    table.add_column("Stored", no_wrap=True, justify="right")
    table.add_column("Actual", no_wrap=True, justify="right")

    for difference in found[:MAX_LISTED]:
        table.add_row(
            plain(difference.workflow_id or ""),
            plain(difference.name or ""),
            difference.field,
            plain(difference.stored or "", "red"),
            plain(difference.actual or "", "green"),
        )

    if len(found) > MAX_LISTED:
        table.add_row(Text(f"… and {len(found) - MAX_LISTED} more", style="dim"))

    return table


def _jobs(count: int) -> str:
    return "The row of 1 job is" if count == 1 else f"Each of {count} rows of jobs is"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _count(differences: Sequence[Difference]) -> str:
    return "1 difference" if len(differences) == 1 else f"{len(differences)} differences"
