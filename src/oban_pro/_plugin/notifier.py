"""``notifier.build``: listen where notifications arrive, and log a warning where none do.

A node listens at `notify_dsn` if that is set. Through a pooler in transaction mode LISTEN succeeds,
but no notification ever arrives. Such a node does not listen, and polls every second instead. oban
builds the notifier of an instance before anything else, so this hook also starts to watch the
instance's pool.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from psycopg import InterfaceError, OperationalError

from oban_pro import _host
from oban_pro.engine import poolers
from oban_pro.engine.session import session_of
from oban_pro.errors import UnheardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oban_pro._host import Query

type BuildNotifier = Callable[[dict[str, Any], Query], Any]

logger = logging.getLogger(__name__)

DEAF_INTERVAL = 60.0
"""Seconds after which a node that does not listen tests again whether it could."""


def build(fallback: BuildNotifier) -> BuildNotifier:
    """Build the hook in front of another one, whose notifiers stay as they are if not oban's."""

    def build_notifier(spec: dict[str, Any], query: Query) -> Any:
        poolers.watch(_host.pool_of(query))

        is_default = fallback is _host.default_build_notifier

        if not is_default or spec.get("type", "postgres") != "postgres":
            return fallback(spec, query)

        options = {key: value for key, value in spec.items() if key != "type"}

        return _Notifier(query=query, prefix=_host.prefix_of(query), **options)

    return build_notifier


class _Notifier(_host.PostgresNotifier):
    """Listens where notifications arrive; elsewhere it makes no subscriber wait."""

    _deaf = False
    _retry: asyncio.Task[None] | None = None
    # oban annotates these as if they were always None.
    _conn: Any
    _loop_task: Any
    _beat_task: Any

    async def stop(self) -> None:
        await super().stop()

        if self._retry is not None:
            self._retry.cancel()
            await asyncio.gather(self._retry, return_exceptions=True)

    async def listen(
        self,
        channel: str,
        callback: Callable[[str, dict[str, Any]], Any],
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> str:
        return await super().listen(channel, callback, wait and not self._deaf, timeout)

    async def _connect(self) -> None:
        if self._beat_task is not None:
            # The instance is gone.
            self._beat_task.cancel()

        try:
            conn = await session_of(self._query).open_ear(self._connect_timeout)
        except UnheardError as error:
            self._be_deaf(error)
            return

        if self._deaf:
            self._deaf = False
            logger.info("Notifications arrive again")

        self._conn = conn
        self._pending_listen.update(self._subscriptions)
        self._loop_task = asyncio.create_task(self._loop(), name="oban-notifier-loop")
        self._beat_task = asyncio.create_task(self._beat(), name="oban-notifier-beat")
        self._reconnect_attempts = 0

    def _be_deaf(self, error: UnheardError) -> None:
        if not self._deaf:
            self._deaf = True
            logger.warning(
                "This node hears no notifications, and looks for jobs every second instead; it"
                " cannot be told to pause, resume or scale queues: %s",
                error,
            )

        while self._listen_events:
            _, subscribed = self._listen_events.popitem()
            subscribed.set()

        if self._retry is None or self._retry.done():
            self._retry = asyncio.create_task(self._listen_again(), name="oban-workflows-notifier")

    async def _listen_again(self) -> None:
        while self._deaf:
            await asyncio.sleep(DEAF_INTERVAL)

            with suppress(OSError, OperationalError, InterfaceError):
                await self._connect()
