"""Undo: what takes back jobs that completed, if their workflow does not complete."""

import re
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection

from oban_pro import Outcome, Workflow, doctor, from_result, workers
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidFunctionError,
    InvalidJobError,
    WorkflowError,
)
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job
from tests.support.node_row import Node
from tests.support.silence import HEARD, rescue

HANDLE = Workflow(id="w")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


@pytest.fixture
async def node(oban: Oban, conn: AsyncConnection) -> Node:
    node = Node(oban, conn)
    await node.join({"oban_workflows_patience": 60.0})

    return node


def undo() -> dict[str, Any]:
    return {"undo": make_job()}


def is_large(context: dict[str, Any]) -> bool:
    """Stand for a condition; the tests say what comes of it."""
    return True


async def plan(engine: Engine, path: str = "undo") -> None:
    """Let the grafter of an undo plan it, as a node does."""
    await engine._learn()
    (grafter,) = await engine.start(f"{path}/grafter")
    await workers.Undoer().process(grafter)
    await engine.ack([grafter], "completed")
    await engine._learn()


async def undos(engine: Engine, prefix: str = "undo/grafted/") -> dict[str, str]:
    """Return the states of what undoes a workflow, by the paths of what is undone."""
    states = await engine.states()

    return {
        path.removeprefix(prefix): state
        for path, state in states.items()
        if path.startswith(prefix)
    }


