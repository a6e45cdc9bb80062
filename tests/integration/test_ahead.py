"""How an ack takes the next jobs for its producer, in the same statement."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.store import Acks, Store
from tests.conftest import StartOban

NODE = ["node", str(uuid4())]
started: dict[str, asyncio.Event] = {}
gates: dict[str, asyncio.Event] = {}


@worker()
class Gated(Worker):
    async def process(self, job: Job) -> None:
        started.setdefault(job.meta["name"], asyncio.Event()).set()

        if gate := gates.get(job.meta["name"]):
            await gate.wait()


def _chain() -> Workflow:
    return (
        Workflow("chain")
        .add("first", Gated.new({}))
        .add("second", Gated.new({}), deps="first")
        .add("third", Gated.new({}), deps="second")
    )


def _acks(*jobs: Job) -> Acks:
    stamps = ",".join(job.attempted_at.isoformat() for job in jobs if job.attempted_at)

    return Acks(f"{{{','.join(str(job.id) for job in jobs)}}}", f"{{{stamps}}}", None)


async def _notified(conn: AsyncConnection[Any]) -> list[str]:
    return [notify.payload async for notify in conn.notifies(timeout=0.3)]


class TestStatement:
    async def test_takes_the_job_that_it_has_released(self, oban: Oban, pool: AsyncConnectionPool):
        await oban.enqueue_many(_chain())

        async with pool.connection() as conn:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            acked, (second,) = await store.ack(_acks(first), "default", 10, NODE)

        assert acked == [first.id]
        assert second.meta["name"] == "second"
        assert (second.state, second.attempt, second.attempted_by) == ("executing", 1, NODE)
        assert second.attempted_at is not None
        assert second.scheduled_at is not None
        assert second.attempted_at >= second.scheduled_at

    async def test_takes_no_more_than_asked_for(self, oban: Oban, pool: AsyncConnectionPool):
        await oban.enqueue_many([Gated.new({"n": n}, meta={"name": "x"}) for n in range(5)])

        async with pool.connection() as conn:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 1, NODE)
            _, taken = await store.ack(_acks(first), "default", 2, NODE)
            _, none = await store.ack(_acks(*taken))

        assert [job.args["n"] for job in taken] == [1, 2]
        assert none == []

    async def test_passes_over_what_somebody_else_has_settled(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        await oban.enqueue_many(_chain())

        async with pool.connection() as conn:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 1, NODE)
            await conn.execute(
                "UPDATE oban_jobs SET attempted_at = '2026-01-01' WHERE id = %s", [first.id]
            )

            assert await store.ack(_acks(first), "default", 1, NODE) == ([], [])

    async def test_wakes_nobody_for_what_it_takes_itself(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        workflow = Workflow().add("first", Gated.new({}))
        workflow.add("here", Gated.new({}), deps="first")
        workflow.add("there", Gated.new({}, queue="other"), deps="first")
        await oban.enqueue_many(workflow)

        async with pool.connection() as conn, pool.connection() as listener:
            await listener.set_autocommit(True)
            await listener.execute(
                sql.SQL("LISTEN {}").format(sql.Identifier("public.oban_insert"))
            )
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            await store.ack(_acks(first), "default", 10, NODE)
            await conn.commit()

            assert await _notified(listener) == ['{"queue" : "other"}']
            await listener.execute("UNLISTEN *")
            await listener.set_autocommit(False)

    @pytest.mark.parametrize("queue", ["default", "other"])
    async def test_wakes_the_others_for_what_it_leaves_if_there_are_any(
        self, oban: Oban, pool: AsyncConnectionPool, queue: str
    ):
        jobs = [Gated.new({}) for _ in range(3)]
        workflow = Workflow().add("first", Gated.new({})).add_many("all", jobs, deps="first")
        await oban.enqueue_many(workflow)
        await oban._query.insert_producer(
            uuid=str(uuid4()), name="Oban", node="beside", queue=queue, meta={}
        )

        async with pool.connection() as conn, pool.connection() as listener:
            await listener.set_autocommit(True)
            await listener.execute(
                sql.SQL("LISTEN {}").format(sql.Identifier("public.oban_insert"))
            )
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            await store.ack(_acks(first), "default", 2, NODE)
            await conn.commit()

            assert await _notified(listener) == ['{"queue" : "default"}'] * (queue == "default")
            await listener.execute("UNLISTEN *")
            await listener.set_autocommit(False)


class TestProducer:
    async def test_that_is_paused_while_it_settles_leaves_the_next_job_untouched(
        self, start_oban: StartOban, dsn: str, wait_until: Any
    ):
        node = await start_oban({"default": 1})
        await self._settle_behind_a_lock(node, dsn, wait_until, lambda: node.pause_queue("default"))

        async def second() -> Job | None:
            found = await Workflow("chain").get_job("second")
            return found if found and found.state == "available" else None

        found = await wait_until(second)
        assert (found.attempt, found.errors) == (0, [])
        assert "second" not in started

        await node.resume_queue("default")
        await wait_until(lambda: "third" in started)
        again = await Workflow("chain").get_job("second")
        assert again is not None
        assert (again.state, again.attempt) == ("completed", 1)

    async def test_that_stops_while_it_settles_loses_no_job(
        self, start_oban: StartOban, dsn: str, wait_until: Any
    ):
        node = await start_oban({"default": 1})
        stopping: list[asyncio.Task[None]] = []

        async def stop() -> None:
            stopping.append(asyncio.create_task(node.stop()))
            await wait_until(node._producers["default"]._stopping.is_set)

        await self._settle_behind_a_lock(node, dsn, wait_until, stop)
        await stopping[0]

        async with await AsyncConnection.connect(dsn) as conn:
            rows = await conn.execute("SELECT state FROM oban_jobs WHERE state = 'executing'")

            assert await rows.fetchall() == []

    async def _settle_behind_a_lock(
        self, node: Oban, dsn: str, wait_until: Any, meanwhile: Any
    ) -> None:
        """Let the ack of the first job wait for the root, do something meanwhile, and let go."""
        started.clear()
        gates["first"] = asyncio.Event()
        await node.enqueue_many(_chain())
        await wait_until(lambda: "first" in started)

        async with (
            await AsyncConnection.connect(dsn) as blocker,
            await AsyncConnection.connect(dsn, autocommit=True) as observer,
        ):
            await blocker.execute("SELECT FROM oban_workflow_groups FOR UPDATE")
            gates.pop("first").set()

            async def is_waiting() -> bool:
                found = await observer.execute(
                    "SELECT FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                return found.rowcount > 0

            await wait_until(is_waiting)
            await meanwhile()

            if node._producers:
                await wait_until(
                    lambda: (
                        (producer := node._producers["default"])._paused
                        or producer._stopping.is_set()
                    )
                )

            await blocker.rollback()
