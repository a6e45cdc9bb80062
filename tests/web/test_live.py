"""How open pages hear of changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro.engine.listener import Listener
from oban_pro.web.live import CHANNELS, changes
from oban_pro.web.session import PageSession
from tests.support.graphs import diamond


class TestChanges:
    async def test_begin_with_an_event_and_tell_of_each_change(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)
        session = PageSession(pool, "public")

        async with asyncio.timeout(20), aclosing(self.stream(session, workflow.id)) as stream:
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
            aclosing(self.stream(PageSession(pool, "public"), workflow.id)) as stream,
        ):
            await anext(stream)
            assert await anext(stream) == ":\n\n"

    async def test_are_told_by_the_database_before_polling_would(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        session, listener = PageSession(pool, "public"), Listener(*CHANNELS)
        workflow = diamond()
        await oban.enqueue_many(workflow)

        async with asyncio.timeout(20), listener.listen(session, lambda _: True) as told:
            # It is told once when the connection listens.
            await told.wait()
            told.clear()
            await workflow.cancel_jobs()
            await told.wait()

        assert listener._task is None

    def stream(self, session: PageSession, workflow_id: str) -> AsyncGenerator[str]:
        return changes(session, Listener(*CHANNELS), workflow_id)


async def next_event(stream: AsyncGenerator[str]) -> str:
    while (text := await anext(stream)).startswith(":"):
        pass

    return text
