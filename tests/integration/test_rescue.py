"""Whose jobs are taken back, and whose are left alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, telemetry, worker
from oban._extensions import use_ext
from oban._lifeline import _rescue as plain_rescue
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro._plugin import heartbeat, limbo
from oban_pro._plugin import rescue as plugin
from oban_pro.transactions import run
from tests.conftest import StartOban
from tests.engine import Engine, make_job

PATIENCE = 60.0
RESCUE_AFTER = 300.0


class Cluster(Engine):
    """Nodes that are rows alone: they beat, take jobs and fall silent as a test says."""

    async def join(self, meta: dict[str, Any] | None = None) -> str:
        uuid = str(uuid4())
        await self.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta=meta or {}
        )

        return uuid

    async def take(self, uuid: str, node: str = "node", demand: int = 100) -> list[Job]:
        jobs = await self.query.fetch_jobs(demand, "default", node, uuid)
        self.running |= {job.id: job for job in jobs if job.id is not None}

        return jobs

    async def silence(self, uuid: str, seconds: float) -> None:
        """Let the last heartbeat be that long ago."""
        await self.rows(
            "UPDATE oban_producers SET updated_at = updated_at - make_interval(secs => %s)"
            " WHERE uuid = %s",
            (seconds, uuid),
        )

    async def work_for(self, seconds: float) -> None:
        """Let every executing job have run for that long."""
        await self.rows(
            "UPDATE oban_jobs SET attempted_at = attempted_at - make_interval(secs => %s)"
            " WHERE state = 'executing'",
            (seconds,),
        )

    async def sweep(self) -> int:
        """Look as every node does each few seconds."""
        rescued = await run(self.query, lambda store: store.rescue(PATIENCE))
        await self.check()

        return rescued

    async def lifeline(self) -> int:
        """Look as the leader does once a minute; returns how many it says were rescued."""
        events: list[dict[str, Any]] = []
        names = ["oban.lifeline.rescue.stop"]
        telemetry.attach("rescue", names, lambda _, meta: events.append(meta))

        try:
            await use_ext("lifeline.rescue", plain_rescue, self.query, RESCUE_AFTER)
        finally:
            telemetry.detach("rescue")

        await self.check()
        (event,) = events

        return int(event["rescued_count"])

    async def job_states(self) -> list[str]:
        return [state for (state,) in await self.rows("SELECT state FROM oban_jobs ORDER BY id")]


@pytest.fixture
async def cluster(oban: Oban, pool: Any) -> AsyncIterator[Cluster]:
    async with await AsyncConnection.connect(pool.conninfo, autocommit=True) as conn:
        yield Cluster(oban, conn)


async def started(cluster: Cluster, **opts: Any) -> str:
    """Have a node that runs a job; both are of this moment."""
    await cluster.oban.enqueue_many([make_job(**opts)])
    uuid = await cluster.join()
    assert len(await cluster.take(uuid)) == 1

    return uuid


class TestSilentNodes:
    async def test_lose_their_jobs(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert await cluster.sweep() == 1
        assert await cluster.rows("SELECT state, meta ->> 'rescued' FROM oban_jobs") == [
            ("available", "1")
        ]

    async def test_lose_them_to_the_lifeline_as_well(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert await cluster.lifeline() == 1
        assert await cluster.job_states() == ["available"]

    async def test_lose_them_when_the_leader_has_cleared_them_away(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert await cluster.query.cleanup_expired_producers(60) == 1
        assert await cluster.sweep() == 1

    async def test_lose_what_they_left_behind_when_they_stopped(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.query.delete_producer(uuid)
        await cluster.work_for(61)
        assert await cluster.sweep() == 0
        await cluster.rows("UPDATE oban_workflow_producers SET left_at = left_at - interval '61 s'")
        assert await cluster.sweep() == 1

    async def test_are_given_the_time_they_asked_for(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job()])
        uuid = await cluster.join({"oban_workflows_patience": 300})
        await cluster.take(uuid)
        await cluster.silence(uuid, 299)
        await cluster.work_for(10_000)
        assert await cluster.sweep() == 0
        await cluster.silence(uuid, 2)
        assert await cluster.sweep() == 1

    async def test_are_missed_sooner_when_they_said_so(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job()])
        uuid = await cluster.join({"oban_workflows_patience": 4})
        await cluster.take(uuid)
        await cluster.silence(uuid, 5)
        await cluster.work_for(5)
        assert await cluster.sweep() == 1

    @pytest.mark.parametrize("patience", ["soon", None, [], {"a": 1}])
    async def test_may_say_nonsense(self, cluster: Cluster, patience: Any) -> None:
        await cluster.oban.enqueue_many([make_job()])
        uuid = await cluster.join({"oban_workflows_patience": patience})
        await cluster.take(uuid)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert await cluster.sweep() == 1

    async def test_lose_each_job_once(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert [await cluster.sweep() for _ in range(2)] == [1, 0]

    async def test_come_back_too_late_to_settle_them(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        (job,) = cluster.running.values()
        await cluster.silence(uuid, 61)
        await cluster.rows("UPDATE oban_jobs SET attempted_at = attempted_at - interval '61 s'")
        await cluster.sweep()
        await cluster.take(await cluster.join())
        assert await cluster.ack([job], "completed") == []
        assert await cluster.job_states() == ["executing"]

    async def test_are_forgotten_when_nothing_of_theirs_runs(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.query.cleanup_expired_producers(60)
        assert await cluster.sweep() == 0
        assert await cluster.rows("SELECT count(*) FROM oban_workflow_producers") == [(1,)]
        await cluster.work_for(61)
        assert await cluster.sweep() == 1
        assert await cluster.rows("SELECT count(*) FROM oban_workflow_producers") == [(0,)]


class TestLiveNodes:
    async def test_keep_a_job_however_long_it_runs(self, cluster: Cluster) -> None:
        await started(cluster)
        await cluster.work_for(1_000_000)
        assert await cluster.sweep() == 0
        assert await cluster.lifeline() == 0
        assert await cluster.job_states() == ["executing"]

    async def test_keep_a_job_taken_before_the_first_heartbeat_after_a_pause(
        self, cluster: Cluster
    ) -> None:
        uuid = await cluster.join()
        await cluster.silence(uuid, 3_600)
        await cluster.oban.enqueue_many([make_job()])
        await cluster.take(uuid)
        assert await cluster.sweep() == 0
        assert await cluster.job_states() == ["executing"]

    async def test_keep_jobs_while_their_rows_are_gone_after_a_crash(
        self, cluster: Cluster
    ) -> None:
        uuid = await started(cluster)
        await cluster.work_for(1_000_000)
        await cluster.rows("TRUNCATE oban_producers")
        assert await cluster.sweep() == 0
        await cluster.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta={}
        )
        assert await cluster.lifeline() == 0
        assert await cluster.job_states() == ["executing"]

    async def test_that_died_in_the_crash_are_missed_after_it(self, cluster: Cluster) -> None:
        await started(cluster)
        await cluster.work_for(1_000)
        await cluster.rows("TRUNCATE oban_producers")
        assert await cluster.sweep() == 0
        await cluster.rows("UPDATE oban_workflow_producers SET left_at = left_at - interval '61 s'")
        assert await cluster.sweep() == 1

    async def test_that_were_there_before_the_installation_count(self, empty_dsn: str) -> None:
        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            await schema.install(pool)
            await schema.uninstall(pool)
            oban = Oban(pool=pool)
            async with await AsyncConnection.connect(empty_dsn, autocommit=True) as conn:
                cluster = Cluster(oban, conn)
                uuid = await started(cluster)
                await schema.install(pool)
                await cluster.work_for(1_000)
                assert await cluster.lifeline() == 0
                await cluster.silence(uuid, 61)
                assert await cluster.sweep() == 1


class TestNodesWithoutHeartbeat:
    """Those who never write to oban_producers: draining, and Oban for Elixir's basic engine."""

    @pytest.mark.parametrize("attempted_by", [("drain", "drain"), ("beam@host", str(uuid4()))])
    async def test_lose_jobs_by_age_alone(
        self, cluster: Cluster, attempted_by: tuple[str, str]
    ) -> None:
        await cluster.oban.enqueue_many([make_job()])
        node, uuid = attempted_by
        await cluster.take(uuid, node)
        await cluster.work_for(RESCUE_AFTER - 10)
        assert await cluster.sweep() == 0
        assert await cluster.lifeline() == 0
        await cluster.work_for(20)
        assert await cluster.sweep() == 0
        assert await cluster.lifeline() == 1


