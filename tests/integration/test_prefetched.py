"""How an ack takes the next jobs for its producer, in the same statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, _host
from oban_pro._plugin.ack_encoding import encode, join
from oban_pro.engine.results import Acks
from oban_pro.engine.store import Store
from tests.support.fixtures import StartOban

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
    return join([encode(_host.AckAction(job, "completed")) for job in jobs])


@asynccontextmanager
async def _listening(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a connection that hears which queues are woken."""
    async with pool.connection() as conn, _host.autocommit(conn):
        await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier("public.oban_insert")))
        yield conn
        await conn.execute("UNLISTEN *")


async def _notified(conn: AsyncConnection[Any]) -> list[str]:
    return [notify.payload async for notify in conn.notifies(timeout=0.3)]


# The second job of a chain cannot be started.
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON oban_jobs FOR EACH ROW
WHEN (NEW.state = 'executing' AND NEW.meta ->> 'name' = 'second') EXECUTE FUNCTION refuse()
"""


async def _states(pool: AsyncConnectionPool) -> list[str]:
    async with pool.connection() as conn:
        rows = await conn.execute("SELECT state FROM oban_jobs ORDER BY id")

        return [state for (state,) in await rows.fetchall()]


class TestStatement:
    async def test_takes_the_job_that_it_has_released(self, oban: Oban, pool: AsyncConnectionPool):
        await oban.enqueue_many(_chain())

        async with pool.connection() as conn:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            acked, _, (second,) = await store.ack(_acks(first), "default", 10, NODE)

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
            _, _, taken = await store.ack(_acks(first), "default", 2, NODE)
            _, _, none = await store.ack(_acks(*taken))

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

            assert await store.ack(_acks(first), "default", 1, NODE) == ([], [], [])

    async def test_wakes_nobody_for_what_it_takes_itself(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        workflow = Workflow().add("first", Gated.new({}))
        workflow.add("here", Gated.new({}), deps="first")
        workflow.add("there", Gated.new({}, queue="other"), deps="first")
        await oban.enqueue_many(workflow)

        async with pool.connection() as conn, _listening(pool) as listener:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            await store.ack(_acks(first), "default", 10, NODE)
            await conn.commit()

            assert await _notified(listener) == ['{"queue" : "other"}']

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

        async with pool.connection() as conn, _listening(pool) as listener:
            store = Store(conn, "public")
            (first,) = await store.fetch("default", 10, NODE)
            await store.ack(_acks(first), "default", 2, NODE)
            await conn.commit()

            assert await _notified(listener) == ['{"queue" : "default"}'] * (queue == "default")


class TestProducer:
    async def test_that_is_paused_while_it_settles_leaves_the_next_job_untouched(
        self, start_oban: StartOban, dsn: str, wait_until: Any
    ):
        node = await start_oban({"default": 1})

        async def pause() -> None:
            await node.pause_queue("default")
            await wait_until(lambda: node._producers["default"]._paused)

        await self._settle_behind_a_lock(node, dsn, wait_until, pause)

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

    async def test_that_is_scaled_down_while_it_settles_runs_no_more_than_it_may(
        self, start_oban: StartOban, dsn: str, pool: AsyncConnectionPool, wait_until: Any
    ):
        node = await start_oban({"default": 10})
        many = Workflow("chain").add("first", Gated.new({}))
        many.add_many("all", [Gated.new({}) for _ in range(5)], deps="first")
        names = [str(n) for n in range(5)]
        gates.update({name: asyncio.Event() for name in names})

        async def scale() -> None:
            await node.scale_queue(queue="default", limit=1)
            await wait_until(lambda: node._producers["default"]._limit == 1)

        await self._settle_behind_a_lock(node, dsn, wait_until, scale, many)
        await wait_until(lambda: started.keys() & {*names})

        async def has_unfetched() -> bool:
            return (await _states(pool)).count("available") == 4

        await wait_until(has_unfetched)
        assert len(started.keys() & {*names}) == 1

        for name in names:
            gates.pop(name).set()

        assert (await many.wait()).state == "completed"

    async def test_whose_hook_asks_later_leaves_the_jobs_to_others_meanwhile(
        self, start_oban: StartOban, wait_until: Any
    ):
        held = asyncio.Event()

        async def later(producer: _host.Producer) -> list[Job]:
            await held.wait()
            jobs: list[Job] = await ours(producer)
            return jobs

        ours: Any = _host.get_ext("producer.get_jobs", _host.default_get_jobs)
        node = await start_oban({"default": 1})
        gates["first"] = asyncio.Event()
        started.clear()
        await node.enqueue_many(_chain())
        await wait_until(lambda: "first" in started)
        _host.put_ext("producer.get_jobs", later)

        try:
            gates.pop("first").set()

            async def is_available() -> bool:
                found = await Workflow("chain").get_job("second")
                return found is not None and (found.state, found.attempt) == ("available", 0)

            await wait_until(is_available)
            assert "second" not in started
        finally:
            _host.put_ext("producer.get_jobs", ours)
            held.set()

        assert (await Workflow("chain").wait()).state == "completed"

    async def test_settles_its_jobs_though_the_next_cannot_be_taken(
        self, start_oban: StartOban, dsn: str, wait_until: Any
    ):
        node = await start_oban({"default": 1})
        gates["first"] = asyncio.Event()
        started.clear()
        await node.enqueue_many(_chain())
        await wait_until(lambda: "first" in started)

        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            await conn.execute(REFUSE.encode())

        gates.pop("first").set()

        async def is_completed() -> bool:
            found = await Workflow("chain").get_job("first")
            return found is not None and found.state == "completed"

        await wait_until(is_completed)

    @pytest.mark.parametrize(
        "column", ["args = %s", "meta = meta || %s", "scheduled_at = '-infinity', tags = %s"]
    )
    async def test_fails_a_job_that_cannot_be_read_alone(
        self, start_oban: StartOban, pool: AsyncConnectionPool, wait_until: Any, column: str
    ):
        jobs = [Gated.new({"n": n}, meta={"name": f"j{n}"}, max_attempts=1) for n in range(3)]
        inserted = await Oban(pool=pool, name="other").enqueue_many(jobs)
        value: Any = ["x"] if "tags" in column else '{"n": %s}' % ("9" * 5_000)

        async with pool.connection() as conn:
            await conn.execute(
                f"UPDATE oban_jobs SET {column} WHERE id = %s".encode(), [value, inserted[1].id]
            )

        node = await start_oban({"default": 10})

        async def states() -> list[str]:
            rows = await _states(pool)
            return rows if "available" not in rows and "executing" not in rows else []

        bad = "completed" if "tags" in column else "discarded"
        assert await wait_until(states) == ["completed", bad, "completed"]
        assert node is not None

    async def _settle_behind_a_lock(
        self,
        node: Oban,
        dsn: str,
        wait_until: Any,
        meanwhile: Any,
        workflow: Workflow | None = None,
    ) -> None:
        """Let the ack of the first job wait for the root, do something meanwhile, and let go."""
        started.clear()
        gates["first"] = asyncio.Event()
        await node.enqueue_many(workflow or _chain())
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
            await blocker.rollback()
