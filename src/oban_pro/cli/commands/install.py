"""``oban-workflows install``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from oban_pro import schema
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import explained
from oban_pro.cli.roles import role_options
from oban_pro.engine.connecting import open_pool
from oban_pro.model.wording import visible

if TYPE_CHECKING:
    from oban_pro.cli.roles import Roles


@click.command()
@database_options
@click.option(
    "--web-indexes",
    is_flag=True,
    help="Also create the indexes for Oban Web; inserting gets slower.",
)
@click.option("--force", is_flag=True, help="Put the functions in place, even over newer ones.")
@role_options("grant-")
def install(database: Database, web_indexes: bool, force: bool, roles: Roles) -> None:
    """Install or upgrade the tables of oban and of workflows.

    Creates the schema where it is missing. Doing it again changes nothing.
    Roles that have rights on oban_jobs get what goes with them on what is
    made; others get what they need by --grant-....
    """
    with explained():
        granted = asyncio.run(_install(database, web_indexes, force, roles))

    click.echo(f"Schema {database.prefix!r} is at version {schema.VERSION} of oban-workflows.")

    for line in granted:
        click.echo(visible(line[:1].upper() + line[1:] + "."))


async def _install(database: Database, web_indexes: bool, force: bool, roles: Roles) -> list[str]:
    async with open_pool(database.dsn) as pool:
        granted = await schema.install(pool, database.prefix, **roles, force=force)

        if web_indexes:
            await schema.create_web_indexes(pool, database.prefix)

    for kind, names in (
        ("a worker", roles["workers"]),
        ("an enqueuer", roles["enqueuers"]),
        ("a reader", roles["readers"]),
    ):
        granted += [f"granted {name} what {kind} needs" for name in names]

    return granted
