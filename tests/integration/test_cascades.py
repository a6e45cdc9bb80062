"""Cascades, context and recorded values, run by a node."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from oban import Oban
from oban.testing import reset_oban
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import Workflow
from oban_pro.engine import context_loader
from oban_pro.engine.store import Store
from oban_pro.errors import CodecError
from tests.support import flows
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.flows import (
    extract,
    fetch_from_source,
    load,
    merge_results,
    process_user,
    step_1_func,
    step_2_func,
    summarize,
    transform,
)
from tests.support.graphs import error_of, last_error, settled, work


async def run_program(*arguments: str) -> str:
    """Run Python in another process, and return what it prints."""

    def run() -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return await asyncio.to_thread(run)


class TestSpec:
    """Every example of the chapter on cascades, as it is printed."""

    async def test_the_example_of_basic_cascades_runs(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        flows.saved.clear()
        started = datetime.now()

        workflow = (
            Workflow()
            .add_context({"source": "api", "batch_id": 123})
            .add_cascade("extract", extract)
            .add_cascade("transform", transform, deps="extract")
            .add_cascade("load", load, deps="transform")
        )

        await oban.enqueue_many(workflow)

        await wait_until(lambda: settled(workflow))
        results = await workflow.all_recorded()
        extracted_at = results["extract"].pop("extracted_at")
        assert extracted_at.tzinfo is None
        assert started <= extracted_at <= datetime.now()
        assert results == {
            "extract": {"records": ["api 0", "api 1", "api 2"]},
            "transform": {"transformed": ["API 0", "API 1", "API 2"]},
            "load": {"loaded": 3},
        }
        assert flows.saved == ["API 0", "API 1", "API 2"]

    async def test_the_example_of_a_workflow_context_runs(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_context({"user_id": 123, "batch_size": 100, "environment": "production"})
            .add_cascade("step_1", step_1_func)
            .add_cascade("step_2", step_2_func, deps="step_1")
        )

        assert await run(workflow) == {"step_1": 124, "step_2": (12_400, "production")}

    async def test_fan_out_over_a_list(self, run: Run) -> None:
        user_ids = [1, 2, 3, 4, 5]

        workflow = (
            Workflow()
            .add_context({"batch_id": 456})
            .add_cascade("process", (user_ids, process_user))
            .add_cascade("summarize", summarize, deps="process")
        )

        assert await run(workflow) == {
            "process": {
                str(n): {"user_id": n + 1, "processed": True, "batch_id": 456} for n in range(5)
            },
            "summarize": 5,
        }

    async def test_fan_out_over_a_dict(self, run: Run) -> None:
        sources = {"wiki": "https://...", "docs": "https://..."}

        workflow = (
            Workflow()
            .add_cascade("fetch", (sources, fetch_from_source))
            .add_cascade("merge", merge_results, deps="fetch")
        )

        results = await run(workflow)
        assert results["merge"] == ["fetched https://..."] * 2
        assert set(results["fetch"]) == {"wiki", "docs"}


class TestContext:
    async def test_goes_from_root_to_leaf_and_the_nearest_wins(self, run: Run) -> None:
        leaf = Workflow().add_context({"c": "leaf"}).add_cascade("see", flows.see)
        middle = (
            Workflow()
            .add_context({"b": "middle", "c": "middle"})
            .add_cascade("see", flows.see)
            .add_workflow("leaf", leaf)
            .add_cascade("many", ([1], flows.see_item))
        )
        root = (
            Workflow()
            .add_context({"a": "root", "b": "root", "c": "root"})
            .add_workflow("middle", middle)
            .add_workflow("bare", Workflow().add_cascade("see", flows.see))
            .add_cascade("see", flows.see)
        )
        results = await run(root)
        in_middle = {"a": "root", "b": "middle", "c": "middle"}
        assert results["see"] == results["bare"]["see"] == {"a": "root", "b": "root", "c": "root"}
        assert results["middle"]["see"] == in_middle
        assert results["middle"]["many"] == {"0": [1, in_middle]}
        assert results["middle"]["leaf"]["see"] == {"a": "root", "b": "middle", "c": "leaf"}

    async def test_of_a_sub_workflow_stays_there(self, run: Run) -> None:
        sub = Workflow().add_context({"a": 1}).add_cascade("see", flows.see)
        results = await run(Workflow().add_workflow("sub", sub).add_cascade("see", flows.see))
        assert results == {"sub": {"see": {"a": 1}}, "see": {}}

    async def test_a_nested_value_is_replaced_and_not_merged(self, run: Run) -> None:
        sub = Workflow().add_context({"a": {"x": 1}}).add_cascade("see", flows.see)
        workflow = Workflow().add_context({"a": {"y": 2}}).add_workflow("sub", sub)
        assert (await run(workflow))["sub"]["see"] == {"a": {"x": 1}}

    async def test_is_shadowed_by_results(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_context({"one": "context", "other": "context"})
            .add_cascade("one", flows.one)
            .add_cascade("see", flows.see, deps="one")
        )
        assert (await run(workflow))["see"] == {"one": 1, "other": "context"}

    async def test_adds_up_and_holds_what_recorded_values_hold(self, run: Run) -> None:
        now = datetime.now(UTC)
        workflow = (
            Workflow()
            .add_context({"a": 1, "b": 1})
            .add_context({"b": (2, now)})
            .add_cascade("see", flows.see)
        )
        assert (await run(workflow))["see"] == {"a": 1, "b": (2, now)}

    async def test_a_job_that_changes_it_changes_nothing_for_others(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_context({"shared": {"list": [0]}})
            .add_cascade("up", flows.lists)
            .add_cascade("many", (range(30), flows.mutate), deps="up")
        )
        results = await run(workflow)
        assert set(map(str, results["many"].values())) == {str([1, 1, ["mark", "shared", "up"]])}

    async def test_is_not_kept_in_the_meta_of_jobs(self, run: Run) -> None:
        workflow = Workflow().add_context({"a": 1}).add_cascade("see", flows.see)
        await run(workflow)
        job = await workflow.get_job("see")
        assert job is not None
        assert "context" not in job.meta


class TestResults:
    async def test_of_add_jobs_that_returned_record_count(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("recorder", flows.Recorder.new({"value": {"n": 1}}))
            .add("silent", flows.Silent.new({}))
            .add_cascade("see", flows.see, deps=["recorder", "silent"])
        )
        assert (await run(workflow))["see"] == {"recorder": {"n": 1}}

    async def test_of_groups_are_dicts_by_name(self, run: Run) -> None:
        inner = Workflow().add_cascade("deep", flows.one).add("silent", work())
        sub = Workflow().add_cascade("one", flows.one).add_workflow("inner", inner)
        workflow = (
            Workflow()
            .add_workflow("sub", sub)
            .add_many("many", {"a": flows.Recorder.new({"value": 1}), "b": work()})
            .add_many("silent", [work(), work()])
            .add_workflow("empty", Workflow())
            .add_workflow("hollow", Workflow().add_many("silent", [work()]))
            .add_cascade("list", ([7, 8], flows.keep_item))
            .add_cascade("ints", ({7: "seven", -1: "minus"}, flows.keep_item))
            .add_cascade(
                "see",
                flows.see,
                deps=["sub", "many", "silent", "empty", "hollow", "list", "ints"],
            )
        )
        results = await run(workflow)
        expected = {
            "sub": {"one": 1, "inner": {"deep": 1}},
            "many": {"a": 1},
            "silent": {},
            "empty": {},
            "hollow": {"silent": {}},
            "list": {"0": 7, "1": 8},
            "ints": {"7": "seven", "-1": "minus"},
        }
        assert results.pop("see") == expected
        assert results == expected

    async def test_of_a_fan_out_come_in_the_order_of_its_items(self, run: Run) -> None:
        items = {key: n for n, key in enumerate("zebra")}
        workflow = (
            Workflow()
            .add_cascade("many", (items, flows.keep_item))
            .add_cascade("order", flows.order, deps="many")
        )
        results = await run(workflow)
        assert results["order"] == list("zebra")
        assert [*results["many"]] == list("zebra")

        many = Workflow().add_cascade("many", (range(25), flows.keep_item))
        results = await run(many.add_cascade("order", flows.order, deps="many"))
        assert results["order"] == [str(n) for n in range(25)]

    async def test_of_indirect_deps_are_absent(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", flows.one)
            .add_cascade("b", flows.see, deps="a")
            .add_cascade("c", flows.see, deps="b")
        )
        assert (await run(workflow))["c"] == {"b": {"a": 1}}

    async def test_a_result_of_none_is_in_the_context(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("none", flows.nothing)
            .add("recorded", flows.Recorder.new({"value": None}))
            .add_cascade("see", flows.see, deps=["none", "recorded"])
        )
        assert (await run(workflow))["see"] == {"none": None, "recorded": None}

    async def test_what_a_group_depends_on_is_a_dep_of_its_entry_jobs_alone(self, run: Run) -> None:
        sub = (
            Workflow()
            .add_cascade("entry", flows.see)
            .add_cascade("second", flows.see, deps="entry")
            .add_cascade("flagged", flows.see)
            .add_cascade("own flags", flows.see, ignore_discarded=True)
            .add_cascade("fan", (["x"], flows.see_item))
            .add_cascade("late fan", (["x"], flows.see_item), deps="flagged")
            .add_workflow("nested", Workflow().add_cascade("entry", flows.see))
            .add_workflow("late", Workflow().add_cascade("entry", flows.see), deps="flagged")
        )
        workflow = (
            Workflow()
            .add_cascade("up", flows.one)
            .add_cascade("ups", ([5], flows.keep_item))
            .add_workflow("sub", sub, deps=["up", "ups"])
            .add_cascade("fan", ([1, 2], flows.see_item), deps=["up", "ups"])
        )
        results = await run(workflow)
        up = {"up": 1, "ups": {"0": 5}}
        assert results["fan"] == {"0": [1, up], "1": [2, up]}
        assert results["sub"] == {
            "entry": up,
            "second": {"entry": up},
            "flagged": up,
            "own flags": up,
            "fan": {"0": ["x", up]},
            "late fan": {"0": ["x", {"flagged": up}]},
            "nested": {"entry": up},
            "late": {"entry": {"flagged": up}},
        }

    async def test_of_what_failed_and_is_ignored_are_absent(self, run: Run) -> None:
        workflow = (
            Workflow(ignore_cancelled=True, ignore_discarded=True)
            .add_cascade("cancelled", flows.cancel)
            .add_cascade("failed", flows.thing, max_attempts=1)
            .add_cascade("see", flows.see, deps=["cancelled", "failed"])
        )
        assert await run(workflow) == {"see": {}}

    async def test_survive_whatever_types_are_nested(self, run: Run) -> None:
        value = {"at": datetime.now(), 1: {(1, 2), (3,)}, "b": [b"\xff", timedelta(1), 2**80]}
        workflow = (
            Workflow()
            .add_cascade("many", ([value], flows.keep_item))
            .add_cascade("see", flows.see, deps="many")
        )
        results = await run(workflow)
        assert results["many"]["0"] == results["see"]["many"]["0"] == value

    async def test_are_stored_as_oban_stores_them(self, run: Run) -> None:
        workflow = Workflow().add_cascade("one", flows.one).add_cascade("n", ([1], flows.keep_item))
        await run(workflow)
        job = await workflow.get_job("one")
        assert job is not None
        assert job.meta["recorded"] is True
        assert job.meta["return"] == "g2EB"
        assert job.meta["handler"] == "tests.support.flows.one"
        (item,) = await workflow.all_jobs(names=["0"], with_subs=True)
        assert item.meta["handler"] == "tests.support.flows.keep_item"


class TestMissingKey:
    @pytest.mark.parametrize("kind", ["job", "fan-out"])
    async def test_of_a_dep_that_recorded_nothing_says_so(self, run: Run, kind: str) -> None:
        workflow = Workflow().add("silent", work()).add_cascade("one", flows.one)
        deps = ["silent", "one"]

        if kind == "job":
            workflow.add_cascade("0", flows.ask_for_silent, deps=deps, max_attempts=1)
        else:
            fan_out = ([1], flows.ask_for_silent_item)
            workflow.add_cascade("many", fan_out, deps=deps, max_attempts=1)

        await run(workflow)
        assert (
            "no 'silent' in the context of job '0'; 'silent' recorded nothing;"
            " it depends on 'silent', 'one'; context.get('silent') does without"
        ) in await error_of(workflow, "0")

    async def test_a_missing_key_proposes_the_closest_one(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("extract", flows.one)
            .add_cascade("load", flows.ask_for_typo, deps="extract", max_attempts=1)
        )
        await run(workflow)
        error = await error_of(workflow, "load")
        assert "MissingContextError: no 'exract' in the context of job 'load'" in error
        assert "it depends on 'extract'; did you mean 'extract'?" in error

    async def test_without_deps_says_so(self, run: Run) -> None:
        workflow = Workflow().add_cascade("a", flows.ask_for_typo, max_attempts=1)
        await run(workflow)
        assert "it depends on nothing" in await error_of(workflow, "a")


class TestReturns:
    async def test_oban_results_do_what_they_do_in_a_worker(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("record", flows.record)
            .add_cascade("snooze", flows.snooze_once)
            .add_cascade("cancel", flows.cancel)
            .add_cascade("blocking", flows.cancel_blocking)
            .add_cascade("below", flows.one, deps="cancel")
        )
        assert await run(workflow) == {"record": {"by": "hand"}, "snooze": "awake"}
        states = {job.meta["name"]: job.state for job in await workflow.all_jobs()}
        assert states == {
            "record": "completed",
            "snooze": "completed",
            "cancel": "cancelled",
            "blocking": "cancelled",
            "below": "cancelled",
        }
        assert "enough" in await error_of(workflow, "cancel")

    async def test_what_cannot_be_recorded_fails_the_job_and_names_it(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("thing", flows.thing, max_attempts=1)
            .add_cascade("endless", flows.endless, max_attempts=1)
        )
        assert await run(workflow) == {}
        error = await error_of(workflow, "thing")
        assert "job 'thing' returned what cannot be recorded" in error
        assert "value['inside'][0] must be of a type that can be stored" in error
        assert "tests.support.flows.Thing" in error
        assert "nest at most 200 levels deep" in await error_of(workflow, "endless")

    async def test_what_is_too_large_fails_the_job_and_names_it(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("oban_pro.workers.RESULT_LIMIT", 1_000)
        workflow = (
            Workflow().add_context({"bytes": 1_000}).add_cascade("big", flows.big, max_attempts=1)
        )
        await run(workflow)
        error = await error_of(workflow, "big")
        assert "job 'big' returned what cannot be recorded" in error
        assert "exceeds limit of 1000" in error

    @pytest.mark.parametrize("function", [flows.end, flows.end_blocking])
    async def test_whatever_a_function_raises_the_job_settles(
        self, run: Run, function: Callable[[str, Any], Any]
    ) -> None:
        workflow = Workflow().add_cascade("many", ([*flows.ENDINGS], function), max_attempts=1)
        await run(workflow)
        jobs = await workflow.all_jobs(with_subs=True)
        assert {job.state for job in jobs} == {"discarded"}
        errors = [last_error(job).splitlines()[-1] for job in jobs]
        # Python itself turns a StopIteration that leaves a coroutine into RuntimeError.
        assert [error.split(":")[0] for error in errors if "CascadeError" not in error] == [
            "RuntimeError",
            "StopAsyncIteration",
        ]
        assert sum("must return or raise an Exception, got" in error for error in errors) == 6

    async def test_the_node_lives_on_when_a_function_exits(self, run: Run) -> None:
        workflow = (
            Workflow(ignore_discarded=True)
            .add_cascade("exit", flows.exit_program, max_attempts=1)
            .add_cascade("one", flows.one, deps="exit")
        )
        assert await run(workflow) == {"one": 1}
        assert "job 'exit' must return or raise" in await error_of(workflow, "exit")


class TestFunctions:
    async def test_a_blocking_one_stalls_neither_the_loop_nor_others(self, run: Run) -> None:
        """Twelve threads wait for what a cascade on the event loop does."""
        flows.gate.clear()
        flows.passed.clear()
        workflow = (
            Workflow()
            .add_cascade("many", (range(12), flows.wait_for_gate))
            .add_cascade("open", flows.open_gate)
        )
        results = await run(workflow)
        assert results["open"] == []
        assert set(results["many"].values()) == {True}

    async def test_a_blocking_one_knows_its_job(self, run: Run) -> None:
        workflow = Workflow().add_cascade("a", flows.thread_and_job)
        workflow.add_cascade("b", flows.main_thread)
        assert await run(workflow) == {"a": [False, "a"], "b": True}

    async def test_decorated_and_static_ones_are_called(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("shouted", flows.shouted)
            .add_cascade("async", flows.wrapped_async)
            .add_cascade("two", ([1], flows.wrapped_two))
            .add_cascade("static", flows.Toolbox.tool)
        )
        assert await run(workflow) == {
            "shouted": "LOUD",
            "async": "quiet",
            "two": {"0": "quiet"},
            "static": "tool",
        }

    async def test_of_a_program_works_within_it_and_fails_clearly_elsewhere(
        self, dsn: str, tmp_path: Path, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        # No other node could have it.
        oban_pro.configure(unknown_for=0)
        await start_oban()
        program = tmp_path / "program.py"
        program.write_text(PROGRAM)
        printed = await run_program(str(program), dsn)
        assert json.loads(printed) == {"double": {"0": 2, "1": 4}, "sum": 6}

        # The program's second workflow is left for this process, which has another __main__.
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("UPDATE oban_jobs SET queue = 'default' WHERE queue = 'later'")

        workflow = Workflow(id="left")
        await wait_until(lambda: settled(workflow))
        error = await error_of(workflow, "lost")
        assert "FunctionNotFoundError: cannot import cascade function '__main__:total'" in error
        assert "it lives in the program that enqueued it" in error

    async def test_that_vanished_fails_the_job_and_names_it(
        self, run: Run, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        oban_pro.configure(unknown_for=0)
        workflow = Workflow().add_cascade("a", flows.one, scheduled_in=3600, max_attempts=1)
        await oban.enqueue_many(workflow)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(
                "UPDATE oban_jobs SET scheduled_at = now() - interval '1 day', state = 'available',"
                """ args = '{"function": "tests.support.flows:gone"}'"""
            )
        await wait_until(lambda: settled(workflow))
        error = await error_of(workflow, "a")
        assert "cannot import cascade function 'tests.support.flows:gone'" in error


PROGRAM = """
import asyncio, json, sys
from oban import Oban
from oban_pro import Workflow

