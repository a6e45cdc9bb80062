"""Duties of an Oban instance beside its loops, each in a task of its own.

A duty may wait for locks, or for a connection; staging and heartbeats never wait for a duty. Each
duty runs once at a time, and none outlives its instance.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query

type Duty = Callable[[Query], Awaitable[object]]

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 2.0
"""Seconds within which duties must end when their instance stops, before they are cancelled."""

_running: WeakKeyDictionary[Query, dict[object, asyncio.Task[None]]] = WeakKeyDictionary()
_stopped: WeakSet[Query] = WeakSet()
_mending: WeakKeyDictionary[Query, asyncio.Lock] = WeakKeyDictionary()


def start(query: Query, duty: Duty, key: object = None) -> None:
    """Run a duty once in a task, unless one with its key runs already or the instance stops.

    Args:
        query: The query of the Oban instance.
        duty: Called with the query and awaited. An exception that it raises is logged.
        key: Identifies the duty; the function itself by default.
    """
    running = _running.setdefault(query, {})
    key = duty if key is None else key

    if key not in running and query not in _stopped:
        task = asyncio.create_task(_run(query, duty), name=f"oban-workflows-{_name_of(duty)}")
        running[key] = task
        task.add_done_callback(lambda _: running.pop(key, None))


def mending(query: Query) -> asyncio.Lock:
    """Return the lock that lets duties which wait for rows share one connection."""
    return _mending.setdefault(query, asyncio.Lock())


def open_for(query: Query) -> None:
    """Let duties of an instance start, which may have been stopped before."""
    _stopped.discard(query)


async def stop(query: Query) -> None:
    """Wait until the duties of an instance have ended, and end those that take too long.

    No duty starts from now on.
    """
    _stopped.add(query)

    # Cancelling a statement can leave its connection in a transaction.
    if tasks := [*_running.get(query, {}).values()]:
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)

        for task in late:
            task.cancel()

        if late:
            await asyncio.wait(late, timeout=STOP_TIMEOUT)


async def _run(query: Query, duty: Duty) -> None:
    try:
        await duty(query)
    except Exception:
        # The next tick tries again.
        logger.warning("Failed to %s", _name_of(duty).replace("_", " ").strip(), exc_info=True)


def _name_of(duty: Duty) -> str:
    named: object = getattr(duty, "func", duty)

    return getattr(named, "__name__", "duty")
