"""Whose jobs are taken back, and whose are left alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, telemetry, worker
from oban._extensions import use_ext
from oban._lifeline import _rescue as plain_rescue
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, _host, schema
from oban_pro._plugin import lost_jobs, patience
from oban_pro._plugin import rescue as plugin
from tests.support.cluster import RESCUE_AFTER, Cluster
from tests.support.elixir import ELIXIR
from tests.support.engine import make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.silence import HEARD


async def started(cluster: Cluster, **opts: Any) -> str:
    """Have a node that runs a job; both are of this moment."""
    await cluster.oban.enqueue_many([make_job(**opts)])
    uuid = await cluster.join()
    assert len(await cluster.take(uuid)) == 1

    return uuid


class TestSilentNodes:
    async def test_a_silent_node_loses_its_jobs(self, cluster: Cluster) -> None:
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
    async def test_a_patience_that_is_no_number_counts_as_the_default(
        self, cluster: Cluster, patience: Any
    ) -> None:
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
        assert [await cluster.sweep() for _ in range(2)] == [1, 0]
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
                await conn.execute(HEARD.encode())
                await cluster.work_for(1_000)
                assert await cluster.lifeline() == 0
                await cluster.silence(uuid, 61)
                assert await cluster.sweep() == 1


class TestSilence:
    """Only what the database could hear counts."""

    # A twentieth of it is what the machine may take between two looks.
    @pytest.mark.parametrize("patience", [60, 120])
    async def test_counts_anew_when_the_database_was_away(
        self, cluster: Cluster, patience: float
    ) -> None:
        uuid = await self._run_job(cluster, oban_workflows_patience=patience)
        await cluster.pass_unheard(3_600)
        assert await cluster.sweep() == 0
        # a quarter of the patience, which may pass between two looks, has counted
        await cluster.pass_silently(patience * 0.7)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(patience * 0.1)
        assert await cluster.sweep() == 1
        assert uuid

    async def test_counts_anew_when_the_clock_was_set_back(self, cluster: Cluster) -> None:
        await self._run_job(cluster, oban_workflows_patience=60)
        await cluster.pass_unheard(-3_600)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(59)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(2)
        assert await cluster.sweep() == 1

    async def test_counts_from_the_first_look_on(self, cluster: Cluster) -> None:
        await cluster.rows("DELETE FROM oban_workflow_hearing")
        await self._run_job(cluster, oban_workflows_patience=60)
        await cluster.pass_unheard(3_600)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(61)
        assert await cluster.sweep() == 1

    async def test_of_nodes_on_plain_oban_counts_when_their_pools_are_back(
        self, cluster: Cluster
    ) -> None:
        await self._run_job(cluster)
        await cluster.pass_unheard(100)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(60 + 80 - 15)
        assert await cluster.sweep() == 0
        await cluster.pass_silently(20)
        assert await cluster.sweep() == 1

    async def test_counts_however_seldom_somebody_looks(self, cluster: Cluster) -> None:
        await self._run_job(cluster, oban_workflows_patience=60)

        for _ in range(3):
            await cluster.pass_unheard(100)
            assert await cluster.sweep() == 0

        await cluster.pass_unheard(100)
        assert await cluster.sweep() == 1

    async def test_counts_for_one_while_others_are_heard(self, cluster: Cluster) -> None:
        await self._run_job(cluster, oban_workflows_patience=60)
        live = await cluster.join({"oban_workflows_patience": 60})
        await cluster.oban.enqueue_many([make_job()])
        await cluster.take(live)
        await cluster.pass_silently(61)
        await cluster.query.refresh_producers([live])
        assert await cluster.sweep() == 1

    @pytest.mark.parametrize("moment", ["infinity", "-infinity"])
    async def test_counts_from_the_first_look_on_after_an_infinite_heartbeat(
        self, cluster: Cluster, moment: str
    ) -> None:
        uuid = await self._run_job(cluster)
        await cluster.rows(
            "UPDATE oban_producers SET updated_at = %s::timestamp WHERE uuid = %s", (moment, uuid)
        )
        assert await cluster.sweep() == 0
        await cluster.work_for(60 + 150 + 1)
        assert await cluster.sweep() == 1

    async def test_of_jobs_without_a_heartbeat_counts_as_well(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job()])
        await cluster.take("drain", "drain")
        await cluster.pass_unheard(3_600)
        assert await cluster.lifeline() == 0
        await cluster.pass_silently(RESCUE_AFTER)
        assert await cluster.lifeline() == 1

    async def _run_job(self, cluster: Cluster, **meta: Any) -> str:
        await cluster.oban.enqueue_many([make_job()])
        uuid = await cluster.join(meta)
        assert len(await cluster.take(uuid)) == 1
        assert await cluster.sweep() == 0

        return uuid


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
            sweep = asyncio.create_task(cluster.sweep())
            await asyncio.wait([sweep], timeout=0.05)
            assert not sweep.done()

        assert await sweep == 0
        assert await cluster.job_states() == ["completed"]

    async def test_that_wait_without_an_attempt_left_are_discarded(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job(max_attempts=1)])
        await cluster.rows("UPDATE oban_jobs SET attempt = 1")
        assert await cluster.sweep() == 0
        assert await cluster.lifeline() == 1
        assert await cluster.job_states() == ["discarded"]


class TestErrors:
    """Whoever takes a job back says so."""

    @pytest.mark.parametrize(("max_attempts", "state"), [(20, "available"), (1, "discarded")])
    async def test_name_the_node_that_was_silent(
        self, cluster: Cluster, max_attempts: int, state: str
    ) -> None:
        uuid = await started(cluster, max_attempts=max_attempts)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        await cluster.sweep()
        (job,) = await cluster.query.all_jobs([state])
        error: Any
        (error,) = job.errors
        assert error["attempt"] == 1
        expected = "node node was silent for more than 60 seconds and counts as dead"
        assert error["error"] == expected
        at = datetime.fromisoformat(error["at"])
        assert timedelta() < datetime.now(UTC) - at < timedelta(minutes=1)

    async def test_explain_what_they_broke(self, cluster: Cluster) -> None:
        workflow = Workflow().add("a", make_job(max_attempts=1)).add("b", make_job(), deps="a")
        await cluster.enqueue(workflow)
        uuid = await cluster.join()
        await cluster.take(uuid)
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        await cluster.sweep()
        assert (await workflow.explain("b")).summary == (
            "job 'b' was cancelled because job 'a' was discarded after 1 of 1 attempts:"
            " node node was silent for more than 60 seconds and counts as dead"
        )

    async def test_follow_those_of_earlier_attempts(self, cluster: Cluster) -> None:
        uuid = await started(cluster)
        await cluster.rows("""UPDATE oban_jobs SET errors = '[{"error": "first"}]'""")
        await cluster.silence(uuid, 61)
        await cluster.work_for(61)
        await cluster.sweep()
        assert await cluster.rows("SELECT errors -> 0 ->> 'error' FROM oban_jobs") == [("first",)]

    async def test_tell_of_jobs_without_a_heartbeat(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job()])
        await cluster.take("drain", "drain")
        await cluster.work_for(RESCUE_AFTER + 1)
        await cluster.lifeline()
        assert await self._errors(cluster) == [
            "ran for more than 300 seconds on node drain, which sends no heartbeat"
        ]

    async def test_tell_of_jobs_without_an_attempt_left(self, cluster: Cluster) -> None:
        await cluster.oban.enqueue_many([make_job(max_attempts=1)])
        await cluster.rows("UPDATE oban_jobs SET attempt = 1")
        await cluster.lifeline()
        assert await self._errors(cluster) == ["was available without an attempt left"]

    async def test_are_kept_in_tables_that_elixir_made(self, empty_dsn: str) -> None:
        async with (
            await AsyncConnection.connect(empty_dsn, autocommit=True) as conn,
            AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool,
        ):
            await conn.execute(ELIXIR.encode())
            await schema.install(pool)
            await conn.execute(HEARD.encode())
            cluster = Cluster(Oban(pool=pool), conn)
            uuid = await started(cluster, max_attempts=1)
            await cluster.silence(uuid, 61)
            await cluster.work_for(61)
            assert await cluster.sweep() == 1
            assert await cluster.rows(
                "SELECT state::text, errors[1] ->> 'attempt' FROM oban_jobs"
            ) == [("discarded", "1")]

    async def _errors(self, cluster: Cluster) -> list[str]:
        rows = await cluster.rows(
            "SELECT jsonb_path_query(errors, '$[*].error') #>> '{}' FROM oban_jobs"
        )

        return [error for (error,) in rows]


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

    async def test_beat_though_their_pool_is_used_up(
        self, cluster: Cluster, dsn: str, wait_until: WaitUntil
    ) -> None:
        async with (
            AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False) as pool,
            Oban(pool=pool, queues={"default": 1}, name="small", refresher={"interval": 0.2}),
            pool.connection(),
            pool.connection(),
        ):
            ((before,),) = await cluster.rows("SELECT updated_at FROM oban_producers")

            async def have_beaten() -> bool:
                later = "SELECT updated_at > %s + interval '1 s' FROM oban_producers"

                return await cluster.rows(later, [before]) == [(True,)]

            await wait_until(have_beaten)

    @pytest.mark.parametrize("whole", [True, False])
    async def test_keep_a_job_that_goes_on_longer_while_they_stop(
        self,
        start_oban: StartOban,
        cluster: Cluster,
        wait_until: WaitUntil,
        sleeper: type[Sleeper],
        whole: bool,
    ) -> None:
        brief: dict[str, Any] = {"refresher": {"interval": 0.1, "max_age": 0.5}}
        node = await start_oban(**brief, name="stopping", shutdown_grace_period=None)
        await cluster.oban.enqueue_many([sleeper.new()])
        await wait_until(lambda: sleeper.started)
        stopping = asyncio.create_task(node.stop() if whole else node.stop_queue("default"))
        await start_oban(**brief, name="beside")
        await cluster.rows("DELETE FROM oban_workflow_hearing")

        async def have_looked() -> bool:
            heard = (
                "SELECT sum(heard_until - heard_from) > interval '2 s' FROM oban_workflow_hearing"
            )

            return await cluster.rows(heard) == [(True,)]

        try:
            await wait_until(have_looked, timeout=20)
            assert not stopping.done()
        finally:
            sleeper.wake.set()
            await stopping

        assert sleeper.started == 1
        assert await cluster.job_states() == ["completed"]

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

    async def test_keep_their_only_attempt(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        oban, (job,) = await self._take(start_oban, cluster, wait_until, sleeper)
        assert await lost_jobs.requeue(oban._query) == 1
        found = await oban.get_job(job.id or 0)
        assert found is not None
        assert (found.state, found.attempt, found.errors) == ("available", 0, [])

    async def test_lose_it_and_say_why_when_they_had_begun(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        oban, jobs = await self._take(start_oban, cluster, wait_until, sleeper)
        lost_jobs.hand(oban._producers["other"], jobs)
        assert await lost_jobs.requeue(oban._query) == 1
        found = await oban.get_job(jobs[0].id or 0)
        assert found is not None
        assert (found.state, found.attempt) == ("discarded", 1)
        error: Any
        (error,) = found.errors
        assert error["error"] == "node node-1 lost track of the job"

    async def _take(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> tuple[Oban, list[Job]]:
        """Take a job, which may run once, for a producer that does not have it."""
        sleeper.wake.set()
        oban = await start_oban({"other": 1})
        await cluster.oban.enqueue_many([sleeper.new(queue="other")])
        await wait_until(lambda: sleeper.started)
        await cluster.oban.enqueue_many([sleeper.new(max_attempts=1)])
        taken = await cluster.take(oban._producers["other"]._uuid)
        await cluster.work_for(6)

        for job in taken:
            assert job.attempted_at is not None
            job.attempted_at -= timedelta(seconds=6)

        return oban, taken

    async def test_are_none_that_run(
        self, start_oban: StartOban, cluster: Cluster, wait_until: WaitUntil, sleeper: type[Sleeper]
    ) -> None:
        oban = await start_oban()
        await cluster.oban.enqueue_many([sleeper.new()])
        await wait_until(lambda: sleeper.started)
        await cluster.work_for(6)

        for job in _host.running_jobs(oban._producers["default"]):
            assert job.attempted_at is not None
            job.attempted_at -= timedelta(seconds=6)

        assert await lost_jobs.requeue(oban._query) == 0
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

    async def test_a_database_without_workflows_is_not_swept(self, empty_dsn: str) -> None:
        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            query: Any = Oban(pool=pool)._query
            await plugin.sweep(query)
            assert patience.of(query) == patience.DEFAULT