async def double(item, context):
    return item * 2

def total(context):
    return sum(context["double"].values())

async def main():
    pool = await Oban.create_pool(sys.argv[1])
    async with Oban(pool=pool, queues={"program": 5}) as oban:
        workflow = (
            Workflow()
            .add_cascade("double", ([1, 2], double), queue="program")
            .add_cascade("sum", total, deps="double", queue="program")
        )
        await oban.enqueue_many(workflow)
        later = Workflow(id="left").add_cascade("lost", total, queue="later", max_attempts=1)
        await oban.enqueue_many(later)
        while (await workflow.status()).stopped_at is None:
            await asyncio.sleep(0.01)
        print(json.dumps(await workflow.all_recorded()))
    await pool.close()

if __name__ == "__main__":
    asyncio.run(main())
"""


class TestOptions:
    async def test_all_reach_every_job_of_a_fan_out(self, oban: Oban) -> None:
        before = datetime.now(UTC)
        workflow = (
            Workflow()
            .add("up", work())
            .add_cascade(
                "many",
                (["a", "b", "c"], flows.keep_item),
                deps="up",
                queue="other",
                priority=3,
                max_attempts=7,
                tags=["x", "y"],
                scheduled_in=timedelta(hours=1),
                meta={"mine": [1]},
                ignore_cancelled=True,
                ignore_discarded=True,
            )
        )
        jobs = (await oban.enqueue_many(workflow))[1:]
        assert len(jobs) == 3
        assert len({job.scheduled_at for job in jobs}) == 1
        for job in [*jobs, *await workflow.all_jobs(names=["0", "1", "2"], with_subs=True)]:
            assert (job.queue, job.priority, job.max_attempts) == ("other", 3, 7)
            assert job.tags == ["x", "y"]
            assert job.meta["mine"] == [1]
            assert job.scheduled_at is not None
            assert job.scheduled_at - before >= timedelta(hours=1)

    async def test_ignore_flags_of_a_fan_out_hold_for_every_job(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("up", work("cancel"))
            .add_cascade("go", ([1, 2], flows.keep_item), deps="up", ignore_cancelled=True)
            .add_cascade("stop", ([1, 2], flows.keep_item), deps="up", ignore_discarded=True)
        )
        assert await run(workflow) == {"go": {"0": 1, "1": 2}, "stop": {}}

    async def test_scheduled_at_holds_the_job_back_until_then(self, oban: Oban) -> None:
        at = datetime.now(UTC) + timedelta(hours=1)
        (job,) = await oban.enqueue_many(Workflow().add_cascade("a", flows.one, scheduled_at=at))
        assert (job.state, job.scheduled_at) == ("scheduled", at)

    async def test_jobs_of_a_fan_out_do_not_share_them(self) -> None:
        meta: dict[str, Any] = {"mine": []}
        tags = ["x"]
        workflow = Workflow().add_cascade("m", ([1, 2], flows.keep_item), meta=meta, tags=tags)
        meta["mine"].append("later")
        first, second = workflow
        first.tags.append("y")
        assert second.tags == ["x"]
        assert second.meta["mine"] == []


class TestBrokenRows:
    """What a recorded value may look like after somebody edited it."""

    @pytest.mark.parametrize(
        "broken", ['"!"', '"g2"', '"AAAA"', "null", "5", '{"a": 1}', '"g2EBAA"']
    )
    async def test_fail_the_reader_and_name_the_upstream(
        self, broken: str, run: Run, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("up", flows.one)
            .add_cascade("see", flows.see, deps="up", queue="held", max_attempts=1)
        )
        await self._break(workflow, broken, oban, dsn, wait_until)
        assert "CodecError: recorded value of job 'up': " in await error_of(workflow, "see")

        for read in (
            workflow.get_recorded("up"),
            workflow.all_recorded(),
            workflow.all_recorded(names=["up"]),
        ):
            with pytest.raises(CodecError, match="recorded value of job 'up'"):
                await read

    async def test_a_missing_value_fails_the_reader_too(
        self, run: Run, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("up", flows.one)
            .add_cascade("see", flows.see, deps="up", queue="held", max_attempts=1)
        )
        await self._break(workflow, None, oban, dsn, wait_until)
        assert "CodecError: recorded value of job 'up': " in await error_of(workflow, "see")
        with pytest.raises(CodecError, match="recorded value of job 'up'"):
            await workflow.get_recorded("up")

    async def _break(
        self, workflow: Workflow, broken: str | None, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        await oban.enqueue_many(workflow)

        async def is_up() -> bool:
            job = await workflow.get_job("up")
            return job is not None and job.state == "completed"

        await wait_until(is_up)
        with psycopg.connect(dsn, autocommit=True) as conn:
            change = "meta - 'return'" if broken is None else "meta || %(meta)s::jsonb"
            conn.execute(
                f"UPDATE oban_jobs SET meta = {change} WHERE meta ->> 'name' = 'up'".encode(),
                {"meta": f'{{"return": {broken}}}'},
            )
            conn.execute("UPDATE oban_jobs SET queue = 'default' WHERE queue = 'held'")
        await wait_until(lambda: settled(workflow))


class Reads:
    """Counts what is read for contexts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        self.values: list[str] = []
        read = Store.contexts

        async def counted(store: Store, job_ids: Any, known: Any) -> Any:
            data = await read(store, job_ids, known)
            self.calls.append(len(job_ids))
            self.values += [value for values in data.contexts.values() for value in values]
            self.values += [source.value or "" for source in data.all_sources()]
            return data

        monkeypatch.setattr(Store, "contexts", counted)


