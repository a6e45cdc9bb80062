"""Lines to PostgreSQL that are cut: in the middle of a transaction, or as its answer comes back."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from oban import Job, Oban, Record, Worker, worker
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, await_signal
from oban_pro.errors import DuplicateNameError
from oban_pro.handles import reading
from oban_pro.handles import waiting as waiting_module
from tests.support import workload
from tests.support.engine import make_job
from tests.support.growth import received
from tests.support.nodes import assert_all_well, drain, rows
from tests.support.proxy import Proxy
from tests.support.recount import assert_consistent
from tests.support.workload import FAST, Grafting, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from oban_pro import WorkflowStatus
    from oban_pro.engine.session import Place


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    async with Proxy(dsn) as proxy:
        yield proxy


@asynccontextmanager
async def through(proxy: Proxy) -> AsyncIterator[AsyncConnectionPool]:
    """Open a pool that comes back by itself when its lines are cut."""
    async with AsyncConnectionPool(
        proxy.dsn,
        min_size=1,
        max_size=5,
        open=False,
        check=AsyncConnectionPool.check_connection,
    ) as pool:
        yield pool


def cut_once(proxy: Proxy, when: str, at: bytes = b"COMMIT\0") -> None:
    """Cut the line at what is sent next: by default what commits, before it has, or after."""

    asked = False

    def asks(data: bytes) -> bool:
        nonlocal asked
        asked = asked or at in data

        return when == "before" and ends()

    def ends(_answer: bytes = b"") -> bool:
        if asked:
            proxy.cut_before = proxy.cut_after = None

        return asked

    proxy.cut_before = asks
    proxy.cut_after = ends if when == "after" else None


@pytest.fixture(params=["before", "after"])
def when(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestInsert:
    async def test_an_insert_that_was_cut_off_can_be_repeated(
        self, proxy: Proxy, conn: AsyncConnection, when: str
    ) -> None:
        one = Workflow().add("a", make_job()).add("b", make_job(), deps="a")

        async with through(proxy) as pool:
            oban = Oban(pool=pool)
            await oban.enqueue_many([*Workflow().add("first", make_job())])
            cut_once(proxy, when)

            with pytest.raises(OperationalError):
                await oban.enqueue_many(one)

            left = await rows(conn, "SELECT count(*) FROM oban_jobs")
            assert left == [(3 if when == "after" else 1,)]
            await oban.enqueue_many(one)

        assert await rows(conn, "SELECT count(*) FROM oban_jobs") == [(3,)]
        await assert_consistent(conn)


class TestAppend:
    async def test_says_when_it_is_repeated(
        self, proxy: Proxy, conn: AsyncConnection, when: str
    ) -> None:
        def addition() -> Workflow:
            return Workflow(check_deps=False).add("b", make_job(), deps="a")

        async with through(proxy) as pool:
            oban = Oban(pool=pool)
            await oban.enqueue_many(Workflow(id="one").add("a", make_job()))
            handle = Workflow(id="one", oban=oban._name)
            cut_once(proxy, when)

            with pytest.raises(OperationalError):
                await handle.append(addition())

            if when == "after":
                with pytest.raises(DuplicateNameError):
                    await handle.append(addition())
            else:
                await handle.append(addition())

        assert await rows(conn, "SELECT count(*) FROM oban_jobs") == [(2,)]
        await assert_consistent(conn)


class TestCancel:
    async def test_a_cancellation_that_was_cut_off_can_be_repeated(
        self, proxy: Proxy, conn: AsyncConnection, when: str
    ) -> None:
        async with through(proxy) as pool:
            oban = Oban(pool=pool)
            await oban.enqueue_many(Workflow(id="one").add_many("many", [make_job(), make_job()]))
            handle = Workflow(id="one", oban=oban._name)
            # It is one statement, which commits by itself.
            cut_once(proxy, when, b"oban_workflow_cancel")

            with pytest.raises(OperationalError):
                await handle.cancel_jobs()

            assert await handle.cancel_jobs() == (0 if when == "after" else 2)

        await assert_consistent(conn)


class TestNodes:
    @pytest.mark.timeout(200)
    @pytest.mark.parametrize("seed", range(3))
    async def test_go_on_whatever_is_cut(
        self,
        proxy: Proxy,
        conn: AsyncConnection,
        dsn: str,
        seed: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("RUNS_DSN", dsn)
        one = Workflow()

        for n in range(8):
            one.add(f"{n}", Step.new({}), deps=[f"{n - 1}"] if n else [])
            one.add_graft(f"graft{n}", Grafting.new({"size": 5}), deps=f"{n}")

        one.add_many("many", [Step.new({}) for _ in range(60)], deps=["7", "graft7"])
        end = _sometimes(random.Random(seed), most=20)

        try:
            async with AsyncConnectionPool(dsn, min_size=1, open=False) as direct:
                await Oban(pool=direct).enqueue_many(one)

            async with (
                through(proxy) as pool,
                Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
            ):
                proxy.cut_before = proxy.cut_after = end
                await drain(conn, 150)
                proxy.cut_before = proxy.cut_after = None
        finally:
            await workload.close_log()

        assert proxy.cuts > 10
        await assert_all_well(conn, interrupted=0)

    async def test_settle_the_last_job_though_its_ack_was_cut(
        self, proxy: Proxy, conn: AsyncConnection, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNS_DSN", dsn)

        def end(data: bytes) -> bool:
            return proxy.cuts == 0 and b"oban_workflow_ack_v1" in data

        try:
            async with (
                AsyncConnectionPool(dsn, min_size=1, open=False) as direct,
                through(proxy) as pool,
                Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
            ):
                proxy.cut_before = end
                await Oban(pool=direct, name="direct").enqueue(Step.new({}))
                await drain(conn, 10)
        finally:
            await workload.close_log()

        assert proxy.cuts == 1
        assert await rows(conn, "SELECT count(*) FROM runs") == [(1,)]

    async def test_give_a_job_that_never_reached_them_its_attempt_back(
        self, proxy: Proxy, conn: AsyncConnection, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNS_DSN", dsn)

        def end(data: bytes) -> bool:
            return proxy.cuts == 0 and b"workload.Step" in data

        try:
            async with (
                AsyncConnectionPool(dsn, min_size=1, open=False) as direct,
                through(proxy) as pool,
                Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
            ):
                proxy.cut_after = end
                workflow = Workflow().add("a", Step.new({}, max_attempts=1))
                workflow.add("b", Step.new({}), deps="a")
                await Oban(pool=direct, name="direct").enqueue_many(workflow)
                await drain(conn, 20)
        finally:
            await workload.close_log()

        assert proxy.cuts == 1
        assert await rows(conn, "SELECT state::text, attempt, errors FROM oban_jobs") == [
            ("completed", 1, []),
            ("completed", 1, []),
        ]
        await assert_all_well(conn)

    async def test_read_a_context_again_when_the_line_was_cut(
        self, proxy: Proxy, conn: AsyncConnection, dsn: str
    ) -> None:
        def end(data: bytes) -> bool:
            return proxy.cuts == 0 and b"oban_workflow_contexts_v3" in data

        async with (
            AsyncConnectionPool(dsn, min_size=1, open=False) as direct,
            through(proxy) as pool,
            Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
        ):
            proxy.cut_before = end
            workflow = Workflow().add_context({"a": 1})
            workflow.add_cascade("b", received, max_attempts=1)
            await Oban(pool=direct, name="direct").enqueue_many(workflow)
            await drain(conn, 20)

        assert proxy.cuts == 1
        assert await rows(conn, "SELECT state::text, attempt, errors FROM oban_jobs") == [
            ("completed", 1, [])
        ]

    @pytest.mark.timeout(100)
    async def test_run_jobs_though_nobody_listens_any_more(
        self, proxy: Proxy, conn: AsyncConnection, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNS_DSN", dsn)

        try:
            async with (
                AsyncConnectionPool(dsn, min_size=1, open=False) as direct,
                through(proxy) as pool,
                Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
            ):
                for _ in range(3):
                    proxy.cut()
                    steps = Workflow().add("a", Step.new({})).add("b", Step.new({}), deps="a")
                    await Oban(pool=direct, name="direct").enqueue_many(steps)
                    await drain(conn, 30)
        finally:
            await workload.close_log()

        await assert_all_well(conn)


class TestWait:
    async def test_goes_on_when_every_line_is_cut_again_and_again(
        self, proxy: Proxy, conn: AsyncConnection
    ) -> None:
        async with AsyncConnectionPool(proxy.dsn, min_size=1, open=False) as pool:
            workflow = Workflow().add("a", make_job())
            await Oban(pool=pool).enqueue_many(workflow)
            waiting = asyncio.create_task(workflow.wait(timeout=30))

            for _ in range(10):
                proxy.cut()
                await asyncio.sleep(0.2)

            await conn.execute("UPDATE oban_jobs SET state = 'cancelled'")
            assert (await waiting).state == "cancelled"

    async def test_is_told_again_once_its_line_is_back(
        self, proxy: Proxy, conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # It looks when it is told, and by itself only after an hour.
        monkeypatch.setattr(waiting_module, "POLL_INTERVAL", 3_600.0)
        looks = count_looks(monkeypatch)

        async with AsyncConnectionPool(proxy.dsn, min_size=1, open=False) as pool:
            workflow = Workflow().add("a", make_job())
            await Oban(pool=pool).enqueue_many(workflow)
            waiting = asyncio.create_task(workflow.wait(timeout=30))
            await until(lambda: len(looks) == 2)
            proxy.cut()
            await until(lambda: len(looks) == 3)
            await conn.execute("UPDATE oban_jobs SET state = 'cancelled'")
            assert (await waiting).state == "cancelled"

    async def test_says_that_it_could_not_look(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with AsyncConnectionPool(proxy.dsn, min_size=1, open=False, timeout=1.0) as pool:
            workflow = Workflow(id="w").add("a", make_job())
            await Oban(pool=pool).enqueue_many(workflow)
            proxy.refuses = True
            proxy.cut()

            with pytest.raises(TimeoutError) as late:
                await workflow.wait(timeout=3)

            assert str(late.value).startswith(
                "workflow 'w' must settle within 3 s, and the database cannot be reached: "
            )
            # A pool that waits longer than the caller has said nothing yet.
            pool.timeout = 30.0

            with pytest.raises(TimeoutError, match="3 s, and the database does not answer"):
                await workflow.wait(timeout=3)

            monkeypatch.setattr(waiting_module, "FAILOVER", 0.5)
            pool.timeout = 1.0

            with pytest.raises(OperationalError):
                await workflow.wait()


@worker()
class Asking(Worker):
    """Waits for a signal as long as a job may before it is parked."""

    async def process(self, job: Job) -> Record:
        return Record(await await_signal(block_for=30))


class TestAwaitSignal:
    async def test_costs_no_attempt_when_its_line_is_cut(
        self, proxy: Proxy, conn: AsyncConnection, dsn: str, when: str
    ) -> None:
        async with (
            AsyncConnectionPool(dsn, min_size=1, open=False) as direct,
            AsyncConnectionPool(proxy.dsn, min_size=1, open=False) as pool,
            Oban(pool=pool, queues={"default": 5}, node="cut", **FAST),
        ):
            workflow = Workflow(oban="direct").add("a", Asking.new({}))
            await Oban(pool=direct, name="direct").enqueue_many(workflow)
            asked = "SELECT count(*) FROM oban_workflow_awaits"

            async with asyncio.timeout(20):
                while await rows(conn, asked) != [(1,)]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

            for _ in range(3):
                cut_once(proxy, when, at=b"oban_workflow_await_v1")
                await until(lambda: proxy.cut_before is proxy.cut_after is None)

            await workflow.signal("a", "yes")
            assert (await workflow.wait(timeout=30)).state == "completed"
            assert await workflow.get_recorded("a") == "yes"

        assert await rows(conn, "SELECT attempt, errors FROM oban_jobs") == [(1, [])]


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by each look at a workflow."""
    looks: list[str] = []
    status = reading.status

    async def counted(place: Place, workflow_id: str) -> WorkflowStatus:
        looks.append(workflow_id)

        return await status(place, workflow_id)

    monkeypatch.setattr(reading, "status", counted)

    return looks


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class TestPools:
    async def test_give_out_no_connection_that_was_cut_while_idle(self, proxy: Proxy) -> None:
        async with AsyncConnectionPool(proxy.dsn, min_size=4, open=False) as pool:
            oban = Oban(pool=pool)
            await pool.wait()

            for _ in range(3):
                proxy.cut()
                # It is done in this very loop.
                await asyncio.sleep(0.1)
                await oban.enqueue_many(Workflow().add("a", make_job()))

    async def test_give_out_none_that_the_server_ended_saying_why(
        self, dsn: str, conn: AsyncConnection
    ) -> None:
        async with AsyncConnectionPool(dsn, min_size=4, open=False) as pool:
            oban = Oban(pool=pool)
            await pool.wait()
            await conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await oban.enqueue_many(Workflow().add("a", make_job()))


def _sometimes(rng: random.Random, most: int) -> Callable[[bytes], bool]:
    left = most

    def end(data: bytes) -> bool:
        nonlocal left

        # what commits: a transaction of its own, or a prepared statement (an ack, a fetch)
        if left == 0 or not (b"COMMIT\0" in data or b"\0_pg3_" in data) or rng.random() > 0.3:
            return False

        left -= 1

        return True

    return end
