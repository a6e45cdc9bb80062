"""``oban-workflows cancel``."""

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
def cancel(*, database: Database, id: str, names: tuple[str, ...]) -> None:
    """Cancel the open jobs of the workflow ID.

    With NAMES only those, and what depends on them. A name may be that of
    a job, sub-workflow, fan-out or graft, or a path to a nested one: notify/email.
    """
    count = run(_cancel(database, id, names))
    click.echo(f"Cancelled {count_jobs(count)} of workflow {id}.")


async def _cancel(database: Database, id: str, paths: Sequence[str]) -> int:
    count = 0

    async with connected(database):
        await status_of(id)

        for owner, names in (await locate_all(id, paths)).items():
            count += await handle(owner).cancel_jobs(names=names)

    return count
