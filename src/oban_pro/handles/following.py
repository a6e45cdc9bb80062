"""Reading results as they are recorded, until everything has settled."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from oban_pro import blocking
from oban_pro.engine.session import session_for
from oban_pro.engine.streaming import Seen, recorded_rows, values_of
from oban_pro.errors import UnknownNameError, UnknownWorkflowError
from oban_pro.model.paths import join_path

from . import locating
from .receiving import OPEN
from .waiting import FAILOVER, POLL_INTERVAL, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from oban_pro.engine.session import Place, Session
    from oban_pro.engine.store import Store

FIRST_PAUSE = 0.1
"""Seconds until a second look for results."""

IDLE_SHARE = 4
"""The least ratio of a pause to the look before it: looking at many jobs takes time."""


async def follow_recorded(
    place: Place, workflow_id: str, path: str | None
) -> AsyncIterator[tuple[str, Any]]:
    """Yield what the jobs of a workflow, or of a part of it, record, until that has settled.

    Raises:
        UnknownWorkflowError: If there is no such workflow, or not any more.
        UnknownNameError: If there is nothing at the path.
        psycopg.Error: If the database cannot be reached for five minutes.
    """
    session = session_for(place)
    look = _look_at_all if path is None else partial(_look_at, path=path)
    reader, seen = _Patient(session), Seen()
    pause = FIRST_PAUSE

    async with listen(session, workflow_id) as told:
        while True:
            reader.seconds = 0.0
            found = 0
            # What has settled is read once more: everything is recorded by now.
            part, is_open = await reader.read(partial(look, workflow_id=workflow_id))

            async for row in recorded_rows(reader, part, deep=True, seen=seen):
                for names, value in await values_of(row):
                    found += 1
                    yield join_path(names), value

            if not is_open:
                return

            pause = FIRST_PAUSE if found else min(2 * pause, POLL_INTERVAL)
            await blocking.wait_for(told, max(pause, IDLE_SHARE * reader.seconds))
            told.clear()


class _Patient:
    """Reads through restarts and failovers of the database, and knows how long that took."""

    def __init__(self, session: Session[Store]) -> None:
        self._session = session
        self.seconds = 0.0

    async def read[Result](self, body: Callable[[Store], Awaitable[Result]], /) -> Result:
        start = time.monotonic()
        result = await self._session.survive(lambda: self._session.read(body), FAILOVER)
        self.seconds += time.monotonic() - start

        return result


async def _look_at_all(store: Store, workflow_id: str) -> tuple[int, bool]:
    """Return the key of a workflow, and whether it is open."""
    group, counts = await store.group(workflow_id), await store.status(workflow_id)

    if group is None or not counts:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to follow")

    return group.key, counts[0].state in OPEN


async def _look_at(store: Store, workflow_id: str, path: str) -> tuple[int, bool]:
    """Return the id of a job, or the key of a group, and whether it is open."""
    located = await locating.require_one(store, workflow_id, path)
    group = await store.group(located.workflow_id)
    found = [] if group is None else await store.members(group.key, [located.name])

    if not found:
        raise UnknownNameError(f"{path!r} of workflow {workflow_id!r} is gone")

    return found[0].id, found[0].state in OPEN
