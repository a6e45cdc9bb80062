"""Loops: cascades that return Again, one turn after the other."""

import json
from typing import Any
from uuid import UUID

import pytest
from oban import Job, Oban, Snooze, Worker, current_job, worker
from oban.testing import drain_queue, process_job
from psycopg_pool import AsyncConnectionPool

from oban_pro import Again, Workflow
from oban_pro.errors import InvalidArgumentError, InvalidOptionError
from oban_pro.testing import run_workflow
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.graphs import settled

seen: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    seen.clear()


def _turn() -> Any:
    job = current_job()
    assert job is not None

    return job.meta.get("turn")


async def count_up(context: dict[str, Any]) -> Any:
    """Count to what the context says, one number each turn."""
    number = context.get("count", 0)
    seen.append((number, _turn(), "count" in context))

    return Again(number + 1) if number < context["last"] else [number, _turn()]


def count_up_blocking(context: dict[str, Any]) -> Any:
    number = context.get("count", 0)

    return Again(number + 1, 0.01) if number < 2 else number


async def fail_once(context: dict[str, Any]) -> Any:
    """Fail in each turn at first."""
    job = current_job()
    number = context.get("loop", 0)
    assert job is not None
    seen.append((number, job.attempt))

    if job.attempt == 1 or (number == 1 and context.get("fails")):
        raise ValueError("not yet")

    return Again(number + 1) if number < 2 else number


async def snooze_once(context: dict[str, Any]) -> Any:
    job = current_job()
    assert job is not None
    seen.append((context.get("loop"), job.meta.get("snoozed")))

    if context.get("loop") == "second" and "snoozed" not in job.meta:
        return Snooze(1)

    return "done" if "loop" in context else Again("second")


async def again_for_ever(context: dict[str, Any]) -> Any:
    return Again({"more": {1, 2}}, delay=3600)


async def again_item(item: Any, context: dict[str, Any]) -> Any:
    return Again(item)


async def again_object(context: dict[str, Any]) -> Any:
    return Again(object())


async def again_never(context: dict[str, Any]) -> Any:
    return Again(1, delay=-1)


async def keep(context: dict[str, Any]) -> Any:
    return context.get("count", "nothing")


@worker()
class PlainWorker(Worker):
    async def process(self, _: Job) -> Any:
        return Again(1)


def loop(**options: Any) -> Workflow:
    return (
        Workflow()
        .add_context({"last": 3})
        .add_cascade("count", count_up, **options)
        .add_cascade("after", keep, deps="count")
    )


async def job_of(workflow: Workflow, name: str) -> Job:
    job = await workflow.get_job(name)
    assert job is not None

    return job