class TestRescuedJobs:
    async def test_are_discarded_without_attempts_left_and_break_their_dependents(
        self, cluster: Cluster
    ) -> None:
        one = Workflow().add("a", make_job(max_attempts=1)).add("b", make_job(), deps="a")
        await cluster.enqueue(one)
        uuid = await cluster.join()
        await cluster.take(uuid)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        assert await cluster.sweep() == 1
        assert await cluster.states() == {"a": "discarded", "b": "cancelled"}

    async def test_leave_their_dependents_where_they_are(self, cluster: Cluster) -> None:
        one = Workflow().add("a", make_job()).add("b", make_job(), deps="a")
        await cluster.enqueue(one)
        uuid = await cluster.join()
        await cluster.take(uuid)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        await cluster.sweep()
        assert await cluster.states() == {"a": "available", "b": "suspended"}

    async def test_are_passed_over_when_settled_meanwhile(self, cluster: Cluster, dsn: str) -> None:
        uuid = await started(cluster)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)

        async with await AsyncConnection.connect(dsn) as other:
            await other.execute("UPDATE oban_jobs SET state = 'completed', completed_at = now()")
            rescue = asyncio.create_task(cluster.sweep())
            await asyncio.wait([rescue], timeout=0.05)
            assert not rescue.done()

        assert await rescue == 0
        assert await cluster.job_states() == ["completed"]

    async def test_that_wait_without_an_attempt_left_are_discarded(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job(max_attempts=1)])
        await cluster.rows("UPDATE oban_jobs SET attempt = 1")
        assert await cluster.sweep() == 0
        assert await cluster.lifeline() == 1
        assert await cluster.job_states() == ["discarded"]


