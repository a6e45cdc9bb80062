"""Telling open pages that their workflow has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from psycopg import AsyncConnection, Error, sql

from oban_pro import _host

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from .database import Database

POLL_INTERVAL = 1.0
"""Seconds after which a workflow is looked at without a notification; jobs start without one."""

QUIET = 0.2
"""Seconds between two looks at most, however many notifications come."""

LIFETIME = 600.0
"""Seconds after which a stream ends, and the browser opens a new one."""


class Bell:
    """One connection that listens for all open pages, as long as there is one.

    Where it is lost, pages go on by polling, and it is opened again for the next.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """Provide an event that is set whenever something may have changed."""
        rung = asyncio.Event()
        self._waiting.add(rung)

        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="oban-workflows-bell")

        try:
            yield rung
        finally:
            self._waiting.discard(rung)

            if not self._waiting and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        query = self._database.query

        with suppress(Error, OSError):
            async with await AsyncConnection.connect(await query.dsn(), autocommit=True) as conn:
                for name in ("oban_insert", "oban_workflow"):
                    channel = sql.Identifier(f"{_host.prefix_of(query)}.{name}")
                    await conn.execute(sql.SQL("LISTEN {}").format(channel))

                async for _ in conn.notifies():
                    for rung in self._waiting:
                        rung.set()


async def changes(database: Database, bell: Bell, workflow_id: str) -> AsyncGenerator[str]:
    """Yield an event at first, and whenever a count of a workflow has changed since."""
    seen = None
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFETIME

    async with bell.listen() as rung:
        while loop.time() < end:
            rung.clear()
            mark = await _fingerprint(database, workflow_id)
            # A comment instead, so that it is noticed when the reader has gone.
            yield f"event: changed\ndata: {mark}\n\n" if mark != seen else ":\n\n"
            seen = mark
            await asyncio.sleep(QUIET)

            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), POLL_INTERVAL)


async def _fingerprint(database: Database, workflow_id: str) -> str:
    async with database.connect() as store:
        groups = await store.status(workflow_id)

    counts = [(group.key, group.state, sorted(group.counts.items())) for group in groups]

    return hashlib.sha256(repr(counts).encode()).hexdigest()[:16]
