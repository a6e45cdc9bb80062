"""Ending waits and deadlines whose time has come. Every node looks when its stager ticks.

The first tick skips a root that is locked. From the next tick on, a duty of its own waits for the
lock: a node that only skips might never find the root free.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psycopg.errors import LockNotAvailable

from oban_pro import telemetry
from oban_pro.engine.session import session_of
from oban_pro.model.paths import join_path

from . import housekeeping

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oban_pro._host import Query
    from oban_pro.engine.results import Due

# Roots that were locked at the last tick.
_held: WeakKeyDictionary[Query, set[int]] = WeakKeyDictionary()


async def tick(query: Query) -> None:
    """Take what is due of free roots; wait for roots that were locked at two ticks in a row."""
    session = session_of(query)

    if not await session.is_installed():
        return

    due = await session.execute(lambda store: store.tick())
    held = {one.held_root for one in due if one.held_root is not None}
    tell(due)

    for root in held & _held.get(query, set()):
        housekeeping.start(query, partial(_queue_up, root=root), key=("tick", root))

    _held[query] = held


async def _queue_up(query: Query, root: int) -> None:
    async with housekeeping.mending(query):
        try:
            tell(await session_of(query).execute(lambda store: store.tick(root), 0))
        except LockNotAvailable:
            # The next tick tries again.
            return


def tell(due: Iterable[Due]) -> None:
    """Tell telemetry of the waits that timed out."""
    for one in due:
        if one.path is not None:
            _tell("timed_out", one.workflow_id, one.name, one.path)


async def tell_waiting(query: Query) -> None:
    """Tell telemetry of the waits for signals that have opened."""
    session = session_of(query)

    if not await session.is_installed():
        return

    for one in await session.execute(lambda store: store.claim_waiting()):
        _tell("waiting", one.workflow_id, one.name, one.path)


def _tell(event: str, workflow_id: str | None, name: str | None, path: Sequence[str]) -> None:
    metadata = {"workflow_id": workflow_id, "name": name, "path": join_path(path), "by": None}
    telemetry.execute(f"oban.workflow.{event}", metadata)
