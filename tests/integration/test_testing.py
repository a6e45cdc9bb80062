"""The helpers that users' tests get, and oban's own with workflows."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from oban import Job, Oban, Snooze, Worker, worker
from oban.testing import drain_queue, mode
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor
from oban_pro.testing import (
    assert_job,
    assert_order,
    assert_workflow,
    refute_ran,
    run_workflow,
)
from tests.support import flows
from tests.support.databases import Server
from tests.support.graphs import Work, diamond, work

flag = asyncio.Event()


@worker()
class Restless(Worker):
    async def process(self, job: Job) -> Any:
        return Snooze(3600)


@worker()
class Grafting(Worker):
    async def process(self, job: Job) -> Any:
        grafted = Workflow().add("x", work()).add_graft("again", Leaf.new({}), deps="x")
        await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, grafted))


@worker()
class Leaf(Worker):
    async def process(self, job: Job) -> Any:
        await Oban.get_instance().enqueue_many(
            Workflow.apply_graft(job, Workflow().add("leaf", work()))
        )


@worker()
class Appending(Worker):
    async def process(self, job: Job) -> Any:
        addition = Workflow(check_deps=False).add("appended", work(), deps="first")
        await Workflow.for_job(job).append(addition)


@worker()
class Waiting(Worker):
    """Wait until the job beside it runs."""

    async def process(self, job: Job) -> Any:
        await flag.wait()


@worker()
class Asking(Worker):
    """See that it runs, and alone."""

    async def process(self, job: Job) -> Any:
        status = await Workflow.for_job(job).status()
        assert status.counts["executing"] == 1


async def noted(context: Any) -> str:
    flag.set()
    return "noted"


class TestRunWorkflow:
    async def test_enqueues_and_runs_a_workflow_to_its_end(self, oban: Oban) -> None:
        workflow = diamond()
        status = await run_workflow(workflow)
        assert (status.state, status.counts) == ("completed", Counter(completed=4))
        assert status == await workflow.status()

    async def test_runs_one_that_is_enqueued_already(self, oban: Oban) -> None:
        await oban.enqueue_many(diamond(id="w"))
        assert (await run_workflow(Workflow(id="w"))).state == "completed"
        assert await doctor.audit() == []

    async def test_leaves_every_other_job_alone(self, oban: Oban) -> None:
        other = diamond()
        await oban.enqueue_many([*other, work()])
        await run_workflow(diamond())
        assert (await other.status()).counts == Counter(available=1, suspended=3)

    async def test_runs_nested_grafted_and_appended_jobs_in_any_queue(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("first", work(queue="elsewhere"))
            .add("more", Appending.new({}, queue="other"))
            .add_workflow("sub", diamond(), deps="first")
            .add_graft("graft", Grafting.new({}), deps="sub")
            .add("last", work(), deps="graft")
        )
        status = await run_workflow(workflow)
        assert (status.state, status.total) == ("completed", 12)
        await assert_order(workflow, "first", "sub/start", "graft", "graft/again/leaf", "last")
        await assert_order(workflow, "first", "appended")

    async def test_does_not_wait_for_what_is_scheduled_snoozed_or_retried(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("tomorrow", work(scheduled_in=86_400))
            .add("snooze", Work.new({"do": "snooze", "delay": 3600}), deps="tomorrow")
            .add("later", work(scheduled_in=999_999), deps="snooze")
            .add("fail", work("fail", max_attempts=3), deps="later")
        )
        status = await run_workflow(workflow, with_safety=True)
        assert status.counts == Counter(completed=3, discarded=1)
        job = await assert_job(workflow, "fail", state="discarded", attempt=3)
        assert len(job.errors) == 3

    async def test_runs_what_waits_for_a_time_in_the_order_of_the_times(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("next week", work(scheduled_in=7 * 86_400))
            .add("tomorrow", work(scheduled_in=86_400))
            .add("now", work())
        )
        await run_workflow(workflow)
        await assert_order(workflow, "now", "tomorrow", "next week")

    async def test_raises_the_first_exception_once_it_is_recorded(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work("fail")).add("b", work(), deps="a")

        with pytest.raises(RuntimeError, match="told to fail"):
            await run_workflow(workflow)

        await assert_job(workflow, "a", state="retryable", error_contains="told to fail")

    async def test_records_exceptions_with_safety(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work("fail", max_attempts=1)).add("b", work(), deps="a")
        status = await run_workflow(workflow, with_safety=True)
        assert (status.state, status.counts) == ("discarded", Counter(discarded=1, cancelled=1))
        await refute_ran(workflow, "b")

    async def test_gives_cascades_their_context(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_context({"source": "api"})
            .add_cascade("extract", flows.extract)
            .add_cascade("transform", flows.transform, deps="extract")
            .add_cascade("load", flows.load, deps="transform")
        )
        await run_workflow(workflow)
        assert await workflow.get_recorded("load") == {"loaded": 3}

    async def test_runs_jobs_at_the_same_time(self, oban: Oban) -> None:
        workflow = Workflow().add("peek", Waiting.new({})).add_cascade("result", noted)
        assert (await run_workflow(workflow)).state == "completed"

    async def test_runs_no_more_jobs_at_a_time_than_asked(self, oban: Oban) -> None:
        workflow = Workflow()

        for number in range(3):
            workflow.add(f"{number}", Asking.new({}))

        assert (await run_workflow(workflow, concurrency=1)).state == "completed"

    async def test_uses_the_instance_that_is_named(
        self, oban: Oban, postgres: Server, template: str
    ) -> None:
        with postgres.database(template) as name:
            async with AsyncConnectionPool(postgres.dsn(name), min_size=1, open=False) as pool:
                other = Oban(pool=pool, name="other")
                # Its jobs find it too, although there is an "Oban".
                by_instance = Workflow(oban="other").add("ask", Asking.new({}))
                assert (await run_workflow(by_instance, other)).state == "completed"
                by_name = Workflow(oban="other").add("ask", Asking.new({}))
                assert (await run_workflow(by_name, "other")).state == "completed"
                await assert_workflow(by_name, state="completed", oban="other")

        assert (await Workflow(id=by_name.id).status()).state == "unknown"

    async def test_runs_a_wide_fan_out(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("start", work())
            .add_many("many", [work() for _ in range(1000)], deps="start")
        )
        assert (await run_workflow(workflow)).counts == Counter(completed=1001)

    async def test_explains_what_cannot_move(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work()).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)
        await oban._query.fetch_jobs(demand=1, queue="default", node="elsewhere", uuid="x")

        with pytest.raises(AssertionError) as raised:
            await run_workflow(workflow)

        message = str(raised.value)
        assert "job 'a' was started on 'elsewhere'" in message
        assert "job 'b' waits for its dependency" in message
        assert "suspended" in message.splitlines()[-1]

    async def test_gives_up_on_a_job_that_never_settles(self, oban: Oban) -> None:
        workflow = Workflow().add("restless", Restless.new({}))

        with pytest.raises(AssertionError, match="'restless' must settle within 5 runs"):
            await run_workflow(workflow, max_runs=5)

    async def test_refuses_a_handle_to_nothing(self, oban: Oban) -> None:
        with pytest.raises(AssertionError, match="'typo' must be in the database or have jobs"):
            await run_workflow(Workflow(id="typo"))


class TestAssertWorkflow:
    async def test_takes_a_workflow_or_a_status(self, oban: Oban) -> None:
        workflow = diamond()
        status = await run_workflow(workflow)
        assert await assert_workflow(workflow, state="completed", total=4, completed=4) == status
        assert await assert_workflow(status, completed=4, discarded=0) is status

    async def test_says_what_differs_with_a_table_of_the_jobs(self, oban: Oban) -> None:
        workflow = (
            Workflow(id="w")
            .add("a", work("fail", max_attempts=1))
            .add_workflow("sub", Workflow().add("b", work()), deps="a")
        )
        await run_workflow(workflow, with_safety=True)

        with pytest.raises(AssertionError) as raised:
            await assert_workflow(workflow, state="completed", cancelled=0)

        assert str(raised.value).splitlines() == [
            "workflow 'w': state must be 'completed', got 'discarded'; cancelled must be 0, got 1",
            "",
            "  a      discarded  1/1   RuntimeError: told to fail",
            "  sub/b  cancelled  0/20  cancelled because upstream job 'a' was discarded",
        ]

    async def test_assert_workflow_refuses_a_state_it_does_not_know(self, oban: Oban) -> None:
        with pytest.raises(TypeError, match="'finished'"):
            await assert_workflow(diamond(), finished=1)


class TestAssertJob:
    async def test_assert_job_returns_the_job(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work("cancel"))
        await run_workflow(workflow)
        job = await assert_job(
            workflow, "a", state="cancelled", attempt=1, error_contains="told", queue="default"
        )
        assert job.meta["name"] == "a"

    @pytest.mark.parametrize(
        ("expected", "message"),
        [
            ({"state": "completed"}, "state must be 'completed', got 'cancelled'"),
            ({"attempt": 2}, "attempt must be 2, got 1"),
            ({"queue": "media"}, "queue must be 'media', got 'default'"),
            ({"error_contains": "disk"}, "an error must contain 'disk', got 'told to cancel'"),
        ],
    )
    async def test_assert_job_says_what_differs(
        self, expected: dict[str, Any], message: str, oban: Oban
    ) -> None:
        workflow = Workflow().add("a", work("cancel"))
        await run_workflow(workflow)

        with pytest.raises(AssertionError) as raised:
            await assert_job(workflow, "a", **expected)

        assert message in str(raised.value)

    async def test_names_the_closest_job(self, oban: Oban) -> None:
        workflow = Workflow().add_workflow("sub", diamond())
        await oban.enqueue_many(workflow)

        with pytest.raises(AssertionError, match=r"'sub/strat'.*did you mean 'sub/start'"):
            await assert_job(workflow, "sub/strat")

    async def test_assert_job_refuses_a_group(self, oban: Oban) -> None:
        workflow = Workflow().add_workflow("sub", diamond())
        await oban.enqueue_many(workflow)

        with pytest.raises(AssertionError, match="'sub' must be a job"):
            await assert_job(workflow, "sub")


class TestAssertOrder:
    async def test_fails_where_jobs_ran_in_another_order(self, oban: Oban) -> None:
        workflow = diamond()
        await run_workflow(workflow)

        with pytest.raises(AssertionError, match="'start' must start after 'left' is completed"):
            await assert_order(workflow, "left", "start")

    async def test_fails_where_one_did_not_run(self, oban: Oban) -> None:
        workflow = diamond()
        await oban.enqueue_many(workflow)

        with pytest.raises(AssertionError, match="'start': state must be 'completed'"):
            await assert_order(workflow, "start", "end")


class TestRefuteRan:
    async def test_fails_where_one_ran(self, oban: Oban) -> None:
        workflow = diamond()
        await run_workflow(workflow)

        with pytest.raises(AssertionError, match="'end' must not have run, it is completed"):
            await refute_ran(workflow, "end")


class TestObansOwnHelpers:
    async def test_draining_a_queue_runs_workflows(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("first", Work.new({"do": "snooze", "delay": 60}))
            .add_workflow("sub", diamond(), deps="first")
            .add_graft("graft", Grafting.new({}), deps="sub")
            .add_cascade("seen", flows.see, deps="graft")
        )
        await oban.enqueue_many(workflow)
        summary = await drain_queue()
        assert (summary["completed"], summary["scheduled"]) == (10, 1)
        await assert_workflow(workflow, state="completed", completed=10)

    async def test_draining_finds_the_database_of_handles(self, pool: AsyncConnectionPool) -> None:
        other = Oban(pool=pool, name="other")
        await other.enqueue_many(Workflow(oban="other").add("ask", Asking.new({})))
        assert (await drain_queue(oban=other))["completed"] == 1

    async def test_inline_mode_runs_a_workflow_at_once(self, oban: Oban) -> None:
        flows.saved.clear()
        workflow = (
            Workflow()
            .add_context({"source": "inline"})
            .add_cascade("extract", flows.extract)
            .add_cascade("transform", flows.transform, deps="extract")
            .add_cascade("load", flows.load, deps="transform")
        )

        with mode("inline"):
            await oban.enqueue_many(workflow)

        assert flows.saved == ["INLINE 0", "INLINE 1", "INLINE 2"]
        assert (await workflow.status()).state == "unknown"

    async def test_run_workflow_uses_the_database_in_every_mode(self, oban: Oban) -> None:
        with mode("inline"):
            assert (await run_workflow(diamond())).state == "completed"
