"""``oban-workflows delete``."""

from __future__ import annotations

import click

from oban_pro import Workflow
from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure
from oban_pro.cli.found import Found, do_to_all, found_options
from oban_pro.errors import InvalidArgumentError, OpenWorkflowError
from oban_pro.model.wording import visible


@click.command()
@click.argument("id", required=False)
@found_options
@database_options
def delete(*, database: Database, id: str, found: Found | None) -> None:
    """Remove the workflow ID and its jobs, once it has settled.

    With --all and filters instead of an ID all settled workflows that these find; it tells how
    many they are, and asks.
    """
    if found is not None:
        do_to_all(database, found, Workflow.delete_all, "deleted")
        return

    run(_delete(database, id))
    click.echo(f"Deleted workflow {visible(id)}.")


async def _delete(database: Database, id: str) -> None:
    async with connected(database):
        await status_of(id)

        try:
            await handle(id).delete()
        except (InvalidArgumentError, OpenWorkflowError) as error:
            raise CommandFailure(str(error)) from error
