"""Members that run again with everything that depends on them, at any distance."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from oban import Job, Oban, Worker, telemetry, worker
from oban._executor import AckAction
from psycopg import AsyncConnection

from oban_pro import Workflow, from_result
from oban_pro.errors import InvalidArgumentError, UniqueConflictError, UnknownNameError
from oban_pro.testing import run_workflow
from tests.support.engine import chain, make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.node_row import Node
from tests.support.recount import assert_consistent
from tests.support.waits import pass_time

HANDLE = Workflow(id="w")
NODE = ["node", "00000000-0000-0000-0000-000000000001"]


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Node:
    """Provide a node with this package, whose executions end when their acks come."""
    node = Node(oban, conn)
    await node.join({"oban_workflows_patience": 60.0})

    return node


async def rerun(engine: Node, *names: str) -> int:
    count = await HANDLE.retry_jobs(names=names, downstream=True)
    await engine._learn()

    return count


async def run(engine: Node, *names: str) -> None:
    """Complete jobs one after the other."""
    for name in names:
        await engine.complete(name)


async def changed(engine: Node) -> dict[str, str]:
    """Return the states of all jobs that have not completed."""
    return {path: state for path, state in (await engine.states()).items() if state != "completed"}


def nested() -> Workflow:
    """Build before -> sub (x -> y, z) -> many (0, 1) -> after, and a job beside."""
    sub = Workflow().add("x", make_job()).add("y", make_job(), deps="x").add("z", make_job())

    return (
        Workflow(id="w")
        .add("before", make_job())
        .add_workflow("sub", sub, deps="before")
        .add_many("many", [make_job(), make_job()], deps="sub")
        .add("after", make_job(), deps="many")
        .add("beside", make_job())
    )


NESTED = ["before", "beside", "sub/x", "sub/z", "sub/y", "many/0", "many/1", "after"]


class TestWhatRunsAgain:
    async def test_is_all_that_depends_on_it_in_order(self, engine: Node) -> None:
        workflow = chain("a", "b", "c", "d", id="w").add("beside", make_job(), deps="a")
        await engine.enqueue(workflow)
        await run(engine, *"abcd", "beside")

        assert await rerun(engine, "b") == 3
        assert await changed(engine) == {"b": "available", "c": "suspended", "d": "suspended"}
        await run(engine, *"bcd")
        assert await engine.root() == "completed"

    @pytest.mark.parametrize(
        ("path", "again"),
        [
            ("before", {*NESTED} - {"beside"}),
            ("sub", {"sub/x", "sub/y", "sub/z", "many/0", "many/1", "after"}),
            ("sub/x", {"sub/x", "sub/y", "many/0", "many/1", "after"}),
            ("many/1", {"many/1", "after"}),
        ],
    )
    async def test_is_what_depends_on_the_groups_around_it_too(
        self, engine: Node, path: str, again: set[str]
    ) -> None:
        await engine.enqueue(nested())
        await run(engine, *NESTED)
        assert await rerun(engine, path) == len(again)
        assert {*await changed(engine)} == again
        await run(engine, *(name for name in NESTED if name in again))
        assert await engine.root() == "completed"

    async def test_counts_once_what_several_names_lead_to(self, engine: Node) -> None:
        await engine.enqueue(nested())
        await run(engine, *NESTED)
        assert await rerun(engine, "sub/y", "many", "sub/z", "beside") == 6

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_is_what_broke_and_what_that_broke(self, engine: Node, state: str) -> None:
        await engine.enqueue(chain("a", "b", "c", id="w"))
        await run(engine, "a")
        await engine.ack(await engine.start("b"), state)
        assert await rerun(engine, "a") == 3
        await run(engine, *"abc")
        assert await engine.root() == "completed"

    async def test_does_not_count_what_waits_already(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", "c", id="w"))
        assert await rerun(engine, "a") == 0
        await run(engine, "a")
        assert await rerun(engine, "a") == 2
        assert await rerun(engine, "a") == 0

    async def test_waits_on_purpose_for_what_stays_broken(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("c", make_job(), deps=["a", "b"]))
        await run(engine, "a")
        await engine.discard("b")
        engine.revived.add(engine.ids["c"])
        assert await rerun(engine, "a") == 2
        await run(engine, "a")
        assert await changed(engine) == {"b": "discarded", "c": "suspended"}
        assert await rerun(engine, "b") == 1
        await run(engine, "b", "c")

    async def test_keeps_the_time_it_was_to_start_at(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a", delay=3600))
        await run(engine, "a")
        assert await rerun(engine, "a") == 2
        await run(engine, "a")
        assert await changed(engine) == {"b": "scheduled"}


class TestCalls:
    async def test_a_retry_with_downstream_needs_names(self, engine: Node) -> None:
        with pytest.raises(InvalidArgumentError, match="downstream=True must come with names"):
            await HANDLE.retry_jobs(downstream=True)

    async def test_of_no_names_select_nothing(self, engine: Node) -> None:
        await engine.enqueue(chain("a", id="w"))
        await run(engine, "a")
        assert await rerun(engine) == 0

    async def test_change_nothing_if_one_name_is_unknown(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))
        await run(engine, "a", "b")

        with pytest.raises(UnknownNameError, match="did you mean 'a'"):
            await HANDLE.retry_jobs(names=["b", "aa"], downstream=True)

        assert await changed(engine) == {}

    async def test_are_told_to_telemetry(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))
        await run(engine, "a")
        events: list[dict[str, Any]] = []
        telemetry.attach("test", ["oban.workflow.retried"], lambda _, event: events.append(event))

        try:
            await rerun(engine, "a")
        finally:
            telemetry.detach("test")

        (event,) = events
        expected = {"workflow_id": "w", "names": ["a"], "count": 2, "downstream": True}
        assert event.items() >= expected.items()

    async def test_say_when_a_workflow_was_retried_that_had_settled(self, engine: Node) -> None:
        await engine.enqueue(chain("a", id="w"))
        await run(engine, "a")
        await rerun(engine, "a")
        assert (await HANDLE.status()).retried_at is not None


class TestExecutions:
    async def test_that_are_stopped_end_first(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", "c", id="w"))
        await run(engine, "a")
        (b,) = await engine.start("b")
        assert await rerun(engine, "a") == 2
        assert await engine.unended() == ["b"]
        await run(engine, "a")
        assert await changed(engine) == {"b": "suspended", "c": "suspended"}
        assert (await HANDLE.explain("b")).reason == "ending"

        assert await engine.ack([b], "completed", meta={"recorded": True, "return": "x"}) == []
        assert await changed(engine) == {"b": "available", "c": "suspended"}
        row = await engine.row("b")
        assert "recorded" not in row.meta
        await run(engine, "b", "c")

    async def test_that_are_named_end_first(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))
        (a,) = await engine.start("a")
        assert await rerun(engine, "a") == 1
        assert await changed(engine) == {"a": "suspended", "b": "suspended"}
        assert await engine.ack([a], "discarded", error={"error": "boom"}) == []
        assert await changed(engine) == {"a": "available", "b": "suspended"}

    async def test_are_told_to_stop(self, start_oban: StartOban, wait_until: WaitUntil) -> None:
        runs: list[str] = []

        @worker(queue="default")
        class Stubborn(Worker):
            async def process(self, job: Job) -> None:
                runs.append("begun")

                while len(runs) == 1 and not job.cancelled():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

                runs.append("ended")

        oban = await start_oban()
        await oban.enqueue_many(
            Workflow(id="w").add("a", make_job(queue="none")).add("b", Stubborn.new({}))
        )

        async def begun() -> bool:
            return runs == ["begun"]

        async def done() -> bool:
            job = await HANDLE.get_job("b")
            return job is not None and job.state == "completed"

        await wait_until(begun)
        assert await HANDLE.retry_jobs(names=["b"], downstream=True) == 1
        await wait_until(done)
        assert runs == ["begun", "ended", "begun", "ended"]


class TestResults:
    async def test_results_of_jobs_that_run_again_are_forgotten(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))

        for name in "ab":
            meta = {"recorded": True, "return": "g2EB"}
            await engine.ack(await engine.start(name), "completed", meta=meta)

        assert await HANDLE.all_recorded() == {"a": 1, "b": 1}
        await rerun(engine, "a")
        assert await HANDLE.all_recorded() == {}

    async def test_of_loops_are_forgotten_with_their_turns(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "loop", id="w"))
        await run(engine, "a")
        turn = {"turn": 3, "again": "g2EB"}
        await engine.ack(await engine.start("loop"), "available", attempt_change=-1)
        job = engine.ids["loop"]
        await engine.rows(
            "UPDATE oban_jobs SET meta = meta || %s::jsonb WHERE id = %s",
            ('{"turn": 3, "again": "g2EB"}', job),
        )
        assert turn.items() <= (await engine.row("loop")).meta.items()
        assert await rerun(engine, "loop") == 1
        assert not {"turn", "again"} & {*(await engine.row("loop")).meta}


class TestJoins:
    async def test_start_as_soon_as_enough_is_satisfied(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("c", make_job(), deps=["a", "b"], need=1))
        await run(engine, *"abc")
        assert await rerun(engine, "a", "b") == 3
        assert (await engine.states())["c"] == "suspended"
        await run(engine, "a")
        assert (await engine.states())["c"] == "available"

    async def test_do_not_wait_for_what_they_do_not_need(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add("c", make_job(), deps=["a", "b"], need=1))
        await run(engine, *"abc")
        assert await rerun(engine, "a") == 2
        assert await changed(engine) == {"a": "available", "c": "available"}

    async def test_a_fan_out_that_runs_again_tolerates_failures_again(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        workflow.add_many("many", [make_job(), make_job()], deps="a", tolerate=1)
        await engine.enqueue(workflow.add("end", make_job(), deps="many"))
        await run(engine, "a", "many/0")
        await engine.discard("many/1")
        await run(engine, "end")
        assert await rerun(engine, "a") == 4
        await run(engine, "a", "many/1")
        await engine.discard("many/0")
        await run(engine, "end")
        assert await engine.root() == "completed"


class TestConditions:
    async def test_conditions_of_jobs_that_run_again_are_asked_again(self, oban: Oban) -> None:
        workflow = (
            Workflow(id="w")
            .add_cascade("size", measure)
            .add_cascade("large", note, deps="size", when=is_large)
            .add_cascade("after", note, deps="large")
            .add_workflow("sub", Workflow().add_cascade("in", note), deps="size", when=is_large)
        )
        given["size"] = 1
        assert (await run_workflow(workflow)).counts["skipped"] == 3
        given["size"] = 100
        assert await HANDLE.retry_jobs(names=["size"], downstream=True) == 5
        assert (await run_workflow(HANDLE)).counts == {"completed": 5}
        given["size"] = 1
        assert await HANDLE.retry_jobs(names=["size"], downstream=True) == 5
        assert (await run_workflow(HANDLE)).counts["skipped"] == 3


class TestWaits:
    async def test_open_anew_with_a_whole_new_clock(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add_signal("ok", deps="a", wait_for=3600)
        await engine.enqueue(workflow.add("b", make_job(), deps="ok"))
        await run(engine, "a")
        assert await HANDLE.signal("ok", "yes") == 1
        await run(engine, "b")
        assert await rerun(engine, "a") == 3
        await run(engine, "a")
        assert await changed(engine) == {"ok": "suspended", "b": "suspended"}
        assert (await HANDLE.status()).waits == 1
        await pass_time(engine)
        assert await changed(engine) == {"ok": "cancelled", "b": "cancelled"}

    async def test_that_are_open_close_and_keep_what_came(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add_signal("ok", deps="a", count=2))
        await run(engine, "a")
        assert await HANDLE.signal("ok", "yes", by="ada") == 1
        assert await rerun(engine, "a") == 1
        assert (await HANDLE.status()).waits == 0
        await run(engine, "a")
        assert await HANDLE.signal("ok", "yes", by="bob") == 1
        assert await engine.root() == "completed"

    async def test_that_were_rejected_ask_again(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add_signal("ok", deps="a")
        await engine.enqueue(workflow.add("b", make_job(), deps="ok"))
        await run(engine, "a")
        await HANDLE.reject("ok")
        assert await rerun(engine, "a") == 3
        await run(engine, "a")
        assert await HANDLE.signal("ok") == 1
        await run(engine, "b")


class TestLimitsAndPauses:
    async def test_a_fan_out_lines_up_again(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        workflow.add_many("many", [make_job() for _ in range(4)], deps="a", limit=2)
        await engine.enqueue(workflow)
        await run(engine, "a", *(f"many/{n}" for n in range(4)))
        assert await rerun(engine, "a") == 5
        await run(engine, "a")
        assert Counter((await changed(engine)).values()) == {"available": 2, "suspended": 2}
        await run(engine, *(f"many/{n}" for n in range(4)))

    async def test_what_is_paused_waits_to_be_resumed(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", "c", id="w"))
        await run(engine, "a")
        await HANDLE.pause("b")
        assert await rerun(engine, "a") == 1
        await run(engine, "a")
        assert await changed(engine) == {"b": "suspended", "c": "suspended"}
        assert await HANDLE.resume("b") == 1
        await run(engine, "b", "c")

    async def test_what_failed_before_it_was_paused_starts_over(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))
        await run(engine, "a")
        await engine.fail("b")
        await HANDLE.pause("b")
        assert await rerun(engine, "a") == 1
        await run(engine, "a")
        await HANDLE.resume("b")
        assert await changed(engine) == {"b": "available"}


class TestFinalJobs:
    async def test_are_armed_again_and_do_not_count(self, engine: Node) -> None:
        sub = chain("a", "b").add_final("clean", make_job())
        outer = Workflow(id="w").add("first", make_job()).add_workflow("sub", sub, deps="first")
        await engine.enqueue(outer.add("end", make_job(), deps="sub").add_final("last", make_job()))
        order = ["first", "sub/a", "sub/b", "sub/clean", "end", "last"]
        await run(engine, *order)
        assert await rerun(engine, "sub/b") == 2
        again = {"sub/b": "available", "sub/clean": "suspended", "end": "suspended"}
        assert await changed(engine) == again | {"last": "suspended"}
        await run(engine, *order[2:])
        assert await rerun(engine, "first") == 4
        await run(engine, *order)
        assert await engine.root() == "completed"

    async def test_that_execute_end_first(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w").add_final("last", make_job()))
        await run(engine, "a", "b")
        (last,) = await engine.start("last")
        assert await rerun(engine, "a") == 2
        await run(engine, "a", "b")
        assert await changed(engine) == {"last": "suspended"}
        assert await engine.ack([last], "completed") == []
        await run(engine, "last")

    @pytest.mark.parametrize("names", [["a"], ["a", "empty"]])
    async def test_of_an_empty_workflow_wait_for_what_it_depends_on(
        self, engine: Node, names: list[str]
    ) -> None:
        empty = Workflow().add_final("y", make_job()).add_final("z", make_job(), deps="y")
        workflow = Workflow(id="w").add("a", make_job()).add_workflow("empty", empty, deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="empty"))
        await run(engine, "a", "empty/y", "empty/z", "end")
        assert await rerun(engine, *names) == 2
        waiting = {"empty/y": "suspended", "empty/z": "suspended", "end": "suspended"}
        assert await changed(engine) == {"a": "available"} | waiting
        await run(engine, "a", "empty/y", "empty/z", "end")
        assert await engine.root() == "completed"

    async def test_of_an_empty_workflow_that_needs_no_more_run_again(self, engine: Node) -> None:
        empty = Workflow().add_final("y", make_job())
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add_workflow("empty", empty, deps=["a", "b"], need=1))
        await run(engine, "a", "b", "empty/y")
        assert await rerun(engine, "a") == 1
        assert await changed(engine) == {"a": "available", "empty/y": "available"}


class TestKeys:
    async def test_a_workflow_that_runs_again_takes_its_key_back(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w", unique="key"))
        await run(engine, "a", "b")
        assert await rerun(engine, "a") == 2
        other = chain("x", id="other", unique="key")
        await engine.oban.enqueue_many(other)
        assert other.is_duplicate

    async def test_that_another_holds_let_nothing_run_again(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w", unique="key"))
        await run(engine, "a", "b")
        await engine.enqueue(chain("x", id="other", unique="key"))

        with pytest.raises(UniqueConflictError):
            await rerun(engine, "a")

        assert await changed(engine) == {"x": "available"}


class TestDeadlines:
    async def test_may_be_set_with_it(self, engine: Node) -> None:
        await engine.enqueue(chain("a", "b", id="w"))
        await run(engine, "a", "b")
        assert await HANDLE.retry_jobs(names=["a"], downstream=True, deadline=60) == 2
        await pass_time(engine)
        assert await changed(engine) == {"a": "cancelled", "b": "cancelled"}

    async def test_that_have_not_come_stay(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a", deadline=3600))
        await run(engine, "a", "b")
        await rerun(engine, "a")
        await run(engine, "a")
        await pass_time(engine)
        assert await changed(engine) == {"b": "cancelled"}


class TestGrafts:
    async def grown(self, engine: Node) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add_graft("grow", make_job(), deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="grow"))
        await run(engine, "a")
        await self.graft(engine, chain("x", "y"))

    async def graft(self, engine: Node, sub: Workflow) -> list[Job]:
        (grafter,) = await engine.start("grow/grafter")

        return await engine.enqueue(Workflow.apply_graft(grafter, sub))

    async def test_a_grafter_that_runs_again_grafts_anew(self, engine: Node) -> None:
        await self.grown(engine)
        await run(engine, "grow/grafter", "grow/grafted/x", "grow/grafted/y", "end")
        assert await rerun(engine, "a") == 3
        waiting = {"grow/grafter": "suspended", "end": "suspended"}
        assert await engine.states() == {"a": "available"} | waiting
        await run(engine, "a")
        await self.graft(engine, chain("z"))
        await run(engine, "grow/grafter", "grow/grafted/z", "end")
        assert await engine.root() == "completed"

    @pytest.mark.parametrize("state", ["executing", "discarded", "retryable"])
    async def test_that_have_not_completed_graft_anew_as_what_they_graft_must_follow(
        self, engine: Node, state: str
    ) -> None:
        await self.grown(engine)
        (grafter,) = await engine.start("grow/grafter")

        if state != "executing":
            await engine.ack([grafter], state, error={"error": "boom"}, schedule_in=60)

        await rerun(engine, "a")
        waiting = {"grow/grafter": "suspended", "end": "suspended"}
        assert await engine.states() == {"a": "available"} | waiting
        await run(engine, "a")
        await engine.ack([grafter], "completed")
        await self.graft(engine, chain("z"))
        await run(engine, "grow/grafter", "grow/grafted/z", "end")

    async def test_leave_what_was_grafted_alone_where_a_part_of_that_is_named(
        self, engine: Node
    ) -> None:
        await self.grown(engine)
        await run(engine, "grow/grafter", "grow/grafted/x", "grow/grafted/y", "end")
        assert await rerun(engine, "grow/x") == 3
        assert await changed(engine) == {
            "grow/grafted/x": "available",
            "grow/grafted/y": "suspended",
            "end": "suspended",
        }

    async def test_late_acks_of_what_was_removed_change_nothing(self, engine: Node) -> None:
        await self.grown(engine)
        await run(engine, "grow/grafter")
        jobs = await engine.start("grow/grafted/x")
        await rerun(engine, "a")
        assert await engine.ack(jobs, "completed") == []

    async def test_map_what_their_source_records_now(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow(id="w")
            .add_cascade("list", listed)
            .add_cascade("each", (from_result("list"), double), deps="list")
            .add_cascade("sum", total, deps="each")
        )
        oban = await start_oban()
        given["items"] = [1, 2]
        await oban.enqueue_many(workflow)

        async def sums() -> bool:
            return bool(await HANDLE.get_recorded("sum") == 2 * sum(given["items"]))

        await wait_until(sums)
        given["items"] = [5, 6, 7]
        assert await HANDLE.retry_jobs(names=["list"], downstream=True) == 3
        await wait_until(sums)


given: dict[str, Any] = {}


def measure(context: dict[str, Any]) -> Any:
    return given["size"]


def is_large(context: dict[str, Any]) -> bool:
    return bool(context["size"] > 10)


def note(context: dict[str, Any]) -> None:
    return None


def listed(context: dict[str, Any]) -> Any:
    return given["items"]


def double(item: int, context: dict[str, Any]) -> int:
    return 2 * item


def total(context: dict[str, Any]) -> int:
    return sum(context["each"].values())


class TestRaces:
    """A rerun while the jobs that it is about are taken and acknowledged."""

    async def race(self, oban: Oban, number: int, rng: random.Random) -> str:
        handle = Workflow(id=f"race-{number}", oban=oban._name)
        queue = f"race-{number}"
        workflow = Workflow(id=handle.id)

        for index, name in enumerate("abc"):
            workflow.add(name, make_job(queue=queue), deps="abc"[index - 1] if index else ())

        await oban.enqueue_many(workflow)
        acked: list[int] = []

        async def work() -> None:
            """Take and complete jobs until none is there."""
            while jobs := await oban._query.fetch_jobs(1, queue, *NODE):
                await asyncio.sleep(rng.random() / 50)
                acked.extend(
                    await oban._query.ack_jobs([AckAction(job=jobs[0], state="completed")])
                )

        async def again() -> int:
            await asyncio.sleep(rng.random() / 10)

            return await handle.retry_jobs(names=["a"], downstream=True)

        _, count = await asyncio.gather(work(), again())
        # who was stopped lets the next go on when its ack comes
        await work()
        jobs = await handle.all_jobs()
        assert {job.state for job in jobs} == {"completed"}
        # everything ran in order in the end
        times = [job.completed_at for job in jobs]
        assert times == sorted(times, key=lambda at: at.timestamp() if at else 0)
        assert len(acked) >= 3

        return f"{count} again"

    async def races(self, oban: Oban, conn: AsyncConnection, rounds: int) -> Counter[str]:
        rng = random.Random(7)
        await oban._query.insert_producer(
            uuid=NODE[1],
            name="Oban",
            node="node",
            queue="default",
            meta={"oban_workflows_patience": 60.0},
        )
        outcomes: Counter[str] = Counter()

        for start in range(0, rounds, 10):
            numbers = range(start, start + 10)
            outcomes.update(await asyncio.gather(*(self.race(oban, n, rng) for n in numbers)))

        await assert_consistent(conn)

        return outcomes

    async def test_everything_runs_in_order_whoever_comes_first(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        assert (await self.races(oban, conn, 10)).total() == 10

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    async def test_it_does_so_a_thousand_times(self, oban: Oban, conn: AsyncConnection) -> None:
        outcomes = await self.races(oban, conn, 1_000)
        assert {"1 again", "2 again", "3 again"} <= {*outcomes}, outcomes

    async def test_many_at_once_run_everything_once_more(
        self, start_oban: StartOban, wait_until: WaitUntil, conn: AsyncConnection
    ) -> None:
        oban = await start_oban()
        given["items"] = [*range(10)]
        workflow = (
            Workflow(id="w")
            .add_cascade("list", listed)
            .add_cascade("each", (from_result("list"), double), deps="list")
            .add_cascade("sum", total, deps="each")
        )
        await oban.enqueue_many(workflow)

        async def settled() -> bool:
            return (await HANDLE.status()).state == "completed"

        await wait_until(settled, timeout=30)

        for _ in range(4):
            again = (HANDLE.retry_jobs(names=["list"], downstream=True) for _ in range(4))
            await asyncio.gather(*again)
            await asyncio.sleep(random.random() / 20)

        await wait_until(settled, timeout=30)
        assert await HANDLE.get_recorded("sum") == 90
        await assert_consistent(conn)
