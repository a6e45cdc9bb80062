"""Nodes that are killed while they work."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support.nodes import Nodes, assert_all_well, drain, rows, wait_for_runs
from tests.support.workload import Grafting, Step

if TYPE_CHECKING:
    from oban import Job, Oban

LIMIT = 20
KILLS = 5


def steps(count: int) -> list[Job]:
    return [Step.new({"seconds": 0.02}) for _ in range(count)]


def workflows() -> list[Workflow]:
    """Build about 5,000 jobs: fan-ins, fan-outs, chains, grafts, nested."""
    wide = Workflow().add_many("in", steps(800)).add_many("out", steps(800), deps="in")
    chain = Workflow()

    for n in range(60):
        chain.add(f"{n}", *steps(1), deps=[f"{n - 1}"] if n else [])

    grafts = Workflow().add("a", *steps(1))

    for n in range(40):
        grafts.add_graft(f"graft{n}", Grafting.new({"size": 30}), deps="a")

    grafts.add("b", *steps(1), deps=[f"graft{n}" for n in range(40)])
    small = [
        Workflow().add("a", *steps(1)).add_many("many", steps(5), deps="a") for _ in range(200)
    ]
    nested = Workflow().add_workflow("wide", wide).add_workflow("chain", chain, deps="wide")

    return [wide.add("end", *steps(1), deps="out"), grafts, nested, *small]


# oban asks for a lease of 30 seconds, and gets one of 3: who starts later leads, beside the first.
LEAD_ON = "UPDATE oban_leaders SET expires_at = timezone('UTC', now()) + interval '30 s'"


class TestKilledNodes:
    @pytest.mark.timeout(400)
    async def test_lose_nothing_and_start_nothing_too_early(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        rng = random.Random(1)
        jobs = [job for one in workflows() for job in one]
        await oban.enqueue_many(jobs)
        total = len(jobs) + 40 * 32

        with Nodes(dsn, limit=LIMIT) as nodes:
            for _ in range(3):
                nodes.start()

            for n in range(1, KILLS + 1):
                await wait_for_runs(conn, n * total // (KILLS + 2))
                nodes.kill(rng.choice(nodes.running))
                nodes.start()

            await drain(conn, 240)

        await assert_all_well(conn, interrupted=2 * LIMIT * KILLS)
        ((completed, all_jobs),) = await rows(
            conn, "SELECT count(*) FILTER (WHERE state = 'completed'), count(*) FROM oban_jobs"
        )
        assert (completed, all_jobs) == (total, total)

    @pytest.mark.timeout(200)
    async def test_are_missed_soon_though_they_led_the_cluster(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        with Nodes(dsn, limit=1) as nodes:
            leader = nodes.start()
            await oban.enqueue_many([*Workflow().add("a", Step.new({"seconds": 1_000}))])
            await wait_for_runs(conn, 1)
            await conn.execute("UPDATE oban_jobs SET args = '{}'")
            await conn.execute(LEAD_ON)
            other = nodes.start()
            assert await rows(conn, "SELECT node FROM oban_leaders") == [("node-1",)]
            nodes.kill(leader)
            # Sooner than the lease of a leader ends, and the lifeline of the next one ticks.
            await drain(conn, 25)
            assert other.poll() is None

        nodes_of: list[Any] = await rows(conn, "SELECT node FROM runs ORDER BY n")
        assert nodes_of == [("node-1",), ("node-2",)]

    @pytest.mark.timeout(200)
    async def test_are_missed_within_90_seconds_by_default(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        with Nodes(dsn, limit=1, settings="default") as nodes:
            leader = nodes.start()
            await oban.enqueue_many([*Workflow().add("a", Step.new({"seconds": 1_000}))])
            await wait_for_runs(conn, 1)
            await conn.execute("UPDATE oban_jobs SET args = '{}'")
            await conn.execute(LEAD_ON)
            nodes.start()
            assert await rows(conn, "SELECT node FROM oban_leaders") == [("node-1",)]
            nodes.kill(leader)
            ((beat,),) = await rows(
                conn, "SELECT updated_at FROM oban_producers WHERE node = 'node-1'"
            )
            await drain(conn, 110)

        ((node, started_at),) = await rows(
            conn, "SELECT node, timezone('UTC', started_at) FROM runs ORDER BY n OFFSET 1"
        )
        assert node == "node-2"
        # Far from the 300 seconds after which oban goes by the age of a job.
        assert started_at - beat < timedelta(seconds=90)
