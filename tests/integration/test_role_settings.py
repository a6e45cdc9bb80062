"""What is set for a role, a database or a connection does not stop our own statements."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from oban import Oban
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg import AsyncConnection
from psycopg.errors import QueryCanceled
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor
from oban_pro.engine.session import session_of
from tests.support.graphs import settled, work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import StartOban, WaitUntil

SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.15); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT OR UPDATE OR DELETE ON oban_jobs
FOR EACH STATEMENT EXECUTE FUNCTION slow();
CREATE TRIGGER slow AFTER INSERT OR UPDATE OR DELETE ON oban_workflow_members
FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
TIMEOUTS = {"statement_timeout": 140_000, "transaction_timeout": 170_000}


@asynccontextmanager
async def opened(dsn: str, options: str, **opts: Any) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(
        dsn, kwargs={"options": options}, open=False, min_size=1, **opts
    ) as pool:
        yield pool


@pytest.fixture(params=TIMEOUTS)
async def hasty_pool(
    dsn: str, conn: AsyncConnection, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncConnectionPool]:
    """Provide connections as of a role whose statements must not take long."""
    if conn.info.server_version < TIMEOUTS[request.param]:
        pytest.skip(f"this release has no {request.param}")

    async with opened(dsn, f"-c {request.param}=100ms") as pool:
        yield pool


class TestTimeouts:
    async def test_do_not_stop_what_a_node_does(
        self,
        hasty_pool: AsyncConnectionPool,
        conn: AsyncConnection,
        start_oban: StartOban,
        wait_until: WaitUntil,
    ) -> None:
        await conn.execute(SLOW.encode())
        # oban's own statements are nobody's but oban's.
        node = await start_oban({"default": 2}, pool=hasty_pool, stager={"interval": 3_600.0})
        workflow = Workflow().add("a", work()).add("b", work(), deps="a")
        await node.enqueue_many(workflow.add("c", work("cancel"), deps="b"))
        await wait_until(lambda: settled(workflow), timeout=30)
        assert (await workflow.status()).counts == {"completed": 2, "cancelled": 1}

    async def test_do_not_stop_what_users_and_keepers_do(
        self, hasty_pool: AsyncConnectionPool, conn: AsyncConnection
    ) -> None:
        await conn.execute(SLOW.encode())
        oban = Oban(pool=hasty_pool)
        workflow = Workflow(id="w").add("a", work()).add("b", work(), deps="a")
        await oban.enqueue_many([*workflow, work(), work()])
        await workflow.append(Workflow().add("c", work()))
        await conn.execute("UPDATE oban_workflow_members SET pending = pending + 1")
        assert await doctor.repair() > 0
        assert await workflow.cancel_jobs() == 3
        assert await workflow.retry_jobs() == 3
        assert await workflow.cancel_jobs() == 3
        await use_ext("pruner.prune", plain_prune, oban._query, 0, 100)
        groups = await conn.execute("SELECT FROM oban_workflow_groups")
        assert groups.rowcount == 0

    async def test_set_later_do_not_stop_acks_either(self, dsn: str, conn: AsyncConnection) -> None:
        async with opened(dsn, "", max_size=1) as pool:
            oban = Oban(pool=pool)
            await oban.enqueue(work())

            async with pool.connection() as pooled:
                await pooled.execute("SET statement_timeout = '100ms'")

            await conn.execute(SLOW.encode())
            session = session_of(oban._query)
            (job,) = await session.execute(lambda store: store.fetch("default", 1, ["node", "1"]))
            assert job.state == "executing"

    async def test_are_those_of_the_caller_in_a_transaction_of_the_caller(
        self, dsn: str, oban: Oban, conn: AsyncConnection
    ) -> None:
        await conn.execute(SLOW.encode())

        async with await AsyncConnection.connect(dsn) as caller:
            await caller.execute("SET statement_timeout = '100ms'")

            with pytest.raises(QueryCanceled):
                await oban.enqueue_many(Workflow().add("a", work()), conn=caller)

    async def test_do_not_outlive_whoever_cancels_by_hand(
        self, dsn: str, conn: AsyncConnection, wait_until: WaitUntil
    ) -> None:
        async with (
            opened(dsn, "-c statement_timeout=1h") as pool,
            await AsyncConnection.connect(dsn) as other,
        ):
            workflow = Workflow().add("a", work())
            await Oban(pool=pool).enqueue_many(workflow)
            await other.execute("SELECT FROM oban_workflow_groups FOR UPDATE")
            cancelling = asyncio.create_task(workflow.cancel_jobs())

            async def cancelled() -> bool:
                found = await conn.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                return found.rowcount > 0

            await wait_until(cancelled)

            with pytest.raises(QueryCanceled):
                await cancelling


class TestConnections:
    async def test_go_back_to_the_pool_as_they_came(self, dsn: str, conn: AsyncConnection) -> None:
        options = "-c statement_timeout=7s -c client_encoding=LATIN1"
        options += r" -c default_transaction_isolation=repeatable\ read"

        async with opened(dsn, options, max_size=1) as pool:
            oban = Oban(pool=pool)
            workflow = Workflow().add("a", work()).add("b", work(), deps="a")
            await oban.enqueue_many(workflow)
            await workflow.status()
            await workflow.cancel_jobs()

            with pytest.raises(Exception, match="there is no workflow"):
                await Workflow(id="no").append(Workflow().add("c", work()))

            async with pool.connection() as pooled:
                names = ("statement_timeout", "client_encoding", "transaction_isolation")
                found = [
                    (await (await pooled.execute(f"SHOW {name}".encode())).fetchall())[0][0]
                    for name in (*names, "idle_in_transaction_session_timeout")
                ]
                assert found == ["7s", "LATIN1", "repeatable read", "0"]
                assert not pooled.autocommit
