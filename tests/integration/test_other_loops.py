"""Handles that are used on another event loop than the one that opened the pool."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import oban.schema
import pytest
from oban import Oban, current_job
from oban.oban import _instances
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor, errors
from oban_pro.engine import session
from oban_pro.testing import run_workflow
from tests.support import flows
from tests.support.engine import make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import diamond, names, work

JOBS = 30
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'"


async def elsewhere[Result](
    function: Callable[..., Coroutine[Any, Any, Result]], *args: Any, **opts: Any
) -> Result:
    """Call an async function on an event loop of its own, in a thread of its own."""
    return await asyncio.to_thread(lambda: asyncio.run(function(*args, **opts)))


async def count_connections(dsn: str) -> int:
    async with await AsyncConnection.connect(dsn) as conn:
        row = await (await conn.execute(CONNECTIONS)).fetchone()
        assert row is not None

        return int(row[0])


async def last_beat(dsn: str) -> datetime:
    async with await AsyncConnection.connect(dsn) as conn:
        row = await (await conn.execute("SELECT max(updated_at) FROM oban_producers")).fetchone()
        assert row is not None
        beat: datetime = row[0]

        return beat


# Blocking functions, which run in threads. All of them have begun before the first one goes on.

together = threading.Barrier(JOBS)


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    together.abort()
    together.reset()

    for name in ("configured", "outlived", "plain"):
        _instances.pop(name, None)


def look(number: int, context: flows.Context) -> Any:
    together.wait()

    return asyncio.run(Workflow(id=context["other"]).status()).total


def look_at_own(number: int, context: flows.Context) -> Any:
    together.wait()
    job = current_job()
    assert job is not None

    return asyncio.run(Workflow.for_job(job).status()).total


def cancel(number: int, context: flows.Context) -> Any:
    together.wait()

    return asyncio.run(Workflow(id=context["other"]).cancel_jobs(names=[str(number)]))


def enqueue(number: int, context: flows.Context) -> Any:
    together.wait()
    workflow = Workflow().add("a", make_job("nobodys")).add("b", make_job("nobodys"), deps="a")

    return len(asyncio.run(Oban.get_instance().enqueue_many(workflow)))


class TestThirtyBlockingJobs:
    @asynccontextmanager
    async def started(
        self, start_oban: StartOban, function: Callable[..., Any]
    ) -> AsyncIterator[tuple[Workflow, Workflow]]:
        """Start them on a node with ten connections, beside a workflow that nobody runs."""
        node = await start_oban(queues={"default": JOBS}, refresher={"interval": 0.05})
        other = Workflow()

        for number in range(JOBS):
            other.add(str(number), make_job("nobodys"))

        await node.enqueue_many(other)
        workflow = (
            Workflow()
            .add_context({"other": other.id})
            .add_cascade("each", (range(JOBS), function), max_attempts=1)
        )
        await node.enqueue_many(workflow)

        yield workflow, other

        status = await workflow.wait(timeout=20)
        assert status.counts == {"completed": JOBS}

    @pytest.mark.parametrize(
        ("function", "expected"), [(look, JOBS), (look_at_own, JOBS), (cancel, 1), (enqueue, 2)]
    )
    async def test_thirty_blocking_jobs_use_handles_at_once(
        self, start_oban: StartOban, function: Callable[..., Any], expected: int
    ) -> None:
        async with self.started(start_oban, function) as (workflow, _):
            pass

        assert {*(await workflow.all_recorded())["each"].values()} == {expected}

    async def test_leave_the_heartbeats_alone_while_all_of_them_wait(
        self, start_oban: StartOban, dsn: str, wait_until: WaitUntil
    ) -> None:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

        async with (
            await AsyncConnection.connect(dsn) as conn,
            self.started(start_oban, cancel) as (_, other),
        ):
            lock = "SELECT FROM oban_workflow_groups WHERE id = %s FOR UPDATE"
            async with conn.transaction():
                await conn.execute(lock, [other.id])

                async def all_wait() -> bool:
                    async with await AsyncConnection.connect(dsn) as looking:
                        row = await (await looking.execute(waiting)).fetchone()
                        return row == (session.MAX_BESIDE_POOLS,)

                await wait_until(all_wait)

                for _ in range(3):
                    before = await last_beat(dsn)

                    async def beats(before: datetime = before) -> bool:
                        return await last_beat(dsn) > before

                    await wait_until(beats)


class TestOnAnotherLoop:
    @pytest.fixture
    async def workflow(self, oban: Oban) -> Workflow:
        workflow = diamond().add_context({"a": 1})
        await oban.enqueue_many(workflow)

        return workflow

    async def test_every_method_of_a_handle_works(self, oban: Oban, workflow: Workflow) -> None:
        assert (await elsewhere(workflow.status)).total == 4
        assert names(await elsewhere(workflow.all_jobs)) == ["start", "left", "right", "end"]
        end = await elsewhere(workflow.get_job, "end")
        assert end is not None
        assert len(await elsewhere(Workflow.for_job(end).all_jobs, deps_of=end)) == 2
        assert await elsewhere(workflow.all_recorded) == {}
        assert await elsewhere(workflow.get_recorded, "start") is None
        assert await elsewhere(workflow.get_context) == {"a": 1}
        assert len((await elsewhere(workflow.fetch_graph)).edges) == 4
        assert (await elsewhere(workflow.explain, "end")).state == "suspended"
        addition = Workflow(check_deps=False).add("more", work(), deps="end")
        assert names(await elsewhere(workflow.append, addition)) == ["more"]
        assert await elsewhere(workflow.cancel_jobs, names=["left"]) == 1
        assert await elsewhere(workflow.retry_jobs) == 3
        assert await elsewhere(doctor.audit) == []
        assert await elsewhere(doctor.repair) == 0

    async def test_a_workflow_is_waited_for(
        self, start_oban: StartOban, workflow: Workflow
    ) -> None:
        waiting = asyncio.create_task(elsewhere(workflow.wait, timeout=20))
        await start_oban()
        assert (await waiting).state == "completed"

    async def test_a_wait_times_out(self, workflow: Workflow) -> None:
        with pytest.raises(TimeoutError, match="must settle within 0 s"):
            await elsewhere(workflow.wait, timeout=0)

    async def test_a_workflow_runs_in_a_test(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_cascade("see", flows.see)
            .add_cascade("each", ([1, 2], flows.see_item), deps="see")
        )
        assert (await elsewhere(run_workflow, workflow, oban)).counts == {"completed": 3}

    async def test_plain_jobs_are_enqueued(self, oban: Oban) -> None:
        assert (await elsewhere(oban.enqueue, work())).id
        assert len(await elsewhere(oban.enqueue_many, [work(), work()])) == 2

    async def test_plain_jobs_are_enqueued_where_we_have_no_tables(self, empty_dsn: str) -> None:
        async with AsyncConnectionPool(empty_dsn, open=False) as pool:
            await oban.schema.install(pool)
            instance = Oban(pool=pool, name="plain")
            good, bad = work(), work()
            bad.priority = -1
            assert len(await elsewhere(instance.enqueue_many, [good, work()])) == 2

            with pytest.raises(Exception, match="violates check constraint"):
                await elsewhere(instance.enqueue_many, [work(), bad])

            assert len(await instance._query.all_jobs(["available"])) == 2

    async def test_nothing_is_left_of_what_fails(self, oban: Oban, workflow: Workflow) -> None:
        taken = Workflow(id=workflow.id)
        twice = diamond().add_workflow("sub", taken)
        with pytest.raises(errors.DuplicateIdError):
            await elsewhere(oban.enqueue_many, twice)
        assert (await Workflow(id=twice.id).status()).state == "unknown"
        assert (await elsewhere(workflow.status)).total == 4

    async def test_connections_are_made_as_those_of_the_pool(self, dsn: str) -> None:
        async def configure(conn: AsyncConnection[Any]) -> None:
            await conn.execute("SET search_path TO elsewhere")
            await conn.commit()

        kwargs = {"application_name": "ours"}
        async with AsyncConnectionPool(
            dsn, min_size=1, open=False, kwargs=kwargs, configure=configure
        ) as pool:
            instance = Oban(pool=pool, name="configured")
            await pool.wait()
            before = await count_connections(dsn)

            async def look() -> tuple[Any, int]:
                async with session.connection(instance._query) as conn:
                    cursor = await conn.execute("SHOW search_path")
                    return await cursor.fetchone(), await count_connections(dsn)

            assert await elsewhere(look) == (("elsewhere",), before + 1)
            assert await count_connections(dsn) == before

    async def test_a_handle_outlives_the_loop_of_its_pool(
        self, workflow: Workflow, dsn: str
    ) -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            dsn, min_size=0, max_size=1, open=False
        )

        def run() -> int:
            asyncio.run(pool.open())
            Oban(pool=pool, name="outlived")

            return asyncio.run(Workflow(id=workflow.id, oban="outlived").status()).total

        assert await asyncio.to_thread(run) == 4
