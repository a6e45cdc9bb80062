"""Resolving dependencies: chains, gates, flags, empty groups, broken chains, retries."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support.engine import Engine, chain, make_job


def nested(depth: int, **options: Any) -> Workflow:
    """Put a chain of two into as many workflows as told, each called "sub"."""
    workflow = chain("a", "b", **options)

    for _ in range(depth):
        workflow = Workflow(**options).add_workflow("sub", workflow)

    return workflow


class TestRelease:
    async def test_a_chain_moves_one_job_at_a_time(self, engine):
        await engine.enqueue(chain("a", "b", "c"))
        assert await engine.states() == {"a": "available", "b": "suspended", "c": "suspended"}

        await engine.complete("a")
        assert await engine.states() == {"a": "completed", "b": "available", "c": "suspended"}

        await engine.complete("b")
        await engine.complete("c")
        assert await engine.root() == "completed"

    async def test_ids_ascend_along_edges(self, engine):
        workflow = Workflow(check_deps=False)
        workflow.add("c", make_job(), deps="b").add("b", make_job(), deps="a").add("a", make_job())
        await engine.enqueue(workflow)

        assert engine.ids["a"] < engine.ids["b"] < engine.ids["c"]

    async def test_a_fan_in_waits_for_the_last(self, engine):
        workflow = Workflow().add("a", make_job()).add("b", make_job()).add("c", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["a", "b", "c"]))

        await engine.complete("a", "c")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete("b")
        assert (await engine.row("end")).state == "available"

    async def test_each_job_is_released_once(self, engine):
        workflow = Workflow().add("start", make_job())
        workflow.add_many("many", [make_job() for _ in range(20)], deps="start")
        await engine.enqueue(workflow.add("end", make_job(), deps="many"))

        async with engine.audited() as changes:
            await engine.complete("start")
            started = await engine.fetch()
            await engine.ack(started, "completed")
            assert await engine.ack(started, "completed") == []
            await engine.complete("end")

        released = {path: n for (path, old, _), n in changes.items() if old == "suspended"}
        assert released == {"end": 1} | {f"many/{n}": 1 for n in range(20)}

    async def test_a_late_ack_moves_nobody(self, engine):
        await engine.enqueue(chain("a", "b"))
        late = await engine.start("a")
        await engine.set_states({"a": "available"})
        await engine.start("a")

        assert await engine.ack(late, "completed") == []
        assert (await engine.row("b")).state == "suspended"

    @pytest.mark.parametrize("move", ["snooze", "fail"])
    async def test_what_runs_again_is_not_settled(self, engine, move):
        await engine.enqueue(chain("a", "b"))

        await getattr(engine, move)("a")
        assert (await engine.row("b")).state == "suspended"

        await engine.set_states({"a": "available"})
        await engine.complete("a")
        assert (await engine.row("b")).state == "available"

    async def test_a_rescued_job_is_not_settled(self, engine):
        await engine.enqueue(chain("a", "b"))
        await engine.start("a")

        assert await engine.query.rescue_jobs(0) == 1
        assert await engine.states() == {"a": "available", "b": "suspended"}

    async def test_a_job_that_cannot_be_rescued_breaks_its_dependents(self, engine):
        await engine.enqueue(
            Workflow().add("a", make_job(max_attempts=1)).add("b", make_job(), deps="a")
        )
        await engine.start("a")

        await engine.query.rescue_jobs(0)
        assert await engine.states() == {"a": "discarded", "b": "cancelled"}

    async def test_a_time_in_the_future_is_waited_for(self, engine):
        later = datetime.now(UTC) + timedelta(hours=1)
        workflow = chain("a").add("b", make_job(scheduled_at=later), deps="a")
        await engine.enqueue(workflow)
        assert (await engine.row("b")).state == "suspended"

        await engine.complete("a")
        assert (await engine.row("b")).state == "scheduled"
        assert (await engine.row("b")).scheduled_at == later

    async def test_a_time_in_the_past_does_not_jump_the_queue(self, engine):
        await engine.enqueue(chain("a", "b"))
        enqueued = (await engine.row("b")).scheduled_at

        await engine.complete("a")
        assert (await engine.row("b")).scheduled_at > enqueued

    async def test_workflows_in_one_batch_do_not_meet(self, engine):
        await engine.enqueue(chain("a", "b"), chain("c", "d"))

        await engine.ack([*await engine.start("a")], "completed")
        await engine.ack([*await engine.start("c")], "discarded")
        expected = {"a": "completed", "b": "available", "c": "discarded", "d": "cancelled"}
        assert await engine.states() == expected


class TestGroups:
    @pytest.mark.parametrize("depth", range(1, 6))
    async def test_a_sub_workflow_settles_at_any_depth(self, engine, depth):
        workflow = nested(depth).add("end", make_job(), deps="sub")
        await engine.enqueue(workflow)
        inner = "/".join(["sub"] * depth)

        await engine.complete(f"{inner}/a")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete(f"{inner}/b")
        assert (await engine.row("end")).state == "available"
        assert await engine.group(inner) == "completed"

    @pytest.mark.parametrize("depth", range(1, 6))
    async def test_a_gate_lets_in_at_any_depth(self, engine, depth):
        workflow = Workflow().add("start", make_job())
        workflow.add_workflow("sub", nested(depth - 1), deps="start")
        await engine.enqueue(workflow)
        inner = "/".join(["sub"] * depth)
        assert (await engine.row(f"{inner}/a")).state == "suspended"

        await engine.complete("start")
        assert (await engine.row(f"{inner}/a")).state == "available"
        assert (await engine.row(f"{inner}/b")).state == "suspended"

    async def test_a_gate_of_several_opens_with_the_last(self, engine):
        sub = Workflow().add("a", make_job()).add("b", make_job())
        workflow = Workflow().add("x", make_job()).add("y", make_job())
        await engine.enqueue(workflow.add_workflow("sub", sub, deps=["x", "y"]))

        await engine.complete("x")
        assert (await engine.row("sub/a")).state == "suspended"

        await engine.complete("y")
        states = await engine.states()
        assert (states["sub/a"], states["sub/b"]) == ("available", "available")

    async def test_gates_in_gates_add_up(self, engine):
        inner = Workflow().add("a", make_job())
        outer = Workflow().add("y", make_job()).add_workflow("inner", inner, deps="y")
        workflow = Workflow().add("x", make_job()).add_workflow("outer", outer, deps="x")
        await engine.enqueue(workflow)

        await engine.complete("x")
        assert (await engine.row("outer/inner/a")).state == "suspended"

        await engine.complete("outer/y")
        assert (await engine.row("outer/inner/a")).state == "available"

    async def test_groups_depend_on_groups(self, engine):
        workflow = Workflow().add_many("one", [make_job(), make_job()])
        workflow.add_many("two", {"x": make_job()}, deps="one")
        await engine.enqueue(workflow.add("end", make_job(), deps=["one", "two"]))

        await engine.complete("one/0", "one/1")
        assert (await engine.row("two/x")).state == "available"

        await engine.complete("two/x")
        assert (await engine.row("end")).state == "available"

    async def test_a_broken_gate_cancels_all_that_is_inside(self, engine):
        workflow = Workflow().add("start", make_job()).add_workflow("sub", nested(2), deps="start")
        await engine.enqueue(workflow.add("end", make_job(), deps="sub"))

        await engine.discard("start")
        states = await engine.states()
        assert states.pop("start") == "discarded"
        assert set(states.values()) == {"cancelled"}
        assert await engine.group("sub") == "cancelled"
        assert await engine.root() == "discarded"

    async def test_the_worst_state_inside_is_the_state_of_the_group(self, engine):
        workflow = Workflow().add_many("many", [make_job() for _ in range(3)])
        workflow.add("end", make_job(), deps="many", ignore_cancelled=True)
        await engine.enqueue(workflow)

        await engine.cancel_by_ack("many/0")
        await engine.discard("many/1")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete("many/2")
        assert await engine.group("many") == "discarded"
        assert (await engine.row("end")).state == "cancelled"


class TestFlags:
    @pytest.mark.parametrize(
        ("flag", "move"), [("ignore_cancelled", "cancel_by_ack"), ("ignore_discarded", "discard")]
    )
    async def test_a_job_may_ignore_one_of_the_two(self, engine, flag, move):
        workflow = chain("a").add("plain", make_job(), deps="a")
        flags: dict[str, Any] = {flag: True}
        await engine.enqueue(workflow.add("ignores", make_job(), deps="a", **flags))

        await getattr(engine, move)("a")
        states = await engine.states()
        assert (states["plain"], states["ignores"]) == ("cancelled", "available")

    async def test_jobs_follow_their_workflow(self, engine):
        await engine.enqueue(chain("a", "b", ignore_discarded=True))

        await engine.discard("a")
        assert (await engine.row("b")).state == "available"

    async def test_a_job_may_differ_from_its_workflow(self, engine):
        workflow = Workflow(ignore_discarded=True).add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a", ignore_discarded=False))

        await engine.discard("a")
        assert (await engine.row("b")).state == "cancelled"

    async def test_a_fan_out_follows_the_workflow_around_it(self, engine):
        workflow = Workflow(ignore_discarded=True).add("a", make_job())
        await engine.enqueue(workflow.add_many("many", [make_job()], deps="a"))

        await engine.discard("a")
        assert (await engine.row("many/0")).state == "available"

    async def test_a_sub_workflow_goes_by_its_own(self, engine):
        sub = chain("x", ignore_discarded=True)
        workflow = Workflow().add("a", make_job()).add_workflow("ignores", sub, deps="a")
        await engine.enqueue(workflow.add_workflow("plain", chain("x"), deps="a"))

        await engine.discard("a")
        states = await engine.states()
        assert (states["ignores/x"], states["plain/x"]) == ("available", "cancelled")

    async def test_a_member_of_a_gate_may_differ_from_the_group(self, engine):
        sub = Workflow().add("plain", make_job())
        sub.add("ignores", make_job(), ignore_discarded=True)
        workflow = Workflow().add("a", make_job()).add_workflow("sub", sub, deps="a")
        await engine.enqueue(workflow)

        await engine.discard("a")
        states = await engine.states()
        assert (states["sub/plain"], states["sub/ignores"]) == ("cancelled", "available")

    async def test_what_ignores_a_group_goes_on(self, engine):
        workflow = Workflow().add_many("many", [make_job(), make_job()])
        await engine.enqueue(workflow.add("end", make_job(), deps="many", ignore_discarded=True))

        await engine.discard("many/0")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete("many/1")
        assert (await engine.row("end")).state == "available"


class TestEmptyGroups:
    async def test_alone_are_completed_from_the_start(self, engine):
        workflow = Workflow().add_many("none", []).add("end", make_job(), deps="none")
        await engine.enqueue(workflow)

        assert await engine.group("none") == "completed"
        assert (await engine.row("end")).state == "available"

    async def test_settle_when_their_deps_are_satisfied(self, engine):
        workflow = chain("a").add_many("none", [], deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="none"))
        assert await engine.group("none") == "executing"

        await engine.complete("a")
        assert await engine.group("none") == "completed"
        assert (await engine.row("end")).state == "available"

    async def test_pass_it_on_in_a_chain(self, engine):
        workflow = (
            chain("a").add_many("one", [], deps="a").add_workflow("two", Workflow(), deps="one")
        )
        await engine.enqueue(workflow.add("end", make_job(), deps="two"))

        await engine.complete("a")
        assert (await engine.row("end")).state == "available"

    async def test_within_others_follow_the_gate_outside(self, engine):
        sub = Workflow().add_workflow("inner", Workflow().add_many("none", []))
        workflow = chain("a").add_workflow("sub", sub, deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="sub"))
        assert await engine.group("sub/inner/none") == "executing"

        await engine.complete("a")
        assert await engine.group("sub") == "completed"
        assert (await engine.row("end")).state == "available"

    async def test_are_cancelled_when_a_dep_breaks(self, engine):
        sub = Workflow().add_many("none", [])
        workflow = chain("a").add_workflow("sub", sub, deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="sub"))

        await engine.discard("a")
        assert await engine.group("sub/none") == "cancelled"
        assert await engine.group("sub") == "cancelled"
        assert (await engine.row("end")).state == "cancelled"

    async def test_judge_by_the_flags_their_jobs_would_have_had(self, engine):
        workflow = chain("a").add_workflow("none", Workflow(ignore_discarded=True), deps="a")
        await engine.enqueue(workflow)

        await engine.discard("a")
        assert await engine.group("none") == "completed"

    async def test_wait_again_when_what_broke_them_is_retried(self, engine):
        sub = Workflow().add_many("none", [])
        workflow = chain("a").add("b", make_job()).add_workflow("sub", sub, deps=["a", "b"])
        await engine.enqueue(workflow)
        await engine.discard("a")
        await engine.discard("b")

        await engine.retry("a")
        assert await engine.group("sub/none") == "cancelled"

        await engine.retry("b")
        assert await engine.group("sub/none") == "executing"

        await engine.complete("a", "b")
        assert await engine.group("sub") == "completed"

    async def test_close_again_when_what_completed_them_is_retried(self, engine):
        workflow = chain("a").add_many("none", [], deps="a").add("b", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["none", "b"]))
        await engine.complete("a")

        await engine.psql("UPDATE oban_jobs SET state = 'available' WHERE id = %s", engine.ids["a"])
        assert await engine.group("none") == "executing"

        await engine.complete("b")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete("a")
        assert (await engine.row("end")).state == "available"


class TestBreaking:
    async def test_goes_down_the_chain_at_once(self, engine):
        await engine.enqueue(chain("a", "b", "c"))

        await engine.discard("a")
        assert await engine.states() == {"a": "discarded", "b": "cancelled", "c": "cancelled"}

    async def test_leaves_an_error_that_names_the_upstream(self, engine):
        await engine.enqueue(chain("a", "b", "c"))
        await engine.discard("a")

        for path, cause in [("b", "job 'a' was discarded"), ("c", "job 'b' was cancelled")]:
            row = await engine.row(path)
            (error,) = row.errors
            assert error["error"] == f"cancelled because upstream {cause}"
            assert error["attempt"] == row.attempt == 0
            assert datetime.fromisoformat(error["at"]).tzinfo is not None
            assert row.cancelled_at is not None

    async def test_names_the_group_that_broke_it(self, engine):
        workflow = Workflow().add_many("many", [make_job()]).add_workflow("sub", chain("a"))
        workflow.add("x", make_job(), deps="many").add("y", make_job(), deps="sub")
        await engine.enqueue(workflow)

        await engine.discard("many/0")
        await engine.cancel_by_ack("sub/a")
        (x,), (y,) = (await engine.row("x")).errors, (await engine.row("y")).errors
        assert "fan-out 'many' was discarded" in x["error"]
        assert "sub-workflow 'sub' was cancelled" in y["error"]

    async def test_names_what_the_gate_waited_for(self, engine):
        await engine.enqueue(chain("a").add_workflow("sub", chain("x"), deps="a"))

        await engine.discard("a")
        (error,) = (await engine.row("sub/x")).errors
        assert "job 'a' was discarded" in error["error"]

    async def test_writes_one_error_where_several_break_at_once(self, engine):
        workflow = Workflow().add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["a", "b"]))

        await engine.discard("a", "b")
        assert len((await engine.row("end")).errors) == 1

    async def test_does_not_wait_for_the_other_deps(self, engine):
        workflow = Workflow().add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["a", "b"]))

        await engine.cancel_by_ack("a")
        assert (await engine.row("end")).state == "cancelled"

    async def test_leaves_alone_what_runs_already(self, engine):
        await engine.enqueue(chain("a", "b"))
        await engine.complete("a")
        await engine.start("b")

        await engine.retry("a")
        await engine.discard("a")
        assert (await engine.row("b")).state == "executing"


class TestRetryOfTheUpstream:
    async def test_is_unsatisfied_again_for_those_that_wait(self, engine):
        workflow = Workflow().add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps=["a", "b"]))
        await engine.complete("a")
        await engine.psql("UPDATE oban_jobs SET state = 'available' WHERE id = %s", engine.ids["a"])

        await engine.complete("b")
        assert (await engine.row("end")).state == "suspended"

        await engine.complete("a")
        assert (await engine.row("end")).state == "available"

    async def test_a_retry_of_the_upstream_calls_no_released_job_back(self, engine):
        await engine.enqueue(chain("a", "b", "c"))
        await engine.complete("a")

        await engine.retry("a")
        expected = {"a": "available", "b": "available", "c": "suspended"}
        assert await engine.states() == expected

    async def test_closes_gates_and_opens_settled_groups(self, engine):
        workflow = chain("a").add_workflow("sub", chain("x", "y"), deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="sub"))
        await engine.complete("a")
        await engine.complete("sub/x")
        await engine.complete("sub/y")

        await engine.retry("sub/y")
        assert await engine.group("sub") == "executing"

        await engine.retry("a")
        assert (await engine.row("end")).state == "available"

    async def test_revives_nobody_by_itself(self, engine):
        await engine.enqueue(chain("a", "b"))
        await engine.discard("a")

        await engine.retry("a")
        await engine.complete("a")
        assert (await engine.row("b")).state == "cancelled"

        await engine.retry("b")
        assert (await engine.row("b")).state == "available"


@pytest.mark.slow
class TestSize:
    @pytest.mark.timeout(120)
    async def test_ten_thousand_levels_are_cancelled(self, oban, dsn):
        names = [str(n) for n in range(10_000)]
        workflow = Workflow().add("0", make_job())

        for before, name in pairwise(names):
            workflow.add(name, make_job(), deps=before)

        first, *_ = await oban.enqueue_many(workflow)
        await oban.cancel_job(first)

        async with await AsyncConnection.connect(dsn) as conn:
            engine = Engine(oban, conn)
            rows = await engine.rows("SELECT state, count(*) FROM oban_jobs GROUP BY state")
            assert rows == [("cancelled", 10_000)]
            await engine.check()

    @pytest.mark.parametrize("by", ["edges", "fan-out"])
    async def test_ten_thousand_jobs_fan_out_and_in(self, engine, by):
        workflow, count = Workflow().add("start", make_job()), 10_000
        names = [str(n) for n in range(count)]

        if by == "edges":
            for name in names:
                workflow.add(name, make_job(), deps="start")
            workflow.add("end", make_job(), deps=names)
        else:
            workflow.add_many("many", [make_job() for _ in names], deps="start")
            workflow.add("end", make_job(), deps="many")

        await engine.enqueue(workflow)
        await engine.complete("start")
        assert len(await engine.ack(await engine.fetch(), "completed")) == count
        await engine.complete("end")
        assert await engine.root() == "completed"
