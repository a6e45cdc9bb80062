"""A measurement: the run that is asked for, the result that it gives, and what all runs measure by.

This module must not import oban at its top. `run` hides this package from oban first, where it
measures plain oban.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

type System = Literal["floor", "oban", "triggers", "workflows"]


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
        repeat: How often it is done, one after the other; times and costs are those of one.
        nodes: Processes that run jobs beside the one that enqueues them; 0 for that one alone.
        dsn: Database with the system's schema.
    """

    system: System
    shape: str
    size: int
    limit: int = 50
    warm: int = 0
    rehearse: bool = False
    repeat: int = 1
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
        """Wait until ``count`` more jobs have been acked than the earlier calls waited for."""
        while self._count < count:
            self._changed.clear()
            await self._changed.wait()

        self._count -= count


def peak_memory() -> float:
    """Return the most memory that this process has ever used, in MB; 0 where nobody tells."""
    # ru_maxrss would count what the parent used before it forked
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None

    return int(found[1]) / 1024 if found else 0
