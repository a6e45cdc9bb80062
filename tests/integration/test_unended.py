"""A job does not start again before its last execution has ended."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from oban import Job, Oban, worker
from oban._executor import AckAction
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import lost_jobs
from oban_pro._plugin import prune as plugin
from oban_pro._plugin.deferred_acks import execution_of
from oban_pro.engine.results import Lost
from tests.support.engine import make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.node_row import Node
from tests.support.silence import HEARD, rescue


@pytest.fixture
async def node(oban: Oban, conn: AsyncConnection) -> Node:
    node = Node(oban, conn)
    await node.join({"oban_workflows_patience": 60.0})

    return node


def pair() -> Workflow:
    return Workflow(id="pair").add("a", make_job()).add("b", make_job(), deps="a")


HANDLE = Workflow(id="pair")

END = """
SELECT
  oban_workflow_end_executions(
    array_agg(id ORDER BY id), array_agg(attempted_at ORDER BY id), NULL
  )
FROM oban_workflow_unended
"""
"""Ends all executions that have not ended, as acks do."""


async def prune(node: Node) -> None:
    """Remove whatever has settled, as a new leader does."""
    plugin._starts.pop(node.query, None)
    await use_ext("pruner.prune", plain_prune, node.query, 0, 10_000)


class TestCancelledJobs:
    async def test_wait_for_the_late_ack_when_they_are_retried(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")

        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()
        assert await node.states() == {"a": "suspended", "b": "suspended"}

        assert await node.ack([job], "completed") == []
        assert await node.states() == {"a": "available", "b": "suspended"}
        assert await node.unended() == []

    async def test_start_again_at_once_when_the_ack_came_before(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")

        await HANDLE.cancel_jobs()
        assert await node.unended() == ["a"]
        assert await node.ack([job], "completed") == []
        assert await node.unended() == []

        await HANDLE.retry_jobs()
        assert await node.states() == {"a": "available", "b": "suspended"}

    async def test_wait_for_an_ack_that_leaves_more_behind(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")

        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()
        assert await node.ack([job], "retryable", error={"error": "boom"}, schedule_in=60) == []
        assert (await node.row("a")).state == "available"

    async def test_say_what_they_wait_for(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.start("a")
        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()

        explanation = await HANDLE.explain("a")
        assert explanation.reason == "ending"
        assert explanation.summary == "job 'a' waits for the end of its last execution"
        explanation = await HANDLE.explain("b")
        assert explanation.reason == "waiting"
        assert explanation.summary == (
            "job 'b' waits for its dependency; job 'a' waits for the end of its last execution"
        )

    async def test_wait_however_they_are_revived(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")

        await HANDLE.cancel_jobs()
        await node.retry("a")
        assert (await node.row("a")).state == "suspended"

        await node.set_states({"a": "available"})
        assert (await node.row("a")).state == "suspended"

        await node.ack([job], "completed")
        assert (await node.row("a")).state == "available"

    async def test_wait_for_their_time_as_well(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")

        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()
        await node.psql(
            "UPDATE oban_jobs SET scheduled_at = timezone('UTC', now()) + interval '1 hour'"
            " WHERE id = %s",
            job.id,
        )
        await node.ack([job], "completed")
        assert (await node.row("a")).state == "scheduled"

    async def test_wait_for_their_dependencies_as_well(self, node: Node) -> None:
        workflow = Workflow(id="pair", ignore_cancelled=True).add("a", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a"))
        await node.complete("a")
        (job,) = await node.start("b")

        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs(names=["a", "b"])
        await node.ack([job], "completed")
        assert await node.states() == {"a": "available", "b": "suspended"}

        await node.complete("a")
        assert (await node.row("b")).state == "available"

    async def test_go_on_at_once_on_nodes_without_this_package(self, node: Node) -> None:
        await node.join({})
        await node.enqueue(pair())
        await node.start("a")

        await HANDLE.cancel_jobs()
        assert await node.unended() == []
        await HANDLE.retry_jobs()
        assert (await node.row("a")).state == "available"

    async def test_of_many_workflows_wait_each_for_its_own(self, node: Node) -> None:
        workflows = [Workflow(id=f"w{n}").add(f"j{n}", make_job()) for n in range(20)]
        await node.enqueue(*workflows)
        jobs = await node.start(*(f"j{n}" for n in range(20)))

        for n in range(20):
            await Workflow(id=f"w{n}").cancel_jobs()
            await Workflow(id=f"w{n}").retry_jobs()

        await node.ack(jobs[:10], "completed")
        states = await node.states()
        assert [states[f"j{n}"] for n in range(20)] == ["available"] * 10 + ["suspended"] * 10


class TestPlainJobs:
    async def test_wait_for_the_late_ack_when_they_are_retried(self, node: Node) -> None:
        await node.oban.enqueue_many([make_job()])
        (job,) = await node.fetch()
        await node.rows("UPDATE oban_jobs SET state = 'cancelled'")
        assert await node.unended() == ["plain"]

        await node.oban.retry_many_jobs([job.id or 0])
        assert await node.job_state() == "suspended"

        assert await node.query.ack_jobs([AckAction(job=job, state="completed")]) == []
        assert await node.job_state() == "available"
        assert await node.unended() == []

    async def test_wait_when_a_lifeline_of_oban_takes_them_from_a_live_node(
        self, node: Node
    ) -> None:
        await node.oban.enqueue_many([make_job()])
        (job,) = await node.fetch()
        assert await node.query.rescue_jobs(0) == 1
        assert await node.job_state() == "suspended"

        assert await node.query.ack_jobs([AckAction(job=job, state="completed")]) == []
        assert await node.job_state() == "available"

    async def test_are_retried_together_with_jobs_of_workflows(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.oban.enqueue_many([make_job()])
        jobs = await node.fetch()
        ids: list[Job | int] = [job.id or 0 for job in jobs]
        await node.rows("UPDATE oban_jobs SET state = 'cancelled' WHERE state = 'executing'")
        await node.oban.retry_many_jobs(ids)
        statement = "SELECT DISTINCT state::text FROM oban_jobs WHERE id = ANY(%s)"
        assert await node.rows(statement, [ids]) == [("suspended",)]

        await node.query.ack_jobs([AckAction(job=job, state="completed") for job in jobs])
        assert await node.rows(statement, [ids]) == [("available",)]


class TestPruner:
    async def test_keeps_a_workflow_until_its_executions_have_ended(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        await prune(node)
        assert await node.states() == {"a": "cancelled", "b": "cancelled"}

        await node.ack([job], "completed")
        await prune(node)
        assert (await HANDLE.status()).state == "unknown"

    async def test_keeps_a_plain_job_until_its_execution_has_ended(self, node: Node) -> None:
        await node.oban.enqueue_many([make_job()])
        (job,) = await node.fetch()
        await node.rows("UPDATE oban_jobs SET state = 'cancelled', cancelled_at = now()")
        await prune(node)
        assert await node.job_state() == "cancelled"

        await node.ack([job], "completed")
        await prune(node)
        assert await node.rows("SELECT FROM oban_jobs") == []


class TestRaces:
    @pytest.mark.parametrize("in_workflow", [True, False])
    async def test_of_a_retry_and_a_late_ack_leave_nothing_behind(
        self, node: Node, in_workflow: bool
    ) -> None:
        """Whichever comes first, the job runs again."""
        if in_workflow:
            await node.enqueue(*(Workflow(id=f"w{n}").add(f"j{n}", make_job()) for n in range(50)))
        else:
            await node.oban.enqueue_many([make_job() for _ in range(50)])

        jobs = await node.fetch()
        assert len(jobs) == 50
        await node.rows("UPDATE oban_jobs SET state = 'cancelled'")

        async def revive(job: Job) -> None:
            await node.oban.retry_many_jobs([job.id or 0])

        async def end(job: Job) -> None:
            assert await node.query.ack_jobs([AckAction(job=job, state="completed")]) == []

        await asyncio.gather(*(act(job) for job in jobs for act in (revive, end)))
        assert await node.rows("SELECT DISTINCT state::text FROM oban_jobs") == [("available",)]
        assert await node.rows("SELECT FROM oban_workflow_unended") == []
        await node.check()

    async def test_let_a_job_start_at_once_that_is_retried_while_its_execution_ends(
        self, node: Node, wait_until: WaitUntil
    ) -> None:
        await node.oban.enqueue_many([make_job(), make_job()])
        first, second = sorted(job.id or 0 for job in await node.fetch())
        await node.rows("UPDATE oban_jobs SET state = 'cancelled'")
        waiting = (
            "SELECT 1 FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )

        async with node.oban._connection() as holder, node.oban._connection() as ending:
            async with holder.transaction():
                await holder.execute("SELECT FROM oban_jobs WHERE id = %s FOR UPDATE", [first])
                end = asyncio.create_task(ending.execute(END))
                await wait_until(lambda: node.rows(waiting))
                await node.oban.retry_many_jobs([second])

            await end

        state = "SELECT state::text FROM oban_jobs WHERE id = %s"
        assert await node.rows(state, [second]) == [("available",)]


class TestExecutionsThatNobodyRuns:
    async def test_end_when_the_jobs_are_given_back_before_they_began(self, node: Node) -> None:
        await node.enqueue(pair())
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()

        lost = [Lost(*execution_of(job), None)]
        assert await lost_jobs.take_back(node.query, lost) == 0
        assert (await node.row("a")).state == "available"

    async def test_end_when_their_node_falls_silent(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.start("a")
        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()

        await node.rows(HEARD)
        await node.rows("UPDATE oban_producers SET updated_at = updated_at - '61s'::interval")
        await rescue(node.query)
        assert (await node.row("a")).state == "available"
        assert await node.unended() == []

    async def test_end_when_nobody_knows_their_node(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.start("a")
        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()

        await node.rows("DELETE FROM oban_producers")
        await node.rows("DELETE FROM oban_workflow_producers")
        await rescue(node.query)
        assert (await node.row("a")).state == "available"

    async def test_end_when_their_producer_does_not_have_them(
        self, node: Node, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban({"other": 1})
        node.uuid = oban._producers["other"]._uuid
        await node.enqueue(pair())
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        await HANDLE.retry_jobs()
        await node.rows(
            "UPDATE oban_workflow_unended SET attempted_at = attempted_at - '6s'::interval"
        )
        # The producer takes nothing ahead: it has never fetched.
        lost_jobs._producers.setdefault(oban._producers["other"], Counter())

        await lost_jobs.requeue(oban._query)
        assert (await node.row("a")).state == "available"
        assert job.id is not None


@pytest.fixture
def stubborn() -> type[Any]:
    """Provide a worker that looks at no cancellation, and tells how many run at once."""

    @worker(queue="default")
    class Stubborn:
        running = 0
        most = 0
        starts = 0
        cancelled = False
        go: asyncio.Event

        async def process(self, job: Job) -> None:
            kind = type(self)
            kind.starts += 1
            kind.running += 1
            kind.most = max(kind.most, kind.running)

            try:
                await kind.go.wait()
                kind.cancelled |= job.cancelled()
            finally:
                kind.running -= 1

    Stubborn.go = asyncio.Event()

    return Stubborn


class TestNodes:
    async def test_never_run_a_job_twice_at_once(
        self, start_oban: StartOban, stubborn: Any, wait_until: WaitUntil
    ) -> None:
        oban, _ = await start_oban(), await start_oban()
        workflow = Workflow().add("a", stubborn.new()).add("b", stubborn.new(), deps="a")
        await oban.enqueue_many(workflow)
        await wait_until(lambda: stubborn.starts == 1)

        for _ in range(3):
            await workflow.cancel_jobs()
            await workflow.retry_jobs()

        # Another job passes both nodes, and shows that they have looked for work since.
        await oban.enqueue_many([stubborn.new(), stubborn.new()])
        await wait_until(lambda: stubborn.starts == 3)
        stubborn.most = 0
        stubborn.go.set()
        await workflow.wait(timeout=20)
        assert (await workflow.status()).state == "completed"
        assert stubborn.starts == 5
        job = await workflow.get_job("a")
        assert job is not None
        assert job.attempt == 2

    async def test_tell_a_worker_that_its_job_was_stopped_even_if_no_notification_came(
        self, start_oban: StartOban, stubborn: Any, pool: AsyncConnectionPool, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        await oban.enqueue_many([stubborn.new()])
        await wait_until(lambda: stubborn.starts == 1)

        async with pool.connection() as conn:
            await conn.execute("UPDATE oban_jobs SET state = 'cancelled'")

        await lost_jobs.requeue(oban._query)
        stubborn.go.set()
        await wait_until(lambda: stubborn.running == 0)
        assert stubborn.cancelled

    async def test_do_not_start_what_they_run_already(
        self, start_oban: StartOban, stubborn: Any, pool: AsyncConnectionPool, wait_until: WaitUntil
    ) -> None:
        """A node that was taken for dead fetches its own job."""
        oban = await start_oban()
        workflow = Workflow().add("a", stubborn.new())
        await oban.enqueue_many(workflow)
        await wait_until(lambda: stubborn.starts == 1)
        given_up = "SET oban_workflows.given_up = 'on'; UPDATE oban_jobs SET state = 'available'"

        async with pool.connection() as conn, conn.transaction():
            await conn.execute(given_up.replace("SET oban", "SET LOCAL oban", 1))

        async def is_held() -> bool:
            oban._producers["default"].notify()
            job = await workflow.get_job("a")

            return job is not None and job.state == "suspended"

        await wait_until(is_held)
        assert stubborn.starts == 1
        stubborn.go.set()
        await workflow.wait(timeout=20)
        assert stubborn.starts == 2
        assert stubborn.most == 1
        job = await workflow.get_job("a")
        assert job is not None
        assert (job.state, job.attempt) == ("completed", 2)


IGNORES: Any = {"ignore_cancelled": True}


class TestWhatFollowsACancelledJob:
    """A dependent that ignores the cancellation starts once the execution has ended."""

    async def test_waits_for_the_end_of_its_execution(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job()).add("c", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a", **IGNORES))
        jobs = {job.id: job for job in await node.start("a", "c")}
        await HANDLE.cancel_jobs(names=["a"])
        assert await node.states() == {"a": "cancelled", "b": "suspended", "c": "executing"}

        # the rest of the workflow goes on
        await node.ack([jobs[node.ids["c"]]], "completed")
        assert (await node.states())["b"] == "suspended"

        await node.ack([jobs[node.ids["a"]]], "completed")
        assert (await node.states())["b"] == "available"

    async def test_starts_at_once_where_the_job_did_not_execute(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a", **IGNORES))
        await HANDLE.cancel_jobs(names=["a"])
        assert await node.states() == {"a": "cancelled", "b": "available"}

    async def test_waits_where_the_job_was_discarded_by_hand(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a", ignore_discarded=True))
        (job,) = await node.start("a")
        await node.set_states({"a": "discarded"})
        assert (await node.states())["b"] == "suspended"
        await node.ack([job], "completed")
        assert await node.states() == {"a": "discarded", "b": "available"}

    async def test_starts_at_once_where_the_job_was_completed_by_hand(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.start("a")
        await node.set_states({"a": "completed"})
        assert await node.states() == {"a": "completed", "b": "available"}

    async def test_waits_behind_what_was_cancelled_with_it(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job()).add("b", make_job(), deps="a")
        await node.enqueue(workflow.add("c", make_job(), deps="b", **IGNORES))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs(names=["a"])
        assert await node.states() == {"a": "cancelled", "b": "cancelled", "c": "suspended"}
        await node.ack([job], "completed")
        assert (await node.states())["c"] == "available"

    async def test_waits_at_the_gate_of_a_group_and_behind_an_empty_one(self, node: Node) -> None:
        group = Workflow(**IGNORES).add("x", make_job()).add("y", make_job(), deps="x")
        workflow = (
            Workflow(id="pair")
            .add("a", make_job())
            .add_workflow("group", group, deps="a")
            .add_workflow("empty", Workflow(**IGNORES), deps="a")
            .add("b", make_job(), deps="empty")
        )
        await node.enqueue(workflow)
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs(names=["a"])
        states = await node.states()
        assert states["group/x"] == states["group/y"] == states["b"] == "suspended"
        await node.ack([job], "completed")
        states = await node.states()
        assert (states["group/x"], states["group/y"], states["b"]) == (
            "available",
            "suspended",
            "available",
        )

    async def test_waits_behind_a_group_with_such_a_job(self, node: Node) -> None:
        inner = Workflow().add("a", make_job())
        workflow = Workflow(id="pair").add_workflow("group", inner)
        await node.enqueue(workflow.add("b", make_job(), deps="group", **IGNORES))
        (job,) = await node.start("group/a")
        await HANDLE.cancel_jobs(names=["group"])
        assert (await node.states())["b"] == "suspended"
        await node.ack([job], "completed")
        assert (await node.states())["b"] == "available"

    async def test_waits_when_it_is_appended_later(self, node: Node) -> None:
        await node.enqueue(Workflow(id="pair").add("a", make_job()))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        addition = Workflow(check_deps=False).add("b", make_job(), deps="a", **IGNORES)
        await HANDLE.append(addition.add("c", make_job()))
        await node._learn()
        assert await node.states() == {"a": "cancelled", "b": "suspended", "c": "available"}
        await node.ack([job], "completed")
        assert (await node.states())["b"] == "available"

    async def test_waits_however_it_is_made_available(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a", **IGNORES))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs(names=["a"])
        await node.retry("b")
        assert (await node.states())["b"] == "suspended"
        await node.set_states({"b": "available"})
        assert (await node.states())["b"] == "suspended"
        await node.ack([job], "completed")
        assert (await node.states())["b"] == "available"

    async def test_goes_on_when_the_node_is_given_up(self, node: Node, conn: Any) -> None:
        workflow = Workflow(id="pair").add("a", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps="a", **IGNORES))
        await node.start("a")
        await HANDLE.cancel_jobs(names=["a"])
        await node.psql("DELETE FROM oban_workflow_hearing")
        await node.psql(HEARD)
        await node.psql("UPDATE oban_producers SET updated_at = updated_at - interval '61 s'")
        await rescue(node.query)
        assert (await node.states())["b"] == "available"

    async def test_waits_for_each_of_several_executions(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job()).add("c", make_job())
        await node.enqueue(workflow.add("b", make_job(), deps=["a", "c"], **IGNORES))
        jobs = {job.id: job for job in await node.start("a", "c")}
        await HANDLE.cancel_jobs(names=["a", "c"])
        await node.ack([jobs[node.ids["c"]]], "completed")
        assert (await node.states())["b"] == "suspended"
        await node.ack([jobs[node.ids["a"]]], "completed")
        assert (await node.states())["b"] == "available"

    async def test_is_a_wait_that_opens_only_then(self, node: Node) -> None:
        workflow = Workflow(id="pair").add("a", make_job())
        await node.enqueue(workflow.add_signal("b", deps="a", wait_for=60, **IGNORES))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs(names=["a"])
        await HANDLE.signal("b", 1)
        assert (await node.states())["b"] == "suspended"
        await node.ack([job], "completed")
        assert (await node.states())["b"] == "completed"
