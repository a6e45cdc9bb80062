"""The examples of the published API, run as printed; cascades are in test_cascades."""

# Workers are printed without a base class, so type checkers do not see their `new`.
# mypy: disable-error-code="attr-defined"

import contextlib
import inspect
import io
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker

from oban_pro import Graph, Workflow
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import names, settled

ran: list[str] = []
seen: dict[str, Any] = {}


@worker()
class StepWorker:
    async def process(self, job: Job) -> None:
        print(f"Executing: {job.meta['name']}")  # noqa: T201


@worker()
class AnyWorker(Worker):
    """What the examples leave to the reader; notes which jobs ran, in their order."""

    async def process(self, job: Job) -> None:
        ran.append(job.meta["name"])


@worker()
class SetupWorker(AnyWorker): ...


@worker()
class ProcessWorker(AnyWorker): ...


@worker()
class FinishWorker(AnyWorker): ...


ExtractWorker = TransformWorker = PrepareWorker = SendWorker = CleanupWorker = AnyWorker
FetchWorker = MergeWorker = NotifyWorker = SummaryWorker = AnyWorker


async def get_user_ids_for_account(account_id: int) -> list[int]:
    return [account_id + 1, account_id + 2]


@worker()
class UserNotifier:
    async def process(self, job: Job) -> None:
        user_ids = await get_user_ids_for_account(job.args["account_id"])

        sub_workflow = Workflow()
        for user_id in user_ids:
            sub_workflow.add(str(user_id), NotifyWorker.new({"user_id": user_id}))

        oban = Oban.get_instance()
        await oban.enqueue_many(Workflow.apply_graft(job, sub_workflow))


@worker()
class MyWorker:
    async def process(self, job: Job) -> None:
        workflow = Workflow.for_job(job)

        seen["status"] = await workflow.status()
        seen["all_jobs"] = await workflow.all_jobs()
        seen["extract"] = await workflow.get_job("extract")
        seen["names"] = await workflow.all_jobs(names=["extract", "transform"])
        seen["deps_of"] = await workflow.all_jobs(deps_of=job)


type Run = Callable[[Workflow], Awaitable[list[str]]]


@pytest.fixture
def run(start_oban: StartOban, wait_until: WaitUntil) -> Run:
    async def run(workflow: Workflow) -> list[str]:
        ran.clear()
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        assert (await workflow.status()).state == "completed"
        return ran

    return run


class TestBasicUsage:
    async def test_prints_each_name_in_order(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("a", StepWorker.new({}))
            .add("b", StepWorker.new({}), deps="a")
            .add("c", StepWorker.new({}), deps="b")
            .add("d", StepWorker.new({}), deps="b")
            .add("e", StepWorker.new({}), deps=["c", "d"])
        )

        with contextlib.redirect_stdout(io.StringIO()) as printed:
            await run(workflow)

        first, second, *middle, last = printed.getvalue().splitlines()
        assert (first, second, last) == ("Executing: a", "Executing: b", "Executing: e")
        assert sorted(middle) == ["Executing: c", "Executing: d"]


class TestPatterns:
    async def test_jobs_in_a_row_run_one_after_the_other(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("first", AnyWorker.new({}))
            .add("second", AnyWorker.new({}), deps="first")
            .add("third", AnyWorker.new({}), deps="second")
        )

        assert await run(workflow) == ["first", "second", "third"]

    async def test_many_jobs_run_after_one(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("parent", AnyWorker.new({}))
            .add("child_1", AnyWorker.new({}), deps="parent")
            .add("child_2", AnyWorker.new({}), deps="parent")
            .add("child_3", AnyWorker.new({}), deps="parent")
        )

        first, *others = await run(workflow)
        assert (first, sorted(others)) == ("parent", ["child_1", "child_2", "child_3"])

    async def test_one_job_runs_after_many(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("step_1", AnyWorker.new({}))
            .add("step_2", AnyWorker.new({}))
            .add("step_3", AnyWorker.new({}))
            .add("final", AnyWorker.new({}), deps=["step_1", "step_2", "step_3"])
        )

        *others, last = await run(workflow)
        assert (sorted(others), last) == (["step_1", "step_2", "step_3"], "final")

    async def test_a_diamond_runs_in_order(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("start", AnyWorker.new({}))
            .add("left", AnyWorker.new({}), deps="start")
            .add("right", AnyWorker.new({}), deps="start")
            .add("end", AnyWorker.new({}), deps=["left", "right"])
        )

        first, *middle, last = await run(workflow)
        assert (first, sorted(middle), last) == ("start", ["left", "right"], "end")


