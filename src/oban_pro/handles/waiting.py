"""Waiting until a workflow has settled."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from oban_pro import _host, blocking
from oban_pro.engine.listener import Listener
from oban_pro.engine.session import session_for
from oban_pro.errors import UnknownWorkflowError

from . import reading
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from psycopg import Error

    from oban_pro.engine.session import Place, Session
    from oban_pro.engine.store import Store
    from oban_pro.model.status import WorkflowStatus

POLL_INTERVAL = 1.0
"""Seconds after which a status is read again, even without a notification."""

FAILOVER = 300.0
"""Seconds for which waiting goes on although the database cannot be reached."""

FIRST_SHOWN = 0.1
"""Seconds after which a bar moves for the first time."""

_listeners: WeakKeyDictionary[_host.Query, Listener] = WeakKeyDictionary()


def listen(session: Session[Store], workflow_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
    """Provide an event that is set when a workflow may have settled."""
    # Blocking calls only poll: each waiting thread would occupy a connection to listen.
    if not _host.is_home(session.query):
        return nullcontext(asyncio.Event())

    listener = listener_of(session.query)

    return listener.listen(session, lambda payload: payload.get("id") == workflow_id)


def listener_of(query: _host.Query) -> Listener:
    """Return the listener that all waiters of an Oban instance share."""
    return _listeners.setdefault(query, Listener("oban_workflow", "oban_workflow_signal"))


async def wait(
    place: Place,
    workflow_id: str,
    timeout: float | None,  # noqa: ASYNC109
    *,
    progress: bool = False,
) -> WorkflowStatus:
    """Return the status of a workflow once it has settled, and show a bar until then if asked.

    Goes on through restarts and failovers of the database.

    Raises:
        UnknownWorkflowError: If there is no such workflow, or not any more.
        TimeoutError: If it has not settled in time.
        psycopg.Error: If the database cannot be reached for five minutes.
    """
    session = session_for(place)

    async def read() -> WorkflowStatus | None:
        status = await reading.status(session, workflow_id)
        show(status)

        return None if status.state == "executing" else status

    what = f"workflow {workflow_id!r}"

    with progress_bar() if progress else nullcontext(_show_nothing) as show:
        first = FIRST_SHOWN if progress else POLL_INTERVAL
        status = await until_there(session, workflow_id, what, read, timeout, first=first)

    if status.state == "unknown":
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to wait for")

    return status


def _show_nothing(_: WorkflowStatus) -> None:
    pass


async def until_there[Seen](
    session: Session[Store],
    workflow_id: str,
    what: str,
    read: Callable[[], Awaitable[Seen | None]],
    timeout: float | None,  # noqa: ASYNC109
    *,
    first: float,
) -> Seen:
    """Read until the result is not None, through restarts and failovers of the database.

    Args:
        session: The way to the database.
        workflow_id: The workflow whose notifications end a pause between two looks.
        what: What errors call the thing that has to settle.
        read: Returns None as long as it has not.
        timeout: Seconds to wait at most; None without end.
        first: Seconds until the second look. The pauses grow up to a second.

    Raises:
        TimeoutError: If it has not settled in time.
        psycopg.Error: If the database cannot be reached for five minutes.
    """
    looks = _Looks(session)
    pause = first

    try:
        async with blocking.timeout(timeout), listen(session, workflow_id) as told:
            while (seen := await looks.look(read)) is None:
                await blocking.wait_for(told, pause)
                told.clear()
                pause = min(2 * pause, POLL_INTERVAL)

            return seen
    except TimeoutError:
        raise TimeoutError(
            f"{what} must settle within {timeout} s, {looks.explanation}"
        ) from looks.error


class _Looks:
    """Makes one look at a time, and can tell whether the database has answered."""

    def __init__(self, session: Session[Store]) -> None:
        # the latest error of the look that is under way
        self.error: Error | None = None
        self._session = session
        self._began: float | None = None

    async def look[Seen](self, read: Callable[[], Awaitable[Seen]]) -> Seen:
        self._began = time.monotonic()
        seen = await self._session.survive(read, FAILOVER, self._note)
        self._began = self.error = None

        return seen

    @property
    def explanation(self) -> str:
        if self.error is not None:
            return f"and the database cannot be reached: {self.error}"

        if self._began is not None and time.monotonic() > self._began + POLL_INTERVAL:
            return "and the database does not answer"

        return "it is still executing"

    def _note(self, error: Error) -> None:
        self.error = error


async def look(
    place: Place, workflow_id: str, lost: Callable[[Error], None] = lambda _: None
) -> WorkflowStatus:
    """Return the status of a workflow, as soon as the database can be reached.

    Args:
        place: Where the workflow is.
        workflow_id: Which one.
        lost: Called with the error of each attempt that failed.

    Raises:
        psycopg.Error: If the database cannot be reached for five minutes.
    """
    session = session_for(place)

    return await session.survive(lambda: reading.status(session, workflow_id), FAILOVER, lost)
