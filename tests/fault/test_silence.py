"""A database that is away from all nodes for longer than their patience, or whose clock is set."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro.embedded import Postgres
from tests.support.clock import Clock, needs_faketime
from tests.support.fixtures import WaitUntil
from tests.support.nodes import Nodes, drain, rows, wait_for_runs, wait_until_gone
from tests.support.processes import children, freeze, thaw
from tests.support.proxy import Proxy
from tests.support.workload import GO, PATIENCE, RUNS, Endless

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

BEATEN = """
SELECT min(updated_at) > %s + make_interval(secs => %s) FROM oban_producers
"""

pytestmark = pytest.mark.timeout(200)


class Cluster:
    """Two nodes that run jobs without an end, on a server of their own behind a line.

    Args:
        postgres: The server.
        proxy: The line that the nodes have to it.
        runs: A connection to where the jobs tell what they do.
        nodes: The processes.
        wait_until: Polls a condition.
    """

    def __init__(
        self,
        postgres: Postgres,
        proxy: Proxy,
        runs: AsyncConnection,
        nodes: Nodes,
        wait_until: WaitUntil,
    ) -> None:
        self.postgres = postgres
        self.proxy = proxy
        self.runs = runs
        self.nodes = nodes
        self.wait_until = wait_until

    async def outlast(self, seconds: float = 2 * PATIENCE) -> None:
        """Let time pass, for as long as it takes to miss somebody."""
        end = time.monotonic() + seconds
        await self.wait_until(lambda: time.monotonic() > end, timeout=2 * seconds + 10)

    async def assert_that_nothing_starts_again(self) -> None:
        """Wait until whoever is taken for dead has been missed; then let the jobs end."""
        async with await AsyncConnection.connect(self.postgres.dsn(), autocommit=True) as conn:
            ((now,),) = await rows(conn, "SELECT timezone('UTC', now())")

            async def has_beaten() -> bool:
                cursor = await conn.execute(BEATEN.encode(), (now, 2 * PATIENCE))

                return await cursor.fetchone() == (True,)

            await self.wait_until(has_beaten, timeout=60)
            attempts = await rows(self.runs, "SELECT job, attempt FROM runs ORDER BY job")
            assert [attempt for _, attempt in attempts] == [1] * 4
            await self.runs.execute("INSERT INTO go DEFAULT VALUES")
            await drain(conn, 60)

        assert await rows(self.runs, "SELECT count(*) FROM runs") == [(4,)]

    async def assert_that_two_jobs_start_again(self) -> None:
        """Wait until a new node runs what a dead one ran, and nothing else."""
        await asyncio.to_thread(self.nodes.start)
        await wait_for_runs(self.runs, 6)
        attempts = await rows(self.runs, "SELECT attempt, count(*) FROM runs GROUP BY attempt")
        assert sorted(attempts) == [(1, 4), (2, 2)]


@pytest.fixture
def make_cluster(tmp_path: Path, dsn: str, wait_until: WaitUntil) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(clock: Clock | None = None) -> AsyncIterator[Cluster]:
        postgres = Postgres(tmp_path / "data")

        if clock is not None:
            clock.start(postgres)

        async with await AsyncConnection.connect(dsn, autocommit=True) as runs:
            await runs.execute(RUNS.encode())
            await runs.execute(GO.encode())

            with postgres:
                async with Proxy(postgres.dsn()) as proxy:
                    await _enqueue(postgres.dsn())

                    with Nodes(proxy.dsn, dsn, limit=2, settings="brief") as nodes:
                        await asyncio.to_thread(nodes.start)
                        await asyncio.to_thread(nodes.start)
                        await wait_for_runs(runs, 4)

                        yield Cluster(postgres, proxy, runs, nodes, wait_until)

    return make


async def _enqueue(dsn: str) -> None:
    async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
        await schema.install(pool)
        oban = Oban(pool=pool)
        workflow = Workflow().add("a", Endless.new({})).add("b", Endless.new({}))
        await oban.enqueue_many([*workflow, Endless.new({}), Endless.new({})])


@contextmanager
def paused(postgres: Postgres) -> Iterator[None]:
    """Stop all processes of a server, as a virtual machine is paused."""
    # The server first: from then on it starts none, and removes none.
    frozen = freeze([postgres.pid])
    frozen += freeze(children(postgres.pid))

    try:
        yield
    finally:
        thaw(frozen)


class TestLiveNodes:
    async def test_keep_their_jobs_when_the_server_was_restarted(self, make_cluster: Any) -> None:
        async with make_cluster() as cluster:
            os.kill(cluster.postgres.pid, signal.SIGINT)
            await asyncio.to_thread(wait_until_gone, cluster.postgres.pid)
            await cluster.outlast()
            await asyncio.to_thread(cluster.postgres.start)
            cluster.proxy.target = cluster.postgres.dsn()
            await cluster.assert_that_nothing_starts_again()

    async def test_keep_their_jobs_when_the_server_was_paused(self, make_cluster: Any) -> None:
        async with make_cluster() as cluster:
            with paused(cluster.postgres):
                await cluster.outlast()

            await cluster.assert_that_nothing_starts_again()

    async def test_keep_their_jobs_when_all_lines_were_cut(self, make_cluster: Any) -> None:
        async with make_cluster() as cluster:
            cluster.proxy.refuses = True
            cluster.proxy.cut()
            await cluster.outlast()
            cluster.proxy.refuses = False
            await cluster.assert_that_nothing_starts_again()

    async def test_keep_their_jobs_when_nothing_came_through(self, make_cluster: Any) -> None:
        async with make_cluster() as cluster:
            cluster.proxy.stall()
            await cluster.outlast()
            cluster.proxy.flow()
            await cluster.assert_that_nothing_starts_again()


class TestDeadNodes:
    async def test_lose_their_jobs_though_the_database_was_away(self, make_cluster: Any) -> None:
        async with make_cluster() as cluster:
            await asyncio.to_thread(cluster.nodes.kill, cluster.nodes.running[0])

            with paused(cluster.postgres):
                await cluster.outlast()

            await cluster.assert_that_two_jobs_start_again()

    async def test_lose_their_jobs_when_they_alone_are_cut_off(
        self, make_cluster: Any, dsn: str
    ) -> None:
        async with make_cluster() as cluster:
            with Nodes(cluster.postgres.dsn(), dsn, limit=4, settings="brief") as others:
                await asyncio.to_thread(others.start)
                cluster.proxy.refuses = True
                cluster.proxy.cut()
                await wait_for_runs(cluster.runs, 8)

            attempts = await rows(cluster.runs, "SELECT attempt, count(*) FROM runs GROUP BY 1")
            assert sorted(attempts) == [(1, 4), (2, 4)]


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Provide the clock of the server that the test starts."""
    with Clock() as clock:
        yield clock


async def now(cluster: Cluster) -> datetime:
    """Read the clock of the server."""
    async with await AsyncConnection.connect(cluster.postgres.dsn()) as conn:
        ((moment,),) = await rows(conn, "SELECT now()")
        assert isinstance(moment, datetime)

        return moment


@needs_faketime
@pytest.mark.parametrize("seconds", [3600, -3600])
class TestClock:
    async def test_that_is_set_starts_nothing_again_on_live_nodes(
        self, make_cluster: Any, clock: Clock, seconds: int
    ) -> None:
        async with make_cluster(clock) as cluster:
            before = await now(cluster)
            clock.move(seconds)
            assert abs(await now(cluster) - before) > timedelta(minutes=50)
            await cluster.assert_that_nothing_starts_again()

    async def test_that_is_set_saves_no_dead_node(
        self, make_cluster: Any, clock: Clock, seconds: int
    ) -> None:
        async with make_cluster(clock) as cluster:
            await asyncio.to_thread(cluster.nodes.kill, cluster.nodes.running[0])
            clock.move(seconds)
            await cluster.assert_that_two_jobs_start_again()