class TestALoop:
    async def test_goes_on_with_what_it_returned_until_it_returns_something_else(
        self, run: Run
    ) -> None:
        workflow = loop(max_attempts=1)
        recorded = await run(workflow)

        assert recorded == {"count": [3, 3], "after": [3, 3]}
        assert seen == [(0, None, False), (1, 1, True), (2, 2, True), (3, 3, True)]
        job = await job_of(workflow, "count")
        assert (job.state, job.attempt, job.errors) == ("completed", 1, [])
        # all four have ended, and nothing is left of what lay between them
        assert job.meta["turn"] == 4
        assert "again" not in job.meta

    async def test_of_a_blocking_function_may_pause_between_turns(self, run: Run) -> None:
        workflow = Workflow().add_cascade("count", count_up_blocking)
        assert await run(workflow) == {"count": 2}

    async def test_holds_up_what_depends_on_it_and_records_nothing_in_between(
        self, oban: Oban
    ) -> None:
        workflow = Workflow().add_cascade("wait", again_for_ever)
        workflow.add_cascade("after", keep, deps="wait")
        await oban.enqueue_many(workflow)
        await drain_queue("default", with_scheduled=False)

        job = await job_of(workflow, "wait")
        assert (job.state, job.attempt, job.meta["turn"]) == ("scheduled", 0, 1)
        assert not {"recorded", "return"} & job.meta.keys()
        assert await workflow.all_recorded() == {}
        assert (await job_of(workflow, "after")).state == "suspended"
        status = await workflow.status()
        assert (status.state, status.counts["scheduled"]) == ("executing", 1)
        assert "1 turn of its loop has ended" in (await workflow.explain("wait")).summary

    async def test_has_all_its_attempts_in_each_turn(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("loop", fail_once, max_attempts=2)
        await run_workflow(workflow, with_safety=True)

        assert await workflow.get_recorded("loop") == 2
        assert seen == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
        assert len((await job_of(workflow, "loop")).errors) == 3

    async def test_snoozes_within_a_turn(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("loop", snooze_once)
        await run_workflow(workflow)

        assert await workflow.get_recorded("loop") == "done"
        assert seen == [(None, None), ("second", None), ("second", 1)]

    def test_runs_without_a_database(self) -> None:
        assert [process_job(job).value for job in loop()] == [[3, 3], [3, 3]]

    async def test_a_loop_is_drained(self, oban: Oban) -> None:
        workflow = loop()
        await oban.enqueue_many(workflow)
        await drain_queue("default")
        assert await workflow.get_recorded("after") == [3, 3]

    async def test_wakes_another_node_where_its_own_takes_no_more(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        await oban.enqueue_many(loop())
        async with pool.connection() as conn:
            await conn.set_autocommit(True)
            await conn.execute('LISTEN "public.oban_insert"')
            await drain_queue("default", with_recursion=False)
            heard = [
                json.loads(one.payload) async for one in conn.notifies(timeout=5, stop_after=1)
            ]

        assert heard == [{"queue": "default"}]


class TestATurn:
    async def test_that_failed_is_the_one_that_a_retry_goes_on_with(self, oban: Oban) -> None:
        workflow = Workflow().add_context({"fails": True})
        workflow.add_cascade("loop", fail_once, max_attempts=2)
        assert (await run_workflow(workflow, with_safety=True)).state == "discarded"
        assert seen[-2:] == [(1, 1), (1, 2)]

        assert await workflow.retry_jobs() == 1
        seen.clear()
        await run_workflow(workflow, with_safety=True)
        assert seen == [(1, 3)]

    async def test_is_the_first_again_where_the_loop_is_named(self, oban: Oban) -> None:
        workflow = Workflow().add_context({"fails": True})
        workflow.add_cascade("loop", fail_once, max_attempts=2)
        await run_workflow(workflow, with_safety=True)

        assert await workflow.retry_jobs(names=["loop"]) == 1
        job = await job_of(workflow, "loop")
        assert not {"turn", "again"} & job.meta.keys()
        seen.clear()
        await run_workflow(workflow, with_safety=True)
        assert seen[0] == (0, 3)

    async def test_is_the_first_again_after_the_loop_had_completed(self, oban: Oban) -> None:
        workflow = loop()
        await run_workflow(workflow)
        seen.clear()
        assert await workflow.retry_jobs(names=["count"]) == 1
        await run_workflow(workflow)

        assert [number for number, *_ in seen] == [0, 1, 2, 3]
        assert (await job_of(workflow, "count")).meta["turn"] == 4

    async def test_is_not_lost_when_its_node_dies(
        self, start_oban: StartOban, wait_until: WaitUntil, oban: Oban
    ) -> None:
        workflow = loop()
        await oban.enqueue_many(workflow)
        await drain_queue("default", with_recursion=False)
        # taken, and nobody runs it
        taken = await oban._query.fetch_jobs(1, "default", "gone", str(UUID(int=0)))
        assert [job.meta["turn"] for job in taken] == [1]
        assert await oban._query.rescue_jobs(0) is not None

        await start_oban()
        await wait_until(lambda: settled(workflow))
        assert [number for number, *_ in seen] == [0, 1, 2, 3]


def wired(workflow: Workflow, function: Any) -> Workflow:
    workflow.options(name="x").call(function, 1, {})

    return workflow


class TestAgain:
    @pytest.mark.parametrize(
        ("build", "told"),
        [
            (lambda w: w.add_cascade("x", ([1], again_item)), "job '0' cannot return Again"),
            (lambda w: wired(w, again_item), "job 'x' cannot return Again"),
            (lambda w: w.add_graft("x", again_object), "job 'x' cannot return Again"),
            (lambda w: w.add("x", PlainWorker.new({})), "job 'x' cannot return Again"),
            (lambda w: w.add_cascade("x", again_object), "cannot be recorded"),
            (lambda w: w.add_cascade("x", again_never), "delay of Again must be positive"),
        ],
    )
    async def test_fails_where_it_cannot_work(self, oban: Oban, build: Any, told: str) -> None:
        workflow = build(Workflow(defaults={"max_attempts": 1}))

        for job in workflow:
            job.max_attempts = 1

        status = await run_workflow(workflow, with_safety=True)
        assert status.state == "discarded"
        (job,) = await workflow.all_jobs(with_subs=True)
        assert told in job.errors[-1]["error"]

    @pytest.mark.parametrize("delay", [0, -1, float("nan"), float("inf")])
    def test_refuses_a_delay_that_is_no_time(self, delay: float) -> None:
        with pytest.raises(InvalidOptionError, match="delay of Again"):
            Again(1, delay=delay)

    @pytest.mark.parametrize("delay", [True, "1"])
    def test_refuses_a_delay_that_is_no_number(self, delay: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="delay of Again"):
            Again(1, delay=delay)
