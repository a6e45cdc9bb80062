"""``oban-workflows uninstall``."""

from __future__ import annotations

import asyncio

import click

from oban_pro import schema
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import explained
from oban_pro.engine.connecting import open_pool


@click.command()
@database_options
@click.confirmation_option(
    "--yes", prompt="Unfinished workflows will not go on. Remove the workflow tables?"
)
def uninstall(database: Database) -> None:
    """Remove the workflow tables; those of oban stay, with their jobs."""
    with explained():
        asyncio.run(_uninstall(database))

    click.echo(f"Schema {database.prefix!r} is without oban-workflows.")


async def _uninstall(database: Database) -> None:
    async with open_pool(database.dsn) as pool:
        await schema.uninstall(pool, database.prefix)
