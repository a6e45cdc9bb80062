"""Time that passes for heartbeats, without waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro._plugin import lost_jobs
from oban_pro.engine.session import session_of

if TYPE_CHECKING:
    from oban_pro._host import Query

HEARD = """
INSERT INTO oban_workflow_hearing (heard_from, heard_until)
VALUES (timezone('UTC', now()) - interval '1 day', timezone('UTC', now()))
"""
"""Let the database have heard heartbeats all day."""


async def rescue(query: Query, patience: float = 60.0, rescue_after: float | None = None) -> int:
    """Look once for jobs that nobody runs, and take them back; returns how many it were."""
    silent = await session_of(query).execute(
        lambda store: store.silent_jobs(patience, rescue_after)
    )

    return await lost_jobs.take_back(query, silent)
