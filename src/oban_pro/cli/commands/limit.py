"""``oban-workflows limit``."""

from __future__ import annotations

import click

from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.model.wording import visible


@click.command()
@click.argument("id")
@click.argument("path")
@click.argument("limit", metavar="NUMBER|none")
@database_options
def limit(*, database: Database, id: str, path: str, limit: str) -> None:
    """Set how many members of a fan-out of the workflow ID may be open at once.

    PATH is the name of the fan-out, or a path to a nested one: load/rows. 0 stops it, none takes
    the limit away. Members that wait for a slot start at once if there is one.
    """
    number = _parse(limit)
    run(_limit(database, id, path, number))
    most = "any number" if number is None else f"at most {number:,}"
    click.echo(f"Limited {visible(path)} of workflow {visible(id)} to {most} at once.")


def _parse(limit: str) -> int | None:
    if limit == "none":
        return None

    if not (limit.isascii() and limit.isdecimal()):
        raise click.BadParameter(f"must be a number or none, got {limit!r}", param_hint="LIMIT")

    return int(limit)


async def _limit(database: Database, id: str, path: str, limit: int | None) -> None:
    async with connected(database):
        await status_of(id)
        await handle(id).set_limit(path, limit)
