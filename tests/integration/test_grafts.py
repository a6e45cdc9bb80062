"""Grafts: workflows that grow while they run."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from oban import Job, Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, from_result
from oban_pro.building.planner import compile_plan
from oban_pro.engine import grafting
from oban_pro.errors import DuplicateIdError, GraftError, InvalidArgumentError
from tests.support import growth
from tests.support.databases import deadlocks
from tests.support.engine import Engine, chain, make_job
from tests.support.fixtures import WaitUntil
from tests.support.graphs import error_of, settled, work


def growing(**options: Any) -> Workflow:
    """Build a workflow with a place to grow, and a job that waits for what grows there."""
    return Workflow(**options).add_graft("grow", make_job()).add("end", make_job(), deps="grow")


async def graft(engine: Engine, path: str, sub: Workflow) -> list[Job]:
    """Start the grafter of a graft, if need be, and let it graft."""
    (grafter,) = await engine.start(f"{path}/grafter")

    return await engine.enqueue(Workflow.apply_graft(grafter, sub))


class TestDownstream:
    async def test_waits_for_the_grafter_and_for_what_it_grafts(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b"))
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafter")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafted/a")
        await engine.complete("grow/grafted/b")
        assert (await engine.states())["end"] == "available"

    async def test_waits_for_the_grafter_when_that_is_last(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        await engine.complete("grow/grafted/a")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafter")
        assert (await engine.states())["end"] == "available"

    @pytest.mark.parametrize("levels", [2, 3])
    @pytest.mark.parametrize("grafters_first", [True, False])
    async def test_waits_for_the_innermost_jobs(self, engine, levels, grafters_first):
        await engine.enqueue(growing())
        path = "grow"

        for _ in range(levels - 1):
            await graft(engine, path, Workflow().add_graft("deeper", make_job()))

            if grafters_first:
                await engine.complete(f"{path}/grafter")

            path += "/grafted/deeper"

        await graft(engine, path, chain("a", "b"))
        await engine.complete(f"{path}/grafted/a")

        while path:
            if (await engine.row(f"{path}/grafter")).state == "executing":
                await engine.complete(f"{path}/grafter")

            path = path.removesuffix("/grafted/deeper") if path != "grow" else ""

        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow" + "/grafted/deeper" * (levels - 1) + "/grafted/b")
        assert (await engine.states())["end"] == "available"

    @pytest.mark.parametrize("levels", [1, 2])
    async def test_waits_for_a_consumer_inside_a_graft(self, engine, levels):
        """A graft in a grafted workflow has a consumer there, and one outside."""
        await engine.enqueue(growing())
        path = "grow"

        for _ in range(levels):
            await graft(engine, path, growing())
            await engine.complete(f"{path}/grafter")
            path += "/grafted/grow"

        await graft(engine, path, chain("a"))
        await engine.complete(f"{path}/grafter")
        inner = path.removesuffix("grow") + "end"
        assert (await engine.states())[inner] == "suspended"

        await engine.complete(f"{path}/grafted/a")
        states = await engine.states()
        assert (states[inner], states["end"]) == ("available", "suspended")

        for _ in range(levels):
            await engine.complete(inner)
            inner = inner.removesuffix("grafted/grow/grafted/end") + "grafted/end"

        assert (await engine.states())["end"] == "available"

    async def test_waits_for_groups_and_fan_outs_inside_a_graft(self, engine):
        await engine.enqueue(growing())
        sub = Workflow().add_workflow("sub", chain("a", "b"))
        sub.add_many("many", [make_job(), make_job()], deps="sub")
        sub.add_many("none", [], deps="many")
        sub.add_cascade("each", ([1, 2], growth.echo), deps="none")
        await graft(engine, "grow", sub)
        await engine.complete("grow/grafter")

        for path in ("sub/a", "sub/b", "many/1", "many/0", "each/1"):
            await engine.complete(f"grow/grafted/{path}")
            assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafted/each/0")
        assert (await engine.states())["end"] == "available"

    async def test_of_a_sub_workflow_waits_for_the_graft_in_it(self, engine):
        outer = Workflow().add_workflow("sub", growing()).add("last", make_job(), deps="sub")
        await engine.enqueue(outer)
        await graft(engine, "sub/grow", chain("a"))
        await engine.complete("sub/grow/grafter")
        assert await engine.group("sub") == "executing"

        await engine.complete("sub/grow/grafted/a")
        await engine.complete("sub/end")
        assert await engine.group("sub") == "completed"
        assert (await engine.states())["last"] == "available"

    async def test_of_a_gated_sub_workflow_with_a_graft_waits(self, engine):
        sub = Workflow().add_graft("grow", make_job())
        outer = Workflow().add("first", make_job()).add_workflow("sub", sub, deps="first")
        await engine.enqueue(outer.add("last", make_job(), deps="sub"))
        assert (await engine.states())["sub/grow/grafter"] == "suspended"

        await engine.complete("first")
        await graft(engine, "sub/grow", chain("a"))
        await engine.complete("sub/grow/grafter")
        assert (await engine.states())["last"] == "suspended"

        await engine.complete("sub/grow/grafted/a")
        assert (await engine.states())["last"] == "available"

    async def test_waits_for_what_is_appended_to_a_graft(self, engine):
        await engine.enqueue(growing())
        sub = chain("a")
        await graft(engine, "grow", sub)
        await Workflow(id=sub.id).append(
            Workflow(check_deps=False).add("b", make_job(), deps="a").add("c", make_job())
        )
        await engine._learn()
        await engine.complete("grow/grafter")
        await engine.complete("grow/grafted/a", "grow/grafted/c")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafted/b")
        assert (await engine.states())["end"] == "available"

    async def test_is_cancelled_when_a_grafted_job_breaks(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")
        await engine.discard("grow/grafted/a")

        assert await engine.states() == {
            "grow/grafter": "completed",
            "grow/grafted/a": "discarded",
            "grow/grafted/b": "cancelled",
            "end": "cancelled",
        }
        error = (await engine.row("end")).errors[0]["error"]
        assert error == "cancelled because upstream graft 'grow' was discarded"

    async def test_goes_on_where_it_ignores_what_broke(self, engine):
        workflow = Workflow().add_graft("grow", make_job())
        await engine.enqueue(workflow.add("end", make_job(), deps="grow", ignore_discarded=True))
        await graft(engine, "grow", chain("a"))
        await engine.discard("grow/grafted/a")
        await engine.complete("grow/grafter")

        assert (await engine.states())["end"] == "available"

    async def test_grafted_jobs_follow_the_flags_of_their_workflow(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b", ignore_discarded=True))
        await engine.discard("grow/grafted/a")

        assert (await engine.states())["grow/grafted/b"] == "available"


class TestGrafted:
    async def test_starts_before_the_grafter_ends(self, engine):
        await engine.enqueue(growing())
        jobs = await graft(engine, "grow", chain("a", "b"))

        assert [job.state for job in jobs] == ["available", "suspended"]
        assert (await engine.row("grow/grafter")).state == "executing"

    async def test_keeps_to_a_schedule(self, engine):
        await engine.enqueue(growing())
        sub = Workflow().add("a", make_job(schedule_in=timedelta(hours=1)))
        (job,) = await graft(engine, "grow", sub)

        assert job.state == "scheduled"

    async def test_is_rolled_back_with_the_connection_of_the_caller(self, engine, dsn):
        await engine.enqueue(growing())
        (grafter,) = await engine.start("grow/grafter")
        conn = await AsyncConnection.connect(dsn)
        await engine.oban.enqueue_many(Workflow.apply_graft(grafter, chain("a")), conn=conn)
        await conn.rollback()
        await conn.close()
        await engine.complete("grow/grafter")

        assert await engine.states() == {"grow/grafter": "completed", "end": "available"}

    async def test_an_id_that_is_taken_is_refused(self, engine):
        await engine.enqueue(growing(id="taken"))
        (grafter,) = await engine.start("grow/grafter")

        with pytest.raises(DuplicateIdError, match="taken"):
            await engine.enqueue(Workflow.apply_graft(grafter, chain("a", id="taken")))

        assert len(await engine.states()) == 2

    async def test_is_shown_where_it_grew(self, engine):
        workflow = growing(id="root", name="outer")
        await engine.enqueue(workflow)
        (job,) = await graft(engine, "grow", chain("a", id="inner", name="sub"))
        row = await engine.row("grow/grafted/a")

        assert row.meta == job.meta
        assert row.meta["workflow_id"] == "inner"
        assert row.meta["sup_workflow_id"] == "root"
        assert row.meta["sub_name"] == "grow"

        status = await workflow.status()
        assert (status.total, list(status.subs), status.subs["grow"].total) == (3, ["grow"], 2)
        assert status.counts == {"executing": 1, "available": 1, "suspended": 1}
        found = await workflow.get_job("grow")
        assert found is not None
        assert found.id == engine.ids["grow/grafter"]


class TestNothingGrafted:
    async def test_the_grafter_settles_alone(self, engine):
        await engine.enqueue(growing())
        await engine.complete("grow/grafter")

        assert await engine.group("grow") == "completed"
        assert (await engine.states())["end"] == "available"

    @pytest.mark.parametrize(
        "empty",
        [Workflow(), Workflow().add_many("many", []), Workflow().add_workflow("sub", Workflow())],
        ids=["nothing", "empty fan-out", "empty sub-workflow"],
    )
    async def test_an_empty_graft_is_none(self, engine, empty):
        await engine.enqueue(growing())
        assert await graft(engine, "grow", empty) == []

        await engine.complete("grow/grafter")
        assert await engine.root() == "executing"
        assert (await engine.states())["end"] == "available"


class TestTwice:
    async def test_the_same_workflow_is_grafted_once(self, engine):
        await engine.enqueue(growing())
        sub = chain("a", "b")
        first = await graft(engine, "grow", sub)
        second = await graft(engine, "grow", sub)

        assert [job.id for job in first] == [job.id for job in second]
        assert len(await engine.states()) == 4

    async def test_a_second_one_raises(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        (grafter,) = await engine.start("grow/grafter")

        with pytest.raises(GraftError, match="'grow' must graft one workflow, got a second one"):
            Workflow.apply_graft(grafter, chain("b"))

    @pytest.mark.parametrize("how", ["retry", "rescue", "snooze"])
    async def test_an_execution_that_follows_is_given_the_first_graft(self, engine, how):
        await engine.enqueue(growing())
        first = await graft(engine, "grow", chain("a", "b"))

        match how:
            case "retry":
                await engine.fail("grow/grafter")
            case "snooze":
                await engine.snooze("grow/grafter")

        # As oban's stager and its lifeline do.
        await engine.set_states({"grow/grafter": "available"})
        engine.running.clear()
        second = await graft(engine, "grow", chain("other", "and", "more"))

        assert [(job.id, job.meta["name"]) for job in second] == [
            (job.id, name) for job, name in zip(first, "ab", strict=True)
        ]
        await engine.complete("grow/grafter")
        await engine.complete("grow/grafted/a")
        await engine.complete("grow/grafted/b")
        await engine.complete("end")
        assert await engine.root() == "completed"

    async def test_a_graft_that_was_rolled_back_leaves_room(self, engine):
        await engine.enqueue(growing())
        (grafter,) = await engine.start("grow/grafter")

        with pytest.raises(DuplicateIdError):
            await engine.enqueue(
                Workflow.apply_graft(grafter, chain("a", id=grafter.meta["workflow_id"]))
            )

        await engine.fail("grow/grafter")
        await engine.set_states({"grow/grafter": "available"})
        engine.running.clear()
        await graft(engine, "grow", chain("b"))

        assert "grow/grafted/b" in engine.ids


class TestGrafterThatDoesNotComplete:
    async def test_dependents_wait_while_the_grafter_is_retried(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        await engine.fail("grow/grafter")
        await engine.complete("grow/grafted/a")

        assert await engine.group("grow") == "executing"
        assert (await engine.states())["end"] == "suspended"

    async def test_dependents_wait_while_the_grafter_is_snoozed(self, engine):
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        await engine.snooze("grow/grafter")
        await engine.complete("grow/grafted/a")

        assert (await engine.states())["end"] == "suspended"

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_a_grafter_that_fails_breaks_its_downstream_once_the_graft_has_settled(
        self, engine, state
    ):
        """What it grafted runs to its end; downstream breaks then, and not before."""
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b"))
        settle = engine.discard if state == "discarded" else engine.cancel_by_ack
        await settle("grow/grafter")
        states = await engine.states()
        assert (states["grow/grafted/a"], states["end"]) == ("available", "suspended")

        await engine.complete("grow/grafted/a")
        await engine.complete("grow/grafted/b")
        assert await engine.group("grow") == state
        assert (await engine.states())["end"] == "cancelled"
        assert await engine.root() == state

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_settled_otherwise_and_ignored(self, engine, state):
        workflow = Workflow(ignore_cancelled=True, ignore_discarded=True)
        workflow.add_graft("grow", make_job()).add("end", make_job(), deps="grow")
        await engine.enqueue(workflow)
        await graft(engine, "grow", chain("a"))
        settle = engine.discard if state == "discarded" else engine.cancel_by_ack
        await settle("grow/grafter")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("grow/grafted/a")
        assert (await engine.states())["end"] == "available"

    async def test_never_started_because_its_dependency_broke(self, engine):
        workflow = Workflow().add("a", make_job()).add_graft("grow", make_job(), deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="grow"))
        await engine.discard("a")

        assert (await engine.states())["grow/grafter"] == "cancelled"
        assert (await engine.states())["end"] == "cancelled"

    @pytest.mark.parametrize("by", ["names", "all", "plain oban", "psql"])
    async def test_cancelled_before_it_grafts(self, engine, by):
        workflow = growing()
        await engine.enqueue(workflow)
        (grafter,) = await engine.start("grow/grafter")

        match by:
            case "names":
                assert await workflow.cancel_jobs(names=["grow"]) == 1
            case "all":
                assert await workflow.cancel_jobs() == 2
            case "plain oban":
                # It signals and leaves the rest to the worker, whose graft stands.
                await engine.cancel("grow/grafter")
            case "psql":
                await engine.set_states({"grow/grafter": "cancelled"})

        late = Workflow.apply_graft(grafter, chain("a"))

        if by == "plain oban":
            await engine.enqueue(late)
        else:
            with pytest.raises(GraftError, match="'grow' must be executing to graft, it is cancel"):
                await engine.enqueue(late)

            assert await engine.states() == {"grow/grafter": "cancelled", "end": "cancelled"}


class TestStaleExecution:
    async def test_may_not_graft_once_the_job_runs_elsewhere(self, engine):
        await engine.enqueue(growing())
        (stale,) = await engine.start("grow/grafter")
        await engine.set_states({"grow/grafter": "available"})
        engine.running.clear()
        await engine.start("grow/grafter")

        with pytest.raises(GraftError, match="must be executing to graft, it is executing again"):
            await engine.enqueue(Workflow.apply_graft(stale, chain("a")))

        await graft(engine, "grow", chain("b"))
        assert "grow/grafted/b" in engine.ids


class TestSeveral:
    async def test_grafts_workflows_and_jobs_in_one_go(self, engine):
        first, second = growing(id="first"), growing(id="second")
        await engine.oban.enqueue_many([*first, *second])
        one, two = await engine.query.fetch_jobs(2, "default", "node", "uuid")
        plain = make_job()
        jobs = await engine.oban.enqueue_many(
            [
                plain,
                *Workflow.apply_graft(one, chain("a", "b")),
                *chain("x"),
                *Workflow.apply_graft(two, chain("c")),
            ]
        )
        await engine.check()

        assert [job.meta.get("name") for job in jobs] == [None, "a", "b", "x", "c"]
        assert (await first.status()).total == 4
        assert (await second.status()).total == 3


class TestCancelling:
    async def test_reaches_what_was_grafted(self, engine):
        workflow = growing()
        await engine.enqueue(workflow)
        await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")

        assert await workflow.cancel_jobs(names=["grow"]) == 2
        assert await engine.states() == {
            "grow/grafter": "completed",
            "grow/grafted/a": "cancelled",
            "grow/grafted/b": "cancelled",
            "end": "cancelled",
        }

    async def test_while_grafting_leaves_nothing_behind(self, engine):
        """Whoever is first, nothing runs on and nothing waits for ever."""
        for _ in range(15):
            workflow = growing()
            jobs = await engine.oban.enqueue_many(workflow)
            (grafter,) = await engine.query.fetch_jobs(1, "default", "node", "uuid")
            sub = chain("a", "b")
            outcomes: Any = await asyncio.gather(
                workflow.cancel_jobs(),
                engine.oban.enqueue_many(Workflow.apply_graft(grafter, sub)),
                return_exceptions=True,
            )
            await engine.ack([grafter], "completed")
            status = await workflow.status()

            assert isinstance(outcomes[1], (list, GraftError))
            assert (status.state, status.total) in {("cancelled", len(jobs)), ("cancelled", 4)}


class TestRefusals:
    async def test_a_job_that_is_no_grafter(self, engine):
        await engine.enqueue(Workflow().add("a", make_job()))
        (job,) = await engine.start("a")

        with pytest.raises(GraftError, match=r"'a' must be a grafter .* add_graft\(\)"):
            Workflow.apply_graft(job, chain("b"))

    def test_a_job_of_no_workflow(self) -> None:
        with pytest.raises(GraftError, match="must be a grafter"):
            Workflow.apply_graft(make_job(), chain("b"))

    async def test_something_else_than_a_workflow(self, engine):
        await engine.enqueue(growing())
        (grafter,) = await engine.start("grow/grafter")

        with pytest.raises(InvalidArgumentError, match="sub_workflow must be a Workflow, got None"):
            Workflow.apply_graft(grafter, cast(Any, None))


async def run(oban: Oban, workflow: Workflow, wait_until: WaitUntil) -> dict[str, Any]:
    """Run a workflow to its end; returns what was recorded."""
    await oban.enqueue_many(workflow)
    await wait_until(lambda: settled(workflow), timeout=30)

    return await workflow.all_recorded()


class TestFunctions:
    """Grafters that are functions, and return what they graft."""

    @pytest.mark.parametrize("function", [growth.squares, growth.squares_async])
    async def test_get_the_context_and_return_the_graft(self, start_oban, wait_until, function):
        workflow = Workflow().add_cascade("numbers", growth.numbers)
        workflow.add_graft("grow", function, deps="numbers")
        workflow.add_cascade("end", growth.received, deps="grow")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["grow"] == {"each": {"0": 2, "1": 4, "2": 6}}
        assert results["end"] == {"grow": results["grow"]}

    async def test_one_graft_for_each_item(self, start_oban, wait_until, engine):
        workflow = Workflow().add_graft("all", (["a", "", "b"], growth.graft_for))
        workflow.add_cascade("end", growth.received, deps="all")
        results = await run(await start_oban(), workflow, wait_until)
        await engine.check()

        expected = {"0": {"say": {"0": "hi a"}}, "1": {}, "2": {"say": {"0": "hi b"}}}
        assert results["end"] == {"all": expected}

    @pytest.mark.parametrize("function", [growth.graft_nothing, growth.graft_empty])
    async def test_a_graft_function_may_return_nothing(self, start_oban, wait_until, function):
        workflow = Workflow().add_graft("grow", function)
        workflow.add_cascade("end", growth.received, deps="grow")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["end"] == {"grow": {}}

    async def test_graft_and_settle_in_one_transaction(self, start_oban, wait_until, engine):
        workflow = Workflow().add_graft("grow", growth.graft_late)
        oban = await start_oban()
        await oban.enqueue_many(workflow)

        async def grafter_settled() -> bool:
            job = await workflow.get_job("grow")
            return job is not None and job.state == "completed"

        await wait_until(grafter_settled)
        # The transaction that a row was last written by.
        rows = await engine.rows("SELECT xmin::text FROM oban_jobs")
        assert len(rows) == 2
        assert len(set(rows)) == 1

    @pytest.mark.parametrize(
        ("function", "reason"),
        [
            (growth.graft_rubbish, "grafter 'grow' must return a Workflow or None, got ['not'"),
            (growth.graft_taken, "id of a nested workflow is taken"),
            (growth.graft_cyclic, "dependencies must"),
            (growth.graft_nul, "args of job 'a' must not hold NUL"),
        ],
    )
    async def test_what_cannot_be_grafted_fails_the_grafter(
        self, start_oban, wait_until, engine, function, reason
    ):
        workflow = Workflow(id="taken").add_graft("grow", function, max_attempts=1)
        workflow.add("end", work(), deps="grow")
        await run(await start_oban(), workflow, wait_until)

        status = await workflow.status()
        assert status.counts == {"discarded": 1, "cancelled": 1}
        assert reason in await error_of(workflow, "grow")
        await engine.check()

    async def test_a_function_that_grafts_may_snooze(self, start_oban, wait_until):
        workflow = Workflow().add_graft("grow", growth.graft_snooze)
        oban = await start_oban()
        await oban.enqueue_many(workflow)

        async def is_scheduled() -> bool:
            return (await workflow.status()).counts["scheduled"] == 1

        await wait_until(is_scheduled)

    async def test_a_function_that_grafts_may_cancel(self, start_oban, wait_until):
        workflow = Workflow().add_graft("grow", growth.graft_cancel)
        await run(await start_oban(), workflow.add("end", work(), deps="grow"), wait_until)

        assert (await workflow.status()).counts == {"cancelled": 2}

    async def test_cancelled_before_its_ack_grafts_nothing(self, engine):
        """The ack comes late, and with it the graft."""
        workflow = Workflow().add_graft("grow", growth.graft_late)
        await engine.enqueue(workflow.add("end", make_job(), deps="grow"))
        (grafter,) = await engine.start("grow/grafter")
        grafting.keep_returned(
            grafter, compile_plan(chain("a")._spec("sub", "late"), grafter=grafter)
        )
        await workflow.cancel_jobs(names=["grow"])

        assert await engine.ack([grafter], "completed") == []
        assert await engine.states() == {"grow/grafter": "cancelled", "end": "cancelled"}


class TestResults:
    async def test_reach_what_follows_by_the_name_of_the_graft(self, start_oban, wait_until):
        workflow = Workflow().add_context({"left": 3}).add_graft("grow", growth.graft_deeper)
        workflow.add_cascade("end", growth.received, deps="grow")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["end"] == {
            "left": 3,
            "grow": {
                "here": {"left": 2},
                "deeper": {"here": {"left": 1}, "deeper": {"here": {"left": 0}}},
            },
        }
        handle = Workflow(id=workflow.id)
        assert (await handle.all_recorded())["grow"] == results["end"]["grow"]
        end = await handle.get_job("end")
        assert await handle.all_recorded(deps_of=end) == {"grow": results["end"]["grow"]}
        upstream = await handle.all_jobs(deps_of=end)
        assert len(upstream) == 6

    async def test_of_what_a_graft_depends_on_reach_its_first_jobs(self, start_oban, wait_until):
        workflow = Workflow().add_context({"key": 1}).add_cascade("numbers", growth.numbers)
        workflow.add_graft("grow", growth.graft_seen, deps="numbers")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["grow"]["first"] == {"key": 1, "numbers": [1, 2, 3]}
        (job,) = [
            job for job in await workflow.all_jobs(with_subs=True) if job.meta["name"] == "first"
        ]
        assert job.meta["deps"] == [[workflow.id, "numbers"]]


class TestFromResult:
    @pytest.mark.parametrize(
        ("given", "path", "expected"),
        [
            ([1, 2], [], {"0": 1, "1": 2}),
            ((1, 2), [], {"0": 1, "1": 2}),
            ({"a": 1, "b": 2}, [], {"a": 1, "b": 2}),
            ({5: 1}, [], {"5": 1}),
            ({"rows": [{"ids": [7, 8]}]}, ["rows", 0, "ids"], {"0": 7, "1": 8}),
            ([datetime(2026, 1, 2)], [], {"0": datetime(2026, 1, 2)}),
            ([], [], {}),
            ({}, [], {}),
        ],
    )
    async def test_maps_over_what_an_upstream_job_recorded(
        self, start_oban, wait_until, given, path, expected
    ):
        workflow = Workflow().add_context({"given": given}).add_cascade("list", growth.collection)
        workflow.add_cascade("each", (from_result("list", *path), growth.echo), deps="list")
        workflow.add_cascade("end", growth.received, deps="each")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["end"]["each"] == expected
        assert results["each"] == expected

    @pytest.mark.parametrize(
        ("given", "path", "reason"),
        [
            (5, [], "job 'each' must map over a list or a dict, got 5 at context['list']"),
            ("abc", [], "must map over a list or a dict, got 'abc' at context['list']"),
            (None, [], "must map over a list or a dict, got None at context['list']"),
            (
                {"a": 1},
                ["b"],
                "must find what it maps over, got KeyError('b') at context['list']['b']",
            ),
            ({"a": 1}, ["a", "b"], "job 'each' must find what it maps over, got TypeError"),
            ([1], [3], "job 'each' must find what it maps over, got IndexError"),
            ({(1, 2): 1}, [], "key in 'each' must be"),
        ],
    )
    async def test_what_is_no_collection_fails_with_a_reason(
        self, start_oban, wait_until, given, path, reason
    ):
        workflow = Workflow().add_context({"given": given}).add_cascade("list", growth.collection)
        workflow.add_cascade(
            "each", (from_result("list", *path), growth.echo), deps="list", max_attempts=1
        )
        await run(await start_oban(), workflow.add("end", work(), deps="each"), wait_until)

        assert (await workflow.status()).counts == {"completed": 1, "discarded": 1, "cancelled": 1}
        assert reason in await error_of(workflow, "each")

    async def test_a_dependency_that_recorded_nothing_fails_with_a_reason(
        self, start_oban, wait_until
    ):
        workflow = Workflow().add("list", work())
        each = (from_result("list"), growth.echo)
        workflow.add_cascade("each", each, deps="list", max_attempts=1)
        await run(await start_oban(), workflow, wait_until)

        assert "'list'" in await error_of(workflow, "each")

    async def test_jobs_see_what_the_fan_out_depends_on(self, start_oban, wait_until):
        workflow = Workflow().add_context({"key": 1}).add_cascade("list", growth.numbers)
        workflow.add_cascade("each", (from_result("list"), growth.seen), deps="list")
        results = await run(await start_oban(), workflow, wait_until)

        assert results["each"]["0"] == {"key": 1, "list": [1, 2, 3]}

    async def test_options_reach_every_job(self, start_oban, wait_until):
        workflow = Workflow().add_cascade("list", growth.numbers)
        each = (from_result("list"), growth.echo)
        workflow.add_cascade(
            "each", each, deps="list", queue="other", priority=2, tags=["x"], meta={"m": 1}
        )
        oban = await start_oban({"default": 5, "other": 5})
        await run(oban, workflow, wait_until)
        jobs = await workflow.all_jobs(with_subs=True)

        assert len(jobs) == 5
        for job in jobs[1:]:
            assert (job.queue, job.priority, job.tags, job.meta["m"]) == ("other", 2, ["x"], 1)

    def test_must_name_a_dependency(self) -> None:
        with pytest.raises(InvalidArgumentError, match="must name one of its deps"):
            Workflow().add("list", work()).add_cascade(
                "each",
                (from_result("list"), growth.echo),  # type: ignore[arg-type]
            )


class TestNodes:
    @pytest.mark.parametrize("do", [None, "fail", "snooze", "cancel"])
    async def test_a_grafter_that_runs_again_grafts_once(self, start_oban, wait_until, engine, do):
        grafter = growth.Grow.new({"jobs": 5, "do": do})
        workflow = Workflow(ignore_cancelled=True).add_graft("grow", grafter)
        await run(await start_oban(), workflow.add("end", work(), deps="grow"), wait_until)
        await engine.check()

        cancelled = int(do == "cancel")
        assert (await workflow.status()).counts == +Counter(
            completed=7 - cancelled, cancelled=cancelled
        )
        end = await workflow.get_job("end")
        assert end is not None
        upstream = await workflow.all_jobs(deps_of=end)
        assert len(upstream) == 6
        for job in upstream:
            settled_at = job.completed_at or job.cancelled_at
            assert end.attempted_at is not None
            assert settled_at is not None
            assert end.attempted_at >= settled_at

    async def test_two_hundred_grafts_at_once(self, start_oban, wait_until, engine):
        workflow = Workflow()

        for n in range(200):
            workflow.add_graft(f"grow {n}", growth.Grow.new({"jobs": 2}))

        workflow.add("end", work(), deps=[f"grow {n}" for n in range(200)])
        await run(await start_oban({"default": 50}), workflow, wait_until)
        await engine.check()

        assert (await workflow.status()).counts == {"completed": 601}

    async def test_pages_that_graft_the_next(self, start_oban, wait_until, engine):
        workflow = Workflow().add_graft("next", growth.Page.new({"left": 60}))
        await run(await start_oban(), workflow.add("end", work(), deps="next"), wait_until)
        await engine.check()

        assert (await workflow.status()).counts == {"completed": 121}
        assert await deadlocks(engine.conn) == 0

    @pytest.mark.slow
    async def test_five_hundred_pages_that_graft_the_next(self, start_oban, wait_until, engine):
        workflow = Workflow().add_graft("next", growth.Page.new({"left": 500}))
        oban = await start_oban()
        await oban.enqueue_many(workflow.add("end", work(), deps="next"))
        await wait_until(lambda: settled(workflow), timeout=120)

        with deep_recursion():
            await engine.check()

        assert (await workflow.status()).counts == {"completed": 1001}
        assert len(await workflow.all_jobs(with_subs=True)) == 1001

    @pytest.mark.slow
    async def test_twenty_thousand_jobs_in_one_graft(self, start_oban, wait_until, engine):
        workflow = Workflow().add_graft("grow", growth.Grow.new({"jobs": 20_000}))
        oban = await start_oban({"default": 200})
        await oban.enqueue_many(workflow.add("end", work(), deps="grow"))
        await wait_until(lambda: settled(workflow), timeout=120)
        await engine.check()

        assert (await workflow.status()).counts == {"completed": 20_002}


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let the oracle follow a thousand levels: it recurses."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


def upstream(context: dict[str, Any]) -> str:
    return "up"


def keys(context: dict[str, Any]) -> list[str]:
    return sorted(context)


def keys_of_item(item: int, context: dict[str, Any]) -> list[str]:
    return sorted(context)


def graft_nested(context: dict[str, Any]) -> Workflow:
    sub = Workflow().add_cascade("first", keys).add_cascade("second", keys, deps="first")

    return (
        Workflow()
        .add_cascade("first", keys)
        .add_cascade("each", ([1, 2], keys_of_item))
        .add_cascade("later", ([1], keys_of_item), deps="first")
        .add_workflow("sub", sub)
        .add_graft("graft", graft_fan_out)
    )


def graft_fan_out(context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("each", ([1], keys_of_item))


class TestWhatAGraftDependsOn:
    async def test_is_seen_by_its_first_jobs_at_any_depth(self, start_oban, engine):
        workflow = Workflow().add_cascade("up", upstream).add_graft("grow", graft_nested, deps="up")
        expected = {
            "first": ["up"],
            "each": {"0": ["up"], "1": ["up"]},
            "later": {"0": ["first"]},
            "sub": {"first": ["up"], "second": ["first"]},
            "graft": {"each": {"0": ["up"]}},
        }
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await workflow.wait(timeout=20)
        assert (await workflow.all_recorded())["grow"] == expected

        # The grafter grafts anew, so what it had grafted does not run again.
        assert await workflow.retry_jobs(names=["up", "grow"]) == 2
        await workflow.wait(timeout=20)
        await engine.check()
        assert (await workflow.all_recorded())["grow"] == expected
