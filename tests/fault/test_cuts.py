"""Lines to PostgreSQL that are cut: in the middle of a transaction, or as its answer comes back."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.errors import DuplicateNameError
from tests.engine import make_job
from tests.fault import workload
from tests.fault.nodes import assert_all_well, drain, rows
from tests.fault.proxy import Proxy
from tests.fault.workload import FAST, RUNS, Grafting, Step
from tests.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(RUNS.encode())
        yield conn


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


def cut_once(proxy: Proxy, when: str) -> None:
    """Cut the line of the next transaction that commits: before it does, or after."""

    def end(data: bytes) -> bool:
        if b"COMMIT\0" not in data:
            return False

        proxy.cut_before = proxy.cut_after = None

        return True

    setattr(proxy, f"cut_{when}", end)


@pytest.fixture(params=["before", "after"])
def when(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestInsert:
    async def test_can_be_repeated(self, proxy: Proxy, conn: AsyncConnection, when: str) -> None:
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
    async def test_can_be_repeated(self, proxy: Proxy, conn: AsyncConnection, when: str) -> None:
        async with through(proxy) as pool:
            oban = Oban(pool=pool)
            await oban.enqueue_many(Workflow(id="one").add_many("many", [make_job(), make_job()]))
            handle = Workflow(id="one", oban=oban._name)
            cut_once(proxy, when)

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
            return proxy.cuts == 0 and b"oban_workflow_ack" in data

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
