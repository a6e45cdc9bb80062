"""``stager.before_stage``: the duties that every node starts at each tick of its stager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import telemetry
from oban_pro.engine.session import session_of
from oban_pro.errors import message_of
from oban_pro.model.paths import join_path

from . import ack_jobs, housekeeping, lost_jobs, timers
from .fire_schedules import fire_schedules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query
    from oban_pro.engine.results import SettledRoot

COUNTS = ("completed", "cancelled", "discarded", "skipped")
"""Counts that the event of a settled workflow has."""

COUNTED = 1_000
"""The most jobs that ``oban.workflow.broken`` counts."""

type BeforeStage = Callable[[Query], Awaitable[None]]


def build(fallback: BeforeStage) -> BeforeStage:
    """Build the hook in front of another one."""

    async def before_stage(query: Query) -> None:
        await fallback(query)

        lost_jobs.wake_producers(query)
        housekeeping.start(query, ack_jobs.retry_deferred)
        housekeeping.start(query, tell_settled)
        housekeeping.start(query, timers.tick)
        housekeeping.start(query, timers.tell_waiting)
        housekeeping.start(query, fire_schedules)

    return before_stage


async def nothing(_query: Query) -> None:
    """Do nothing, as oban by itself."""


async def tell_settled(query: Query) -> None:
    """Tell telemetry of the workflows that have settled."""
    session = session_of(query)

    if not await session.is_installed():
        return

    settled = await session.execute(lambda store: store.claim_settled())

    for root in settled:
        counts = zip(COUNTS, root.counts, strict=True)
        metadata = {
            "workflow_id": root.id,
            "name": root.name,
            "state": root.state,
            "total": sum(root.counts),
            "counts": {state: count for state, count in counts if count},
            "duration_seconds": root.seconds,
        }
        telemetry.execute("oban.workflow.settled", metadata)

    # This node alone tells of the roots that it claimed, so nothing may raise before all are told.
    for root in settled:
        if root.counts[COUNTS.index("cancelled")]:
            await _tell_broken(query, root)


async def _tell_broken(query: Query, root: SettledRoot) -> None:
    """Tell telemetry how many jobs were cancelled because of others, and which job broke first."""
    session = session_of(query)
    cancelled = await session.execute(lambda store: store.tree(root.id, ["cancelled"], COUNTED))
    count = sum(line.caused for line in cancelled)

    broken = ["cancelled", "discarded"]
    # jobs that failed by themselves come first
    causes = await session.execute(lambda store: store.tree(root.id, broken, 1)) if count else []

    if not causes:
        # No job failed by itself, or somebody has retried it since.
        return

    cause = causes[0]
    metadata = {
        "workflow_id": root.id,
        "name": root.name,
        "count": count,
        "path": join_path(cause.path),
        "state": cause.state,
        "error": message_of(cause.error) if cause.error else None,
    }
    telemetry.execute("oban.workflow.broken", metadata)
