"""Nodes of their own, one of whose workflows somebody holds in a transaction that is left open."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support.nodes import Nodes, assert_all_well, drain, rows, wait_for_runs
from tests.support.workload import GO, Endless, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import WaitUntil

pytestmark = pytest.mark.timeout(200)


@asynccontextmanager
async def held(dsn: str) -> AsyncIterator[None]:
    """Hold the workflow called held: a job is added, and not committed."""
    async with await AsyncConnection.connect(dsn) as conn:
        addition = Workflow(check_deps=False).add("added", Step.new({}))
        await Workflow(id="held").append(addition, conn=conn)

        yield

        await conn.rollback()


class TestKilledNode:
    async def test_loses_all_jobs_but_those_of_the_held_workflow(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        await conn.execute(GO.encode())
        await oban.enqueue_many(
            [
                *Workflow(id="held").add("x", Endless.new({})),
                *Workflow(id="free").add("y", Endless.new({})),
                Endless.new({}),
            ]
        )

        with Nodes(dsn, limit=3, settings="brief") as nodes:
            await asyncio.to_thread(nodes.start)
            await wait_for_runs(conn, 3)
            await asyncio.to_thread(nodes.start)

            async with held(dsn):
                await asyncio.to_thread(nodes.kill, nodes.running[0])
                await wait_for_runs(conn, 5)
                states = "SELECT meta ->> 'workflow_id', attempt FROM oban_jobs ORDER BY id"
                assert await rows(conn, states) == [("held", 1), ("free", 2), (None, 2)]
                await conn.execute("INSERT INTO go DEFAULT VALUES")

            await drain(conn, 60)

        await assert_all_well(conn, interrupted=3)


class TestStoppedNode:
    async def test_ends_and_leaves_what_it_could_not_settle_to_the_others(
        self, oban: Oban, conn: AsyncConnection, dsn: str, wait_until: WaitUntil
    ) -> None:
        await oban.enqueue_many(
            [*Workflow(id="held").add("x", Step.new({})), *[Step.new({}) for _ in range(3)]]
        )

        with Nodes(dsn, limit=1, settings="brief") as nodes:
            async with held(dsn):
                node = await asyncio.to_thread(nodes.start)

                async def have_ended() -> bool:
                    states = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL"

                    return await rows(conn, states) == [(4,)]

                await wait_until(have_ended, timeout=30)
                assert await asyncio.to_thread(nodes.stop, node) == 0
                states = "SELECT state::text FROM oban_jobs ORDER BY id"
                assert await rows(conn, states) == [("executing",), *[("completed",)] * 3]

            await asyncio.to_thread(nodes.start)
            await drain(conn, 60)

        await assert_all_well(conn, interrupted=1)
