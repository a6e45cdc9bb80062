"""A workflow that somebody holds, in a transaction that is left open, costs that workflow only."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import deferred_acks
from tests.support import growth
from tests.support.engine import make_job
from tests.support.graphs import settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cluster import Cluster
    from tests.support.fixtures import StartOban, WaitUntil

QUEUES = dict.fromkeys(("a", "b", "c", "d"), 3)

# Each heartbeat is later than the one before.
BEATEN = "SELECT min(updated_at) > timezone('UTC', now()) - interval '2 s' FROM oban_producers"

runs: Counter[int | None] = Counter()
gate = asyncio.Event()


@worker()
class Counted(Worker):
    """Counts how often each job runs."""

    async def process(self, job: Job) -> None:
        runs[job.id] += 1


@worker()
class Gated(Worker):
    """Runs until the gate is open."""

    async def process(self, job: Job) -> None:
        runs[job.id] += 1
        await gate.wait()


@pytest.fixture(autouse=True)
def forget_runs() -> None:
    runs.clear()
    gate.clear()


def counted(name: str, **options: Any) -> Workflow:
    """Build two jobs for each queue, and one that waits for them."""
    workflow = Workflow(id=name)

    for queue in QUEUES:
        for n in range(2):
            workflow.add(f"{queue}{n}", Counted.new({}, queue=queue, **options))

    deps = [f"{queue}{n}" for queue in QUEUES for n in range(2)]

    return workflow.add("end", Counted.new({}, queue="a"), deps=deps)


@asynccontextmanager
async def held(dsn: str, workflow_id: str) -> AsyncIterator[AsyncConnection]:
    """Hold a workflow as long as the block: a job is added, and not committed."""
    addition = Workflow(check_deps=False).add("added", Counted.new({}, queue="a"))

    async with await AsyncConnection.connect(dsn) as conn:
        await Workflow(id=workflow_id).append(addition, conn=conn)

        yield conn

        await conn.rollback()


@pytest.fixture
async def small_pool(dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool with fewer connections than there are queues."""
    async with AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False) as pool:
        yield pool


