"""pgqueuer: independent jobs only, because it has no dependencies.

One worker in the process that submits takes batches of 50. The worker and the submitter have one
connection each.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from .work import CONCURRENCY, Shapes, url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pgqueuer.models import Job

_ran: list[int] = []
_queries: list[Queries] = []


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    queries = Queries(AsyncpgDriver(await asyncpg.connect(url())))
    await queries.install()
    _queries.append(queries)
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(url())))
    worker.entrypoint("count")(count_job)
    running = asyncio.create_task(worker.run(batch_size=CONCURRENCY))
    yield
    worker.shutdown.set()
    await running


async def count_job(job: Job) -> None:
    _ran.append(1)


async def independent(count: int) -> int:
    (queries,) = _queries
    _ran.clear()
    await queries.enqueue(["count"] * count, [None] * count, [0] * count)

    # jobs are removed from the queue in batches, when they are committed as done
    while await queries.queue_size():  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    return len(_ran)


SHAPES: Shapes = {
    "fan_out": "no dependencies",
    "chain": "no dependencies",
    "diamonds": "no dependencies",
    "independent": independent,
}