class TestReading:
    async def test_takes_one_statement_a_job_at_most(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = Reads(monkeypatch)
        workflow = (
            Workflow()
            .add_context({"a": 1})
            .add_cascade("up", flows.one)
            .add_cascade("many", (range(40), flows.keep_item), deps="up")
            .add_cascade("see", flows.see, deps=["many", "up"])
        )
        await run(workflow)
        assert sum(reads.calls) == 42
        assert len(reads.calls) < 42

    async def test_does_not_fetch_again_what_a_fan_out_shares(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = Reads(monkeypatch)
        workflow = (
            Workflow()
            .add_context({"long": "x" * 1_000})
            .add_cascade("ups", (range(50), flows.keep_item))
            .add_cascade("downs", (range(60), flows.see_item), deps="ups")
        )
        results = await run(workflow)
        assert all(seen[1]["ups"] == results["ups"] for seen in results["downs"].values())
        # Reads that overlap may each fetch the first time: jobs that start together, and the
        # queue holds twenty.
        assert len([value for value in reads.values if len(value) < 100]) <= 4 * 50
        assert len([value for value in reads.values if len(value) > 1_000]) <= 2 * 4
        assert sum(reads.calls) == 110

    async def test_fetches_contexts_once_although_results_at_the_gate_change(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        workflow = (
            Workflow()
            .add_context({"a": 1})
            .add_cascade("up", flows.one, queue="held")
            .add_cascade("many", ([1, 2], flows.keep_item), deps="up")
        )
        _, job, _ = await oban.enqueue_many(workflow)

        async with pool.connection() as conn:
            store = Store(conn, "public")
            first = await store.contexts([job.id or 0], {})
            key = first.groups[job.id or 0].key
            known = {key: first.versions[key]}
            await conn.execute(
                "UPDATE oban_jobs SET state = 'discarded', discarded_at = now()"
                " WHERE meta ->> 'name' = 'up'"
            )
            second = await store.contexts([job.id or 0], known)
            third = await store.contexts([job.id or 0], {key: second.versions[key]})

        assert (first.contexts, first.all_sources()) == ({key: ['{"a": 1}']}, [])
        assert second.contexts == third.contexts == {}
        assert [source.error for source in second.all_sources()] == ["discarded"]
        assert third.all_sources() == []

    async def test_does_not_grow_with_the_rest_of_the_workflow(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = Reads(monkeypatch)
        workflow = (
            Workflow()
            .add_cascade("rest", (range(100), flows.keep_item))
            .add_cascade("up", flows.one, deps="rest")
            .add_cascade("see", flows.see, deps="up")
        )
        await run(workflow)
        # "up" has a group with 100 results, "see" has one result.
        assert len(reads.values) == 101 + 1

    async def test_scans_no_table_that_grew_since_it_was_planned(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        def build(n: int) -> Workflow:
            return (
                Workflow()
                .add_cascade("rest", (range(n), flows.keep_item))
                .add_cascade("up", flows.one)
                .add_workflow("sub", Workflow().add_cascade("entry", flows.see), deps="up")
                .add_cascade("see", flows.see, deps="up")
            )

        async with pool.connection() as conn:
            for n in (3, 2_000):
                jobs = await oban.enqueue_many(build(n))
                readers = [job.id for job in jobs if job.id and "item" not in job.args]

                async with conn.transaction():
                    await Store(conn, "public").contexts(readers, {})
                    cursor = await conn.execute(
                        "SELECT sum(seq_tup_read)::int FROM pg_stat_xact_user_tables"
                    )
                    assert await cursor.fetchone() == (0,)

    async def test_sees_the_new_result_of_a_job_that_was_retried(
        self, run: Run, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("up", flows.attempt)
            .add_cascade("many", (range(3), flows.attempt_of_up), deps="up")
        )
        results = await run(workflow)
        assert set(results["many"].values()) == {1}

        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            for name in ("up", "0", "1", "2"):
                await conn.execute(
                    "UPDATE oban_jobs SET state = 'available', max_attempts = 20"
                    " WHERE meta ->> 'name' = %s",
                    [name],
                )

                async def ran_again(name: str = name) -> bool:
                    jobs = await workflow.all_jobs(names=[name], with_subs=True)
                    return [(job.attempt, job.state) for job in jobs] == [(2, "completed")]

                await wait_until(ran_again)

        results = await workflow.all_recorded()
        assert results["up"] == 2
        assert set(results["many"].values()) == {2}

    async def test_does_not_take_a_workflow_for_one_of_the_same_id_before_a_reset(
        self, run: Run
    ) -> None:
        for n in range(2):
            sub = Workflow(id="sub").add_cascade("entry", flows.see)
            workflow = Workflow(id="root").add_context({"n": n}).add_workflow("sub", sub)
            assert await run(workflow) == {"sub": {"entry": {"n": n}}}
            await reset_oban()

    async def test_a_huge_context_is_read_without_holding_up_the_loop(self, run: Run) -> None:
        text = "x" * (context_loader.DECODE_IN_PLACE + 1)
        workflow = Workflow().add_context({"text": text}).add_cascade("see", flows.see)
        assert (await run(workflow))["see"] == {"text": text}

    async def test_many_results_in_one_call(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban({"default": 100})
        workflow = (
            Workflow()
            .add_cascade("many", (range(2_000), flows.keep_item))
            .add_cascade("total", flows.total, deps="many")
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=40)
        assert await workflow.get_recorded("total") == sum(range(2_000))


class TestHandles:
    @pytest.fixture
    async def handle(self, run: Run) -> Workflow:
        """A handle that never saw the builder."""
        sub = Workflow(id="the sub").add_context({"b": 2}).add_cascade("one", flows.one)
        workflow = (
            Workflow(id="the workflow")
            .add_context({"a": datetime(2024, 5, 1)})
            .add_cascade("one", flows.one)
            .add_cascade("none", flows.nothing)
            .add("silent", work())
            .add_cascade("many", ({"x": 1, "y": 2}, flows.keep_item), deps="one")
            .add_workflow("sub", sub)
            .add_cascade("see", flows.see, deps=["many", "none", "silent"])
        )
        await run(workflow)
        return Workflow(id="the workflow")

    async def test_get_context_returns_what_was_added(self, handle: Workflow) -> None:
        assert await handle.get_context() == {"a": datetime(2024, 5, 1)}
        assert await Workflow(id="the sub").get_context() == {"b": 2}
        assert await Workflow(id="no such").get_context() is None

    async def test_get_context_without_any_is_none(self, run: Run) -> None:
        workflow = Workflow().add_cascade("one", flows.one)
        await run(workflow)
        assert await workflow.get_context() is None
        empty = Workflow().add_context({}).add_cascade("one", flows.one)
        await run(empty)
        assert await empty.get_context() == {}

    async def test_get_recorded_returns_the_result_of_one_job(self, handle: Workflow) -> None:
        assert await handle.get_recorded("one") == 1
        assert [await handle.get_recorded(name) for name in ("none", "silent", "many", "no")] == [
            None
        ] * 4
        assert await Workflow(id="the sub").get_recorded("one") == 1

    async def test_all_recorded_returns_nested_results(self, handle: Workflow) -> None:
        results = await handle.all_recorded()
        assert results == {
            "one": 1,
            "none": None,
            "many": {"x": 1, "y": 2},
            "sub": {"one": 1},
            "see": {"a": datetime(2024, 5, 1), "many": {"x": 1, "y": 2}, "none": None},
        }
        assert await Workflow(id="no such").all_recorded() == {}

    async def test_all_recorded_by_names(self, handle: Workflow) -> None:
        names = ["one", "many", "silent", "x", "no such"]
        assert await handle.all_recorded(names=names) == {"one": 1, "many": {"x": 1, "y": 2}}
        assert await handle.all_recorded(names=[]) == {}

    async def test_all_recorded_by_deps(self, handle: Workflow) -> None:
        see = await handle.get_job("see")
        (x,) = await handle.all_jobs(names=["x"], with_subs=True)
        upstream = {"many": {"x": 1, "y": 2}, "none": None}
        assert await handle.all_recorded(deps_of=see) == upstream
        assert await handle.all_recorded(deps_of=see, names=["none", "one"]) == {"none": None}
        assert await handle.all_recorded(deps_of=x) == {"one": 1}

    async def test_a_handle_reads_results_in_another_process(
        self, handle: Workflow, dsn: str
    ) -> None:
        program = (
            "import asyncio, sys\n"
            "from oban import Oban\n"
            "from oban_pro import Workflow\n"
            "async def main():\n"
            "    pool = await Oban.create_pool(sys.argv[1])\n"
            "    Oban(pool=pool)\n"
            "    handle = Workflow(id='the workflow')\n"
            "    print(await handle.get_context(), await handle.get_recorded('many'),\n"
            "          (await handle.all_recorded())['many'])\n"
            "    await pool.close()\n"
            "asyncio.run(main())\n"
        )
        printed = await run_program("-c", program, dsn)
        assert printed == ("{'a': datetime.datetime(2024, 5, 1, 0, 0)} None {'x': 1, 'y': 2}\n")
