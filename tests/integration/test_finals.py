"""Final jobs: they start when everything else of their workflow has settled, however it did."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection

from oban_pro import Failure, Outcome, Workflow, doctor
from oban_pro.errors import InvalidArgumentError, InvalidFunctionError
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job
from tests.support.node_row import Node
from tests.support.waits import pass_time

HANDLE = Workflow(id="w")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


@pytest.fixture
async def node(oban: Oban, conn: AsyncConnection) -> Node:
    node = Node(oban, conn)
    await node.join({"oban_workflows_patience": 60.0})

    return node


def pair(**options: Any) -> Workflow:
    """Build a job, one that depends on it, and three final jobs."""
    return (
        Workflow(id="w", **options)
        .add("a", make_job())
        .add("b", make_job(), deps="a")
        .add_final("always", make_job())
        .add_final("good", make_job(), on="completed", deps="always")
        .add_final("bad", make_job(), on="failed")
    )


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def told(engine: Engine, *names: str) -> list[str]:
    """Return the states of final jobs; of one that was skipped, why."""
    rows = [await engine.row(name) for name in names]

    return [row.meta.get("skipped", str(row.state)) for row in rows]


class TestFinalJobs:
    async def test_start_when_everything_else_has_settled(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        assert await told(engine, "always", "good", "bad") == ["suspended"] * 3

        async with engine.audited() as changes:
            await engine.complete("b")

        assert changes["always", "suspended", "available"] == 1
        skipped = "the workflow was completed"
        assert await told(engine, "always", "good", "bad") == ["available", "suspended", skipped]
        assert (await HANDLE.status()).state == "executing"

        await engine.complete("always")
        await engine.complete("good")
        assert (await HANDLE.status()).state == "completed"

    async def test_final_jobs_start_although_others_fail(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.discard("a")
        states = await told(engine, "always", "good", "bad")
        assert states == ["available", "suspended", "available"]

        await engine.complete("always", "bad")
        assert await told(engine, "good") == ["the workflow was discarded"]
        assert (await HANDLE.status()).state == "discarded"

    async def test_heal_nothing_and_may_make_it_worse(self, engine: Engine) -> None:
        outer = Workflow().add_workflow("sub", pair()).add("next", make_job(), deps="sub")
        await engine.enqueue(outer)
        await engine.complete("sub/a")
        await engine.complete("sub/b")
        assert (await engine.states())["next"] == "suspended"

        await engine.discard("sub/always")
        assert await engine.group("sub") == "discarded"
        assert (await engine.states())["next"] == "cancelled"

    async def test_do_not_start_by_hand(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.set_states({"always": "available", "bad": "available"})
        assert await told(engine, "always", "bad") == ["suspended", "suspended"]

        await engine.complete("a")
        await engine.complete("b")
        await engine.set_states({"bad": "available"})
        assert await told(engine, "bad") == ["the workflow was completed"]

    async def test_of_an_empty_workflow_start_at_once(self, engine: Engine) -> None:
        inner = Workflow().add_final("f", make_job())
        await engine.enqueue(
            Workflow()
            .add_workflow("now", inner)
            .add("a", make_job())
            .add_workflow("later", inner, deps="a")
        )
        assert await told(engine, "now/f", "later/f") == ["available", "suspended"]

        await engine.complete("a")
        assert await told(engine, "later/f") == ["available"]

    @pytest.mark.parametrize("is_empty", [True, False])
    async def test_of_a_workflow_that_never_opened_are_cancelled_with_it(
        self, engine: Engine, is_empty: bool
    ) -> None:
        inner = Workflow() if is_empty else Workflow().add("x", make_job())
        inner.add_final("f", make_job())
        await engine.enqueue(Workflow().add("a", make_job()).add_workflow("sub", inner, deps="a"))
        await engine.discard("a")
        error = (await engine.row("sub/f")).errors[0]["error"]
        assert error == "cancelled because upstream job 'a' was discarded"
        assert await engine.root() == "discarded"

    async def test_that_are_cancelled_before_their_workflow_opens_do_not_start(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add("x", make_job()).add_final("f", make_job())
        outer = Workflow(id="w").add("a", make_job()).add_workflow("sub", inner, deps="a")
        await engine.enqueue(outer)
        assert await HANDLE.cancel_jobs(names=["sub"]) == 1
        error = (await engine.row("sub/f")).errors[0]["error"]
        assert error == "cancelled because the workflow never started"

    async def test_of_a_workflow_that_is_cancelled_in_line_are_cancelled_with_it(
        self, engine: Engine
    ) -> None:
        in_line: dict[str, Any] = {"unique": "k", "on_conflict": "queue"}
        await engine.enqueue(Workflow(**in_line).add("first", make_job()))
        nested = Workflow().add("c", make_job()).add_final("end", make_job())
        await engine.enqueue(pair(**in_line).add_workflow("nested", nested))
        assert await HANDLE.cancel_jobs(names=["nested"]) == 1
        assert await HANDLE.cancel_jobs() == 2
        finals = ("always", "good", "bad", "nested/end")
        assert await told(engine, *finals) == ["cancelled"] * 4
        error = (await engine.row("bad")).errors[0]["error"]
        assert error == "cancelled because the workflow never started"
        assert (await HANDLE.status()).state == "cancelled"

        await HANDLE.retry_jobs()
        assert await told(engine, *finals) == ["suspended"] * 4

        await engine.complete("first")
        assert (await engine.states())["a"] == "available"
        await engine.complete("nested/c")
        await engine.complete("nested/end")
        await engine.complete("a")
        await engine.discard("b")
        assert await told(engine, *finals[:3]) == ["available", "suspended", "available"]

    async def test_of_an_empty_workflow_in_line_start_with_it(self, engine: Engine) -> None:
        in_line: dict[str, Any] = {"unique": "k", "on_conflict": "queue"}
        await engine.enqueue(Workflow(**in_line).add("first", make_job()))
        await engine.enqueue(Workflow(**in_line).add_final("f", make_job()))
        assert await told(engine, "f") == ["suspended"]

        await engine.complete("first")
        assert await told(engine, "f") == ["available"]

    async def test_of_an_empty_workflow_are_cancelled_in_line_with_it(self, engine: Engine) -> None:
        in_line: dict[str, Any] = {"unique": "k", "on_conflict": "queue"}
        await engine.enqueue(Workflow(**in_line).add("first", make_job()))
        await engine.enqueue(Workflow(id="w", **in_line).add_final("f", make_job()))
        assert await HANDLE.cancel_jobs() == 1
        assert (await HANDLE.status()).state == "cancelled"

        await HANDLE.retry_jobs()
        assert await told(engine, "f") == ["suspended"]

        await engine.complete("first")
        assert await told(engine, "f") == ["available"]
        assert await HANDLE.cancel_jobs() == 0

    async def test_of_an_empty_workflow_that_has_not_opened_are_cancelled_with_it(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add_final("f", make_job())
        outer = Workflow(id="w").add("a", make_job()).add_workflow("sub", inner, deps="a")
        await engine.enqueue(outer.add_workflow("late", inner, deps="a", deadline=soon()))
        assert await HANDLE.cancel_jobs(names=["sub"]) == 1
        await pass_time(engine)
        assert await told(engine, "sub/f", "late/f") == ["cancelled", "cancelled"]

    async def test_wait_for_what_is_grafted(self, engine: Engine, oban: Oban) -> None:
        inner = Workflow().add("x", make_job()).add_final("f", make_job())
        workflow = Workflow().add_graft("g", make_job()).add_final("f", make_job())
        await engine.enqueue(workflow)
        (grafter,) = await engine.start("g/grafter")
        grafter.extra.clear()
        await oban.enqueue_many(Workflow.apply_graft(grafter, inner))
        await engine._learn()
        await engine.complete("g/grafter")
        await engine.complete("g/grafted/x")
        assert await told(engine, "g/grafted/f", "f") == ["available", "suspended"]

        await engine.complete("g/grafted/f")
        assert await told(engine, "f") == ["available"]

    async def test_wait_for_the_end_of_executions(self, node: Node) -> None:
        await node.enqueue(pair())
        (a,) = await node.start("a")
        assert await HANDLE.cancel_jobs() == 2
        assert await told(node, "always") == ["suspended"]
        assert (await HANDLE.explain("always")).summary.startswith(
            "job 'always' waits for everything else"
        )

        await node.ack([a], "completed")
        assert await told(node, "always", "bad") == ["available", "available"]

    async def test_start_once_for_ten_thousand_jobs_that_end_at_once(self, engine: Engine) -> None:
        workflow = Workflow().add("a", make_job()).add_final("f", make_job())
        workflow.add_many("all", [make_job() for _ in range(10_000)], deps="a")
        await engine.enqueue(workflow)

        async with engine.audited() as changes:
            await engine.discard("a")

        assert changes["f", "suspended", "available"] == 1

    async def test_that_were_skipped_count_as_completed_once_they_are_deleted(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.complete("b")
        await engine.delete("bad")
        assert await doctor.audit() == []

    async def test_of_a_workflow_that_breaks_unseen_are_cancelled_by_the_doctor(
        self, engine: Engine
    ) -> None:
        inner = Workflow().add("x", make_job()).add_final("f", make_job())
        inner.add_signal("go", deps="x", ignore_cancelled=True)
        deep = Workflow().add_workflow("deep", inner).add_final("f", make_job())
        await engine.enqueue(Workflow().add("a", make_job()).add_workflow("sub", deep, deps="a"))

        async with engine.conn.transaction():
            await engine.conn.execute(b"SET LOCAL session_replication_role = replica")
            await engine.conn.execute(b"UPDATE oban_jobs SET state = 'cancelled' WHERE id = 1")

        await doctor.repair()
        assert await told(engine, "sub/deep/f", "sub/f") == ["cancelled", "cancelled"]
        assert await engine.retry("sub/f") == 1
        assert await told(engine, "sub/f") == ["suspended"]

    async def test_that_are_paused_are_skipped_by_the_doctor(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await HANDLE.pause()

        async with engine.conn.transaction():
            await engine.rows("SET LOCAL session_replication_role = replica")
            await engine.rows(
                "UPDATE oban_jobs SET state = 'completed' WHERE meta->>'name' IN ('a', 'b')"
            )

        await doctor.repair()
        skipped = "the workflow was completed"
        assert await told(engine, "always", "good", "bad") == ["suspended", "suspended", skipped]

    async def test_are_mended_by_the_doctor(self, engine: Engine) -> None:
        await engine.enqueue(pair())

        async with engine.conn.transaction():
            await engine.conn.execute(b"SET LOCAL session_replication_role = replica")
            await engine.conn.execute(b"UPDATE oban_jobs SET state = 'discarded' WHERE id < 3")
            await engine.conn.execute(b"UPDATE oban_workflow_ends SET cancelled = 7")

        wrong = {row.field for row in await doctor.audit()}
        assert {"finals cancelled", "discarded"} <= wrong
        await doctor.repair()
        assert await doctor.audit() == []
        await engine.check()


class TestCancelling:
    async def test_cancelling_a_workflow_spares_its_final_jobs(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        assert await HANDLE.cancel_jobs() == 2
        assert await told(engine, "always", "bad") == ["available", "available"]

        await engine.complete("always", "bad")
        assert (await HANDLE.status()).state == "cancelled"

    async def test_takes_them_if_told_so(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        assert await HANDLE.cancel_jobs(finals=True) == 5
        assert {*(await engine.states()).values()} == {"cancelled"}

    async def test_takes_those_that_are_named(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        assert await HANDLE.cancel_jobs(names=["always"]) == 1
        # what depends on it is cancelled too
        assert await told(engine, "always", "good") == ["cancelled", "cancelled"]

    async def test_spares_those_of_nested_workflows_by_path(self, engine: Engine) -> None:
        inner = Workflow().add("x", make_job()).add_final("f", make_job())
        outer = Workflow(id="w").add_workflow("sub", inner).add("y", make_job())
        await engine.enqueue(outer)
        assert await HANDLE.cancel_jobs(names=["sub", "sub/x", "y"]) == 2
        assert await told(engine, "sub/f") == ["available"]
        assert await HANDLE.cancel_jobs(names=["sub/f"]) == 1

    async def test_does_not_count_those_that_are_skipped(self, engine: Engine) -> None:
        inner = Workflow().add("x", make_job()).add_final("f", make_job(), on="completed")
        outer = Workflow(id="w").add_workflow("sub", inner).add_workflow("all", inner)
        await engine.enqueue(outer)
        assert await HANDLE.cancel_jobs(names=["sub", "all", "sub/f"]) == 2
        assert await told(engine, "sub/f") == ["the workflow was cancelled"]

    @pytest.mark.parametrize("depth", [0, 1, 3])
    async def test_starts_those_of_a_workflow_that_opens_by_it(
        self, engine: Engine, depth: int
    ) -> None:
        before = Workflow().add("b", make_job())

        for _ in range(depth):
            before = Workflow().add_workflow("b", before)

        inner = Workflow(ignore_cancelled=True).add("x", make_job()).add_final("f", make_job())
        outer = Workflow(id="w").add_workflow("a", before).add_workflow("sub", inner, deps="a")
        await engine.enqueue(outer)
        assert await HANDLE.cancel_jobs() == 2
        assert await told(engine, "sub/f") == ["available"]

    async def test_by_a_deadline_spares_them(self, engine: Engine) -> None:
        await engine.enqueue(pair(deadline=60))
        await pass_time(engine)
        assert await told(engine, "a", "always", "bad") == ["cancelled", "available", "available"]


class TestOpeningAWorkflowAgain:
    async def test_by_a_retry_arms_them_again(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.discard("a")
        await engine.complete("bad")
        await engine.start("always")
        assert await HANDLE.retry_jobs() == 2
        await engine.check()
        assert await told(engine, "always", "good", "bad") == ["suspended"] * 3

        await engine.complete("a")
        await engine.complete("b")
        skipped = "the workflow was completed"
        assert await told(engine, "always", "bad") == ["available", skipped]

    async def test_waits_for_the_end_of_one_that_runs(self, node: Node) -> None:
        await node.enqueue(pair())
        await node.complete("a")
        await node.complete("b")
        (running,) = await node.start("always")
        assert await HANDLE.retry_jobs(names=["b"]) == 1
        assert await told(node, "always") == ["suspended"]

        await node.complete("b")
        assert await told(node, "always") == ["suspended"]
        assert (await HANDLE.explain("always")).reason == "ending"

        assert await node.ack([running], "completed") == []
        assert await told(node, "always") == ["available"]

    @pytest.mark.parametrize("has_settled", [True, False])
    async def test_by_appending_arms_them_again(self, engine: Engine, has_settled: bool) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.complete("b")

        if has_settled:
            await engine.complete("always")
            await engine.complete("good")

        await HANDLE.append(Workflow().add("c", make_job()))
        await engine._learn()
        assert await told(engine, "always", "good", "bad") == ["suspended"] * 3

        await engine.complete("c")
        assert await told(engine, "always") == ["available"]

    @pytest.mark.parametrize("had_settled", [True, False])
    async def test_leaves_those_that_wait_for_a_deleted_one(
        self, engine: Engine, had_settled: bool
    ) -> None:
        await engine.enqueue(
            Workflow(id="w")
            .add("a", make_job())
            .add_final("gone", make_job())
            .add_final("next", make_job(), deps="gone")
            .add_final("last", make_job(), deps="next")
            .add_final("apart", make_job())
        )
        await engine.complete("a")

        if had_settled:
            await engine.discard("gone")

        await engine.delete("gone")
        await engine.complete("apart")
        assert await HANDLE.retry_jobs(names=["a"]) == 1
        finals = ("next", "last", "apart")
        assert await told(engine, *finals) == ["cancelled", "cancelled", "suspended"]

        await engine.complete("a")
        await engine.complete("apart")
        assert await told(engine, *finals) == ["cancelled", "cancelled", "completed"]
        assert await engine.root() == ("discarded" if had_settled else "cancelled")

    async def test_forgets_what_they_recorded(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.complete("b")
        jobs = await engine.start("always")
        await engine.ack(jobs, "completed", meta={"recorded": True, "return": "g2EB"})
        assert await HANDLE.get_recorded("always") == 1
        await HANDLE.retry_jobs(names=["b"])
        assert "recorded" not in (await engine.row("always")).meta

    async def test_by_a_retry_of_one_that_was_skipped_judges_it_again(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.complete("b")
        assert await HANDLE.retry_jobs(names=["bad"]) == 1
        assert await told(engine, "bad") == ["the workflow was completed"]


class TestBuilding:
    def test_refuses_what_cannot_work(self) -> None:
        workflow = Workflow().add("a", make_job()).add_final("f", make_job())

        with pytest.raises(InvalidArgumentError, match="final job 'g' must depend on final jobs"):
            workflow.add_final("g", make_job(), deps="a")

        with pytest.raises(InvalidArgumentError, match="'b' must not depend on 'f', a final job"):
            workflow.add("b", make_job(), deps="f")

        with pytest.raises(InvalidArgumentError, match="on of 'g' must be one of 'always'"):
            workflow.add_final("g", make_job(), on="success")  # type: ignore[call-overload]

        with pytest.raises(InvalidArgumentError, match="options of 'g' must be set on its job"):
            workflow.add_final("g", make_job(), queue="x")  # type: ignore[call-overload]

        with pytest.raises(InvalidFunctionError, match="must accept"):
            workflow.add_final("g", only_context)  # type: ignore[arg-type]

        late = Workflow(check_deps=False).add("b", make_job(), deps="f")

        with pytest.raises(InvalidArgumentError, match="must not depend on 'f'"):
            [*late.add_final("f", make_job())]

    async def test_append_takes_no_final_jobs(self, engine: Engine) -> None:
        await engine.enqueue(pair())

        with pytest.raises(InvalidArgumentError, match="must not have final jobs, got 'f'"):
            await HANDLE.append(Workflow().add_final("f", make_job()))

        with pytest.raises(InvalidArgumentError, match="must not depend on 'always'"):
            await HANDLE.append(Workflow(check_deps=False).add("x", make_job(), deps="always"))

    def test_puts_them_behind_everything_else(self) -> None:
        workflow = Workflow().add_final("f", make_job()).add("a", make_job())
        assert [job.meta["name"] for job in workflow] == ["a", "f"]


def only_context(_context: dict[str, Any]) -> None: ...


def succeed(_context: dict[str, Any]) -> int:
    return 1


def fail(_context: dict[str, Any]) -> None:
    raise ValueError("no disk")


seen: list[Any] = []


def report(context: dict[str, Any], outcome: Outcome) -> str:
    seen.append((dict(context), outcome))

    return outcome.state


@worker()
class Ask(Worker):
    async def process(self, job: Job) -> None:
        seen.append(await Workflow.for_job(job).outcome())


class TestOutcome:
    async def test_comes_with_everything_that_was_recorded(self, oban: Oban) -> None:
        seen.clear()
        inner = Workflow().add_cascade("deep", fail, max_attempts=1)
        workflow = (
            Workflow(id="w")
            .add_context({"order": 17})
            .add_cascade("one", succeed)
            .add_workflow("sub", inner)
            .add_cascade("after", succeed, deps="sub")
            .add_final("report", report)
            .add_final("ask", Ask.new({}))
        )
        status = await run_workflow(workflow, with_safety=True)
        assert status.state == "discarded"

        ((context, outcome), asked) = sorted(seen, key=lambda one: isinstance(one, Outcome))
        assert context == {"order": 17, "one": 1, "sub": {}}
        assert outcome == asked
        assert (outcome.state, outcome.failed_total) == ("discarded", 2)
        first, second = outcome.failed
        assert (first.path, first.state) == ("sub/deep", "discarded")
        assert "no disk" in (first.error or "")
        error = "cancelled because upstream sub-workflow 'sub' was discarded"
        assert second == Failure("after", "cancelled", error)
        assert await HANDLE.get_recorded("report") == "discarded"

    async def test_lists_a_hundred_at_most(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add_final("f", make_job())
        workflow.add_many("all", [make_job() for _ in range(200)], deps="a")
        await engine.enqueue(workflow)
        assert (await HANDLE.outcome()).state == "executing"

        await engine.discard("a")
        outcome = await HANDLE.outcome()
        assert (outcome.state, len(outcome.failed), outcome.failed_total) == ("discarded", 100, 201)
        assert [one.path for one in outcome.failed[:2]] == ["a", "all/0"]

    async def test_of_what_is_not_there_is_unknown(self, oban: Oban) -> None:
        assert await Workflow(id="nothing").outcome() == Outcome()
