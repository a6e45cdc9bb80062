"""How open pages hear of changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro.web.database import Database
from oban_pro.web.live import Bell, changes
from tests.graphs import diamond


class TestChanges:
    async def test_begin_with_an_event_and_tell_of_each_change(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        database = Database(pool, "public")

        async with asyncio.timeout(20), aclosing(self.stream(database, workflow.id)) as stream:
            first = await anext(stream)
            await workflow.cancel_jobs()
            second = await next_event(stream)

        assert first.startswith("event: changed\n")
        assert second.startswith("event: changed\n")
        assert first != second

    async def test_stay_quiet_where_nothing_changes(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)

        async with (
            asyncio.timeout(20),
            aclosing(self.stream(Database(pool, "public"), workflow.id)) as stream,
        ):
            await anext(stream)
            assert await anext(stream) == ":\n\n"

    async def test_are_told_by_the_database_before_polling_would(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        bell = Bell(Database(pool, "public"))
        workflow = diamond()
        await oban.enqueue_many(workflow)

        async with asyncio.timeout(20), bell.listen() as rung:
            while not rung.is_set():
                await workflow.cancel_jobs()
                await workflow.retry_jobs()
                await asyncio.sleep(0.05)

        assert bell._task is None

    def stream(self, database: Database, workflow_id: str) -> AsyncGenerator[str]:
        return changes(database, Bell(database), workflow_id)


async def next_event(stream: AsyncGenerator[str]) -> str:
    while (text := await anext(stream)).startswith(":"):
        pass

    return text
