"""PostgreSQL that goes down without a warning, and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro.embedded import Postgres
from tests.support.nodes import (
    Nodes,
    assert_all_well,
    drain,
    rows,
    wait_for_runs,
    wait_until_gone,
)
from tests.support.proxy import Proxy
from tests.support.workload import RUNS, Grafting, Step

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 10


def workflow() -> Workflow:
    """Build 600 jobs, and 200 more that are grafted."""
    one = Workflow().add("a", Step.new({}))
    one.add_many("in", [Step.new({"seconds": 0.02}) for _ in range(300)], deps="a")

    for n in range(10):
        one.add_graft(f"graft{n}", Grafting.new({"size": 18}), deps="a")

    one.add_many("out", [Step.new({"seconds": 0.02}) for _ in range(300)], deps="in")

    return one.add("b", Step.new({}), deps=["out", *(f"graft{n}" for n in range(10))])


class TestRestartedServer:
    @pytest.mark.timeout(200)
    async def test_loses_nothing_and_starts_nothing_too_early(
        self, tmp_path: Path, dsn: str
    ) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as runs:
            await runs.execute(RUNS.encode())

            with Postgres(tmp_path / "data") as postgres:
                async with Proxy(postgres.dsn()) as proxy:
                    await self._enqueue(postgres.dsn())

                    with Nodes(proxy.dsn, dsn, LIMIT) as nodes:
                        # In a thread: the line to the server is in this one.
                        await asyncio.to_thread(nodes.start)
                        await asyncio.to_thread(nodes.start)

                        for count in (100, 300, 500):
                            await wait_for_runs(runs, count)
                            os.kill(postgres.pid, signal.SIGQUIT)
                            await asyncio.to_thread(wait_until_gone, postgres.pid)
                            await asyncio.to_thread(postgres.start)
                            proxy.target = postgres.dsn()
                            proxy.cut()

                        await self._judge(postgres.dsn(), runs)

    async def _enqueue(self, dsn: str) -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            await schema.install(pool)
            await Oban(pool=pool).enqueue_many(workflow())

    async def _judge(self, dsn: str, runs: AsyncConnection) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            await drain(conn, 120)
            await conn.execute(RUNS.encode())
            lines = await rows(runs, "SELECT job, attempt, node, started_at, finished_at FROM runs")
            await conn.cursor().executemany(
                "INSERT INTO runs (job, attempt, node, started_at, finished_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                lines,
            )
            await assert_all_well(conn, interrupted=0)
            assert await rows(
                conn, "SELECT state::text, count(*) FROM oban_jobs GROUP BY state"
            ) == [("completed", 612 + 200)]
