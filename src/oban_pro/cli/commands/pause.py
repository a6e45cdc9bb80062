"""``oban-workflows pause``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure
from oban_pro.model.wording import SETTLED, count_jobs, visible

if TYPE_CHECKING:
    from click import Context, Parameter


def _parse(_: Context, __: Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None

    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            f"must be a time with a timezone, as 2026-11-28T08:00+01:00, got {text!r}"
        )

    return moment


@click.command()
@click.argument("id")
@click.argument("path", required=False)
@click.option("--by", help="Who pauses.")
@click.option(
    "--until",
    metavar="TIME",
    callback=_parse,
    help="When the pause ends by itself, as 2026-11-28T08:00+01:00.",
)
@database_options
def pause(
    *, database: Database, id: str, path: str | None, by: str | None, until: datetime | None
) -> None:
    """Pause the workflow ID: nothing of it starts until it is resumed.

    With PATH only that job, sub-workflow, fan-out or graft; PATH is a name, or a path to a nested
    one: notify/email. What runs ends, and what follows it waits.
    """
    count = run(_pause(database, id, path, by, until))
    click.echo(f"Paused {_of(path)}workflow {visible(id)}; {count_jobs(count)} held back.")


async def _pause(
    database: Database, id: str, path: str | None, by: str | None, until: datetime | None
) -> int:
    async with connected(database):
        status = await status_of(id)
        state = status.state if path is None else (await handle(id).explain(path)).state

        if state in SETTLED:
            raise CommandFailure(f"nothing of it is left to be paused: it is {state}")

        return await handle(id).pause(path, by=by, until=until)


def _of(path: str | None) -> str:
    return "" if path is None else f"{visible(path)} of "
