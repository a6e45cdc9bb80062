"""A timeout, a backoff and what is given up on, while functions run."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from oban import Job, Oban
from oban._backoff import jittery_clamped
from oban.testing import drain_queue, process_job
from oban.worker import JobTimeoutError
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import Workflow, errors, from_result, signal
from oban_pro.testing import run_workflow
from tests.support import bounded, flows, growth
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import error_of, last_error, settled

SOON = 0.01


async def run_once(workflow: Workflow, oban: Oban) -> None:
    """Run each job of a workflow for one attempt."""
    await oban.enqueue_many(workflow)
    await drain_queue("default", with_safety=True, with_scheduled=False)


async def job_of(workflow: Workflow, name: str) -> Job:
    job = await workflow.get_job(name)
    assert job is not None

    return job


def waits(job: Job) -> float:
    """Return the seconds from an attempt of a job to the next."""
    assert job.state == "retryable"
    assert job.scheduled_at is not None
    assert job.attempted_at is not None

    return (job.scheduled_at - job.attempted_at).total_seconds()


@pytest.fixture(autouse=True)
def at_rest() -> Any:
    bounded.release.clear()
    bounded.left_behind.clear()
    bounded.backoffs.clear()
    yield
    bounded.release.set()


class TestTimeout:
    async def test_a_timeout_fails_the_attempt(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.hang, timeout=SOON, max_attempts=2)
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1}
        job = await job_of(workflow, "a")
        assert job.attempt == 2
        assert len(job.errors) == 2
        assert last_error(job).splitlines()[-1] == (
            "oban.worker.JobTimeoutError: job 'a' timed out after 0.01 seconds"
        )
        # where it was
        assert "await asyncio.Event().wait()" in last_error(job)

    async def test_is_of_each_item(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade(
            "each",
            (["slow", "fast"], bounded.hang_item),
            timeout=timedelta(seconds=0.2),
            max_attempts=1,
        )
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1, "completed": 1}
        assert await workflow.all_recorded() == {"each": {"1": "fast"}}

    async def test_is_of_each_item_that_was_recorded(self, oban: Oban) -> None:
        workflow = Workflow().add_context({"items": ["slow", "fast"]})
        workflow.add_cascade("list", bounded.items).add_cascade(
            "each",
            (from_result("list"), bounded.hang_item),
            deps="list",
            timeout=0.2,
            max_attempts=1,
        )
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1, "completed": 3}
        assert "timed out after 0.2 seconds" in await error_of(workflow, "0")

    async def test_is_of_a_grafter(self, oban: Oban) -> None:
        workflow = Workflow().add_graft("g", bounded.hang_builder, timeout=SOON, max_attempts=1)
        await run_workflow(workflow, oban, with_safety=True)
        assert "job 'g' timed out after" in last_error(await job_of(workflow, "g"))

    async def test_leaves_a_plain_function_behind_and_tells_it(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow().add_cascade("a", bounded.block, timeout=SOON, max_attempts=1)
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert "timed out" in await error_of(workflow, "a")
        await wait_until(bounded.left_behind.is_set)

    async def test_is_not_what_a_function_raises_itself(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.own_timeout, timeout=60, max_attempts=1)
        await run_workflow(workflow, oban, with_safety=True)
        assert (await error_of(workflow, "a")).endswith("TimeoutError: of its own\n")

    async def test_begins_anew_with_each_execution(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.snooze_in_time, timeout=60)
        await run_workflow(workflow, oban)
        assert await workflow.get_recorded("a") == "awake"

    async def test_lets_a_job_be_parked_which_gives_up_on_nothing(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade(
            "a", bounded.wait_for_signal, timeout=60, give_up_on=Exception
        )
        await run_once(workflow, oban)
        job = await job_of(workflow, "a")
        assert (job.state, job.errors) == ("scheduled", [])
        assert job.id is not None
        await signal(job.id, "yes")
        await drain_queue("default", with_safety=True, with_scheduled=False)
        assert await workflow.get_recorded("a") == "yes"

    def test_holds_without_a_database(self) -> None:
        (job,) = Workflow().add_cascade("a", bounded.hang, timeout=SOON)
        with pytest.raises(JobTimeoutError, match=r"job 'a' timed out after 0\.01 sec"):
            process_job(job)

    async def test_of_a_row_that_has_none_fails_the_attempt(self, oban: Oban) -> None:
        args = {"function": "tests.support.flows:one", "timeout": "soon"}
        workflow = Workflow().add("a", Job("oban_pro.workers.Cascade", args=args, max_attempts=1))
        await run_workflow(workflow, oban, with_safety=True)
        assert "timeout of the job must be a timedelta or seconds" in await error_of(workflow, "a")


class TestBackoff:
    @pytest.mark.parametrize(
        ("backoff", "seconds"),
        [
            (300, 300),
            (timedelta(hours=1), 3600),
            (0.5, 0.5),
            (bounded.linear, 100),
            (bounded.as_timedelta, 60),
        ],
    )
    async def test_is_the_time_until_the_next_attempt(
        self, oban: Oban, backoff: Any, seconds: float
    ) -> None:
        workflow = Workflow().add_cascade("a", bounded.fail, backoff=backoff)
        await run_once(workflow, oban)
        assert waits(await job_of(workflow, "a")) == pytest.approx(seconds, abs=10, rel=0.01)

    async def test_a_backoff_of_zero_waits_less_than_oban_does(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.fail, backoff=0)
        await run_once(workflow, oban)
        job = await job_of(workflow, "a")
        assert job.scheduled_at is not None
        assert waits(job) < 15  # the least that oban waits

    async def test_is_asked_after_each_attempt(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.fail, backoff=bounded.linear, max_attempts=3)
        await run_workflow(workflow, oban, with_safety=True)
        assert bounded.backoffs == [1, 2]

    async def test_is_of_grafters_and_of_each_item(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_graft("g", growth.graft_rubbish, backoff=300)
            .add_cascade("each", (["bad"], bounded.decline_item), backoff=300)
        )
        await run_once(workflow, oban)
        jobs = await workflow.all_jobs(with_subs=True)
        assert [round(waits(job), -2) for job in jobs] == [300, 300]

    @pytest.mark.parametrize(
        "backoff",
        [
            bounded.negative,
            bounded.infinite,
            bounded.too_long,
            bounded.truth,
            bounded.nothing,
            bounded.raises,
            bounded.exits,
        ],
    )
    async def test_that_is_none_is_that_of_oban(
        self, oban: Oban, backoff: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        workflow = Workflow().add_cascade("a", bounded.fail, backoff=backoff)
        with caplog.at_level(logging.WARNING, "oban_pro.workers"):
            await run_once(workflow, oban)
        job = await job_of(workflow, "a")
        assert 15 <= waits(job) <= jittery_clamped(1, 20) * 2
        assert last_error(job).endswith("ValueError: try again\n")
        assert f"Cannot tell the backoff of job {job.id}" in caplog.text

    @pytest.mark.parametrize("path", ["os:cpu_count", "tests.support.bounded:gone", "", "x"])
    async def test_of_a_row_that_names_no_function_for_it_is_that_of_oban(
        self, oban: Oban, path: str
    ) -> None:
        args = {"function": "tests.support.bounded:fail", "backoff": path}
        workflow = Workflow().add("a", Job("oban_pro.workers.Cascade", args=args))
        await run_once(workflow, oban)
        assert 15 <= waits(await job_of(workflow, "a")) < 60

    async def test_of_a_module_that_rows_may_not_name_is_not_called(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", flows.ask_for_silent, backoff=bounded.linear)
        oban_pro.configure(modules=["tests.support.flows"])
        await run_once(workflow, oban)
        assert waits(await job_of(workflow, "a")) < 60
        assert bounded.backoffs == []

    async def test_unset_is_that_of_oban(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.fail)
        await run_once(workflow, oban)
        assert 15 <= waits(await job_of(workflow, "a")) < 60


class TestGivingUp:
    @pytest.mark.parametrize("function", [bounded.decline, bounded.decline_blocking])
    @pytest.mark.parametrize(
        "classes", [bounded.DeclinedError, bounded.StolenError, (ValueError, bounded.DeclinedError)]
    )
    async def test_an_error_to_give_up_on_discards_at_once(
        self, oban: Oban, function: Any, classes: Any
    ) -> None:
        workflow = Workflow().add_cascade("a", function, give_up_on=classes)
        workflow.add_cascade("b", flows.one, deps="a")
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1, "cancelled": 1}
        job = await job_of(workflow, "a")
        assert (job.attempt, job.max_attempts) == (1, 20)
        assert len(job.errors) == 1
        assert "StolenError: card is stolen" in last_error(job)

    async def test_is_for_no_other_exception(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade(
            "a", bounded.fail, give_up_on=(bounded.DeclinedError, OSError)
        )
        await run_once(workflow, oban)
        assert (await job_of(workflow, "a")).state == "retryable"

    async def test_is_for_each_item_by_itself(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade(
            "each", (["bad", "good"], bounded.decline_item), give_up_on=bounded.DeclinedError
        )
        await run_once(workflow, oban)
        jobs = await workflow.all_jobs(with_subs=True)
        assert [job.state for job in jobs] == ["discarded", "retryable"]

    async def test_a_grafter_gives_up_too(self, oban: Oban) -> None:
        workflow = Workflow().add_graft(
            "g", bounded.decline_builder, give_up_on=bounded.DeclinedError
        )
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1}

    async def test_may_be_on_a_timeout(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.hang, timeout=SOON, give_up_on=TimeoutError)
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1}

    async def test_may_be_on_what_cannot_be_recorded(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.unstorable, give_up_on=errors.CascadeError)
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.counts == {"discarded": 1}

    async def test_is_not_on_a_function_that_is_not_there_yet(self, oban: Oban) -> None:
        """An old node must leave a new function to new ones, whatever the function gives up on."""
        args = {"function": "tests.support.bounded:gone", "give_up_on": ["builtins:LookupError"]}
        workflow = Workflow().add("a", Job("oban_pro.workers.Cascade", args=args))
        await run_once(workflow, oban)
        assert (await job_of(workflow, "a")).state == "retryable"

    async def test_imports_nothing_for_what_a_row_names(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        paths = ["antigravity:Error", "no.such.module:Error", 5, None]
        args = {"function": "tests.support.bounded:fail", "give_up_on": paths}
        workflow = Workflow().add("a", Job("oban_pro.workers.Cascade", args=args))
        await run_once(workflow, oban)
        assert (await job_of(workflow, "a")).state == "retryable"

    async def test_leaves_an_attempt_to_who_retries_it(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", bounded.decline, give_up_on=bounded.DeclinedError)
        await run_workflow(workflow, oban, with_safety=True)
        assert await workflow.retry_jobs() == 1
        assert (await job_of(workflow, "a")).state == "available"
