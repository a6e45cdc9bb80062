"""DBOS: workflows that enqueue each job, for any process to run, and wait for its result.

One process runs 50 jobs of the queue at once. Queue and results are polled often.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dbos import DBOS

from . import dbos_steps
from .dbos_steps import hop, item, total
from .work import CONCURRENCY, Shapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

QUEUE = "bench"
POLLING = 0.01


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    async with dbos_steps.serve():
        await DBOS.register_queue_async(
            QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLLING
        )
        yield


@DBOS.workflow()
async def queued_fan_out(count: int) -> int:
    first = await _result(hop, 0)
    jobs = [await DBOS.enqueue_workflow_async(QUEUE, item, first, n) for n in range(count)]

    return await _result(
        total, [await job.get_result(polling_interval_sec=POLLING) for job in jobs]
    )


@DBOS.workflow()
async def queued_chain(count: int) -> int:
    value = 0

    for _ in range(count):
        value = await _result(hop, value)

    return value


@DBOS.workflow()
async def queued_diamond() -> int:
    top = await _result(hop, 0)
    sides = [await DBOS.enqueue_workflow_async(QUEUE, hop, top) for _ in range(2)]

    return await _result(
        total, [await side.get_result(polling_interval_sec=POLLING) for side in sides]
    )


async def diamonds(count: int) -> int:
    return sum(await asyncio.gather(*(queued_diamond() for _ in range(count))))


async def _result[T](job: Callable[..., Awaitable[int]], argument: T) -> int:
    handle = await DBOS.enqueue_workflow_async(QUEUE, job, argument)
    result: int = await handle.get_result(polling_interval_sec=POLLING)

    return result


SHAPES: Shapes = {"fan_out": queued_fan_out, "chain": queued_chain, "diamonds": diamonds}