@worker()
class Sleeper(Worker):
    """Runs until the test says so."""

    started: int = 0
    wake = asyncio.Event()

    async def process(self, job: Job) -> None:
        Sleeper.started += 1
        await Sleeper.wake.wait()


@pytest.fixture
def sleeper() -> type[Sleeper]:
    Sleeper.started, Sleeper.wake = 0, asyncio.Event()

    return Sleeper


type WaitUntil = Callable[..., Awaitable[Any]]


class TestNodes:
    async def test_say_how_long_to_wait_for_them(
        self, start_oban: StartOban, cluster: Cluster
    ) -> None:
        await start_oban({"default": 1}, refresher={"interval": 1.0, "max_age": 4.0})
        assert await cluster.rows("SELECT patience FROM oban_workflow_producers") == [(4,)]

    async def test_are_given_time_for_two_heartbeats_at_least(
        self, start_oban: StartOban, cluster: Cluster
    ) -> None:
        await start_oban({"default": 1}, refresher={"interval": 10.0, "max_age": 5.0})
        assert await cluster.rows("SELECT patience FROM oban_workflow_producers") == [(20,)]

    async def test_without_leadership_rescue_as_well(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        sleeper.wake.set()
        await cluster.oban.enqueue_many([sleeper.new()])
        uuid = await cluster.join()
        await cluster.take(uuid)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        await start_oban(leadership=False)

        async def settled() -> bool:
            return await cluster.job_states() == ["completed"]

        await wait_until(settled)

    async def test_start_a_long_job_once(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        fast = {"interval": 0.1, "max_age": 0.5}
        opts: dict[str, Any] = {
            "refresher": fast,
            "lifeline": {"interval": 0.1, "rescue_after": 0.2},
        }
        await start_oban(**opts)
        await start_oban(**opts)
        await cluster.oban.enqueue_many([sleeper.new()])
        await wait_until(lambda: sleeper.started)
        seen = 0

        def count(_name: str, meta: dict[str, Any]) -> None:
            nonlocal seen
            seen += 1

        telemetry.attach("long", ["oban.lifeline.rescue.stop"], count)

        try:
            await wait_until(lambda: seen > 15)
        finally:
            telemetry.detach("long")

        assert sleeper.started == 1
        sleeper.wake.set()


class TestJobsThatNeverReachTheirProducer:
    async def test_run_though_the_producer_is_alive(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        sleeper.wake.set()
        fast = {"interval": 0.1, "max_age": 2.0}
        oban = await start_oban({"other": 1}, refresher=fast)
        await cluster.oban.enqueue_many([sleeper.new(queue="other")])

        async def states_are(*states: str) -> bool:
            return await cluster.job_states() == [*states]

        await wait_until(lambda: states_are("completed"))
        await cluster.oban.enqueue_many([sleeper.new()])
        await cluster.take(oban._producers["other"]._uuid)
        await cluster.work_for(6)
        await wait_until(lambda: states_are("completed", "available"))

    async def test_are_none_that_run(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        oban = await start_oban()
        await cluster.oban.enqueue_many([sleeper.new()])
        await wait_until(lambda: sleeper.started)
        await cluster.work_for(6)
        assert await limbo.give_back(oban._query) == 0
        sleeper.wake.set()


class TestDatabasesWithoutWorkflows:
    async def test_are_rescued_as_oban_does(self, cluster: Cluster, pool: Any) -> None:
        await started(cluster)
        await schema.uninstall(pool)
        await cluster.work_for(RESCUE_AFTER + 1)
        await use_ext("lifeline.rescue", plain_rescue, cluster.query, RESCUE_AFTER)
        assert await cluster.job_states() == ["available"]

    async def test_are_left_to_whoever_was_there_before(self, empty_dsn: str) -> None:
        calls: list[Any] = []

        async def other(*args: Any) -> None:
            calls.append(args)

        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            query: Any = Oban(pool=pool)._query
            await plugin.build(other)(query, 300)

        assert calls == [(query, 300)]

    async def test_are_not_swept(self, empty_dsn: str) -> None:
        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            query: Any = Oban(pool=pool)._query
            await plugin.sweep(query)
            assert heartbeat.patience_of(query) == heartbeat.DEFAULT
