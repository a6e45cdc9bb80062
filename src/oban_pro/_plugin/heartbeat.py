"""``refresher.build``, ``producer.init``, ``producer.restore``: heartbeats, and who misses them.

Nodes may have different settings, and know only their own. So each producer writes into its
metadata how long it may be silent, and is judged by that.

A node that can reach the database is alive, even if jobs have used up its pool. After a restart of
the server a pool also comes back late, as it waits longer and longer between its attempts. So a
heartbeat that soon gets no connection opens one of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from oban import telemetry

from oban_pro import _host
from oban_pro.engine.session import session_of

from . import housekeeping, lost_jobs, patience, queue_limits
from .vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from oban_pro._host import Producer, Query
    from oban_pro.engine.store import Store

type BuildRefresher = Callable[..., Any]
type Meta = Callable[[Producer], dict[str, Any]]

logger = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds after which a heartbeat that failed is tried again, at most."""


def build_refresher(fallback: BuildRefresher) -> BuildRefresher:
    """Build the hook that reads an instance's settings, in front of another one."""
    build_inner = _Refresher.build if fallback is _host.default_build_refresher else fallback

    def build(config: dict[str, Any], **parts: Any) -> Any:
        refresher = build_inner(config, **parts)
        interval, max_age = config.get("interval", 15.0), config.get("max_age", patience.DEFAULT)
        # A heartbeat counts as missed when the next one is due as well.
        patience.note(parts["query"], max(max_age, 2 * interval))

        return Vitals(refresher, parts["query"])

    return build


def build_meta(fallback: Meta) -> Meta:
    """Build the hook that adds the patience to a producer's metadata, in front of another one."""

    def meta(producer: Producer) -> dict[str, Any]:
        seconds = patience.of(_host.query_of(producer))

        return {
            **fallback(producer),
            **queue_limits.announced_by(producer),
            "oban_workflows_patience": seconds,
        }

    return meta


class _Refresher(_host.Refresher):
    """Writes heartbeats whatever happens to the pool."""

    _pooled: asyncio.Task[tuple[int, int]] | None = None

    @classmethod
    def build(cls, config: dict[str, Any], **parts: Any) -> _Refresher:
        return cls(**parts, **config)

    async def stop(self) -> None:
        await super().stop()

        if self._pooled is not None:
            self._pooled.cancel()
            await asyncio.gather(self._pooled, return_exceptions=True)

    async def _loop(self) -> None:
        pause = self._interval

        while True:
            await asyncio.sleep(pause)

            try:
                await self._refresh()
            except Exception as error:
                if pause == self._interval:
                    logger.warning("Failed to write a heartbeat, trying again: %s", error)

                pause = min(RETRY, self._interval / 4)
            else:
                pause = self._interval
                housekeeping.start(self._query, self.clean_up, key="clean_up")

    async def clean_up(self, _query: Query) -> None:
        """Remove the rows of producers that are silent, on the leader."""
        await self._cleanup()

    async def _refresh(self) -> None:
        with telemetry.span("oban.refresher.refresh", {}) as context:
            refreshed, restored = await self._beat()
            context.add({"refreshed_count": refreshed, "restored_count": restored})

    async def _beat(self) -> tuple[int, int]:
        """Write a heartbeat over the pool or, if that takes too long, over an own connection."""
        limit = min(RETRY, self._interval / 4)

        if self._pooled is None or self._pooled.done():
            self._pooled = asyncio.create_task(self._beat_by_pool())
            # The task may fail when nobody awaits it any more.
            self._pooled.add_done_callback(lambda task: task.cancelled() or task.exception())

        await asyncio.wait([self._pooled], timeout=limit)

        if self._pooled.done() and self._pooled.exception() is None:
            return self._pooled.result()

        seconds = patience.of(self._query) / 4

        async with await _host.open_beside_pool(self._query, seconds) as conn:
            return await self._beat_on(session_of(self._query).on(conn))

    async def _beat_by_pool(self) -> tuple[int, int]:
        async with self._query.connection() as conn:
            return await self._beat_on(session_of(self._query).on(conn))

    async def _beat_on(self, store: Store) -> tuple[int, int]:
        started = [*self._producers.values()]
        # A queue that was stopped still runs its last jobs.
        draining = filter(_host.is_draining, lost_jobs.producers_of(self._query))
        by_uuid = {_host.attempted_by(one)[1]: one for one in [*started, *draining]}
        refreshed = await store.beat([*by_uuid]) if by_uuid else []
        missing = [
            one
            for uuid, one in by_uuid.items()
            if uuid not in refreshed and not _host.is_stopping(one)
        ]

        for producer in missing:
            await store.restore_producer(_host.producer_row(producer))

        return len(refreshed), len(missing)
