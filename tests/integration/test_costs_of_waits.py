"""What waits and clocks cost those who use them, and that they cost nobody else anything."""

from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, sql
from oban_pro._host import AckAction
from oban_pro._plugin.ack_encoding import encode, join
from oban_pro.engine.store import Store
from tests.support.engine import make_job
from tests.support.explained import buffers_of
from tests.support.waits import LATE

NODE = ["node", str(uuid4())]

CALLED = """
SELECT proname, pg_stat_get_xact_function_calls(oid) FROM pg_proc
WHERE proname LIKE 'oban_workflow_%%' AND pg_stat_get_xact_function_calls(oid) > 0
"""


def of_folder(folder: str) -> set[str]:
    """Return the names of the functions in a folder below ``sql/functions``."""
    return {f"oban_workflow_{name}" for name, _ in sql.read_named(f"functions/{folder}")}


class TestAWorkflowWithoutAny:
    async def test_calls_no_function_that_is_theirs(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        def build(**options: Any) -> Workflow:
            inner = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
            workflow = Workflow(**options).add("a", make_job()).add_workflow("g", inner, deps="a")

            return workflow.add_graft("more", make_job(), deps="a").add("b", make_job(), deps="g")

        async def run(workflow: Workflow) -> set[str]:
            async with pool.connection() as conn:
                await conn.execute(b"SET LOCAL track_functions = 'pl'")
                store = Store(conn, "public")
                await oban.enqueue_many(workflow, conn=conn)
                handle = Workflow(id=workflow.id, oban=oban._name)
                addition = Workflow(check_deps=False).add("c", make_job(), deps="b")
                await handle.append(addition, conn=conn)

                while jobs := await store.fetch("default", 10, NODE):
                    await store.ack(_completed(jobs))

                await store.cancel(workflow.id, ["b"])
                await store.retry(workflow.id, ["x", "b"])
                cursor = await conn.execute(CALLED.encode())

                return {name for name, _ in await cursor.fetchall()}

        theirs = of_folder("waits") | of_folder("skips")
        called = await run(build())
        assert "oban_workflow_propagate" in called
        assert called & theirs == set()
        assert "oban_workflow_hold_back" in await run(build(deadline=3600))

    async def test_is_ticked_over_for_the_price_of_a_look(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        await oban.enqueue_many(Workflow().add_many("all", [make_job() for _ in range(1_000)]))

        async with pool.connection() as conn:
            assert await buffers_of(conn, "SELECT oban_workflow_tick_v1(NULL, 200)") < 20


def _completed(jobs: list[Job]) -> Any:
    return join([encode(AckAction(job, "completed")) for job in jobs])


class TestOpenWaits:
    @pytest.mark.timeout(120)
    async def test_cost_a_tick_nothing_until_they_are_due(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        statement = "SELECT oban_workflow_tick_v1(NULL, 200)"

        def build(count: int) -> Workflow:
            workflow = Workflow()

            for n in range(count):
                workflow.add_signal(str(n), wait_for=3600)

            return workflow

        async with pool.connection() as conn:
            await oban.enqueue_many(build(10))
            few = await buffers_of(conn, statement)
            await oban.enqueue_many(build(5_000))
            await conn.execute(b"ANALYZE oban_workflow_timers")
            await conn.commit()
            assert await buffers_of(conn, statement) <= few + 2

    async def test_cost_a_signal_the_same_however_many_there_are(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        def build(name: str, count: int) -> Workflow:
            workflow = Workflow(id=name)

            for n in range(count):
                workflow.add_signal(str(n)).add(f"after {n}", make_job(), deps=str(n))

            return workflow

        statement = "SELECT oban_workflow_signal('{}', '5', '1')"

        async with pool.connection() as conn:
            await oban.enqueue_many(build("few", 10))
            few = await buffers_of(conn, statement.format("few"))
            await oban.enqueue_many(build("many", 1_000))
            # an index may be one or two levels deeper
            assert await buffers_of(conn, statement.format("many")) <= 1.5 * few

    async def test_of_a_root_are_settled_at_once_when_they_are_due(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = Workflow()

        for n in range(500):
            workflow.add_signal(str(n), wait_for=3600)

        await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            await conn.execute(LATE.encode())
            await conn.commit()
            buffers = await buffers_of(conn, "SELECT oban_workflow_tick_v1(NULL, 1000)")
            assert buffers < 60 * 500