class TestNodes:
    async def test_go_on_with_everything_else(
        self,
        small_pool: AsyncConnectionPool,
        start_oban: StartOban,
        oban: Oban,
        dsn: str,
        conn: AsyncConnection,
        wait_until: WaitUntil,
    ) -> None:
        await oban.enqueue_many([*counted("held"), *counted("free")])

        async with held(dsn, "held"):
            node = await start_oban(
                QUEUES, pool=small_pool, name="node", refresher={"interval": 0.2}
            )
            await wait_until(lambda: settled(Workflow(id="free")))
            # Its jobs run, and their acks wait: all but the last, which waits for them.
            await wait_until(lambda: deferred_acks.count(node._query) == 8)
            plain = [Counted.new({}, queue=queue) for queue in QUEUES]
            soon = Counted.new({}, queue="a", scheduled_in=timedelta(seconds=1))
            jobs = await oban.enqueue_many([*plain, soon, *counted("later")])

            async def have_completed() -> bool:
                found = [await oban.get_job(job.id or 0) for job in jobs]

                return all(job is not None and job.state == "completed" for job in found)

            await wait_until(have_completed, timeout=20)

            async def has_beaten() -> bool:
                return await (await conn.execute(BEATEN)).fetchone() == (True,)

            await wait_until(has_beaten)
            status = await Workflow(id="held").status()
            assert status.counts == {"executing": 8, "suspended": 1}

        await wait_until(lambda: settled(Workflow(id="held")))
        assert {*runs.values()} == {1}
        assert deferred_acks.count(node._query) == 0

    async def test_settle_the_rest_of_a_batch_though_one_row_is_locked(
        self, start_oban: StartOban, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        jobs = await oban.enqueue_many([Gated.new({}) for _ in range(10)])
        node = await start_oban({"default": 20}, name="node")
        await wait_until(lambda: len(runs) == 10)

        async with await AsyncConnection.connect(dsn) as conn:
            await conn.execute("SELECT FROM oban_jobs WHERE id = %s FOR SHARE", [jobs[3].id])
            gate.set()

            async def others_have_settled() -> bool:
                states = "SELECT count(*) FROM oban_jobs WHERE state = 'completed'"

                return await (await conn.execute(states)).fetchone() == (9,)

            await wait_until(others_have_settled)
            await wait_until(lambda: deferred_acks.count(node._query) == 1)

        await wait_until(lambda: deferred_acks.count(node._query) == 0)
        job = await oban.get_job(jobs[3].id or 0)
        assert job is not None
        assert (job.state, job.attempt) == ("completed", 1)

    async def test_keep_a_graft_that_was_returned(
        self, start_oban: StartOban, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(id="held").add_graft("grow", growth.graft_pair)
        await oban.enqueue_many(workflow)

        async with held(dsn, "held"):
            node = await start_oban(name="node")
            await wait_until(lambda: deferred_acks.count(node._query) == 1)
            free = await oban.enqueue_many(Workflow(id="free").add("x", Counted.new({})))
            await wait_until(lambda: runs[free[0].id] == 1)

        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "completed"

    async def test_start_jobs_that_were_taken_together_with_one_that_cannot_be_read(
        self, start_oban: StartOban, oban: Oban, conn: AsyncConnection, dsn: str,
        wait_until: WaitUntil,
    ) -> None:  # fmt: skip
        (unreadable,) = await oban.enqueue_many(Workflow(id="held").add("x", Counted.new({})))
        many_digits = (
            """UPDATE oban_jobs SET args = ('{"n": ' || repeat('9', 5000) || '}')::jsonb"""
        )
        await conn.execute(many_digits.encode())
        await oban.enqueue_many([Counted.new({}) for _ in range(3)])

        async with held(dsn, "held"):
            await start_oban(name="node")
            await wait_until(lambda: len(runs) == 3)

        async def has_failed() -> bool:
            job = await oban.get_job(unreadable.id or 0)

            return job is not None and job.state == "retryable"

        await conn.execute("UPDATE oban_jobs SET args = '{}' WHERE id = %s", [unreadable.id])
        await wait_until(has_failed)
        assert runs.total() == 3

    async def test_stop_and_leave_what_is_held(
        self, start_oban: StartOban, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        await oban.enqueue_many(Workflow(id="held").add("x", Counted.new({})))

        async with held(dsn, "held"):
            node = await start_oban(name="node")
            await wait_until(lambda: deferred_acks.count(node._query) == 1)
            await asyncio.wait_for(node.stop(), timeout=10)
            assert (await Workflow(id="held").status()).counts == {"executing": 1}
            tasks = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in tasks if name.startswith("oban-workflows")}


class TestRescue:
    async def test_of_the_others_goes_on(self, cluster: Cluster, dsn: str) -> None:
        await cluster.enqueue(Workflow(id="held").add("x", make_job()))
        await cluster.oban.enqueue_many([make_job(), *Workflow(id="free").add("y", make_job())])
        await self._die(cluster, 3)

        async with held(dsn, "held"):
            assert await cluster.sweep() == 2
            assert await cluster.job_states() == ["executing", "available", "available"]

        assert await cluster.sweep() == 1

    async def test_of_the_others_goes_on_though_one_row_is_locked(
        self, cluster: Cluster, dsn: str
    ) -> None:
        first, *_ = await cluster.oban.enqueue_many([make_job() for _ in range(5)])
        await self._die(cluster, 5)

        async with await AsyncConnection.connect(dsn) as conn:
            await conn.execute("SELECT FROM oban_jobs WHERE id = %s FOR SHARE", [first.id])
            assert await cluster.sweep() == 4

        assert await cluster.sweep() == 1

    async def test_of_the_others_goes_on_though_a_dependent_is_locked(
        self, cluster: Cluster, dsn: str
    ) -> None:
        """A job without attempts left is discarded, and what depends on it is cancelled."""
        workflow = Workflow().add("x", make_job(max_attempts=1)).add("y", make_job(), deps="x")
        await cluster.enqueue(workflow)
        await cluster.oban.enqueue_many([make_job() for _ in range(4)])
        await self._die(cluster, 5)

        async with await AsyncConnection.connect(dsn) as conn:
            await conn.execute("SELECT FROM oban_jobs WHERE state = 'suspended' FOR UPDATE")
            assert await cluster.sweep() == 4

        assert await cluster.sweep() == 1

    async def _die(self, cluster: Cluster, jobs: int) -> None:
        uuid = await cluster.join()
        assert len(await cluster.take(uuid)) == jobs
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
