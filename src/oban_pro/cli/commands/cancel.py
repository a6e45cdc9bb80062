"""``oban-workflows cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
@click.option("--finals", is_flag=True, help="Cancel final jobs too, which run otherwise.")
@click.option("--by", help="Who cancels.")
@click.option("--reason", help="Why; the errors of the jobs say so.")
@found_options
@database_options
def cancel(
    *,
    database: Database,
    id: str,
    names: tuple[str, ...],
    finals: bool,
    by: str | None,
    reason: str | None,
    found: Found | None,
) -> None:
    """Cancel the open jobs of the workflow ID.

    With NAMES only those, and what depends on them. A name may be that of
    a job, sub-workflow, fan-out or graft, or a path to a nested one: notify/email.

    With --all and filters instead of an ID all workflows that these find; it tells how many they
    are, and asks.
    """
    if found is not None:
        if finals:
            raise click.UsageError("--finals needs the ID of a workflow.")

        do_to_all(database, found, Workflow.cancel_all, "cancelled", by=by, reason=reason)
        return

    count = run(_cancel(database, id, names, finals=finals, by=by, reason=reason))
    click.echo(f"Cancelled {count_jobs(count)} of workflow {visible(id)}.")


async def _cancel(database: Database, id: str, paths: Sequence[str], **options: Any) -> int:
    async with connected(database):
        await status_of(id)

        return await handle(id).cancel_jobs(names=paths or None, **options)
