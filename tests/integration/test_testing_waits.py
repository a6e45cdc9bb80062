"""Testing workflows that wait for signals and times."""

from datetime import timedelta
from typing import Any

import pytest
from oban import Cancel, Job, Oban, Record, Worker, worker
from oban.testing import mode

from oban_pro import SignalTimeout, Workflow, await_signal, wait_signal
from oban_pro.errors import CascadeError, InvalidSignalError
from oban_pro.testing import assert_job, assert_order, assert_workflow, refute_ran, run_workflow
from tests.support.graphs import work


@worker()
class Charge(Worker):
    """Ask for a decision and a code."""

    async def process(self, job: Job) -> Any:
        try:
            decision = await await_signal(wait_for=86_400, block_for=3600)
            code = await await_signal("3ds", wait_for=600)
        except SignalTimeout:
            return Cancel("nobody answered")

        return Record([decision, code])


def ask_twice(_context: Any) -> list[Any]:
    return [wait_signal(), wait_signal()]


async def first_word(context: Any) -> Any:
    return context["approval"]["choice"]


def order(**signal: Any) -> Workflow:
    return (
        Workflow()
        .add("draft", work())
        .add_signal("approval", deps="draft", **signal)
        .add_timer("cool-down", timedelta(days=1), deps="approval")
        .add_cascade("send", first_word, deps=["approval", "cool-down"])
    )


class TestSignals:
    async def test_are_sent_when_somebody_listens_and_timers_end_by_themselves(
        self, oban: Oban
    ) -> None:
        workflow = order(wait_for=timedelta(days=2))
        status = await run_workflow(workflow, signals={"approval": {"choice": "approve"}})
        assert (status.state, status.counts["completed"]) == ("completed", 4)
        assert await workflow.get_recorded("send") == "approve"

    async def test_come_from_several_senders_where_a_wait_has_a_count(self, oban: Oban) -> None:
        workflow = Workflow().add_signal("reviews", count=2)
        await run_workflow(workflow, signals={"reviews": ["good", "bad"]})
        assert await workflow.get_recorded("reviews") == ["good", "bad"]
        senders = [one.by for one in await workflow.signals("reviews")]
        assert senders == ["sender 1", "sender 2"]

    async def test_may_carry_a_list(self, oban: Oban) -> None:
        workflow = Workflow().add_signal("a")
        await run_workflow(workflow, signals={"a": [1, 2]})
        assert await workflow.get_recorded("a") == [1, 2]

    async def test_go_to_all_waits_in_a_group(self, oban: Oban) -> None:
        inner = Workflow().add_signal("x").add_signal("y", deps="x")
        workflow = Workflow().add_workflow("sub", inner)
        await run_workflow(workflow, signals={"sub": 1})
        assert await workflow.all_recorded() == {"sub": {"x": 1, "y": 1}}

    async def test_go_to_calls_in_jobs_which_do_not_block(self, oban: Oban) -> None:
        workflow = Workflow().add("charge", Charge.new({}))
        await run_workflow(workflow, signals={"charge": ["yes", "123"]})
        assert await workflow.get_recorded("charge") == ["yes", "123"]

    async def test_go_to_calls_in_plain_functions(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("ask", ask_twice)
        await run_workflow(workflow, signals={"ask": [1, 2]})
        assert await workflow.get_recorded("ask") == [1, 2]

    async def test_that_are_missing_fail_the_test_by_name(self, oban: Oban) -> None:
        with pytest.raises(AssertionError, match="job 'approval' waits for a signal since"):
            await run_workflow(order())

        workflow = Workflow().add_signal("reviews", count=3)

        with pytest.raises(AssertionError, match=r"; 2 of 3 came \(sender 1, sender 2\)"):
            await run_workflow(workflow, signals={"reviews": [1, 2]})

    async def test_that_are_missing_for_a_call_fail_the_test_by_name(self, oban: Oban) -> None:
        workflow = Workflow().add("charge", Charge.new({}))

        with pytest.raises(AssertionError, match="job 'charge' is parked: waits for signal '3ds'"):
            await run_workflow(workflow, signals={"charge": "yes"})

        await run_workflow(workflow, timeouts=["charge"])
        await assert_workflow(workflow, state="cancelled")

    async def test_are_refused_as_elsewhere(self, oban: Oban) -> None:
        with pytest.raises(InvalidSignalError, match="must choose one of yes, no, got maybe"):
            await run_workflow(order(choices=["yes", "no"]), signals={"approval": "maybe"})

    async def test_signals_for_a_test_must_name_a_wait(self, oban: Oban) -> None:
        with pytest.raises(AssertionError, match=r"must name something .* got 'aproval'"):
            await run_workflow(order(), signals={"approval": {"choice": 1}, "aproval": 1})

        with pytest.raises(AssertionError, match="'a' must be in signals or in timeouts, got both"):
            await run_workflow(Workflow().add("a", work()), signals={"a": 1}, timeouts=["a"])


class TestTimeouts:
    async def test_let_a_wait_time_out(self, oban: Oban) -> None:
        workflow = order(wait_for=timedelta(days=2))
        status = await run_workflow(workflow, timeouts=["approval"])
        assert status.state == "cancelled"
        await assert_job(workflow, "approval", error_contains="no signal within 2 days")
        await refute_ran(workflow, "send")

    async def test_settle_a_wait_as_it_says(self, oban: Oban) -> None:
        workflow = order(
            wait_for=timedelta(days=2), on_timeout="complete", default={"choice": "assumed"}
        )
        await run_workflow(workflow, timeouts=["approval"])
        assert await workflow.get_recorded("send") == "assumed"

    async def test_come_in_the_order_of_the_times(self, oban: Oban) -> None:
        workflow = (
            Workflow(ignore_cancelled=True)
            .add("two hours", work(scheduled_in=7200))
            .add_timer("an hour", 3600)
            .add_signal("three hours", wait_for=3 * 3600)
            .add("one", work(), deps="an hour")
            .add("three", work(), deps="three hours")
        )
        await run_workflow(workflow, timeouts=["three hours"])
        await assert_order(workflow, "one", "two hours", "three")

    async def test_a_wait_without_a_time_limit_cannot_time_out(self, oban: Oban) -> None:
        with pytest.raises(AssertionError, match="at 'approval' must have a wait_for to time out"):
            await run_workflow(order(), timeouts=["approval"])

    async def test_let_calls_in_jobs_time_out(self, oban: Oban) -> None:
        workflow = Workflow().add("charge", Charge.new({}))
        await run_workflow(workflow, timeouts=["charge"])
        await assert_job(workflow, "charge", state="cancelled", error_contains="nobody answered")


class TestInline:
    async def test_completes_timers_and_refuses_waits(self, oban: Oban) -> None:
        with mode("inline"):
            await oban.enqueue_many(Workflow().add_timer("t", 3600).add("a", work(), deps="t"))

            with pytest.raises(CascadeError, match=r"'approval' waits for a signal.*run_workflow"):
                await oban.enqueue_many(Workflow().add_signal("approval"))
