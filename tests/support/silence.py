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
"""SQL after which the database counts as having received heartbeats all day."""


async def rescue(query: Query, patience: float = 60.0, rescue_after: float | None = None) -> int:
    """Look once for jobs of dead nodes, take them back, and return how many they are."""
    silent = await session_of(query).execute(
        lambda store: store.silent_jobs(patience, rescue_after)
    )

    return await lost_jobs.take_back(query, silent)
