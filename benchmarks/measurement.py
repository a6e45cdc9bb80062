"""A measurement: its input (`Run`), its output (`Result`), and the code that all runs share.

This module must not import oban at its top: to measure plain oban, `run` first hides this package
from oban.
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
    """The input of a measurement: which system does which work, how often and where.

    Args:
        system: `floor` is psycopg alone, `oban` is oban without this package, and `triggers` is
            oban without this package on tables with our triggers.
        shape: Name of a function in `shapes`, or in `reading`.
        size: Number of jobs.
        limit: Jobs that run at once.
        warm: Number of single jobs that the same node runs first, so that plans are cached.
        rehearse: Whether the same node does the same work once before it is measured.
        repeat: How often the work is done, one after the other; times and costs are of one.
        nodes: Number of processes that run jobs; with 0 the process that enqueues runs them.
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
    """The output of a measurement.

    Args:
        inserted: Seconds from submitting until all jobs are inserted.
        settled: Seconds from submitting until all jobs have settled.
        built: Seconds to build the jobs, before submitting.
        costs: Costs of each job: commits, rows written, buffers, WAL and dead rows at the end; and
            the memory of the process that ran the jobs, in MB.
    """

    inserted: float
    settled: float
    built: float = 0
    costs: dict[str, float] | None = None


class Settled:
    """Counts the jobs that the node has settled, each after its commit."""

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
    """Return the most memory that this process has ever used, in MB, or 0 if unknown."""
    # ru_maxrss would include the memory of the parent before it forked
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None

    return int(found[1]) / 1024 if found else 0
