"""Waiting until a workflow has settled, told by the database."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Error, sql

from . import _host, introspection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .introspection import Place
    from .status import WorkflowStatus

POLL_INTERVAL = 1.0
"""Seconds after which a status is read again without having been told to."""

_listeners: WeakKeyDictionary[_host.Query, _Listener] = WeakKeyDictionary()


async def wait(
    place: Place,
    workflow_id: str,
    timeout: float | None,  # noqa: ASYNC109
) -> WorkflowStatus:
    """Return the status of a workflow once it has settled, or at once where there is none.

    Raises:
        TimeoutError: If it has not settled in time.
    """
    query = introspection.query_for(place)
    listener = _listeners.setdefault(query, _Listener())

    try:
        async with asyncio.timeout(timeout), listener.listen(query, workflow_id) as told:
            while (status := await introspection.status(place, workflow_id)).state == "executing":
                with suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), POLL_INTERVAL)

                told.clear()

            return status
    except TimeoutError:
        raise TimeoutError(
            f"workflow {workflow_id!r} must settle within {timeout} s, it is still executing"
        ) from None


class _Listener:
    """One connection that listens for all who wait, as long as somebody does.

    Where it is lost, those who wait go on polling, and it is opened again for the next.
    """

    def __init__(self) -> None:
        # It does not keep the query: that would keep both for ever.
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listen(self, query: _host.Query, workflow_id: str) -> AsyncIterator[asyncio.Event]:
        told = asyncio.Event()
        self._waiting.setdefault(workflow_id, set()).add(told)

        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(query), name="oban-workflow-listener")

        try:
            yield told
        finally:
            self._waiting[workflow_id].discard(told)

            if not self._waiting[workflow_id]:
                del self._waiting[workflow_id]

            if not self._waiting and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self, query: _host.Query) -> None:
        with suppress(Error, OSError):
            async with await AsyncConnection.connect(await query.dsn(), autocommit=True) as conn:
                channel = sql.Identifier(f"{_host.prefix_of(query)}.oban_workflow")
                await conn.execute(sql.SQL("LISTEN {}").format(channel))
                self._tell_all()

                async for notification in conn.notifies():
                    self._tell(json.loads(notification.payload))

    def _tell_all(self) -> None:
        """Wake everybody: what settled before the connection listened was not heard."""
        for events in self._waiting.values():
            for told in events:
                told.set()

    def _tell(self, payload: dict[str, Any]) -> None:
        for told in self._waiting.get(payload["id"], ()):
            told.set()
