"""Statements about queues and nodes: a part of `PageStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oban_pro.engine.statements import Statements

if TYPE_CHECKING:
    from datetime import datetime


class ProducerRow(NamedTuple):
    """A producer: a node that serves a queue.

    Args:
        node: Its name.
        queue: The queue.
        slots: How many jobs it runs at once, as its meta has it.
        is_paused: Whether it takes no jobs at present.
        started_at: Since when it is there.
        heard_at: When its last heartbeat came.
        is_alive: Whether it may be silent for that long.
        executing: How many jobs it executes.
    """

    node: str
    queue: str
    slots: str | None
    is_paused: bool
    started_at: datetime
    heard_at: datetime
    is_alive: bool
    executing: int


class LimitRow(NamedTuple):
    """The limits of a queue over all nodes.

    Args:
        queue: The queue.
        global_limit: How many of its jobs may execute at once; None for any number.
        allowed: How many may start in a period; None for any number.
        period: That period in seconds.
        fields: By what jobs are told apart, each kind with these limits for itself.
        keys: Which keys of these fields.
    """

    queue: str
    global_limit: int | None
    allowed: int | None
    period: float | None
    fields: list[str] | None
    keys: list[str] | None


class RunningRow(NamedTuple):
    """A job that executes; of one that is in no workflow the last three are None."""

    id: int
    queue: str
    worker: str
    node: str | None
    attempted_at: datetime | None
    workflow_id: str | None
    workflow: str | None
    path: list[str] | None


class ActivityRow(NamedTuple):
    """What a queue did in a slice of time.

    Args:
        slice: Which one, 0 for the latest.
        queue: The queue.
        jobs: How many jobs were completed.
        waited: For how many seconds they had waited for a node, on average.
        seconds: How long the part of the slice is that was looked at.
    """

    slice: int
    queue: str
    jobs: int
    waited: float | None
    seconds: float


class QueueStatements(Statements):
    """Statements about queues and nodes: what they read grows with what is open alone."""

    async def producers(self) -> list[ProducerRow]:
        """Read who serves which queue; not on a standby, where nobody can know."""
        return await self.made(ProducerRow, "producers", {})

    async def limits(self) -> list[LimitRow]:
        """Read which limits queues have over all nodes."""
        return await self.made(LimitRow, "limits", {})

    async def running(self, limit: int) -> list[RunningRow]:
        """Read what executes, the longest first."""
        return await self.made(RunningRow, "running", {"limit": limit})

    async def activity(self, slices: int, seconds: float, limit: int) -> list[ActivityRow]:
        """Read what queues did lately.

        Args:
            slices: How many slices of time.
            seconds: How long each is.
            limit: How many jobs of each are looked at, at most.
        """
        params = {"slices": slices, "seconds": seconds, "limit": limit}

        return await self.made(ActivityRow, "activity", params)
