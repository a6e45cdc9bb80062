"""Numbers for operators: of open jobs and workflows, and of the nodes."""

from __future__ import annotations

from typing import NamedTuple

from .statements import Statements


class QueueStat(NamedTuple):
    """The open jobs of a queue in one state.

    Args:
        queue: The queue.
        state: One of oban's open states.
        jobs: How many.
        oldest: Seconds since the first of them was due; negative if none is due yet.
    """

    queue: str
    state: str
    jobs: int
    oldest: float


class WorkflowStat(NamedTuple):
    """The open root workflows of one name.

    Args:
        name: Their name; None for those without one.
        workflows: How many.
        oldest: Seconds since the first of them was inserted.
    """

    name: str | None
    workflows: int
    oldest: float


class ServerStat(NamedTuple):
    """Single numbers about waits, clocks, executions and snapshots.

    Args:
        signals: Open waits for signals.
        timers: Timers that run.
        timers_late: Seconds that the first clock is overdue, 0 if none is.
        staging_late: Seconds that the first scheduled job is overdue, 0 if none is.
        unended: Executions of stopped jobs that have not ended.
        slots_taken: Slots that members of fan-outs with a limit hold, in all open workflows.
        slots_free: Slots of these fan-outs that are free.
        snapshot_age: Transactions since the oldest snapshot of the server was taken. Vacuum removes
            no row that died later.
    """

    signals: int
    timers: int
    timers_late: float
    staging_late: float
    unended: int
    slots_taken: int
    slots_free: int
    snapshot_age: int | None


class StatStatements(Statements):
    """Statements that count what is open: a part of `Store`."""

    async def stats_queues(self) -> list[QueueStat]:
        """Count open jobs by queue and state."""
        return await self.made(QueueStat, "stats_queues", {})

    async def stats_workflows(self, limit: int) -> list[WorkflowStat]:
        """Count open root workflows by name, the most frequent names first."""
        return await self.made(WorkflowStat, "stats_workflows", {"limit": limit})

    async def stats_server(self) -> ServerStat:
        """Read the single numbers about waits, clocks, executions and snapshots."""
        return await self.one(ServerStat, "stats_server", {})
