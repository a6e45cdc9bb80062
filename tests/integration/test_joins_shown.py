"""How joins and tolerance are shown: explain, drawings, status."""

from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, from_result
from oban_pro.model import meta
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job

HANDLE = Workflow(id="w")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def race() -> Workflow:
    workflow = Workflow(id="w")

    for name in "abcd":
        workflow.add(name, make_job())

    workflow.add_many("call", [make_job()], deps=list("abcd"), need=3, tolerate=0.25)

    return workflow.add("end", make_job(), deps=list("abcd"), need=2)


def calls(size: int, **options: Any) -> Workflow:
    jobs = [make_job() for _ in range(size)]

    return Workflow(id="w").add_many("call", jobs, **options).add("end", make_job(), deps="call")


def is_large(context: dict[str, Any]) -> bool:
    """Stand for a condition; the tests say what comes of it."""
    return True


def listed(context: dict[str, Any]) -> list[int]:
    return [1, 2, 3]


def fail(item: int, context: dict[str, Any]) -> None:
    raise ValueError("no disk")


class TestExplain:
    async def test_says_how_many_more_a_join_needs(self, engine: Engine) -> None:
        await engine.enqueue(race())
        summary = (await HANDLE.explain("end")).summary
        assert summary.startswith("job 'end' waits for 2 of its 4 dependencies; job 'a' ")

        await engine.complete("a")
        explanation = await HANDLE.explain("end")
        assert explanation.summary.startswith("job 'end' waits for 1 more of its 4 dependencies;")
        assert (explanation.needs, explanation.missing) == (2, 1)
        # it waits at the gate of its group
        summary = (await HANDLE.explain("call/0")).summary
        assert summary.startswith("job 'call/0' waits for 2 more of its 4 dependencies;")

    async def test_says_how_many_broke_a_join(self, engine: Engine) -> None:
        await engine.enqueue(race())
        await engine.discard("a", "b", "c")
        summary = (await HANDLE.explain("end")).summary
        assert summary == (
            "job 'end' was cancelled because job 'a' was discarded after 1 of 20 attempts: boom;"
            " 2 of 4 were needed, 3 broke"
        )

    async def test_says_how_many_broke_a_join_that_still_waits(self, engine: Engine) -> None:
        await engine.enqueue(race())
        await engine.discard("a", "b")
        summary = (await HANDLE.explain("end")).summary
        assert summary.startswith("job 'end' waits for 2 of its 4 dependencies; job 'c' ")
        assert summary.endswith("; 2 of 4 are needed, 2 broke")
        assert (await HANDLE.explain("call")).summary == (
            "fan-out 'call' was cancelled because job 'a' was discarded after 1 of 20 attempts:"
            " boom; 3 of 4 were needed, 2 broke"
        )

    async def test_says_how_many_have_to_be_retried_before_a_join(self, engine: Engine) -> None:
        await engine.enqueue(race())
        await engine.discard("a", "b", "c")
        await HANDLE.retry_jobs(names=["end"])
        summary = (await HANDLE.explain("end")).summary
        assert summary.endswith("; 2 of 4 are needed, 3 broke, so that 1 of these must be retried")

    async def test_leaves_out_what_was_skipped_before_a_join(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job(), when=is_large)
        workflow.add("b", make_job()).add("c", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["a", "b", "c"], need=1))
        skipped = {meta.SKIPPED: "its condition was not met"}
        await engine.ack(await engine.start("a"), "completed", attempt_change=-1, meta=skipped)
        explanation = await HANDLE.explain("end")
        assert explanation.summary.startswith(
            "job 'end' waits for 1 of its 2 dependencies; job 'b'"
        )
        assert (explanation.needs, explanation.missing) == (1, 1)