class TestUndo:
    async def test_runs_in_reverse_for_what_completed(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("hole", make_job(), deps="a")
            .add("b", make_job(), deps="hole", **undo())
            .add("c", make_job(), deps="b", **undo())
        )
        await engine.complete("a")
        await engine.complete("hole")
        await engine.complete("b")
        await engine.discard("c")
        assert (await HANDLE.status()).state == "executing"

        await plan(engine)
        assert await undos(engine) == {"b": "available", "a": "suspended"}

        await engine.complete("undo/grafted/b")
        assert await undos(engine) == {"b": "completed", "a": "available"}

        await engine.complete("undo/grafted/a")
        assert (await HANDLE.status()).state == "discarded"

    async def test_is_planned_for_a_nested_workflow_first(self, engine: Engine) -> None:
        inner = (
            Workflow()
            .add("x", make_job(), **undo())
            .add("y", make_job(), deps="x")
            .add_final("f", make_job())
        )
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add_workflow("sub", inner, deps="a")
            .add("next", make_job(), deps="sub")
            .add_final("end", make_job())
        )
        await engine.complete("a")
        await engine.complete("sub/x")
        await engine.discard("sub/y")
        states = await engine.states()
        assert (states["next"], states["sub/f"]) == ("suspended", "suspended")

        await plan(engine, "sub/undo")
        assert await undos(engine, "sub/undo/grafted/") == {"x": "available"}

        await engine.complete("sub/undo/grafted/x")
        assert (await engine.states())["sub/f"] == "available"

        await engine.complete("sub/f")
        assert (await engine.states())["next"] == "cancelled"

        await plan(engine)
        assert await undos(engine) == {"a": "available"}
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("undo/grafted/a")
        await engine.complete("end")
        assert (await HANDLE.status()).state == "discarded"

    async def test_takes_what_a_completed_workflow_did_not_undo(self, engine: Engine) -> None:
        inner = Workflow().add("x", make_job(), **undo()).add("y", make_job(), deps="x", **undo())
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add_workflow("sub", inner, deps="a")
            .add("b", make_job(), deps="sub")
        )
        for path in ("a", "sub/x", "sub/y"):
            await engine.complete(path)

        await engine.discard("b")
        await plan(engine)
        order = ["sub/y", "sub/x", "a"]

        for n, path in enumerate(order):
            left = dict.fromkeys(order[n + 1 :], "suspended")
            done = dict.fromkeys(order[:n], "completed")
            assert await undos(engine) == {**left, path: "available", **done}
            await engine.complete(f"undo/grafted/{path}")

        assert (await HANDLE.status()).state == "discarded"

    async def test_is_none_where_nothing_completed_or_all_did(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()),
            Workflow(id="v").add("b", make_job(), **undo()),
        )
        await engine.discard("a")
        await engine.complete("b")
        assert (await HANDLE.status()).state == "discarded"
        assert (await Workflow(id="v").status()).state == "completed"

    async def test_that_breaks_stops_what_would_come_after_it(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("b", make_job(), deps="a", **undo())
            .add("c", make_job(), deps="b")
            .add_final("end", make_job())
        )
        for path in ("a", "b"):
            await engine.complete(path)

        await engine.discard("c")
        await plan(engine)
        await engine.discard("undo/grafted/b")
        assert await undos(engine) == {"b": "discarded", "a": "cancelled"}
        (error,) = (await engine.row("undo/grafted/a")).errors
        assert error["error"] == "cancelled because upstream job 'b' was discarded"
        assert (await engine.states())["end"] == "available"

        await engine.complete("end")
        assert (await HANDLE.status()).state == "discarded"

        assert await HANDLE.retry_jobs(names=["undo/b"]) == 2
        assert await undos(engine) == {"b": "available", "a": "suspended"}
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("undo/grafted/b")
        await engine.complete("undo/grafted/a")
        await engine.complete("end")
        assert (await HANDLE.status()).state == "discarded"

    async def test_of_a_nested_workflow_that_broke_stops_that_of_what_is_before(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add("x", make_job(), **undo()).add("y", make_job(), deps="x")
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("apart", make_job(), **undo())
            .add_workflow("sub", inner, deps="a")
        )
        for path in ("a", "apart", "sub/x"):
            await engine.complete(path)

        await engine.discard("sub/y")
        await plan(engine, "sub/undo")
        await engine.discard("sub/undo/grafted/x")
        await plan(engine)
        (blocked,) = await engine.start("undo/grafted/sub/x")
        answer = await workers.Undo().process(blocked)
        assert (
            str(answer) == "Cancel(reason='it was tried in the workflow nested there: discarded')"
        )
        await engine.cancel_by_ack("undo/grafted/sub/x")
        assert await undos(engine) == {"sub/x": "cancelled", "a": "cancelled", "apart": "executing"}
        await engine.complete("undo/grafted/apart")
        assert (await HANDLE.status()).state == "discarded"

        # once that is mended, what is left follows
        await HANDLE.retry_jobs(names=["sub/undo/x"])
        await engine._learn()
        await engine.complete("sub/undo/grafted/x")
        await plan(engine)
        assert await undos(engine) == {"a": "available"}

    async def test_keeps_n_to_m_edges(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add_cascade("n", (range(1_000), succeed_with), undo=undo_item)
            .add_cascade("m", (range(1_000), succeed_with), deps="n", undo=undo_item)
            .add("last", make_job(), deps="m")
        )
        await engine.psql("UPDATE oban_jobs SET state = 'completed' WHERE args ? 'item'")
        await engine.discard("last")
        await plan(engine)
        states = await undos(engine)
        assert (len(states), states["m/7"], states["n/7"]) == (2_000, "available", "suspended")
        ((edges,),) = await engine.rows(
            "SELECT count(*)::int FROM oban_workflow_edges e"
            " JOIN oban_workflow_members m ON m.id = e.downstream"
            " WHERE m.group_key IN (SELECT key FROM oban_workflow_groups WHERE key < ("
            "   SELECT undo FROM oban_workflow_ends))"
        )
        assert edges <= 2

        await engine.psql("UPDATE oban_jobs SET state = 'completed' WHERE state = 'available'")
        assert (await undos(engine))["n/7"] == "available"

    async def test_is_checked_by_the_doctor(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()).add("b", make_job(), deps="a")
        )
        await engine.complete("a")
        await engine.discard("b")
        await plan(engine)
        await engine.rows("UPDATE oban_workflow_groups SET subs = 0, suspended = 9")
        await engine.rows("UPDATE oban_workflow_ends SET outcome = 'completed'")
        assert await doctor.audit()
        await doctor.repair()
        await engine.complete("undo/grafted/a")
        assert await engine.root() == "discarded"

    async def test_is_planned_by_the_doctor_where_nobody_saw_the_failure(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add("x", make_job(), **undo()).add("y", make_job(), deps="x")
        workflow = Workflow(id="w").add("a", make_job(), **undo())
        workflow.add_workflow("sub", inner, deps="a").add("next", make_job(), deps="sub")
        await engine.enqueue(workflow.add_final("end", make_job()))
        await engine.complete("a")
        await engine.complete("sub/x")
        await unseen(engine, "UPDATE oban_jobs SET state = 'discarded' WHERE state = 'available'")
        await doctor.repair()
        await plan(engine, "sub/undo")
        states = await engine.states()
        assert (states["next"], states["sub/undo/grafted/x"]) == ("suspended", "available")

        await engine.complete("sub/undo/grafted/x")
        await plan(engine)
        assert await undos(engine) == {"a": "available"}
        assert (await engine.states())["end"] == "suspended"


async def unseen(engine: Engine, statement: str) -> None:
    """Execute a statement that no trigger sees."""
    async with engine.conn.transaction():
        await engine.rows("SET LOCAL session_replication_role = replica")
        await engine.rows(statement)


class TestLateJobs:
    async def test_are_undone_if_they_return_after_they_were_cancelled(self, node: Node) -> None:
        await node.enqueue(
            Workflow(id="w")
            .add("charge", make_job(), **undo())
            .add("raise", make_job(), **undo())
            .add("idle", make_job(), deps="charge", **undo())
        )
        charge, failing = await node.start("charge", "raise")
        assert await HANDLE.cancel_jobs() == 3
        await node._learn()
        assert (await HANDLE.status()).state == "executing"
        assert (await node.states())["undo/grafter"] == "suspended"

        await node.ack([failing], "retryable", error={"error": "boom"}, schedule_in=1)
        assert (await node.states())["undo/grafter"] == "suspended"

        await node.ack([charge], "completed", meta={"recorded": True, "return": "g2E"})
        await plan(node)
        assert await undos(node) == {"charge": "available"}

    async def test_are_not_undone_if_their_condition_was_not_met(self, node: Node) -> None:
        await node.enqueue(
            Workflow(id="w")
            .add("ran", make_job(), **undo())
            .add("charge", make_job(), when=is_large, **undo())
        )
        ran, charge = await node.start("ran", "charge")
        await HANDLE.cancel_jobs()
        await node.ack([charge], "completed", attempt_change=-1, meta={"skipped": "it was not"})
        await node.ack([ran], "completed")
        await plan(node)
        assert await undos(node) == {"ran": "available"}

    @pytest.mark.parametrize("function", ["undo_charge", "undo_too_much"])
    async def test_are_undone_if_their_node_dies(self, node: Node, function: str) -> None:
        await node.enqueue(Workflow(id="w").add_cascade("a", succeed, undo=globals()[function]))
        await node.start("a")
        await HANDLE.cancel_jobs()
        await node._learn()
        await node.psql("DELETE FROM oban_workflow_hearing")
        await node.psql(HEARD)
        await node.psql("UPDATE oban_producers SET updated_at = updated_at - interval '61 s'")
        await rescue(node.query)
        await plan(node)
        (job,) = await node.start("undo/grafted/a")
        problem = {
            "undo_charge": "no 'a' in the context of the undo of job 'a'; 'a' recorded nothing; it"
            " depends on nothing; context.get('a') does without",
            "undo_too_much": "the undo of job 'a' returned what cannot be recorded",
        }

        with pytest.raises(WorkflowError, match=re.escape(problem[function])):
            await workers.Undo().process(job)

    async def test_leave_nothing_to_undo_if_they_raise(self, node: Node) -> None:
        await node.enqueue(Workflow(id="w").add("a", make_job(), **undo()))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        await node._learn()
        await node.ack([job], "discarded", error={"error": "boom"})
        (grafter,) = await node.start("undo/grafter")
        await workers.Undoer().process(grafter)
        await node.ack([grafter], "completed")
        assert await node.states() == {"a": "cancelled", "undo/grafter": "completed"}
        assert (await HANDLE.status()).state == "cancelled"

    async def test_that_are_retried_forget_that_they_returned(self, node: Node) -> None:
        await node.enqueue(Workflow(id="w").add("a", make_job(), **undo()))
        (job,) = await node.start("a")
        await HANDLE.cancel_jobs()
        await node._learn()
        await node.ack([job], "completed", meta={"recorded": True, "return": "g2E"})
        await HANDLE.retry_jobs()
        await node._learn()
        assert await node.states() == {"a": "available"}

        await node.discard("a")
        assert (await HANDLE.status()).state == "discarded"


class TestCancelling:
    async def test_cancelling_a_workflow_spares_its_undos(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()).add("b", make_job(), deps="a")
        )
        await engine.complete("a")
        assert await HANDLE.cancel_jobs() == 1
        await plan(engine)
        assert await HANDLE.cancel_jobs() == 0
        assert await HANDLE.cancel_jobs(names=["undo"]) == 1
        assert (await HANDLE.status()).state == "cancelled"

    @pytest.mark.parametrize(
        ("names", "count"),
        [
            (["sub", "z"], 1),
            (["sub", "sub/x", "z"], 1),
            (["sub/undo", "z"], 2),
            (["sub/undo/x", "z"], 2),
            (["sub", "sub/undo/x"], 1),
        ],
    )
    async def test_of_several_parts_tells_what_it_cancels(
        self, engine: Engine, names: list[str], count: int
    ) -> None:
        inner = Workflow().add("x", make_job(), **undo()).add("y", make_job(), deps="x")
        outer = Workflow(id="w").add_workflow("sub", inner).add("z", make_job())
        await engine.enqueue(outer)
        await engine.complete("sub/x")
        await engine.discard("sub/y")
        await plan(engine, "sub/undo")
        assert await HANDLE.cancel_jobs(names=names) == count
        assert sum(state == "cancelled" for state in (await engine.states()).values()) == count

    async def test_takes_it_if_told_so(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()).add("b", make_job(), deps="a")
        )
        await engine.complete("a")
        assert await HANDLE.cancel_jobs(finals=True) == 1
        assert (await HANDLE.status()).state == "cancelled"


