"""Fan-outs that tolerate failures, and those that fail fast."""

from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Context, Workflow, from_result
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job
from tests.support.waits import pass_time

HANDLE = Workflow(id="w")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def calls(size: int, *, deps: Any = (), **options: Any) -> Workflow:
    """Build a fan-out, and a job that depends on it."""
    workflow = Workflow(id="w")

    for name in deps:
        workflow.add(name, make_job())

    workflow.add_many("call", [make_job() for _ in range(size)], deps=deps, **options)

    return workflow.add("end", make_job(), deps="call")


async def settle(engine: Engine, **states: str) -> None:
    """Settle items of the fan-out: ``_0="discarded"``."""
    for name, state in states.items():
        await engine.ack(await engine.start(f"call/{name[1:]}"), state)


async def errors(engine: Engine, path: str) -> list[str]:
    return [one["error"] for one in (await engine.row(path)).errors]


class TestTolerance:
    @pytest.mark.parametrize(
        ("tolerate", "size", "most"),
        [(0, 3, 0), (2, 3, 2), (0.29, 100, 29), (0.34, 3, 1), (0.33, 3, 0), (0.5, 1, 0)],
    )
    async def test_is_how_many_may_fail(
        self, engine: Engine, tolerate: Any, size: int, most: int
    ) -> None:
        await engine.enqueue(calls(size, tolerate=tolerate))
        paths = [f"call/{n}" for n in range(size)]
        await engine.discard(*paths[:most])
        await engine.complete(*paths[most:])
        assert await engine.group("call") == "completed"
        assert (await engine.states())["end"] == "available"
        await engine.complete("end")
        status = await HANDLE.status()
        assert (status.state, status.counts["discarded"]) == ("completed", most)

        # one more is too many
        await HANDLE.retry_jobs(names=[paths[-1]])
        await engine.discard(paths[-1])
        assert await engine.group("call") == "discarded"

    async def test_counts_cancelled_and_deleted_jobs_as_well(self, engine: Engine) -> None:
        await engine.enqueue(calls(4, tolerate=2))
        await engine.cancel("call/0")
        await engine.delete("call/1")
        await engine.complete("call/2", "call/3")
        assert (await engine.states())["end"] == "available"

    async def test_tolerated_failures_break_no_group_around(self, engine: Engine) -> None:
        inner = Workflow().add_many("call", [make_job(), make_job()], tolerate=1)
        middle = Workflow().add_workflow("sub", inner).add("after", make_job(), deps="sub")
        await engine.enqueue(Workflow(id="w").add_workflow("top", middle))
        await engine.discard("top/sub/call/0")
        await engine.complete("top/sub/call/1")
        await engine.complete("top/after")
        status = await HANDLE.status()
        assert (status.state, status.subs["top"].subs["sub"].state) == ("completed", "completed")
        assert status.counts == {"completed": 2, "discarded": 1}

    async def test_of_grafts_counts_each_graft_once(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add_graft("call", (["x", "y"], grow), tolerate=1)
        await engine.enqueue(workflow.add("end", make_job(), deps="call"))

        for n in range(2):
            (grafter,) = await engine.start(f"call/{n}/grafter")
            grafted = Workflow().add("a", make_job()).add("b", make_job())
            await engine.oban.enqueue_many(Workflow.apply_graft(grafter, grafted))
            await engine._learn()
            await engine.ack([grafter], "completed")

        await engine.discard("call/0/grafted/a", "call/0/grafted/b")
        await engine.complete("call/1/grafted/a", "call/1/grafted/b")
        assert (await engine.states())["end"] == "available"

    async def test_of_what_a_job_recorded_counts_items(self, oban: Oban) -> None:
        workflow = (
            Workflow(id="w")
            .add_cascade("list", listed)
            .add_cascade(
                "call", (from_result("list"), fails_at_one), deps="list", tolerate=1, max_attempts=1
            )
            .add_cascade("end", keep, deps="call")
        )
        status = await run_workflow(workflow, oban, with_safety=True)
        assert (status.state, status.counts["discarded"]) == ("completed", 1)
        assert await workflow.get_recorded("end") == {"call": {"0": 0, "2": 2}}


def grow(item: str, context: dict[str, Any]) -> Workflow:
    return Workflow()


def listed(context: dict[str, Any]) -> list[int]:
    return [0, 1, 2]


def fails_at_one(item: int, context: dict[str, Any]) -> int:
    if item == 1:
        raise ValueError("one is too many")

    return item


def keep(context: dict[str, Any]) -> dict[str, Any]:
    return dict(context)


def always(context: dict[str, Any]) -> bool:
    return True


def tell(context: Context) -> dict[str, Any]:
    return {dep: context.failed(dep) for dep in context["deps"]}


def misspell(context: Context) -> None:
    context.failed("cal")


def fails(context: dict[str, Any]) -> None:
    raise ValueError("none")


def graft_at_one(item: int, context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("deep", fails if item == 1 else listed, max_attempts=1)


class TestFailures:
    async def test_are_told_by_name_with_the_last_error(self, oban: Oban) -> None:
        deps = ["call", "mapped", "grafts", "alone", "fine", "sub"]
        inner = Workflow().add_cascade("x", fails, max_attempts=1).add_cascade("y", listed)
        gated = Workflow(ignore_discarded=True).add_cascade("tell", tell)
        workflow = (
            Workflow(id="w", ignore_discarded=True)
            .add_context({"deps": deps})
            .add_cascade("fine", listed)
            .add_cascade("call", ([0, 1, 2], fails_at_one), tolerate=0.5, max_attempts=1)
            .add_cascade("mapped", (from_result("fine"), fails_at_one), deps="fine", max_attempts=1)
            .add_graft("grafts", ([0, 1], graft_at_one), tolerate=1)
            .add_cascade("alone", fails, max_attempts=1)
            .add_workflow("sub", inner)
            .add_cascade("tell", tell, deps=deps)
            .add_workflow("gated", gated, deps=deps)
            .add_cascade("misspell", misspell, deps="call", max_attempts=1)
        )
        await run_workflow(workflow, oban, with_safety=True)
        told: Any = await workflow.get_recorded("tell")
        assert {dep: sorted(failed) for dep, failed in told.items()} == {
            "call": ["1"],
            "mapped": ["1"],
            "grafts": ["1"],
            "alone": ["alone"],
            "fine": [],
            "sub": ["x"],
        }
        assert await workflow.get_recorded("gated/tell") == told
        assert "one is too many" in told["call"]["1"]
        assert "none" in told["grafts"]["1"]

        job: Any = await workflow.get_job("misspell")
        said = "no dependency 'cal': job 'misspell' depends on 'call'; did you mean 'call'?"
        assert said in job.errors[-1]["error"]


class TestConditions:
    async def test_of_a_fan_out_count_in_no_share(self, oban: Oban) -> None:
        workflow = Workflow(id="w").add_cascade(
            "call",
            ([0, 1], fails_at_one),
            when=always,
            tolerate=0.4,
            fail_fast=True,
            max_attempts=1,
        )
        status = await run_workflow(workflow, oban, with_safety=True)
        assert (status.state, status.total) == ("discarded", 3)


class TestGroupsThatDidNotOpen:
    async def test_are_cancelled_where_what_they_wait_for_breaks(self, engine: Engine) -> None:
        await engine.enqueue(calls(2, deps=["a"], tolerate=5))
        await engine.discard("a")
        assert await engine.group("call") == "cancelled"
        assert (await engine.states())["end"] == "cancelled"

        # and tolerate again once they are retried
        assert await HANDLE.retry_jobs() == 4
        await engine.complete("a")
        await engine.discard("call/0", "call/1")
        assert (await engine.states())["end"] == "available"

    async def test_are_cancelled_where_a_group_around_them_is(self, engine: Engine) -> None:
        inner = Workflow().add_many("call", [make_job()], tolerate=1)
        workflow = Workflow(id="w").add("a", make_job()).add_workflow("sub", inner, deps="a")
        await engine.enqueue(workflow)
        await engine.discard("a")
        assert await engine.group("sub/call") == "cancelled"

    async def test_are_cancelled_where_they_are_appended_too_late(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()).add("b", make_job()))
        await engine.discard("a")
        addition = Workflow(check_deps=False)
        addition.add_many("call", [make_job(), make_job()], deps="a", tolerate=2)
        await HANDLE.append(addition)
        await engine._learn()
        assert await engine.group("call") == "cancelled"

    async def test_are_cancelled_where_the_doctor_finds_them(self, engine: Engine) -> None:
        await engine.enqueue(calls(2, deps=["a"], tolerate=2))
        await engine.rows("ALTER TABLE oban_jobs DISABLE TRIGGER USER")
        await engine.rows("UPDATE oban_jobs SET state = 'cancelled' WHERE meta ->> 'name' = 'a'")
        await engine.rows("ALTER TABLE oban_jobs ENABLE TRIGGER USER")
        await engine.rows("SELECT oban_workflow_repair_v1(root) FROM oban_workflow_groups LIMIT 1")
        assert await engine.group("call") == "cancelled"


class TestGroupsThatAreCancelledAsAWhole:
    @pytest.mark.parametrize("names", [None, ["call"]])
    async def test_a_group_that_is_cancelled_as_a_whole_tolerates_nothing(
        self, engine: Engine, names: Any
    ) -> None:
        await engine.enqueue(calls(3, tolerate=3))
        await engine.complete("call/0")
        await HANDLE.cancel_jobs(names=names)
        assert await engine.group("call") == "cancelled"

        await HANDLE.retry_jobs(names=["call/1"])
        await engine.complete("call/1")
        assert await engine.group("call") == "completed"

    async def test_are_not_if_they_had_settled(self, engine: Engine) -> None:
        await engine.enqueue(calls(2, tolerate=1))
        await engine.discard("call/0")
        await engine.complete("call/1")
        await HANDLE.cancel_jobs()
        assert await engine.group("call") == "completed"

    async def test_are_not_by_the_names_of_some_jobs(self, engine: Engine) -> None:
        await engine.enqueue(calls(3, tolerate=2))
        await HANDLE.cancel_jobs(names=["call/0", "call/1"])
        await engine.complete("call/2")
        assert await engine.group("call") == "completed"

    async def test_are_cancelled_by_a_deadline(self, engine: Engine) -> None:
        await engine.enqueue(calls(3, tolerate=3, deadline=60))
        await pass_time(engine)
        assert await engine.group("call") == "cancelled"


class TestRetries:
    async def test_take_tolerated_failures_too(self, engine: Engine) -> None:
        workflow = calls(3, tolerate=1).add("slow", make_job())
        await engine.enqueue(workflow.add("late", make_job(), deps=["call", "slow"]))
        await engine.discard("call/0")
        await engine.complete("call/1", "call/2")
        assert await HANDLE.retry_jobs() == 1
        assert await engine.group("call") == "executing"
        await engine.complete("slow")
        assert (await engine.states())["late"] == "suspended"

        await engine.discard("call/0")
        assert (await engine.states())["late"] == "available"


class TestFailingFast:
    async def test_cancels_what_is_open_when_the_limit_is_crossed(self, engine: Engine) -> None:
        await engine.enqueue(calls(6, tolerate=1, fail_fast=True))
        await engine.fetch(demand=3)
        await engine.set_states({"call/4": "scheduled"})
        await engine.ack([engine.running[engine.ids["call/0"]]], "discarded")
        assert (await engine.states())["call/5"] == "available"

        await engine.ack([engine.running[engine.ids["call/1"]]], "discarded")
        assert await engine.states() == {
            "call/0": "discarded",
            "call/1": "discarded",
            "call/2": "executing",
            "call/3": "cancelled",
            "call/4": "cancelled",
            "call/5": "cancelled",
            "end": "suspended",
        }
        assert await errors(engine, "call/5") == ["2 of 6 failed, 1 is tolerated"]

        await engine.complete("call/2")
        assert await engine.group("call") == "discarded"
        assert (await engine.states())["end"] == "cancelled"

    @pytest.mark.parametrize("state", ["retryable", "scheduled"])
    async def test_cancels_what_executes_when_it_would_go_on(
        self, engine: Engine, state: str
    ) -> None:
        await engine.enqueue(calls(3, fail_fast=True))
        await engine.fetch()
        await engine.discard("call/0")
        job = engine.running[engine.ids["call/1"]]
        error = {"error": "boom"} if state == "retryable" else None
        await engine.ack([job], state, schedule_in=1, error=error)
        assert (await engine.states())["call/1"] == "cancelled"
        assert (await errors(engine, "call/1"))[-1] == "1 of 3 failed, 0 are tolerated"
        await engine.complete("call/2")
        assert await engine.group("call") == "discarded"

    async def test_cancels_what_is_nested(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add_graft("call", (["x", "y"], grow), fail_fast=True)
        await engine.enqueue(workflow)
        grafters = await engine.start("call/0/grafter", "call/1/grafter")
        grafted = Workflow().add("a", make_job()).add("b", make_job(), deps="a").add_signal("s")
        await engine.oban.enqueue_many(Workflow.apply_graft(grafters[0], grafted))
        await engine._learn()
        await engine.start("call/0/grafted/a")
        await engine.discard("call/1/grafter")
        states = await engine.states()
        assert [states[f"call/0/grafted/{name}"] for name in "abs"] == [
            "executing",
            "cancelled",
            "cancelled",
        ]
        assert (await HANDLE.status()).waits == 0
        await engine.fail("call/0/grafted/a")
        assert (await engine.states())["call/0/grafted/a"] == "cancelled"

    @pytest.mark.parametrize("fail_fast", [True, False])
    async def test_takes_a_number_of_any_size(self, engine: Engine, fail_fast: bool) -> None:
        await engine.enqueue(calls(1, tolerate=10**30, fail_fast=fail_fast))
        await engine.discard("call/0")
        assert await engine.group("call") == "completed"
        assert "1 of 1 failed" in (await HANDLE.explain("call")).summary

    async def test_spares_final_jobs_and_undos(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w").add_graft("call", (["x", "y", "z"], grow), fail_fast=True)
        )
        paths = [f"call/{n}/grafter" for n in range(3)]
        grafters = await engine.start(*paths)

        for grafter in grafters[:2]:
            grafted = Workflow().add("a", make_job(), undo=make_job())
            grafted.add("b", make_job(), deps="a").add_final("end", make_job())
            await engine.oban.enqueue_many(Workflow.apply_graft(grafter, grafted))
            await engine._learn()

        await engine.complete(*paths[:2], "call/0/grafted/a", "call/1/grafted/a")
        await engine.cancel("call/0/grafted/b")
        await engine._learn()
        (undoer,) = await engine.start("call/0/grafted/undo/grafter")
        await engine.ack([undoer], "retryable", error={"error": "boom"}, schedule_in=60)

        # this one is too many
        await engine.discard(paths[2])
        await engine.fail("call/1/grafted/b")
        await engine._learn()
        states = await engine.states()
        told = {path.removeprefix("call/"): state for path, state in states.items()}
        assert told["0/grafted/undo/grafter"] == "retryable"
        assert told["1/grafted/undo/grafter"] == "available"
        assert (told["0/grafted/end"], told["1/grafted/end"]) == ("suspended", "suspended")
        assert told["1/grafted/b"] == "cancelled"

        # nor is an undo cancelled by its ack
        (undoer,) = await engine.start("call/1/grafted/undo/grafter")
        await engine.ack([undoer], "retryable", error={"error": "boom"}, schedule_in=60)
        assert (await engine.states())["call/1/grafted/undo/grafter"] == "retryable"

    async def test_lets_what_is_retried_run(self, engine: Engine) -> None:
        await engine.enqueue(calls(3, fail_fast=True))
        await engine.fetch(demand=1)
        await engine.ack([engine.running[engine.ids["call/0"]]], "discarded")
        assert await HANDLE.retry_jobs() == 4
        await engine.complete("call/0", "call/1", "call/2")
        assert (await engine.states())["end"] == "available"

        await HANDLE.retry_jobs(names=["call"])
        await engine.discard("call/0")
        assert await engine.group("call") == "executing"
