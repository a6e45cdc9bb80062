"""A deadlock that somebody else provokes is ours to survive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.engine import Engine, make_job
from tests.fault.nodes import DEADLOCKS, rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban import Oban

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class TestDeadlocksFromOutside:
    async def test_are_invisible_to_an_ack(
        self, oban: Oban, dsn: str, wait_until: Callable[..., Awaitable[Any]]
    ) -> None:
        async with (
            await AsyncConnection.connect(dsn, autocommit=True) as conn,
            await AsyncConnection.connect(dsn) as other,
        ):
            engine = Engine(oban, conn)
            await engine.enqueue(Workflow().add("a", make_job()).add("b", make_job(), deps="a"))
            jobs = await engine.start("a")
            # The other holds the job, our ack the root and waits for the job; then the other wants
            # the root.
            await other.execute(
                "UPDATE oban_jobs SET priority = 1 WHERE id = %s", (engine.ids["a"],)
            )
            ack = asyncio.create_task(engine.ack(jobs, "completed"))

            async def is_waiting() -> bool:
                return await rows(conn, WAITING) != [(0,)]

            await wait_until(is_waiting)
            await other.execute("UPDATE oban_workflow_groups SET context = context")
            await other.commit()

            assert await ack == [engine.ids["a"]]
            assert await rows(conn, DEADLOCKS) == [(0,)]
            assert await engine.states() == {"a": "completed", "b": "available"}