class TestRetrying:
    async def test_a_retry_runs_undone_jobs_again(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("b", make_job(), deps="a")
            .add("apart", make_job())
            .add("c", make_job(), deps="b")
        )
        for path in ("a", "b", "apart"):
            await engine.complete(path)

        await engine.discard("c")
        await plan(engine)
        await engine.complete("undo/grafted/a")
        assert await HANDLE.retry_jobs() == 3
        assert await engine.states() == {
            "a": "available",
            "b": "suspended",
            "c": "suspended",
            "apart": "completed",
        }

        for path in ("a", "b"):
            await engine.complete(path)

        await engine.discard("c")
        await plan(engine)
        assert await undos(engine) == {"a": "available"}

    async def test_takes_back_what_was_not_undone(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("b", make_job(), deps="a", **undo())
            .add("c", make_job(), deps="b")
        )
        for path in ("a", "b"):
            await engine.complete(path)

        await engine.discard("c")
        await plan(engine)
        await engine.complete("undo/grafted/b")
        assert await HANDLE.retry_jobs() == 2
        assert await engine.states() == {"a": "completed", "b": "available", "c": "suspended"}

    async def test_waits_for_the_end_of_what_undoes(self, node: Node) -> None:
        await node.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()).add("b", make_job(), deps="a")
        )
        await node.complete("a")
        await node.discard("b")
        await plan(node)
        (undoing,) = await node.start("undo/grafted/a")
        assert await HANDLE.retry_jobs() == 2
        assert await node.states() == {"a": "suspended", "b": "suspended"}
        told = f"job 'a' waits for the end of its undo, job {undoing.id}, which still runs"
        explanation = await HANDLE.explain("a")
        assert (explanation.reason, explanation.summary) == ("ending", told)
        told = f"job 'b' waits for its dependency; {told}"
        assert (await HANDLE.explain("b")).summary == told

        await node.ack([undoing], "completed")
        assert await node.states() == {"a": "available", "b": "suspended"}

    @pytest.mark.parametrize("appends", [False, True])
    async def test_waits_for_the_end_of_what_was_cancelled_while_it_undid(
        self, node: Node, appends: bool
    ) -> None:
        await node.enqueue(
            Workflow(id="w").add("a", make_job(), **undo()).add("b", make_job(), deps="a")
        )
        await node.complete("a")
        await node.discard("b")
        await plan(node)
        (undoing,) = await node.start("undo/grafted/a")
        assert await HANDLE.cancel_jobs(names=["undo/a"]) == 1

        if appends:
            await HANDLE.append(Workflow().add("more", make_job()))

        await HANDLE.retry_jobs(names=["a", "b"] if appends else None)
        await node._learn()
        assert (await node.states())["a"] == "suspended"

        await node.ack([undoing], "completed")
        assert (await node.states())["a"] == "available"

    async def test_by_appending_undoes_nothing_twice(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job(), **undo())
            .add("b", make_job(), deps="a", **undo())
            .add("c", make_job(), deps="b")
        )
        for path in ("a", "b"):
            await engine.complete(path)

        await engine.discard("c")
        await plan(engine)
        await engine.complete("undo/grafted/b")
        await HANDLE.append(Workflow().add("more", make_job()))
        await engine._learn()
        assert await undos(engine) == {}

        await engine.complete("more")
        await plan(engine)
        assert await undos(engine) == {"a": "available"}


