"""Measure reads: the results that a cascade receives, and the status of a workflow.

Each is compared with its floor, a bare SELECT. A tick of a node is measured too.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from oban import Oban, telemetry

from oban_pro._plugin import before_stage, housekeeping, rescue

from . import functions
from .measurement import Result, Settled
from .shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .measurement import Run

TIMES = 50
# How many jobs have run when the status is read.
SOME = 2_000

VALUES = """
INSERT INTO oban_jobs (worker, state, meta)
SELECT 'w', 'completed', jsonb_build_object('recorded', true, 'return', 'g2IAAAAA')
FROM generate_series(1, %s)
"""


async def results(run: Run) -> Result:
    """Measure from the start of a job until its function is called with many recorded results."""
    if run.system == "floor":
        return await _select(run, VALUES, "SELECT meta->>'return' FROM oban_jobs")

    started: list[float] = []
    telemetry.attach("reading", ["oban.job.start"], lambda *_: started.append(time.perf_counter()))
    pool = await Oban.create_pool(run.dsn)
    settled = Settled()

    async with Oban(pool=pool, queues={"default": run.limit}) as oban:
        for _ in range(2):
            await oban.enqueue_many(SHAPES["cascades"](run.size + 2))
            await settled.wait(run.size + 2)

    await pool.close()

    return Result(0, functions.called[-1] - started[-1])


async def status(run: Run) -> Result:
    """Read the status while a workflow runs, over a separate connection."""
    if run.system == "floor":
        return await _select(run, VALUES, "SELECT * FROM oban_jobs WHERE id = 1")

    pool = await Oban.create_pool(run.dsn)
    settled = Settled()
    workflow: Any = SHAPES["fan_out"](run.size + 2)

    async with Oban(pool=pool, queues={"default": run.limit}) as oban:
        await oban.enqueue_many(workflow)
        await settled.wait(min(SOME, run.size // 2))

    async with Oban(pool=pool):
        seconds = await _time(workflow.status)

    await pool.close()

    return Result(0, seconds)


async def tick(run: Run) -> Result:
    """Measure a tick of a node's stager when nothing is due."""
    hook = before_stage.build(before_stage.nothing)
    pool = await Oban.create_pool(run.dsn)
    query = Oban(pool=pool)._query

    async def look() -> None:
        await hook(query)
        # it looks for silent nodes only every few seconds
        await rescue.sweep(query)
        await asyncio.gather(*housekeeping._running.get(query, {}).values())

    seconds = await _time(look)
    await pool.close()

    return Result(0, seconds)


async def _select(run: Run, prepare: str, select: str) -> Result:
    pool = await Oban.create_pool(run.dsn)

    async def read() -> None:
        async with pool.connection() as conn:
            cursor = await conn.execute(select.encode())
            await cursor.fetchall()

    async with pool.connection() as conn:
        await conn.execute(prepare.encode(), [run.size])

    seconds = await _time(read)
    await pool.close()

    return Result(0, seconds)


async def _time(read: Callable[[], Awaitable[Any]]) -> float:
    seconds = []

    for _ in range(TIMES):
        started = time.perf_counter()
        await read()
        seconds.append(time.perf_counter() - started)

    return median(seconds)
