"""One measurement in a process of its own: a `Run` as JSON on stdin, its `Result` on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import psycopg

type System = Literal["floor", "oban", "workflows"]


@dataclass(frozen=True)
class Run:
    """What is measured: which system does what, how often, where.

    Args:
        system: `floor` is bare psycopg, `oban` is oban without this package.
        shape: Name of a function in `shapes`.
        size: Number of jobs.
        limit: Jobs that run at once.
        warm: Single jobs that the same node runs first, one by one: plans get cached.
        dsn: Database with the system's schema.
    """

    system: System
    shape: str
    size: int
    limit: int = 50
    warm: int = 0
    dsn: str = ""


class Result(NamedTuple):
    """Seconds from the start until all is inserted, and until all is settled."""

    inserted: float
    settled: float


def measure(run: Run) -> Result:
    """Measure once, and see that every job has completed."""
    if run.system == "floor":
        from . import floor

        result = floor.measure(run)
    else:
        if run.system == "oban":
            # oban looks for this package on import, and does not find it
            sys.modules["oban_pro"] = None  # type: ignore[assignment]

        result = asyncio.run(_measure(run))

    _check(run)

    return result


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

        started = time.perf_counter()
        await oban.enqueue_many(SHAPES[run.shape](run.size))
        inserted = time.perf_counter()
        await settled.wait(run.size)
        stopped = time.perf_counter()

    await pool.close()

    return Result(inserted - started, stopped - started)


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


def _check(run: Run) -> None:
    with psycopg.connect(run.dsn) as conn:
        states = conn.execute("SELECT state, count(*) FROM oban_jobs GROUP BY state").fetchall()

    if [state for state, _ in states] != ["completed"]:
        raise RuntimeError(f"jobs of {run} must all be completed, got {dict(states)}")


if __name__ == "__main__":
    json.dump(measure(Run(**json.load(sys.stdin)))._asdict(), sys.stdout)