class TestDeletedUndos:
    """Rows of undos that somebody deleted: how these had settled is still known."""

    async def test_that_completed_are_not_repeated(self, engine: Engine) -> None:
        await engine.enqueue(two_with_undo())
        await fail_and_plan(engine)
        await engine.complete("undo/grafted/b")
        await engine.delete("undo/grafted/b")
        await HANDLE.append(Workflow().add("more", make_job()))
        await engine._learn()
        await engine.complete("more")
        await plan(engine)
        assert await undos(engine) == {"a": "available"}

    async def test_that_never_ran_are_planned_again(self, engine: Engine) -> None:
        await engine.enqueue(two_with_undo())
        await fail_and_plan(engine)
        await engine.delete("undo/grafted/b")
        assert await undos(engine) == {"a": "cancelled"}

        await HANDLE.append(Workflow().add("more", make_job()))
        await engine._learn()
        await engine.complete("more")
        await plan(engine)
        assert await undos(engine) == {"b": "available", "a": "suspended"}

    async def test_that_never_ran_make_no_job_run_again(self, engine: Engine) -> None:
        await engine.enqueue(two_with_undo())
        await fail_and_plan(engine)
        await engine.delete("undo/grafted/b")
        assert await HANDLE.retry_jobs() == 1
        assert await engine.states() == {"a": "completed", "b": "completed", "c": "available"}

    async def test_that_never_ran_stop_those_of_what_is_before_a_nested_workflow(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add("x", make_job(), **undo()).add("y", make_job(), deps="x")
        workflow = Workflow(id="w").add("a", make_job(), **undo())
        await engine.enqueue(workflow.add_workflow("sub", inner, deps="a"))
        await engine.complete("a")
        await engine.complete("sub/x")
        await engine.discard("sub/y")
        await plan(engine, "sub/undo")
        await engine.delete("sub/undo/grafted/x")
        await plan(engine)
        (blocked,) = await engine.start("undo/grafted/sub/x")
        assert str(await workers.Undo().process(blocked)).endswith("deleted')")


def two_with_undo() -> Workflow:
    """Build two jobs with an undo, and one behind them."""
    return (
        Workflow(id="w")
        .add("a", make_job(), **undo())
        .add("b", make_job(), deps="a", **undo())
        .add("c", make_job(), deps="b")
    )


async def fail_and_plan(engine: Engine) -> None:
    """Let the last of three jobs fail, and plan how the others are undone."""
    await engine.complete("a")
    await engine.complete("b")
    await engine.discard("c")
    await plan(engine)


seen: list[Any] = []


def succeed(context: dict[str, Any]) -> int:
    return 1


def succeed_with(item: int, context: dict[str, Any]) -> int:
    return item


def items(context: dict[str, Any]) -> list[int]:
    return [7]


def fail(context: dict[str, Any]) -> None:
    raise ValueError("no disk")


def undo_charge(context: dict[str, Any]) -> None:
    raise AssertionError(context["a"])


def undo_too_much(context: dict[str, Any]) -> object:
    return object()


def undo_one(context: dict[str, Any]) -> str:
    seen.append(dict(context))

    return "undone"


def undo_item(item: int, context: dict[str, Any]) -> None:
    seen.append((item, dict(context)))


def succeed_with_all(items: list[int], context: dict[str, Any]) -> list[int]:
    return items


def undo_items(items: list[int], context: dict[str, Any]) -> None:
    seen.append((items, dict(context)))


def report(context: dict[str, Any], outcome: Outcome) -> None:
    seen.append(outcome.state)


def grown(context: dict[str, Any]) -> Workflow:
    return (
        Workflow()
        .add_cascade("x", succeed, undo=undo_one)
        .add_cascade("y", fail, deps="x", max_attempts=1)
    )


@worker()
class TakeBack(Worker):
    async def process(self, job: Job) -> None:
        seen.append(job.args)


class TestFunctions:
    async def test_get_the_context_of_their_job_and_what_it_recorded(self, oban: Oban) -> None:
        seen.clear()
        workflow = (
            Workflow(id="w")
            .add_context({"order": 17})
            .add_cascade("one", succeed)
            .add_cascade("two", succeed, deps="one", undo=undo_one)
            .add_cascade("many", ([3], succeed_with), deps="two", undo=undo_item)
            .add_cascade("list", items, deps="many")
            .add_cascade("mapped", (from_result("list"), succeed_with), deps="list", undo=undo_item)
            .add("job", TakeBack.new({"did": 1}), deps="mapped", undo=TakeBack.new({"did": -1}))
            .add_cascade("bad", fail, deps="job", max_attempts=1)
            .add_final("report", report)
        )
        status = await run_workflow(workflow, with_safety=True)
        assert status.state == "discarded"
        assert seen == [
            {"did": 1},
            {"did": -1},
            (7, {"order": 17, "list": [7], "0": 7}),
            (3, {"order": 17, "two": 1, "0": 3}),
            {"order": 17, "one": 1, "two": 1},
            "discarded",
        ]
        assert await workflow.get_recorded("undo/two") == "undone"

    async def test_of_batches_get_their_items(self, oban: Oban) -> None:
        seen.clear()
        many = ([1, 2, 3], succeed_with_all)
        mapped = (from_result("list").batches(2), succeed_with_all)
        workflow = (
            Workflow(id="w")
            .add_cascade("many", many, batch=2, undo=undo_items)
            .add_cascade("list", items, deps="many")
            .add_cascade("mapped", mapped, deps="list", undo=undo_items)
            .add_cascade("bad", fail, deps="mapped", max_attempts=1)
        )
        await run_workflow(workflow, with_safety=True)
        given = [items for items, _ in seen]
        assert given[0] == [7]
        assert sorted(given[1:]) == [[1, 2], [3]]

    async def test_of_what_is_grafted_run_with_it(self, oban: Oban) -> None:
        seen.clear()
        workflow = (
            Workflow(id="w")
            .add_cascade("first", succeed, undo=undo_one)
            .add_graft("more", grown, deps="first")
        )
        await run_workflow(workflow, with_safety=True)
        assert seen == [{"first": 1, "x": 1}, {"first": 1}]


class TestBuilding:
    def test_refuses_what_cannot_work(self) -> None:
        workflow: Any = Workflow()

        with pytest.raises(InvalidFunctionError, match="cannot be a way to undo it"):
            workflow.add_cascade("a", succeed, undo=lambda context: None)

        with pytest.raises(InvalidFunctionError, match=r"must accept \(item, context\)"):
            workflow.add_cascade("a", ([1], succeed_with), undo=undo_one)

        with pytest.raises(InvalidJobError, match="undo of a"):
            workflow.add("a", make_job(), undo=undo_one)

        with pytest.raises(InvalidJobError, match="cannot be stored"):
            workflow.add("a", make_job(), undo=make_job(args={"a": object()}))

        for add in (
            lambda: workflow.add_graft("a", grown, undo=undo_one),
            lambda: workflow.add_timer("a", 60, undo=undo_one),
            lambda: workflow.add_signal("a", undo=undo_one),
        ):
            with pytest.raises(TypeError, match="undo"):
                add()

    def test_refuses_a_member_that_is_called_as_what_undoes(self) -> None:
        inner = Workflow().add("a", make_job(), **undo())
        workflow = Workflow().add("undo", make_job()).add_workflow("sub", inner)

        with pytest.raises(InvalidArgumentError, match="must not be called 'undo'"):
            list(workflow)

    async def test_refuses_an_addition_that_depends_on_what_undoes(self, engine: Engine) -> None:
        await engine.enqueue(two_with_undo())
        await fail_and_plan(engine)

        with pytest.raises(InvalidArgumentError, match="must not depend on 'undo'"):
            await HANDLE.append(
                Workflow(check_deps=False).add("more", make_job(), deps=["undo", "a"], need=1)
            )

    async def test_refuses_one_that_is_there_or_added(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("undo", make_job()))

        with pytest.raises(InvalidArgumentError, match="must be called 'undo' in workflow 'w'"):
            await HANDLE.append(Workflow().add("a", make_job(), **undo()))

        await engine.enqueue(Workflow(id="v").add("b", make_job(), **undo()))

        with pytest.raises(InvalidArgumentError, match="'undo'"):
            await Workflow(id="v").append(Workflow().add("undo", make_job()))
