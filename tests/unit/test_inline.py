"""Cascades in place, without a database: what people use in their own tests."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import oban.testing
import pytest
from oban import Oban, Snooze
from oban.testing import process_job
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, errors, from_result
from tests.support import flows, growth
from tests.support.flows import extract, load, transform
from tests.support.graphs import work


@pytest.fixture
def nowhere() -> Oban:
    """Provide an Oban whose database is never reached."""
    return Oban(pool=AsyncConnectionPool("host=/nowhere", open=False))


@pytest.fixture
def inline() -> Iterator[None]:
    with oban.testing.mode("inline"):
        yield


def results(workflow: Workflow) -> dict[str, Any]:
    """Process the jobs one after the other, and return what cascades got back."""
    return {job.meta["name"]: process_job(job).value for job in workflow}


class TestProcessJob:
    def test_passes_context_and_results_on(self) -> None:
        flows.saved.clear()
        workflow = (
            Workflow()
            .add_context({"source": "api", "batch_id": 123})
            .add_cascade("extract", extract)
            .add_cascade("transform", transform, deps="extract")
            .add_cascade("load", load, deps="transform")
        )
        assert results(workflow)["load"] == {"loaded": 3}
        assert flows.saved == ["API 0", "API 1", "API 2"]

    def test_runs_one_job_alone(self) -> None:
        (job,) = Workflow().add_context({"a": 1}).add_cascade("see", flows.see_blocking)
        assert process_job(job).value == {"a": 1}
        assert process_job(job).value == {"a": 1}

    def test_explains_what_a_job_lacks_that_is_run_too_early(self) -> None:
        workflow = Workflow().add_cascade("silent", flows.one)
        _, job = workflow.add_cascade("ask", flows.ask_for_silent, deps="silent")
        with pytest.raises(
            errors.MissingContextError, match="job 'ask'; 'silent' recorded nothing; it depends on"
        ):
            process_job(job)

    def test_raises_what_a_cascade_raises(self) -> None:
        (job,) = Workflow().add_cascade("thing", flows.thing)
        with pytest.raises(errors.CascadeError, match="job 'thing' returned what cannot be"):
            process_job(job)
        (job,) = Workflow().add_cascade("exit", flows.exit_program)
        with pytest.raises(errors.CascadeError, match="job 'exit' must return or raise"):
            process_job(job)

    def test_returns_what_a_cascade_decides(self) -> None:
        (job,) = Workflow().add_cascade("snooze", flows.snooze_once)
        assert process_job(job) == Snooze(0)

    def test_a_job_does_not_see_what_another_one_changed(self) -> None:
        workflow = (
            Workflow()
            .add_context({"shared": {"list": [0]}})
            .add_cascade("up", flows.lists)
            .add_cascade("many", (range(3), flows.mutate), deps="up")
        )
        found = results(workflow)
        assert [found[name] for name in "012"] == [[1, 1, ["mark", "shared", "up"]]] * 3


@pytest.mark.usefixtures("inline")
class TestInlineMode:
    async def test_inline_mode_runs_whole_workflows(self, nowhere: Oban) -> None:
        inner = Workflow().add_context({"c": "inner"}).add_cascade("see", flows.see)
        sub = (
            Workflow()
            .add_context({"b": "sub", "c": "sub"})
            .add_cascade("entry", flows.see)
            .add_cascade("second", flows.see, deps="entry")
            .add_cascade("own flags", flows.see, ignore_discarded=True)
            .add_workflow("inner", inner)
        )
        workflow = (
            Workflow()
            .add_context({"a": datetime(2024, 5, 1), "b": "root"})
            .add("recorder", flows.Recorder.new({"value": 1}))
            .add("silent", work())
            .add_cascade("none", flows.nothing)
            .add_workflow("sub", sub, deps=["recorder", "none"])
            .add_many("plain", [flows.Recorder.new({"value": 2})])
            .add_cascade("many", ({"x": 1, 7: 2}, flows.see_item), deps=["recorder", "silent"])
            .add_cascade("last", flows.see, deps=["sub", "many", "plain", "silent", "none"])
        )
        jobs = await nowhere.enqueue_many(workflow)
        last = await process_job(jobs[-1])
        root = {"a": datetime(2024, 5, 1), "b": "root"}
        of_sub = {"a": datetime(2024, 5, 1), "b": "sub", "c": "sub"}
        up = {"recorder": 1, "none": None}
        assert last.value == {
            **root,
            "none": None,
            "many": {
                "x": [1, {**root, "recorder": 1}],
                "7": [2, {**root, "recorder": 1}],
            },
            "plain": {"0": 2},
            "sub": {
                "entry": of_sub | up,
                "second": of_sub | {"entry": of_sub | up},
                "own flags": of_sub | up,
                "inner": {"see": of_sub | up | {"c": "inner"}},
            },
        }
        assert list(last.value["many"]) == ["x", "7"]

    async def test_forgets_one_workflow_for_the_next(self, nowhere: Oban) -> None:
        for n in range(2):
            workflow = (
                Workflow()
                .add("recorder", flows.Recorder.new({"value": n}))
                .add_cascade("see", flows.see, deps="recorder")
            )
            jobs = await nowhere.enqueue_many(workflow)
            assert (await process_job(jobs[-1])).value == {"recorder": n}


def last(workflow: Workflow) -> Any:
    """Process the jobs one after the other, and return what the last got back."""
    return [process_job(job) for job in workflow][-1].value


class TestGrafts:
    def test_of_functions_see_what_they_depend_on_and_are_seen(self) -> None:
        workflow = Workflow().add_context({"key": 1}).add_cascade("numbers", growth.numbers)
        workflow.add_graft("grow", growth.graft_seen, deps="numbers")
        workflow.add_cascade("end", growth.received, deps="grow")

        seen = {"key": 1, "numbers": [1, 2, 3]}
        assert last(workflow) == {"key": 1, "grow": {"first": seen}}

    def test_map_over_a_result(self) -> None:
        workflow = Workflow().add_cascade("numbers", growth.numbers)
        workflow.add_cascade("each", (from_result("numbers"), growth.double), deps="numbers")
        workflow.add_cascade("end", growth.received, deps="each")

        assert last(workflow) == {"each": {"0": 2, "1": 4, "2": 6}}

    def test_a_graft_may_graft_again(self) -> None:
        workflow = Workflow().add_context({"left": 2}).add_graft("grow", growth.graft_deeper)
        workflow.add_cascade("end", growth.received, deps="grow")

        assert last(workflow)["grow"] == {
            "here": {"left": 1},
            "deeper": {"here": {"left": 0}},
        }

    async def test_a_worker_class_may_graft_inline(self, nowhere: Oban, inline: None) -> None:
        workflow = Workflow().add_graft("grow", growth.GrowCascade.new({}))
        jobs = await nowhere.enqueue_many(workflow.add_cascade("end", growth.received, deps="grow"))

        assert (await process_job(jobs[-1])).value == {"grow": {"each": {"0": 2, "1": 4}}}
