"""``oban-workflows retry``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oban_pro import Workflow
from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.found import Found, do_to_all, found_options
from oban_pro.model.wording import count_jobs, visible

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("id", required=False)
@click.argument("names", nargs=-1)
@click.option("--downstream", is_flag=True, help="And all that depends on NAMES, in order.")
@found_options
@database_options
def retry(
    *,
    database: Database,
    id: str,
    names: tuple[str, ...],
    downstream: bool,
    found: Found | None,
) -> None:
    """Run failed jobs of the workflow ID again.

    That is cancelled and discarded ones, and those that wait to be retried. With NAMES only those,
    completed ones too. A name may be that of a job, sub-workflow, fan-out
    or graft, or a path to a nested one: notify/email.

    With --all and filters instead of an ID all workflows that these find; it tells how many they
    are, and asks.
    """
    if downstream and not names:
        raise click.UsageError("--downstream needs NAMES: the jobs to start from.")

    if found is not None:
        do_to_all(database, found, Workflow.retry_all, "retried")
        return

    count = run(_retry(database, id, names, downstream=downstream))
    click.echo(f"Retried {count_jobs(count)} of workflow {visible(id)}.")


async def _retry(database: Database, id: str, paths: Sequence[str], *, downstream: bool) -> int:
    async with connected(database):
        await status_of(id)

        return await handle(id).retry_jobs(names=paths or None, downstream=downstream)
