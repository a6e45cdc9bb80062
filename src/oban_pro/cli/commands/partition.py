"""``oban-workflows partition``."""

from __future__ import annotations

import asyncio

import click

from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import explained
from oban_pro.engine import partition_index
from oban_pro.engine.connecting import open_pool
from oban_pro.model.wording import visible


@click.command()
@click.argument("queue")
@database_options
def partition(*, database: Database, queue: str) -> None:
    """Build the index of the partition of QUEUE.

    Nodes look at the first 10,000 jobs in line. With the index a busy key
    holds up no other one, however many of its jobs stand in front. Jobs can be
    inserted and run while it is built. A node that runs the queue with its
    partition must be alive, as it says what jobs are told apart by.
    """
    with explained():
        is_new = asyncio.run(_build(database, queue))

    done = "is built" if is_new else "was there already"
    click.echo(f"The index of the partition of queue {visible(queue)} {done}.")


async def _build(database: Database, queue: str) -> bool:
    async with open_pool(database.dsn) as pool, pool.connection() as conn:
        return await partition_index.build(conn, queue, database.prefix)
