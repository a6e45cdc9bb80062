"""One measurement in a process of its own: a `Run` as JSON on stdin, its `Result` on stdout."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, LiteralString, NamedTuple

import psycopg
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oban import Job

type System = Literal["floor", "oban", "triggers", "workflows"]

REHEARSALS = 3

# Each commit, row that was written and buffer, by the server's own count.
COUNTS = """
SELECT
  xact_commit, tup_inserted + tup_updated + tup_deleted, blks_hit + blks_read,
  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
FROM pg_stat_database WHERE datname = current_database()
"""
UNSETTLED = "SELECT EXISTS (SELECT FROM oban_jobs WHERE state <> 'completed')"
DEAD = "SELECT COALESCE(sum(n_dead_tup), 0) FROM pg_stat_user_tables"


@dataclass(frozen=True)
class Run:
    """What is measured: which system does what, how often, where.

    Args:
        system: `floor` is bare psycopg, `oban` is oban without this package, `triggers` the same on
            tables of this package.
        shape: Name of a function in `shapes`, or in `reading`.
        size: Number of jobs.
        limit: Jobs that run at once.
        warm: Single jobs that the same node runs first, one by one: plans get cached.
        rehearse: Whether the same node has done the same before.
        nodes: Processes that run jobs beside the one that enqueues them; 0 for that one alone.
        dsn: Database with the system's schema.
    """

    system: System
    shape: str
    size: int
    limit: int = 50
    warm: int = 0
    rehearse: bool = False
    nodes: int = 0
    dsn: str = ""


class Result(NamedTuple):
    """Seconds from submitting until all is inserted, and until all is settled.

    Args:
        inserted: Seconds.
        settled: Seconds.
        built: Seconds that it took before to build what is submitted.
        costs: What else it took for each job: commits, rows written, buffers and WAL; rows that are
            dead in the end, and MB of memory in the process that ran them.
    """

    inserted: float
    settled: float
    built: float = 0
    costs: dict[str, float] | None = None


def measure(run: Run) -> Result:
    """Measure once, and see that every job has completed."""
    if run.system in ("oban", "triggers"):
        # oban looks for this package on import, and does not find it
        sys.modules["oban_pro"] = None  # type: ignore[assignment]

    before = _count(run.dsn, COUNTS)
    result = _find(run)(run)
    # what backends have counted is there once they are gone
    after = _count(run.dsn, COUNTS)

    if run.shape in READING:
        return result

    _check(run)
    names = ("commits", "rows", "buffers", "WAL bytes")
    jobs = run.size * (1 + REHEARSALS * run.rehearse)
    costs = {name: (new - old) / jobs for name, old, new in zip(names, before, after, strict=True)}
    costs["dead rows"] = _count(run.dsn, DEAD)[0] / jobs
    costs["MB"] = peak_memory()

    return result._replace(costs=costs | (result.costs or {}))


def peak_memory() -> float:
    """Return the most memory that this process has ever used, in MB; 0 where nobody tells."""
    # ru_maxrss would count what the parent used before it forked
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None

    return int(found[1]) / 1024 if found else 0


READING = ("results", "status")


def _find(run: Run) -> Callable[[Run], Result]:
    # the loop that `oban start` runs
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
        # the node is up when it hears of inserts; before, it would find them by polling
        await oban._notifier.listen("insert", lambda *_: None)

        for _ in range(run.warm):
            await oban.enqueue_many(SHAPES["independent"](1))
            await settled.wait(1)

        for _ in range(REHEARSALS if run.rehearse else 0):
            await oban.enqueue_many(SHAPES[run.shape](run.size))
            await settled.wait(run.size)

        built, jobs = _build(run)
        started = time.perf_counter()
        await oban.enqueue_many(jobs)
        inserted = time.perf_counter()
        await settled.wait(run.size)
        stopped = time.perf_counter()

    await pool.close()

    return Result(inserted - started, stopped - started, built)


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


class Settled:
    """Counts the jobs that the node has settled, each once it is committed."""

    def __init__(self) -> None:
        from oban import telemetry

        self._count = 0
        self._changed = asyncio.Event()
        telemetry.attach("benchmark", ["oban.producer.ack.stop"], self._add)

    def _add(self, _name: str, meta: dict[str, Any]) -> None:
        self._count += meta["count"]
        self._changed.set()

    async def wait(self, count: int) -> None:
        """Wait for so many jobs, and start again to count."""
        while self._count < count:
            self._changed.clear()
            await self._changed.wait()

        self._count -= count


def _count(dsn: str, statement: LiteralString) -> tuple[float, ...]:
    with psycopg.connect(dsn) as conn:
        return tuple(float(count) for count in conn.execute(statement).fetchone() or ())


def _wait_for_all(dsn: str) -> None:
    while _count(dsn, UNSETTLED)[0]:
        time.sleep(0.01)


def _check(run: Run) -> None:
    with psycopg.connect(run.dsn) as conn:
        states = conn.execute("SELECT state, count(*) FROM oban_jobs GROUP BY state").fetchall()

    if [state for state, _ in states] != ["completed"]:
        raise RuntimeError(f"jobs of {run} must all be completed, got {dict(states)}")


if __name__ == "__main__":
    json.dump(measure(Run(**json.load(sys.stdin)))._asdict(), sys.stdout)
