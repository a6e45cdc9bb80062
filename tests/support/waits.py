"""Letting the clocks of waits and deadlines run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro._plugin import timers

if TYPE_CHECKING:
    from tests.support.engine import Engine

LATE = "UPDATE oban_workflow_timers SET due = due - interval '1000 days' WHERE due IS NOT NULL"


async def pass_time(engine: Engine) -> None:
    """Let every running clock run out, and handle the due clocks as a node does."""
    await engine.psql(LATE)
    await timers.tick(engine.query)
    await engine.check()
