"""What an Oban instance does from its start until its last job has ended, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from oban_pro import _host

from . import ack_jobs, deferred_acks, housekeeping, lost_jobs, patience, rescue

if TYPE_CHECKING:
    from oban_pro._host import Query

logger = logging.getLogger(__name__)


class Vitals:
    """Writes heartbeats and looks for missing ones. oban starts and stops it as its refresher.

    Args:
        refresher: Writes the heartbeats.
        query: Of the Oban instance.
    """

    def __init__(self, refresher: Any, query: Query) -> None:
        self._refresher = refresher
        self._query = query
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to write heartbeats and to look for missing ones."""
        housekeeping.open_for(self._query)
        await self._refresher.start()
        self._looking = asyncio.create_task(self._loop(), name="oban-workflows-vitals")

    async def stop(self) -> None:
        """Go on until the last job has ended; then settle what can be settled."""
        # oban tells everything else to stop at the same moment.
        await asyncio.sleep(0)

        for producer in lost_jobs.producers_of(self._query):
            await _host.wait_until_stopped(producer)

        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

        housekeeping.start(self._query, settle_the_last)
        await housekeeping.stop(self._query)
        await self._refresher.stop()

        if left := deferred_acks.held(self._query):
            logger.warning(
                "Leaving %d jobs unsettled that somebody holds; they run again", len(left)
            )

    async def _loop(self) -> None:
        while True:
            housekeeping.start(self._query, rescue.sweep)
            # Other nodes may have less patience.
            await asyncio.sleep(min(patience.of(self._query), patience.DEFAULT) / 12)


async def settle_the_last(query: Query) -> None:
    """Retry the acks that could not settle so far, one last time."""
    await ack_jobs.retry_deferred(query, all_at_once=True)
