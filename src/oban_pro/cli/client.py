"""What commands that read or steer workflows have in common."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from oban import Oban

from oban_pro import Workflow
from oban_pro.engine.connecting import open_pool
from oban_pro.engine.session import session_for

from .failures import CommandFailure, explained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from oban_pro import WorkflowStatus
    from oban_pro.engine.store import Store
    from oban_pro.model.waiting import OpenWait

    from .database import Database

CLIENT = "oban-workflows"
"""The name by which handles find the Oban instance of a command."""

SUGGESTED_FROM = 1000


def run[Result](command: Coroutine[Any, Any, Result]) -> Result:
    """Run a command to its end.

    Raises:
        CommandFailure: Instead of an error whose message says enough without its traceback.
    """
    with explained():
        return asyncio.run(command)


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[None]:
    """Register an Oban instance that handles made by `handle` use.

    Raises:
        SchemaError: If the tables are missing, or of another version.
    """
    # The command reports connection errors in its own words.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    async with open_pool(database.dsn) as pool:
        Oban(pool=pool, prefix=database.prefix, name=CLIENT)

        await session_for(CLIENT).ensure()

        yield


def handle(id: str) -> Workflow:
    """Return a handle to a workflow."""
    return Workflow(id=id, oban=CLIENT)


async def status_of(id: str) -> WorkflowStatus:
    """Return the status of a workflow.

    Raises:
        CommandFailure: If there is none, with the ids and names that come close.
    """
    status = await handle(id).status()

    if status.state == "unknown":
        raise CommandFailure(f"there is no workflow {id!r}{await _suggest(id)}")

    return status


async def open_waits_of(store: Store, status: WorkflowStatus, limit: int) -> list[OpenWait]:
    """Read the open waits of a workflow, timers too, where something in it waits."""
    if not status.counts["suspended"]:
        return []

    return await store.open_waits(status.id, limit)


async def _suggest(id: str) -> str:
    async with session_for(CLIENT).connect() as store:
        containing = await store.roots(None, id, 3, 0)
        newest = await store.roots(None, None, SUGGESTED_FROM, 0)

    by_label: dict[str, tuple[str, str | None]] = {}

    for found, name, *_ in [*containing, *newest]:
        by_label.setdefault(found, (found, name))
        by_label.setdefault(name or found, (found, name))

    close = [found for found, *_ in containing]
    close += [by_label[label][0] for label in get_close_matches(id, by_label, n=3)]
    names = dict(by_label.values())
    shown = [
        found + (f" ({names[found]})" if names[found] else "") for found in dict.fromkeys(close)
    ]

    return f"; did you mean {' or '.join(shown[:3])}?" if shown else ""
