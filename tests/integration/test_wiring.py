"""Wired calls, run by a node: values travel, fan-outs are lists, nothing is read twice."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.errors import (
    InvalidArgumentError,
    JobFailedError,
    UnknownNameError,
    UnknownWorkflowError,
)
from oban_pro.testing import run_workflow
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.graphs import error_of, settled, work
from tests.support.proxy import Proxy
from tests.support.wired import (
    Row,
    Table,
    clean,
    echo,
    extract,
    fail,
    fail_batch,
    first_line,
    from_context,
    give_up,
    item_of,
    later,
    maybe,
    multiply,
    multiply_by_key,
    never,
    odd,
    own_context,
    recorded,
    report,
    resize,
    same,
    skip_odd,
    sum_up,
    take_back,
    tell,
    undo_call,
    undo_of_each,
    undone,
)


def pipeline() -> Workflow:
    workflow = Workflow(name="etl")
    rows = workflow.call(extract, "api")
    table = workflow.options(name="clean it").call(clean, rows, strict=True)
    thumbs = workflow.each(resize, [Path(f"{n}.png") for n in range(11)], 640)
    workflow.call(report, table, thumbs)

    return workflow


class TestCalls:
    async def test_pass_values_on_as_they_were(self, run: Run) -> None:
        results = await run(pipeline())

        rows = [Row(n, ["api"]) for n in range(3)]
        assert results["extract"] == rows
        assert results["clean it"] == Table("strict", rows)
        assert type(results["clean it"]) is Table
        assert results["report"] == "strict: 3 rows, " + " ".join(f"{n}.640" for n in range(11))

    async def test_mix_with_the_other_methods(self, run: Run) -> None:
        workflow = Workflow().add_context({"limit": 7}).add("setup", work())
        rows: Any = workflow.options(deps="setup").call(extract, "api")
        workflow.add_cascade("old", from_context, deps=rows)
        sub = Workflow().add_cascade("inner", from_context)
        workflow.add_workflow("sub", sub, deps=rows[0])
        inner: Any = workflow.value("sub/inner", dict)
        workflow.call(echo, workflow.value("old", dict)["limit"], inner["extract"][0])
        workflow.call(own_context)
        results = await run(workflow)

        assert results["old"] == {"limit": 7, "extract": [Row(n, ["api"]) for n in range(3)]}
        assert results["echo"] == ((7, Row(0, ["api"])), {})
        assert results["own_context"] == {"limit": 7}

    async def test_may_record_and_snooze_as_cascades_do(self, run: Run) -> None:
        workflow = Workflow()
        workflow.call(same, workflow.call(later, workflow.call(recorded, 3)))

        assert (await run(workflow))["same"] == {"value": 3}

    async def test_know_what_others_recorded_and_not_the_context_of_that_name(
        self, run: Run
    ) -> None:
        workflow = Workflow(ignore_cancelled=True).add_context({"give_up": "not this"})
        nothing: Any = workflow.call(give_up, "x")
        workflow.call(maybe, nothing, other=nothing[0])
        workflow.options(max_attempts=1).call(same, nothing)
        results = await run(workflow)

        assert results == {"maybe": ("default", "other default")}
        assert "job 'same' needs what 'give_up' records" in await error_of(workflow, "same")

    async def test_do_without_what_was_skipped(self, run: Run) -> None:
        workflow = Workflow()
        skipped: Any = workflow.options(when=never).call(extract, "api")
        also = workflow.options(when=never).each(same, [1, 2])
        kept = workflow.call(same, 3)
        workflow.call(maybe, skipped, other=kept)
        workflow.options(name="list").call(echo, also, kept)

        results = await run(workflow)
        assert results["maybe"] == ("default", 3)
        assert results["list"] == (([], 3), {})
        assert await workflow.result(skipped) is None
        assert await workflow.result(also) == []


class TestEach:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ([5, 6], [5, 6]),
            ((5,), [5]),
            ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
            ({0: 1, 1: 2}, {"0": 1, "1": 2}),
            ([], []),
            ({}, {}),
            ([*range(12)], [*range(12)]),
        ],
    )
    async def test_over_what_was_recorded_has_its_form(
        self, oban, given: Any, expected: Any
    ) -> None:
        workflow = Workflow()
        items = workflow.call(same, given)
        factor: Any = workflow.options(name="factor").call(same, {"of": 1})
        results = workflow.each(echo, items, factor["of"])
        workflow.options(name="end").call(same, results)
        workflow.options(name="beside").each(echo, ["x"], results)
        await run_workflow(workflow, oban)
        end = await workflow.get_recorded("end")
        beside = await workflow.get_recorded("beside/0")

        if isinstance(expected, dict):
            assert {key: value[0][0] for key, value in end.items()} == expected
        else:
            assert [value[0][0] for value in end] == expected

        assert beside[0] == ("x", end)
        assert await workflow.get_recorded("echo") is None
        recorded = (await workflow.all_recorded())["echo"]
        assert type(recorded) is dict

    async def test_lists_what_was_recorded(self, run: Run) -> None:
        workflow = Workflow(ignore_cancelled=True)
        workflow.call(same, workflow.each(skip_odd, range(12)))

        assert (await run(workflow))["same"] == [0, 2, 4, 6, 8, 10]

    async def test_takes_placeholders_among_its_items(self, run: Run) -> None:
        workflow = Workflow()
        rows = workflow.call(extract, "api")
        workflow.call(same, workflow.each(item_of, {"first": rows[0], "last": rows[-1]}, 2))

        assert (await run(workflow))["same"] == {"first": 0, "last": 4}

    async def test_over_what_is_no_collection_fails_with_a_reason(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow()
        text: Any = workflow.call(same, "abc")
        workflow.options(max_attempts=1).each(item_of, text)
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        error = await error_of(workflow, "item_of")
        assert "job 'item_of' must map over a list or a dict, got 'abc'" in error

    async def test_takes_batches_with_arguments(self, run: Run) -> None:
        workflow = Workflow()
        view = workflow.options(batch=2)
        three = workflow.call(same, 3)
        by_key = view.options(name="keyed").each(multiply_by_key, {"a": 1, "b": three, "c": 5}, 10)
        numbers = view.options(name="listed").each(multiply, [1, three, 5], three)
        mapped = view.options(name="mapped").each(multiply, workflow.call(same, [1, 2, 3]))
        workflow.options(name="end").call(same, [by_key, numbers, mapped])

        assert (await run(workflow))["end"] == [
            {"a": 10, "b": 30, "c": 50},
            [3, 9, 15],
            [10, 20, 30],
        ]
        jobs = await workflow.all_jobs(with_subs=True)
        assert {"batch-0", "batch-1", "0-1", "2-2"} <= {job.meta["name"] for job in jobs}

    async def test_and_calls_are_undone(self, oban: Oban) -> None:
        undone.clear()
        workflow = Workflow()
        three = workflow.options(undo=undo_call).call(same, 3)
        items = workflow.options(name="each", undo=undo_of_each).each(echo, [three])
        batch = workflow.options(name="batch", batch=2, undo=undo_of_each, deps=items)
        ten = workflow.options(name="fail", max_attempts=1, deps=batch.each(multiply, [1, three]))
        ten.call(fail, "no")
        await run_workflow(workflow, oban, with_safety=True)

        assert undone == [
            ([1, 3], {"same": 3, "each": {"0": ((3,), {})}, "0-1": {"0": 10, "1": 30}}),
            (3, {"same": 3, "0": ((3,), {})}),
            {"same": 3},
        ]


class TestConditions:
    @pytest.mark.parametrize(("rows", "skipped"), [([], 0), ([Row(1)], 1)])
    async def test_may_be_results_of_other_jobs(
        self, run: Run, rows: list[Row], skipped: int
    ) -> None:
        workflow = Workflow()
        table = workflow.call(clean, rows)
        workflow.options(when=table.is_empty).call(same, 1)
        workflow.options(name="each", when=table.is_empty).each(same, [1, 2])
        results = await run(workflow)

        assert ("same" in results) is not skipped
        assert results["each"] == ({} if skipped else {"0": 1, "1": 2})
        assert (await workflow.status()).counts["skipped"] == 3 * skipped

    async def test_that_were_not_recorded_are_not_met(self, run: Run) -> None:
        workflow = Workflow()
        table = workflow.options(when=never).call(clean, [])
        beside = workflow.call(same, 1)
        workflow.options(name="end", when=table.is_empty, deps=[beside]).call(echo)
        await run(workflow)

        assert (await workflow.explain("end")).reason == "skipped"
        job = await workflow.get_job("end")
        assert job is not None
        assert job.meta["skipped"] == "its condition 'clean'.is_empty was not met"

    async def test_decide_whether_somebody_is_asked(self, oban: Oban) -> None:
        workflow = Workflow()
        table = workflow.call(clean, [])
        asked, not_asked = (Workflow().add_signal("answer") for _ in range(2))
        workflow.add_workflow("asked", asked, when=table.is_empty)
        workflow.add_workflow("not asked", not_asked, deps=table, when=never)
        ends: Any = [workflow.value(f"{name}/answer", str) for name in ("asked", "not asked")]
        workflow.call(maybe, ends[0], other=ends[1])
        await run_workflow(workflow, oban, signals={"asked/answer": "yes"})

        assert await workflow.get_recorded("maybe") == ("yes", "other default")

    @pytest.mark.parametrize("add", [Workflow.add_signal, partial(Workflow.add_timer, delay=60)])
    def test_are_refused_for_waits(self, add: Any) -> None:
        with pytest.raises(InvalidArgumentError, match=r"'when' of 'wait' .*sub-workflow"):
            add(Workflow(), "wait", when=never)

    async def test_are_compared_by_reuse(self, run: Run) -> None:
        def build(name: str) -> Workflow:
            workflow = Workflow()
            table: Any = workflow.call(clean, [])
            workflow.options(when=getattr(table, name)).call(same, 1)

            return workflow

        first = build("is_empty")
        await run(first)

        assert await build("is_empty").reuse_plan(first.id) == dict.fromkeys(
            ["clean", "same"], "reused"
        )
        assert (await build("title").reuse_plan(first.id))["same"] == "its condition differs"


class TestFinals:
    async def test_get_the_outcome_and_what_was_recorded(self, run: Run) -> None:
        workflow = Workflow()
        items = workflow.each(same, workflow.options(name="list").call(same, [1, 2]))
        nothing = workflow.options(max_attempts=1).call(fail, "no")
        told = workflow.options(name="told").final(sum_up, items, other=3)
        workflow.options(name="after").final(sum_up, nothing, other=told)
        workflow.options(name="never", on="completed").final(sum_up)
        results = await run(workflow)

        failed = ("discarded", ["fail"])
        assert results["told"] == (*failed, [1, 2], 3)
        assert results["after"] == (*failed, "nothing", results["told"])
        assert "never" not in results
        assert await workflow.result(told) == results["told"]


class TestUndo:
    async def test_gets_arguments_of_its_own(self, oban: Oban) -> None:
        undone.clear()
        workflow = Workflow()
        three = workflow.call(same, 3)
        four: Any = workflow.options(name="four", max_attempts=2).call(echo, three)
        workflow.undo(four, take_back, four[0][0], "late", other=three)
        workflow.options(max_attempts=1, deps=four).call(fail, "no")
        await run_workflow(workflow, oban, with_safety=True)

        assert undone == [(3, "late", 3)]
        job = await workflow.get_job("undo/four")
        assert job is not None
        assert job.max_attempts == 2


class TestFailures:
    async def test_break_what_needs_the_value(self, run: Run) -> None:
        workflow = Workflow()
        workflow.call(same, workflow.options(max_attempts=1).call(fail, "broken"))

        assert await run(workflow) == {}
        assert (await workflow.status()).counts == {"discarded": 1, "cancelled": 1}


class TestFailed:
    @pytest.mark.parametrize("is_recorded", [False, True])
    @pytest.mark.parametrize(
        ("items", "results", "failed"),
        [
            ([2, 3, 4], [2, 4], {"1": "ValueError: 3 is odd"}),
            ({"a": 2, "b": 3}, {"a": 2}, {"b": "ValueError: 3 is odd"}),
            ([2, 4], [2, 4], {}),
        ],
    )
    async def test_stands_for_the_errors_of_what_failed(
        self, run: Run, items: Any, results: Any, failed: Any, *, is_recorded: bool
    ) -> None:
        workflow = Workflow()
        given = workflow.call(same, items) if is_recorded else items
        numbers: Any = workflow.options(tolerate=1, max_attempts=1).each(odd, given)
        workflow.call(tell, numbers, workflow.failed(numbers))

        assert (await run(workflow))["tell"] == (results, failed)

    async def test_may_be_items_and_of_batches_and_of_a_single_job(self, run: Run) -> None:
        workflow = Workflow()
        one: Any = workflow.options(max_attempts=1).call(odd, 1)
        view = workflow.options(tolerate=0.5, max_attempts=1, batch=2)
        some: Any = view.each(fail_batch, [1, 2, 3])
        workflow.options(name="each", ignore_discarded=True).each(first_line, workflow.failed(one))
        batches: Any = workflow.failed(some)
        workflow.options(name="of batches").call(tell, some, batches)
        workflow.options(name="of one").call(same, batches["0-1"][:9])

        results = await run(workflow)
        assert results["each"] == {"odd": "ValueError: 1 is odd"}
        assert results["of batches"] == ([3], {"0-1": "ValueError: two"})
        assert results["of one"] == "Traceback"

    async def test_cannot_be_waited_for(self, oban: Oban) -> None:
        workflow = Workflow()
        failed = workflow.failed(workflow.each(same, [1]))
        await oban.enqueue_many(workflow)

        with pytest.raises(InvalidArgumentError, match="what a job records, got <placeholder of"):
            await workflow.result(failed)


class TestResult:
    async def test_is_what_a_job_recorded(self, start_oban: StartOban) -> None:
        oban = await start_oban()
        workflow = Workflow().add("blocked", work()).add_signal("never")
        rows = workflow.call(extract, "api")
        table = workflow.call(clean, rows)
        squares = workflow.each(item_of, rows, 2)
        keyed = workflow.each(item_of, {"a": Row(4)})
        sub = Workflow().add_cascade("inner", from_context)
        workflow.add_workflow("sub", sub, deps=table)
        await oban.enqueue_many(workflow)

        assert await workflow.result(table, timeout=30) == Table(
            "clean", await workflow.result(rows)
        )
        assert await workflow.result(rows[1].tags[0]) == "api"
        assert await workflow.result(squares) == [0, 2, 4]
        assert await workflow.result(squares[-1]) == 4
        assert await workflow.result(keyed) == {"a": 4}
        handle = Workflow(id=workflow.id)
        assert await handle.result("clean", as_=Table) == await handle.result(table)
        assert await handle.result("item_of", as_=dict) == {"0": 0, "1": 2, "2": 4}
        assert list(await handle.result("sub/inner", as_=dict)) == ["clean"]
        assert list(await handle.result("sub", as_=dict)) == ["inner"]
        assert await handle.result("blocked", as_=object) is None
        assert (await workflow.status()).state == "executing"

    async def test_says_how_a_job_failed(self, run: Run) -> None:
        workflow = Workflow(ignore_discarded=False)
        broken = workflow.options(max_attempts=1).call(fail, "broken")
        after = workflow.call(same, broken)
        group = workflow.options(max_attempts=1).each(fail, ["first", "second"])
        gone: object = workflow.call(give_up, "no need")
        await run(workflow)

        for of, path, state, error in [
            (broken, "fail", "discarded", "ValueError: broken"),
            (after, "same", "cancelled", "fail"),
            (group, "fail_2", "discarded", "ValueError: first"),
            (gone, "give_up", "cancelled", "no need"),
            ("fail_2/1", "fail_2/1", "discarded", "ValueError: second"),
        ]:
            with pytest.raises(JobFailedError, match=error) as caught:
                await workflow.result(of)
            assert (caught.value.path, caught.value.state) == (path, state)
            assert error in (caught.value.error or "")

    async def test_waits_no_longer_than_it_is_told(self, oban: Oban) -> None:
        workflow = Workflow()
        rows = workflow.call(extract, "api")
        await oban.enqueue_many(workflow)

        with pytest.raises(TimeoutError, match=r"'extract' of workflow .* within 0\.2 s, it is"):
            await workflow.result(rows, timeout=0.2)

    async def test_of_what_is_not_there_is_refused(self, oban: Oban) -> None:
        workflow, other = Workflow(), Workflow(name="other")
        rows = workflow.call(extract, "api")
        with pytest.raises(UnknownWorkflowError):
            await workflow.result(rows)
        await oban.enqueue_many(workflow)

        with pytest.raises(UnknownNameError, match=r"'extrakt'.*did you mean 'extract'"):
            await workflow.result("extrakt", as_=list)
        with pytest.raises(InvalidArgumentError, match=r"own placeholders.*extract"):
            await workflow.result(other.call(extract, "api"))
        with pytest.raises(InvalidArgumentError, match="placeholder or a path, got 5"):
            await workflow.result(5)

    async def test_survives_a_lost_connection(self, dsn: str, oban: Oban) -> None:
        workflow = Workflow(oban="far")
        rows = workflow.call(extract, "api")
        await oban.enqueue_many(workflow)

        async with (
            Proxy(dsn) as proxy,
            AsyncConnectionPool(proxy.dsn, min_size=1, open=False) as pool,
        ):
            Oban(pool=pool, name="far")
            proxy.refuses = True
            proxy.cut()
            with pytest.raises(TimeoutError, match=r"within 0.5 s"):
                await workflow.result(rows, timeout=0.5)

            waiting = asyncio.ensure_future(workflow.result(rows, timeout=30))
            proxy.refuses = False
            await asyncio.sleep(0)
            proxy.cut()
            await run_workflow(Workflow(id=workflow.id), oban)

            assert await waiting == [Row(n, ["api"]) for n in range(3)]
