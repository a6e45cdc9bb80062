"""``oban-workflows resume``."""

from __future__ import annotations

import click

from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.model.wording import count_jobs, visible


@click.command()
@click.argument("id")
@click.argument("path", required=False)
@database_options
def resume(*, database: Database, id: str, path: str | None) -> None:
    """Resume the workflow ID, or only what is at PATH in it.

    PATH is what was paused: a pause of the workflow and one of a part of it add up.
    """
    count = run(_resume(database, id, path))
    part = "" if path is None else f"{visible(path)} of "
    click.echo(f"Resumed {part}workflow {visible(id)}; {count_jobs(count)} brought back.")


async def _resume(database: Database, id: str, path: str | None) -> int:
    async with connected(database):
        await status_of(id)

        return await handle(id).resume(path)
