"""``oban-workflows retry``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .client import connected, handle, run, status_of
from .database import Database, database_options
from .steer import count_jobs, locate_all

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("id")
@click.argument("names", nargs=-1)
@database_options
def retry(*, database: Database, id: str, names: tuple[str, ...]) -> None:
    """Run failed jobs of the workflow ID again.

    That is cancelled and discarded ones, and those that wait to be retried. With NAMES only those,
    completed ones too. A name may be that of a job, sub-workflow, fan-out
    or graft, or a path to a nested one: notify/email.
    """
    count = run(_retry(database, id, names))
    click.echo(f"Retried {count_jobs(count)} of workflow {id}.")


async def _retry(database: Database, id: str, paths: Sequence[str]) -> int:
    count = 0

    async with connected(database):
        await status_of(id)

        for owner, names in (await locate_all(id, paths)).items():
            count += await handle(owner).retry_jobs(names=names)

    return count
