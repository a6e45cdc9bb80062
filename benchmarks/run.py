"""One measurement in a separate process: it reads a `Run` as JSON, and prints its `Result`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, LiteralString

import psycopg
import uvloop

from .measurement import Result, Run, Settled, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oban import Job, Oban

READING = ("results", "status", "tick")
REHEARSALS = 3

# The server's own counts of commits, rows written and buffers.
COUNTS = """
SELECT
  xact_commit, tup_inserted + tup_updated + tup_deleted, blks_hit + blks_read,
  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
FROM pg_stat_database WHERE datname = current_database()
"""
LAST = "SELECT COALESCE(max(id), 0) FROM oban_jobs"
# Jobs that were stored before have smaller ids.
STATES = "SELECT DISTINCT state FROM oban_jobs WHERE id > %s"
UNSETTLED = "SELECT EXISTS (SELECT FROM oban_jobs WHERE state <> 'completed')"
DEAD = "SELECT COALESCE(sum(n_dead_tup), 0) FROM pg_stat_user_tables"


def measure(run: Run) -> Result:
    """Measure once, and check that every job has completed."""
    if run.system in ("oban", "triggers"):
        # when oban is imported, it looks for this package and does not find it
        sys.modules["oban_pro"] = None  # type: ignore[assignment]

    (last,) = _count(run.dsn, LAST)
    before = _count(run.dsn, COUNTS)
    result = _find(run)(run)
    # a backend's counts are complete only after it has ended
    after = _count(run.dsn, COUNTS)

    if run.shape in READING:
        return result

    _check(run, last)
    names = ("commits", "rows", "buffers", "WAL bytes")
    jobs = run.size * (run.repeat + REHEARSALS * run.rehearse)
    costs = {name: (new - old) / jobs for name, old, new in zip(names, before, after, strict=True)}
    costs["dead rows"] = _count(run.dsn, DEAD)[0] / jobs
    costs["MB"] = peak_memory()

    return result._replace(costs=costs | (result.costs or {}))


def _find(run: Run) -> Callable[[Run], Result]:
    # the event loop that `oban start` uses
    if run.shape in READING:
        from . import reading

        return lambda run: uvloop.run(getattr(reading, run.shape)(run))

    if run.system == "floor":
        from . import floor

        return floor.measure

    return lambda run: uvloop.run(_measure_nodes(run) if run.nodes else _measure(run))


async def _measure(run: Run) -> Result:
    from oban import Oban

    from .shapes import SHAPES

    pool = await Oban.create_pool(run.dsn)
    settled = Settled()

    async with Oban(pool=pool, queues={"default": run.limit}) as oban:
        # the node is ready when it receives notifications of inserts; before that it polls
        await oban._notifier.listen("insert", lambda *_: None)

        for _ in range(run.warm):
            await oban.enqueue_many(SHAPES["independent"](1))
            await settled.wait(1)

        for _ in range(REHEARSALS if run.rehearse else 0):
            await oban.enqueue_many(SHAPES[run.shape](run.size))
            await settled.wait(run.size)

        results = [await _measure_once(run, oban, settled) for _ in range(run.repeat)]

    await pool.close()

    return Result(*(sum(seconds) / run.repeat for seconds in zip(*results, strict=True)))


async def _measure_once(run: Run, oban: Oban, settled: Settled) -> tuple[float, float, float]:
    built, jobs = _build(run)
    started = time.perf_counter()
    await oban.enqueue_many(jobs)
    inserted = time.perf_counter()

    if run.shape == "skipped":
        # skipped jobs are not acknowledged
        await jobs.wait()  # type: ignore[attr-defined]
    else:
        await settled.wait(run.size)

    return inserted - started, time.perf_counter() - started, built


async def _measure_nodes(run: Run) -> Result:
    from oban import Oban

    from . import node

    pool = await Oban.create_pool(run.dsn)

    with node.start(run.nodes, run.dsn, run.limit) as memory:
        async with Oban(pool=pool) as oban:
            built, jobs = _build(run)
            started = time.perf_counter()
            await oban.enqueue_many(jobs)
            inserted = time.perf_counter()

            await asyncio.to_thread(_wait_for_all, run.dsn)
            stopped = time.perf_counter()

    await pool.close()

    return Result(inserted - started, stopped - started, built, {"MB": max(memory)})


def _build(run: Run) -> tuple[float, Iterable[Job]]:
    from .shapes import SHAPES

    started = time.perf_counter()
    jobs = SHAPES[run.shape](run.size)

    return time.perf_counter() - started, jobs


def _count(dsn: str, statement: LiteralString) -> tuple[float, ...]:
    with psycopg.connect(dsn) as conn:
        return tuple(float(count) for count in conn.execute(statement).fetchone() or ())


def _wait_for_all(dsn: str) -> None:
    while _count(dsn, UNSETTLED)[0]:
        time.sleep(0.01)


def _check(run: Run, last: float) -> None:
    with psycopg.connect(run.dsn) as conn:
        states = [state for (state,) in conn.execute(STATES, [int(last)])]

    if states != ["completed"]:
        raise RuntimeError(f"jobs of {run} must all be completed, got {states}")


if __name__ == "__main__":
    json.dump(measure(Run(**json.load(sys.stdin)))._asdict(), sys.stdout)
