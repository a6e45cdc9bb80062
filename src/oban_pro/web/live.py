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
    from collections.abc import AsyncGenerator

    from oban_pro.engine.listener import Listener

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
    session: PageSession, listener: Listener, workflow_id: str
) -> AsyncGenerator[str]:
    """Yield an event at first, and whenever a count of a workflow has changed since.

    Ends when the database does not answer; the browser opens a new stream then.
    """
    seen = None
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFETIME

    async with listener.listen(session, lambda _: True) as rung:
        while loop.time() < end:
            rung.clear()

            try:
                mark = await _fingerprint(session, workflow_id)
            except (Error, SchemaError) as error:
                logger.warning("event stream ends: %s", visible(str(error)))
                return

            # Without a change a comment is sent, as only sending shows that the reader has gone.
            yield f"event: changed\ndata: {mark}\n\n" if mark != seen else ":\n\n"
            seen = mark
            await asyncio.sleep(QUIET)

            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), POLL_INTERVAL)


async def _fingerprint(session: PageSession, workflow_id: str) -> str:
    async with session.connect() as store:
        groups = await store.status(workflow_id)

    counts = [(group.key, group.state, sorted(group.counts.items())) for group in groups]

    return hashlib.sha256(repr(counts).encode()).hexdigest()[:16]
