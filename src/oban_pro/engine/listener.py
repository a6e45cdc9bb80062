"""One connection that listens for all waiters of this process."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg import Error

from oban_pro.errors import InvalidDsnError, SettingsError, UnheardError, WorkflowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .session import Session

logger = logging.getLogger(__name__)

RETRY_INTERVAL = 1.0
"""Seconds until a lost connection is opened again."""

DEAF_INTERVAL = 60.0
"""Seconds until listening is tried again where notifications do not arrive."""

type Matches = Callable[[dict[str, Any]], bool]


class Listener:
    """Sets events when notifications arrive. The connection is open while somebody waits.

    While the connection is lost, or where notifications do not arrive, no event is set. So whoever
    waits must poll as well.

    Args:
        channels: Names of the channels within the schema.
    """

    def __init__(self, *channels: str) -> None:
        # No reference to the session is kept: it would keep its Oban instance alive for ever.
        self._channels = channels
        self._waiting: dict[asyncio.Event, Matches] = {}
        self._task: asyncio.Task[None] | None = None
        self._deaf_until: float | None = None

    @asynccontextmanager
    async def listen(self, session: Session[Any], matches: Matches) -> AsyncIterator[asyncio.Event]:
        """Provide an event that is set by each notification that matches.

        Args:
            session: Whose database to listen to.
            matches: Called with the payload of each notification.
        """
        told = asyncio.Event()
        self._waiting[told] = matches

        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(session), name="oban-workflows-listener")

        try:
            yield told
        finally:
            del self._waiting[told]

            if not self._waiting and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self, session: Session[Any]) -> None:
        while True:
            if self._deaf_until is not None:
                await asyncio.sleep(self._deaf_until - time.monotonic())

            with suppress(Error, OSError):
                try:
                    await self._hear(session)
                except (UnheardError, SettingsError, InvalidDsnError) as error:
                    self._be_deaf(error)

            await asyncio.sleep(RETRY_INTERVAL)

    async def _hear(self, session: Session[Any]) -> None:
        async with session.listen(*self._channels) as payloads:
            self._deaf_until = None

            # Nobody heard what was sent before the connection listened.
            for told in self._waiting:
                told.set()

            async for payload in payloads:
                self._tell(json.loads(payload))

    def _be_deaf(self, error: WorkflowError) -> None:
        if self._deaf_until is None:
            logger.warning("Whoever waits for a workflow looks at it every second: %s", error)

        self._deaf_until = time.monotonic() + DEAF_INTERVAL

    def _tell(self, payload: dict[str, Any]) -> None:
        for told, matches in self._waiting.items():
            if matches(payload):
                told.set()
