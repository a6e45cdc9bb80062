"""Giving back the jobs of a process that is certainly dead, because its parent has reaped it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from oban import Oban
from psycopg import Error

from oban_pro import _host
from oban_pro._plugin import lost_jobs
from oban_pro.engine.connecting import open_pool
from oban_pro.engine.results import Lost
from oban_pro.engine.session import session_of
from oban_pro.errors import WorkflowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from oban_pro.cli.database import Database

logger = logging.getLogger(__name__)

LATE = 4.0
"""Seconds in which the server may still carry out what a process had sent before it died."""

LIMIT = 60.0
"""Seconds after which it is left to the nodes, which miss its heartbeat."""

POLL = 1.0
"""Seconds between two looks."""

BRIEF = 5.0
"""Seconds after which it is while this process is to end."""

CLIENT = "oban-workflows-parent"


def describe_death(node: str, code: int) -> str:
    """Say how a process ended.

    Args:
        node: Its name.
        code: Its exit code; negative for the signal that killed it.
    """
    if code >= 0:
        return f"node {node} ended with exit code {code} before the job had settled"

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"

    return f"node {node} was killed by {name} before the job had settled"


async def give_back(
    database: Database, node: str, reason: str, is_stopping: Callable[[], bool]
) -> None:
    """Give back the jobs of a dead node at once, and forget the node. Whatever fails is logged.

    The attempt of each job is spent: a job that kills its process would do so for ever.

    Args:
        database: Where they are.
        node: The name of the node, which no other has.
        reason: What the errors of its jobs say.
        is_stopping: Tells whether this process is to end: then it looks no longer than it has to.
    """
    began = time.monotonic()

    while True:
        try:
            async with _connected(database) as query:
                while await _take_back(query, node, reason) or not (
                    is_stopping() or time.monotonic() > began + LATE
                ):
                    if time.monotonic() > began + (BRIEF if is_stopping() else LIMIT):
                        raise TimeoutError("somebody holds them")

                    await asyncio.sleep(POLL)

                await _forget(query, node)

                return
        except (Error, OSError, TimeoutError, WorkflowError) as error:
            if is_stopping() or time.monotonic() > began + LIMIT:
                logger.warning(
                    "Leaving the jobs of node %s to other nodes, which miss it: %s", node, error
                )
                return

            logger.debug("Failed to give back the jobs of node %s", node, exc_info=True)

        await asyncio.sleep(POLL)


@asynccontextmanager
async def _connected(database: Database) -> AsyncIterator[_host.Query]:
    # What becomes of connections is told above.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    async with open_pool(database.dsn) as pool:
        oban = Oban(pool=pool, prefix=database.prefix, name=CLIENT)

        yield _host.query_of_instance(oban)


async def _take_back(query: _host.Query, node: str, reason: str) -> int:
    """Take back what a node ran; returns how many jobs are left, as somebody holds them."""
    session = session_of(query)

    if not await session.is_installed():
        return 0

    producers = await session.execute(lambda store: store.producers_of(node))
    taken = await session.execute(lambda store: store.taken(producers))

    if not taken:
        return 0

    count = await lost_jobs.take_back(query, [Lost(*one.execution, reason) for one in taken])
    logger.info("Gave back %d of %d jobs of node %s", count, len(taken), node)

    return len(await session.execute(lambda store: store.taken(producers)))


async def _forget(query: _host.Query, node: str) -> None:
    session = session_of(query)

    if await session.is_installed():
        for uuid in await session.execute(lambda store: store.producers_of(node)):
            await query.delete_producer(uuid)
