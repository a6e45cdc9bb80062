"""``oban-workflows install``."""

from __future__ import annotations

import asyncio

import click

from oban_pro import schema

from .database import Database, database_options, open_pool
from .errors import explained


@click.command()
@database_options
@click.option(
    "--web-indexes",
    is_flag=True,
    help="Also create the indexes for Oban Web; inserting gets slower.",
)
def install(database: Database, web_indexes: bool) -> None:
    """Install or upgrade the tables of oban and of workflows.

    Creates the schema where it is missing. Doing it again changes nothing.
    """
    with explained():
        asyncio.run(_install(database, web_indexes))

    click.echo(f"Schema {database.prefix!r} is at version {schema.VERSION} of oban-workflows.")


async def _install(database: Database, web_indexes: bool) -> None:
    async with open_pool(database) as pool:
        await schema.install(pool, database.prefix)

        if web_indexes:
            await schema.create_web_indexes(pool, database.prefix)