class TestExplainTolerance:
    async def test_tells_the_failures_while_they_are_tolerated(self, engine: Engine) -> None:
        await engine.enqueue(calls(4, tolerate=2))
        summary = (await HANDLE.explain("call")).summary
        assert summary.endswith("; 0 of 4 failed, 2 are tolerated")
        assert "tolerated" not in (await HANDLE.explain("end")).summary

        await engine.discard("call/0")
        summary = (await HANDLE.explain("call")).summary
        assert summary.endswith("; 1 of 4 failed, 2 are tolerated")
        summary = (await HANDLE.explain("end")).summary
        assert summary.endswith("; 1 of 4 in fan-out 'call' failed, 2 are tolerated")

        await engine.discard("call/1")
        await engine.complete("call/2", "call/3")
        summary = (await HANDLE.explain("call")).summary
        assert summary == "fan-out 'call' was completed; 2 of 4 failed, 2 are tolerated"

    async def test_tells_what_comes_of_more(self, engine: Engine) -> None:
        await engine.enqueue(calls(4, tolerate=1))
        await engine.discard("call/0", "call/1")
        summary = (await HANDLE.explain("call")).summary
        counts = "; 2 of 4 failed, 1 is tolerated"
        assert summary.endswith(f"{counts}, so that it cannot complete unless some are retried")
        counts = "; 2 of 4 in fan-out 'call' failed, 1 is tolerated"
        summary = (await HANDLE.explain("end")).summary
        assert summary.startswith("job 'end' waits for its dependency; job 'call/2' ")
        assert summary.endswith(f"{counts}, so that job 'end' will be cancelled")

        await engine.complete("call/2", "call/3")
        boom = "because job 'call/0' was discarded after 1 of 20 attempts: boom"
        summary = (await HANDLE.explain("call")).summary
        assert summary == f"fan-out 'call' was discarded {boom}; 2 of 4 failed, 1 is tolerated"
        assert (await HANDLE.explain("end")).summary == f"job 'end' was cancelled {boom}{counts}"

    async def test_tells_it_behind_something_else_that_is_open(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        workflow.add_many("call", [make_job(), make_job()], tolerate=0)
        workflow.add("both", make_job(), deps=["a", "call"])
        workflow.add("one", make_job(), deps=["a", "call"], need=1)
        workflow.add("any", make_job(), deps=["a", "call"], ignore_discarded=True)
        await engine.enqueue(workflow)
        await engine.discard("call/0")
        counts = "; 1 of 2 in fan-out 'call' failed, 0 are tolerated"
        end = ", so that job 'both' will be cancelled"
        both, one, any_state = [
            (await HANDLE.explain(name)).summary for name in ("both", "one", "any")
        ]
        assert both.startswith("job 'both' waits for its 2 dependencies; job 'a' ")
        assert both.endswith(f"{counts}{end}")
        assert one.endswith(counts)
        assert "cancelled" not in any_state

    async def test_tells_the_failures_of_nested_and_mapped_fan_outs(self, oban: Oban) -> None:
        workflow = (
            Workflow(id="w")
            .add_workflow(
                "sub", Workflow().add_cascade("call", ([1, 2, 3], fail), tolerate=1, max_attempts=1)
            )
            .add_cascade("list", listed)
            .add_cascade(
                "mapped", (from_result("list"), fail), deps="list", tolerate=2, max_attempts=1
            )
            .add_cascade("end", listed, deps=["sub", "mapped"])
        )
        await run_workflow(workflow, with_safety=True)

        for path, told in {
            "sub/call": "; 3 of 3 failed, 1 is tolerated",
            "mapped": "; 3 of 3 failed, 2 are tolerated",
            "sub": "; 3 of 3 in fan-out 'sub/call' failed, 1 is tolerated",
            "end": "; 3 of 3 in fan-out 'sub/call' failed, 1 is tolerated",
        }.items():
            assert (await workflow.explain(path)).summary.endswith(told)

    async def test_tells_what_a_fan_out_that_fails_fast_cancelled(self, engine: Engine) -> None:
        await engine.enqueue(calls(4, fail_fast=True))
        await engine.fetch(demand=2)
        await engine.discard("call/0")
        told = "1 of 4 was discarded and 2 cancelled, 0 are tolerated"
        summary = (await HANDLE.explain("call")).summary
        assert summary.endswith(f"; {told}, so that it cannot complete unless some are retried")
        summary = (await HANDLE.explain("call/3")).summary
        assert summary == "job 'call/3' was cancelled: 1 of 4 failed, 0 are tolerated"

    async def test_is_silent_of_what_was_cancelled_as_a_whole(self, engine: Engine) -> None:
        await engine.enqueue(calls(2, tolerate=2))
        await HANDLE.cancel_jobs(names=["call"])
        assert "tolerated" not in (await HANDLE.explain("call")).summary


class TestDrawings:
    async def test_say_what_is_needed_and_tolerated(self, engine: Engine) -> None:
        built = race().to_mermaid()
        assert 'end_["end (Nobody)<br/>needs 2 of 4"]' in built
        assert 'call_["call<br/>needs 3 of 4<br/>tolerates 25#37;"]' in built
        dot = race().to_dot()
        assert r'label="end (Nobody)\nneeds 2 of 4"' in dot
        assert r'label="call\nneeds 3 of 4\ntolerates 25%"' in dot

        await engine.enqueue(race())
        graph = await HANDLE.fetch_graph()
        stored = graph.to_mermaid()
        assert 'call_["call<br/>needs 3 of 4<br/>tolerates 25#37;"]' in stored
        assert "needs 2 of 4<br/>suspended" in stored
