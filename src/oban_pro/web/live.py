"""Telling open pages that their workflow has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from psycopg import Error

from oban_pro.errors import SchemaError
from oban_pro.model.wording import visible

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from oban_pro.engine.listener import Listener
    from oban_pro.model.status import GroupCounts

    from .session import PageSession

logger = logging.getLogger("oban_pro.web")

POLL_INTERVAL = 1.0
"""Seconds after which a workflow is read anyway, as the start of a job sends no notification."""

QUIET = 0.2
"""Seconds that pass between two reads, however many notifications come."""

LIFETIME = 600.0
"""Seconds after which a stream ends, and the browser opens a new one."""


CHANNELS = ("oban_insert", "oban_workflow")
"""Channels whose notifications may mean a change."""


async def changes(
    session: PageSession, listener: Listener, workflow_id: str, known: str | None = None
) -> AsyncGenerator[str]:
    """Yield an event whenever a count of a workflow has changed, and at first unless it is known.

    Args:
        session: Whose database to look at.
        listener: Hears of what may be a change.
        workflow_id: Which workflow.
        known: The `fingerprint` of what the page shows already.

    Ends when the database does not answer any more; the browser opens a new stream then.

    Raises:
        psycopg.Error: Before the first event, if the database does not answer.
        SchemaError: Before the first event, if the schema is not installed.
    """
    seen, has_looked = known, False
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFETIME

    async with listener.listen(session, lambda _: True) as rung:
        while loop.time() < end:
            rung.clear()

            try:
                async with session.connect() as store:
                    mark = fingerprint(await store.status(workflow_id))
            except (Error, SchemaError) as error:
                if not has_looked:
                    raise

                logger.warning("event stream ends: %s", visible(str(error)))
                return

            # Without a change a comment is sent, as only sending shows that the reader has gone.
            yield f"event: changed\nid: {mark}\ndata: {mark}\n\n" if mark != seen else ":\n\n"
            seen, has_looked = mark, True
            await asyncio.sleep(QUIET)

            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), POLL_INTERVAL)


def fingerprint(groups: Sequence[GroupCounts]) -> str:
    """Sum up what counts, states, pauses and limits a workflow has, for comparison."""
    held = [(group.paused_at, group.limit) for group in groups]
    counts = [(group.key, group.state, sorted(group.counts.items())) for group in groups]

    return digest((counts, held))


def digest(value: object) -> str:
    """Sum up a value that has been read, for comparison."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
