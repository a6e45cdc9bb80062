"""Nodes are killed while jobs wait for signals: none is lost, none is taken twice."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from oban_pro import Workflow, signal
from tests.support.nodes import TOO_EARLY, Nodes, drain, rows
from tests.support.recount import assert_consistent
from tests.support.workload import Asking, Step

if TYPE_CHECKING:
    from oban import Job, Oban
    from psycopg import AsyncConnection

KILLS = 4
WORKFLOWS = 60


def build(number: int) -> Workflow:
    return (
        Workflow(id=f"w{number}")
        .add("draft", Step.new({"seconds": 0.02}))
        .add_signal("approval", deps="draft", count=2)
        .add_timer("pause", 0.2, deps="approval")
        .add("ask", Asking.new({}), deps="pause")
        .add("send", Step.new({}), deps="ask")
    )


async def answer(handle: Workflow, ask: Job, rng: random.Random) -> None:
    """Signal all that a workflow waits for, in any order, before or after it waits."""
    acts = [
        lambda: handle.signal("approval", "a", by="ada"),
        lambda: handle.signal("approval", "b", by="bob"),
        lambda: signal(ask.id or 0, f"first of {handle.id}"),
        lambda: signal(ask.id or 0, f"code of {handle.id}", name="code"),
    ]
    rng.shuffle(acts)

    for act in acts:
        await asyncio.sleep(rng.random() * 4)
        assert await act() == 1


class TestKilledNodes:
    @pytest.mark.timeout(300)
    async def test_lose_no_signal_and_take_none_twice(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        rng = random.Random(5)
        jobs = await oban.enqueue_many([job for n in range(WORKFLOWS) for job in build(n)])
        asking = {job.meta["workflow_id"]: job for job in jobs if job.meta["name"] == "ask"}

        with Nodes(dsn, limit=5) as nodes:
            for _ in range(3):
                nodes.start()

            answers = asyncio.gather(
                *(answer(Workflow(id=name), job, rng) for name, job in asking.items())
            )

            for _ in range(KILLS):
                await asyncio.sleep(1.5)
                nodes.kill(rng.choice(nodes.running))
                nodes.start()

            await answers
            await drain(conn, 200)

        await assert_consistent(conn)
        assert await rows(conn, TOO_EARLY) == []
        counts = await rows(conn, "SELECT state::text, count(*) FROM oban_jobs GROUP BY state")
        assert counts == [("completed", 5 * WORKFLOWS)]

        for name in asking:
            results = await Workflow(id=name).all_recorded()
            assert {*results["approval"]} == {"a", "b"}
            assert results["ask"] == [f"first of {name}", f"code of {name}"]