class TestSubWorkflows:
    async def test_run_in_the_order_of_their_dependencies(self, run: Run) -> None:
        extract_flow = (
            Workflow()
            .add("extract", ExtractWorker.new({"source": "database"}))
            .add("transform", TransformWorker.new({"type": "normalize"}), deps="extract")
        )

        notify_flow = (
            Workflow()
            .add("prepare", PrepareWorker.new({"template": "report"}))
            .add("send", SendWorker.new({"method": "email"}), deps="prepare")
        )

        workflow = (
            Workflow()
            .add("setup", SetupWorker.new({"mode": "initialize"}))
            .add_workflow("extract", extract_flow, deps="setup")
            .add_workflow("notify", notify_flow, deps="extract")
            .add("finalize", CleanupWorker.new({"mode": "cleanup"}), deps="notify")
        )

        order = ["setup", "extract", "transform", "prepare", "send", "finalize"]
        assert await run(workflow) == order

    async def test_collection_with_numbered_jobs(self, run: Run) -> None:
        items = [7, 8, 9]

        workflow = (
            Workflow()
            .add("setup", SetupWorker.new({}))
            .add_many("process", [ProcessWorker.new({"item": id}) for id in items], deps="setup")
            .add("finish", FinishWorker.new({}), deps="process")
        )

        first, *middle, last = await run(workflow)
        assert (first, sorted(middle), last) == ("setup", ["0", "1", "2"], "finish")

    async def test_collection_with_named_jobs(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_many(
                "fetch",
                {
                    "users": FetchWorker.new({"table": "users"}),
                    "orders": FetchWorker.new({"table": "orders"}),
                },
            )
            .add("merge", MergeWorker.new({}), deps="fetch")
        )

        *others, last = await run(workflow)
        assert (sorted(others), last) == (["orders", "users"], "merge")


class TestGrafting:
    async def test_summary_waits_for_everything_grafted(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add("setup", SetupWorker.new({}))
            .add_graft("notify", UserNotifier.new({"account_id": 123}), deps="setup")
            .add("summary", SummaryWorker.new({}), deps="notify")
        )

        first, *grafted, last = await run(workflow)
        assert (first, sorted(grafted), last) == ("setup", ["124", "125"], "summary")


class TestOptions:
    def test_constructor_has_the_published_parameters_and_defaults(self) -> None:
        parameters = inspect.signature(Workflow).parameters
        positional = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.kind is not parameter.KEYWORD_ONLY
        }

        assert positional == {
            "id": None,
            "name": None,
            "check_deps": True,
            "ignore_cancelled": False,
            "ignore_discarded": False,
        }

    def test_id_and_name_are_kept(self) -> None:
        assert Workflow(id="custom-unique-id").id == "custom-unique-id"
        assert Workflow(name="nightly-etl").name == "nightly-etl"

    @pytest.mark.parametrize(
        ("method", "expected"),
        [
            ("add", ["name", "job", "deps", "ignore_cancelled", "ignore_discarded"]),
            ("add_workflow", ["name", "sub_workflow", "deps"]),
            ("add_many", ["name", "jobs", "deps"]),
            ("add_cascade", ["name", "func_or_tuple", "deps", "job_opts"]),
            ("add_graft", ["name", "job", "deps"]),
            ("add_context", ["value"]),
            ("for_job", ["job"]),
            ("apply_graft", ["job", "sub_workflow"]),
            ("get_job", ["name"]),
            ("all_jobs", ["names", "deps_of"]),
            ("get_recorded", ["name"]),
            ("all_recorded", ["names", "deps_of"]),
            ("get_context", []),
            ("status", []),
            ("cancel_jobs", ["names"]),
            ("retry_jobs", ["names"]),
            ("to_graph", []),
            ("to_dot", []),
            ("to_mermaid", []),
        ],
    )
    def test_methods_have_the_published_parameters(self, method: str, expected: list[str]) -> None:
        parameters = inspect.signature(getattr(Workflow, method)).parameters

        assert [name for name in parameters if name in expected] == expected
        optional = {"deps", "names", "deps_of", "ignore_cancelled", "ignore_discarded"}
        assert all(
            parameter.kind is parameter.KEYWORD_ONLY
            for name, parameter in parameters.items()
            if name in optional
        )

    async def test_dependents_may_ignore_what_broke(self, oban: Oban) -> None:
        workflow = Workflow(ignore_cancelled=True, ignore_discarded=True)
        workflow.add("a", AnyWorker.new({})).add("b", AnyWorker.new({}), deps="a")
        await oban.enqueue_many(workflow)

        assert await workflow.cancel_jobs(names=["a"]) == 1
        b = await workflow.get_job("b")
        assert b is not None
        assert b.state == "available"

    async def test_single_jobs_may_ignore_what_broke(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("step_1", AnyWorker.new({}))
            .add("step_2", AnyWorker.new({}), deps="step_1", ignore_cancelled=True)
            .add("step_3", AnyWorker.new({}), deps="step_2", ignore_discarded=True)
        )
        await oban.enqueue_many(workflow)
        await workflow.cancel_jobs(names=["step_1"])
        assert (await workflow.status()).counts == {
            "cancelled": 1,
            "available": 1,
            "suspended": 1,
        }

        await workflow.cancel_jobs(names=["step_2"])
        assert (await workflow.status()).counts == {"cancelled": 3}


