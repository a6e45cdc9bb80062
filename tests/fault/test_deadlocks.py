"""A deadlock that somebody else provokes is ours to survive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support.databases import deadlocks
from tests.support.engine import Engine, make_job
from tests.support.fixtures import WaitUntil

if TYPE_CHECKING:
    pass

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class TestDeadlocksFromOutside:
    async def test_are_invisible_to_an_ack(
        self, engine: Engine, dsn: str, wait_until: WaitUntil
    ) -> None:
        async with await AsyncConnection.connect(dsn) as other:
            await engine.enqueue(Workflow().add("a", make_job()).add("b", make_job(), deps="a"))
            jobs = await engine.start("a")
            # The other holds the job, our ack the root and waits for the job; then the other wants
            # the root.
            await other.execute(
                "UPDATE oban_jobs SET priority = 1 WHERE id = %s", (engine.ids["a"],)
            )
            ack = asyncio.create_task(engine.ack(jobs, "completed"))

            async def is_waiting() -> bool:
                return await engine.rows(WAITING) != [(0,)]

            await wait_until(is_waiting)
            await other.execute("UPDATE oban_workflow_groups SET context = context")
            await other.commit()

            assert await ack == [engine.ids["a"]]
            assert await deadlocks(engine.conn) == 0
            assert await engine.states() == {"a": "completed", "b": "available"}
