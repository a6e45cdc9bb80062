"""Fan-outs over the results of another one: each job waits for its own item alone."""

from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.testing import run_workflow
from tests.support.engine import Engine
from tests.support.fixtures import Run
from tests.support.graphs import error_of, plan_for
from tests.support.wired import (
    doubled,
    echo,
    fail,
    maybe,
    multiply,
    never,
    odd,
    same,
    undo_of_each,
    undone,
)


def documents(count: int = 3, **options: Any) -> Workflow:
    """Build a pipeline of three calls for each document, and a call over all."""
    workflow = Workflow()
    view = workflow.options(**options)
    loaded = view.options(name="load").each(same, [*range(count)])
    cleaned = view.options(name="clean").each(odd, loaded)
    embedded = view.options(name="embed").each(doubled, cleaned)
    workflow.options(name="index").call(same, embedded)

    return workflow


class TestItems:
    async def test_of_lists_and_dicts_travel_by_themselves(self, run: Run) -> None:
        workflow = Workflow()
        listed = workflow.each(doubled, workflow.each(doubled, [1, 2, 3]), by=10)
        keyed = workflow.each(doubled, workflow.each(doubled, {"a": 1, "b/c": 2}), by=10)
        workflow.call(echo, listed, keyed)

        assert (await run(workflow))["echo"] == (([20, 40, 60], {"a": 20, "b/c": 40}), {})

    async def test_do_not_wait_for_each_other(self, engine: Engine) -> None:
        await engine.enqueue(documents())
        await engine.complete("load/1")
        await engine.complete("clean/1")

        assert await engine.states() == {
            **dict.fromkeys(["load/0", "load/2"], "executing"),
            **dict.fromkeys(["load/1", "clean/1"], "completed"),
            "embed/1": "available",
            **dict.fromkeys(["clean/0", "clean/2", "embed/0", "embed/2", "index"], "suspended"),
        }

    async def test_that_fail_stop_their_own_way_alone(self, run: Run) -> None:
        workflow = documents(tolerate=1, max_attempts=1)

        assert (await run(workflow))["index"] == [0, 4]
        status = await workflow.status()
        assert (status.state, status.counts) == (
            "completed",
            {"completed": 8, "discarded": 1, "cancelled": 1},
        )
        assert "upstream job 'clean/1' was discarded" in await error_of(
            workflow, "1", within="embed"
        )

    async def test_are_run_again_with_what_is_downstream_of_them(self, engine: Engine) -> None:
        workflow = documents(2)
        await engine.enqueue(workflow)

        for name in ("load", "clean", "embed"):
            await engine.complete(f"{name}/0", f"{name}/1")

        await engine.complete("index")
        assert await workflow.retry_jobs(names=["load/1"], downstream=True) == 4
        states = await engine.states()
        assert {path for path, state in states.items() if state != "completed"} == {
            "load/1",
            "clean/1",
            "embed/1",
            "index",
        }
        for path in ("load/1", "clean/1", "embed/1", "index"):
            await engine.complete(path)

        assert await engine.root() == "completed"

    async def test_wait_for_what_their_fan_out_depends_on(self, engine: Engine) -> None:
        workflow = Workflow()
        first = workflow.options(name="first").call(same, 1)
        loaded = workflow.options(name="load").each(same, [1, 2])
        workflow.options(name="clean", deps=first).each(doubled, loaded)
        await engine.enqueue(workflow)
        await engine.complete("load/0")
        assert (await engine.states())["clean/0"] == "suspended"
        await engine.complete("first")
        assert (await engine.states())["clean/0"] == "available"
        assert (await engine.states())["clean/1"] == "suspended"
        await engine.discard("load/1")
        assert (await engine.states())["clean/1"] == "cancelled"
        await engine.complete("clean/0")
        assert await engine.group("clean") == "cancelled"

    async def test_get_the_other_arguments_of_their_fan_out(self, run: Run) -> None:
        workflow = Workflow().add_context({"0": "of the context"})
        first = workflow.options(name="0").call(same, 10)
        loaded = workflow.each(same, [1, 2])
        workflow.options(name="end").each(echo, loaded, first, loaded)

        assert (await run(workflow))["end"] == {
            "0": ((1, 10, [1, 2]), {}),
            "1": ((2, 10, [1, 2]), {}),
        }

    async def test_wait_for_slots_when_they_are_there(self, engine: Engine) -> None:
        workflow = Workflow()
        loaded = workflow.options(name="load").each(same, [0, 1, 2, 3])
        workflow.options(name="clean", limit=1).each(same, loaded)
        await engine.enqueue(workflow)

        for path in ("load/2", "load/0", "load/3"):
            await engine.complete(path)

        states = await engine.states()
        assert [states[f"clean/{n}"] for n in range(4)] == [
            "suspended",
            "suspended",
            "available",
            "suspended",
        ]
        for path in ("clean/2", "clean/0", "clean/3", "load/1", "clean/1"):
            await engine.complete(path)

        assert await engine.root() == "completed"

    async def test_have_deadlines_and_delays_of_their_own(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        workflow = Workflow()
        loaded = workflow.options(name="load").each(same, [0, 1])
        workflow.options(name="clean", deadline=600, delay=60).each(same, loaded)
        await engine.enqueue(workflow)
        await engine.complete("load/1")

        assert (await engine.states())["clean/1"] == "scheduled"
        cursor = await conn.execute(
            "SELECT target, kind, due IS NOT NULL FROM oban_workflow_timers ORDER BY target, kind"
        )
        first, second = engine.ids["clean/0"], engine.ids["clean/1"]
        assert await cursor.fetchall() == [
            (first, "deadline", False),
            (first, "delay", False),
            (second, "deadline", True),
        ]

    async def test_are_skipped_one_by_one(self, run: Run) -> None:
        workflow = Workflow()
        loaded = workflow.options(when=never).each(same, [1, 2])
        workflow.options(name="clean").each(doubled, loaded)
        workflow.options(name="beside").each(maybe, loaded, other=workflow.call(same, 3))
        results = await run(workflow)

        assert results["clean"] == {}
        assert results["beside"] == {"0": ("default", 3), "1": ("default", 3)}

    @pytest.mark.parametrize(
        "option", [{"batch": 2}, {"need": 1}, {"when": same}, {"deps": "load"}]
    )
    async def test_of_a_whole_wait_for_all(self, run: Run, option: dict[str, Any]) -> None:
        workflow = Workflow()
        view = workflow.options(name="load", tolerate=1, max_attempts=1)
        loaded: Any = view.each(odd, [1, 2])
        function = multiply if "batch" in option else doubled
        workflow.options(name="clean", **option).each(function, loaded)
        plan = plan_for(workflow)

        assert [group.spec.kind for group in plan.groups] == ["workflow", "fan_out", "graft"]
        assert (await run(workflow))["clean"] == {"0": 20 if "batch" in option else 4}

    async def test_of_nothing_wait_for_the_fan_out(self, run: Run) -> None:
        workflow = Workflow()
        none: list[int] = []
        workflow.call(same, workflow.each(doubled, workflow.each(doubled, none)))

        assert (await run(workflow))["same"] == []

    async def test_are_reused_one_by_one(self, run: Run) -> None:
        first = documents(2, max_attempts=1, tolerate=1)
        await run(first)
        second = documents(3, max_attempts=1, tolerate=1).reuse(first.id)
        plan = await second.reuse_plan(first.id)

        assert {path for path, verdict in plan.items() if verdict != "reused"} == {
            "clean/1",
            "embed/1",
            "load/2",
            "clean/2",
            "embed/2",
            "index",
        }

    async def test_are_undone_fan_out_by_fan_out(self, oban: Oban) -> None:
        undone.clear()
        workflow = Workflow()
        view = workflow.options(undo=undo_of_each, max_attempts=1)
        loaded = view.options(name="load").each(same, [1, 2])
        cleaned = view.options(name="clean").each(doubled, loaded)
        workflow.options(max_attempts=1, deps=[cleaned]).call(fail, "no")
        await run_workflow(workflow, oban, with_safety=True)

        assert [item for item, _ in undone[2:]] in ([1, 2], [2, 1])
        assert sorted(undone[:2]) == [
            (1, {"load": {"0": 1}, "0": 2}),
            (2, {"load": {"1": 2}, "1": 4}),
        ]


class TestSizes:
    async def test_edges_are_as_many_as_items(self) -> None:
        assert len(plan_for(documents(1_000)).edges) == 2_001

    async def test_are_drawn_as_one_edge(self, engine: Engine) -> None:
        workflow = documents()
        edges = [("load", "clean"), ("clean", "embed"), ("embed", "index")]
        assert workflow.to_graph().edges == edges
        await engine.enqueue(workflow)

        assert sorted((await workflow.fetch_graph()).edges) == sorted(edges)

    async def test_explain_names_the_item(self, engine: Engine) -> None:
        workflow = documents()
        await engine.enqueue(workflow)

        (dep,) = (await workflow.explain("clean/1")).deps
        assert dep.path == ("load", "1")
        (upstream,) = await workflow.all_jobs(deps_of=await workflow.get_job("clean/1"))
        assert upstream.id == engine.ids["load/1"]
