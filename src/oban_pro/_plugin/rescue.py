"""``lifeline.rescue``: run the jobs of a node again whose heartbeats are missing.

oban's lifeline ticks once a minute on the leader, and the dead node may have been the leader. So
every node looks every few seconds; the database lets one node look at a time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oban import telemetry

from oban_pro.engine.session import session_of

from . import housekeeping, lost_jobs, patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oban_pro._host import Query
    from oban_pro.engine.results import Lost

type Rescue = Callable[[Query, float], Awaitable[None]]

logger = logging.getLogger(__name__)


def build(fallback: Rescue) -> Rescue:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def rescue(query: Query, rescue_after: float) -> None:
        async def ours() -> None:
            with telemetry.span("oban.lifeline.rescue", {}) as context:
                silent = await _look(query, rescue_after)
                context.add({"rescued_count": await lost_jobs.take_back(query, silent)})

        await session_of(query).or_else(ours, lambda: fallback(query, rescue_after))

    return rescue


async def sweep(query: Query) -> None:
    """Look for jobs that nobody runs, of silent nodes and of this one, and rescue them."""
    if not await session_of(query).is_installed():
        return

    silent = await _look(query)

    async def rescue_jobs(query: Query) -> None:
        if silent and (rescued := await lost_jobs.take_back(query, silent)):
            logger.info("Rescued %s jobs of producers without a heartbeat", rescued)

        if lost := await lost_jobs.requeue(query):
            logger.info("Gave %s jobs back that their producers do not have", lost)

    # Looking goes on although rescuing failed: silence counts only while somebody listens.
    housekeeping.start(query, rescue_jobs, key="rescue_jobs")


async def _look(query: Query, rescue_after: float | None = None) -> Sequence[Lost]:
    seconds = max(patience.DEFAULT, patience.of(query))

    return await session_of(query).execute(lambda store: store.silent_jobs(seconds, rescue_after))