class TestReading:
    async def test_handle_of_a_running_job(self, run: Run) -> None:
        seen.clear()
        workflow = (
            Workflow(name="looked-at")
            .add("extract", ExtractWorker.new({}))
            .add("transform", TransformWorker.new({}), deps="extract")
            .add("look", MyWorker.new({}), deps="transform")
        )
        await run(workflow)

        assert (seen["status"].state, seen["status"].name) == ("executing", "looked-at")
        assert names(seen["all_jobs"]) == ["extract", "transform", "look"]
        assert seen["extract"].state == "completed"
        assert names(seen["names"]) == ["extract", "transform"]
        assert names(seen["deps_of"]) == ["transform"]

    async def test_status_has_every_attribute(self, run: Run) -> None:
        sub = Workflow(name="inner").add("x", AnyWorker.new({}))
        workflow = Workflow(id="known-workflow-id", name="outer").add("a", AnyWorker.new({}))
        await run(workflow.add_workflow("sub", sub))

        workflow = Workflow(id="known-workflow-id")
        status = await workflow.status()

        assert (status.id, status.name) == ("known-workflow-id", "outer")
        assert (status.state, status.total, status.counts) == ("completed", 2, {"completed": 2})
        assert isinstance(status.duration, timedelta)
        assert isinstance(status.started_at, datetime)
        assert status.stopped_at == status.started_at + status.duration
        assert (status.subs["sub"].name, status.subs["sub"].total) == ("inner", 1)

    async def test_the_status_of_an_unknown_workflow_is_unknown(self, oban: Oban) -> None:
        status = await Workflow(id="nobody").status()

        assert (status.state, status.total, status.duration) == ("unknown", 0, None)


class TestVisualization:
    def example(self) -> Workflow:
        return (
            Workflow()
            .add("setup", SetupWorker.new({}))
            .add("process_a", ProcessWorker.new({}), deps="setup")
            .add("process_b", ProcessWorker.new({}), deps="setup")
            .add("finish", FinishWorker.new({}), deps=["process_a", "process_b"])
        )

    def test_prints_the_published_mermaid_to_the_letter(self) -> None:
        assert self.example().to_mermaid().rstrip("\n").splitlines() == [
            "flowchart TD",
            '    setup["setup (SetupWorker)"]',
            '    process_a["process_a (ProcessWorker)"]',
            '    process_b["process_b (ProcessWorker)"]',
            '    finish["finish (FinishWorker)"]',
            "    setup --> process_a",
            "    setup --> process_b",
            "    process_a --> finish",
            "    process_b --> finish",
        ]

    def test_mermaid_fits_the_published_fence(self) -> None:
        workflow = self.example()
        fence = f"```mermaid\n{workflow.to_mermaid()}```"

        assert fence.splitlines()[-1] == "```"

    def test_graph_nests_sub_workflows_among_its_vertices(self) -> None:
        graph = self.example().add_workflow("sub", self.example(), deps="finish").to_graph()

        assert isinstance(graph.vertices["sub"], Graph)
        assert graph.edges[-1] == ("finish", "sub")

    def test_dot_is_a_digraph(self) -> None:
        assert self.example().to_dot().startswith("digraph ")


class TestSteering:
    async def test_cancel_and_retry_count_their_jobs(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("step_1", AnyWorker.new({}))
            .add("step_2", AnyWorker.new({}))
            .add("step_3", AnyWorker.new({}))
            .add("failed_step", AnyWorker.new({}), deps="step_1")
        )
        await oban.enqueue_many(workflow)

        assert await workflow.cancel_jobs(names=["step_2", "step_3"]) == 2
        assert await workflow.cancel_jobs() == 2
        assert await workflow.cancel_jobs() == 0
        assert await workflow.retry_jobs(names=["failed_step"]) == 1
        assert await workflow.retry_jobs() == 3
        assert await workflow.retry_jobs() == 0
        counts = (await workflow.status()).counts
        assert counts == {"available": 3, "suspended": 1}
