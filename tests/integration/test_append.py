"""Appending to workflows that are in the database."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from oban import Job
from oban._executor import AckAction
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.errors import (
    CycleError,
    DuplicateIdError,
    DuplicateNameError,
    InvalidArgumentError,
    UnknownDependencyError,
    UnknownWorkflowError,
)
from tests.support import growth
from tests.support.engine import Engine, make_job
from tests.support.graphs import settled, work


def more(*names: str, deps: Any = (), **options: Any) -> Workflow:
    """Build an addition whose jobs all have the same deps."""
    addition = Workflow(check_deps=False, **options)

    for name in names:
        addition.add(name, make_job(), deps=deps)

    return addition


async def append(engine: Engine, workflow_id: str, addition: Workflow) -> list[Job]:
    jobs = await Workflow(id=workflow_id).append(addition)
    await engine._learn()

    return jobs


def sample(**options: Any) -> Workflow:
    """Build a -> sub (b -> c) -> end."""
    sub = Workflow(id="sub").add("b", make_job()).add("c", make_job(), deps="b")
    workflow = Workflow(id="root", **options).add("a", make_job())

    return workflow.add_workflow("sub", sub, deps="a").add("end", make_job(), deps="sub")


class TestDependencies:
    async def test_jobs_without_any_start_at_once(self, engine):
        await engine.enqueue(sample())
        jobs = await append(engine, "root", more("x", "y"))

        assert [(job.meta["name"], job.state) for job in jobs] == [
            ("x", "available"),
            ("y", "available"),
        ]
        assert (await Workflow(id="root").status()).total == 6

    async def test_open_ones_are_waited_for(self, engine):
        await engine.enqueue(sample())
        await append(engine, "root", more("x", deps=["a", "end"]).add("y", make_job(), deps="x"))

        for path in ("a", "sub/b", "sub/c"):
            await engine.complete(path)
            assert (await engine.states())["x"] == "suspended"

        await engine.complete("end")
        states = await engine.states()
        assert (states["x"], states["y"]) == ("available", "suspended")

    async def test_satisfied_ones_release_at_once(self, engine):
        await engine.enqueue(sample())
        await engine.complete("a")
        (job,) = await append(engine, "root", more("x", deps="a"))

        assert job.state == "available"

    async def test_of_groups_that_are_open(self, engine):
        await engine.enqueue(sample())
        await append(engine, "root", more("x", deps="sub"))
        await engine.complete("a")
        await engine.complete("sub/b")
        assert (await engine.states())["x"] == "suspended"

        await engine.complete("sub/c")
        assert (await engine.states())["x"] == "available"

    async def test_of_groups_that_are_satisfied(self, engine):
        workflow = Workflow(id="root").add_many("many", [make_job()]).add_many("none", [])
        workflow.add_graft("grow", make_job())
        await engine.enqueue(workflow)
        await engine.complete("many/0")
        await engine.complete("grow/grafter")
        (job,) = await append(engine, "root", more("x", deps=["many", "none", "grow"]))

        assert job.state == "available"

    async def test_of_a_graft_that_is_open(self, engine):
        await engine.enqueue(Workflow(id="root").add_graft("grow", make_job()))
        (grafter,) = await engine.start("grow/grafter")
        await engine.enqueue(Workflow.apply_graft(grafter, more("a")))
        await append(engine, "root", more("x", deps="grow"))
        await engine.complete("grow/grafter")
        assert (await engine.states())["x"] == "suspended"

        await engine.complete("grow/grafted/a")
        assert (await engine.states())["x"] == "available"

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_a_broken_dependency_cancels_what_is_appended(self, engine, state):
        await engine.enqueue(sample())
        await engine.set_states({"a": state})
        addition = more("x", deps="a").add("y", make_job(), deps="x").add("z", make_job())
        await append(engine, "root", addition)

        states = await engine.states()
        assert (states["x"], states["y"], states["z"]) == ("cancelled", "cancelled", "available")
        row = await engine.row("x")
        assert row.attempt == 0
        assert [error["error"] for error in row.errors] == [
            f"cancelled because upstream job 'a' was {state}"
        ]
        assert [error["upstream"] for error in row.errors] == [engine.ids["a"]]

    async def test_a_broken_group_cancels_what_is_appended(self, engine):
        await engine.enqueue(sample())
        await engine.discard("a")
        addition = more("x", deps="sub").add_many("many", [make_job()], deps="sub")
        await append(engine, "root", addition.add_many("none", [], deps="sub"))

        states = await engine.states()
        assert (states["x"], states["many/0"]) == ("cancelled", "cancelled")
        assert await engine.group("none") == "cancelled"
        assert "sub-workflow 'sub' was cancelled" in (await engine.row("x")).errors[0]["error"]

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_broken_ones_may_be_ignored(self, engine, state):
        await engine.enqueue(sample())
        await engine.set_states({"a": state})
        flags: dict[str, Any] = {f"ignore_{state}": True}
        (x, _) = await append(
            engine, "root", more("x", deps="a", **flags).add("y", make_job(), deps="sub", **flags)
        )

        assert x.state == "available"
        # The sub-workflow was cancelled either way.
        expected = "available" if state == "cancelled" else "cancelled"
        assert (await engine.row("y")).state == expected

    async def test_whose_row_was_deleted(self, engine):
        await engine.enqueue(sample())
        await engine.delete("a")
        await append(engine, "root", more("x", deps="a"))

        assert (await engine.states())["x"] == "cancelled"

    async def test_groups_are_appended_with_all_that_is_in_them(self, engine):
        await engine.enqueue(sample())
        addition = Workflow(check_deps=False).add_workflow("more", sample_sub(), deps="a")
        addition.add_cascade("each", ([1, 2], growth.echo), deps="more")
        addition.add_graft("grow", make_job(), deps="each").add("last", make_job(), deps="grow")
        await append(engine, "root", addition)
        await engine.complete("a")
        assert (await engine.states())["more/p"] == "available"

        await engine.complete("more/p")
        await engine.complete("more/q")
        await engine.complete("each/0", "each/1")
        await engine.complete("grow/grafter")
        assert (await engine.states())["last"] == "available"


def sample_sub() -> Workflow:
    return Workflow().add("p", make_job()).add("q", make_job(), deps="p")


class TestSubWorkflow:
    async def test_first_jobs_wait_for_what_it_depends_on(self, engine):
        await engine.enqueue(sample())
        await append(engine, "sub", more("x").add("y", make_job(), deps="x"))
        assert (await engine.states())["sub/x"] == "suspended"

        await engine.complete("a")
        states = await engine.states()
        assert (states["sub/x"], states["sub/y"]) == ("available", "suspended")

        await engine.complete("sub/b", "sub/x")
        await engine.complete("sub/c")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("sub/y")
        assert (await engine.states())["end"] == "available"

    async def test_first_jobs_start_where_that_is_satisfied(self, engine):
        await engine.enqueue(sample())
        await engine.complete("a")
        (job,) = await append(engine, "sub", more("x"))

        assert job.state == "available"
        assert job.meta["sup_workflow_id"] == "root"
        assert job.meta["sub_name"] == "sub"

    async def test_first_jobs_are_cancelled_where_that_broke(self, engine):
        await engine.enqueue(sample())
        await engine.discard("a")
        await append(engine, "sub", more("x"))

        assert (await engine.states())["sub/x"] == "cancelled"

    async def test_of_an_empty_group(self, engine):
        workflow = Workflow(id="root").add("a", make_job())
        workflow.add_workflow("sub", Workflow(id="sub"), deps="a")
        await engine.enqueue(workflow.add("end", make_job(), deps="sub"))
        await append(engine, "sub", more("x"))
        await engine.complete("a")
        states = await engine.states()
        assert (states["sub/x"], states["end"]) == ("available", "suspended")

        await engine.complete("sub/x")
        assert (await engine.states())["end"] == "available"

    async def test_a_graft_itself_is_refused(self, engine):
        await engine.enqueue(Workflow(id="root").add_graft("grow", make_job()))
        ((graft_id,),) = await engine.rows(
            "SELECT id FROM oban_workflow_groups WHERE kind = 'graft'"
        )

        with pytest.raises(InvalidArgumentError, match="is the graft 'grow'"):
            await append(engine, graft_id, more("x"))


class TestOpensAgain:
    async def test_an_appended_job_opens_a_settled_workflow_again(self, engine):
        await engine.enqueue(Workflow(id="root", name="etl").add("a", make_job()))
        await engine.complete("a")
        assert await engine.root() == "completed"

        (job,) = await append(engine, "root", more("x", deps="a"))
        status = await Workflow(id="root").status()
        assert (status.state, status.stopped_at, status.duration) == ("executing", None, None)
        assert job.meta["workflow_name"] == "etl"

        await engine.complete("x")
        status = await Workflow(id="root").status()
        assert status.state == "completed"
        assert status.stopped_at is not None

    async def test_and_what_is_around_it(self, engine):
        inner = Workflow(id="inner").add("b", make_job())
        workflow = Workflow(id="root").add_workflow("sub", Workflow().add_workflow("in", inner))
        await engine.enqueue(workflow)
        await engine.complete("sub/in/b")
        assert await engine.root() == "completed"

        await append(engine, "inner", more("x"))
        assert await engine.group("sub/in") == "executing"
        assert await engine.group("sub") == "executing"
        assert await engine.root() == "executing"

    async def test_and_dependents_that_are_suspended_wait_again(self, engine):
        workflow = sample().add("late", make_job())
        await engine.enqueue(workflow.add("both", make_job(), deps=["sub", "late"]))

        for path in ("a", "sub/b", "sub/c", "end"):
            await engine.complete(path)

        await append(engine, "sub", more("x"))
        await engine.complete("late")
        states = await engine.states()
        assert (states["both"], states["end"]) == ("suspended", "completed")

        await engine.complete("sub/x")
        assert (await engine.states())["both"] == "available"

    async def test_what_broke_before_stays_cancelled(self, engine):
        await engine.enqueue(sample())
        await engine.complete("a")
        await engine.discard("sub/b")
        await append(engine, "sub", more("x"))
        await engine.complete("sub/x")

        assert (await engine.states())["end"] == "cancelled"
        assert await engine.root() == "discarded"

    async def test_appending_nothing_leaves_a_workflow_settled(self, engine):
        await engine.enqueue(Workflow(id="root").add("a", make_job()))
        await engine.complete("a")

        assert await append(engine, "root", Workflow()) == []
        assert await append(engine, "root", Workflow().add_many("none", [])) == []
        assert await engine.root() == "completed"


class TestRefusals:
    async def unchanged(self, engine: Engine) -> None:
        assert len(engine.ids) == 5
        assert await engine.rows("SELECT count(*) FROM oban_jobs") == [(4,)]
        await engine.check()

    @pytest.mark.parametrize("name", ["a", "sub"])
    async def test_a_name_that_is_taken_is_refused(self, engine, name):
        await engine.enqueue(sample())

        with pytest.raises(DuplicateNameError, match=f"name '{name}' is already taken"):
            await append(engine, "root", more("x", name))

        await self.unchanged(engine)

    async def test_an_unknown_dependency_is_refused_with_a_proposal(self, engine):
        await engine.enqueue(sample())

        with pytest.raises(UnknownDependencyError, match="'edn' of 'x'; did you mean 'end'"):
            await append(engine, "root", more("x", deps="edn"))

        await self.unchanged(engine)

    async def test_a_dependency_in_another_workflow(self, engine):
        await engine.enqueue(sample())

        with pytest.raises(UnknownDependencyError):
            await append(engine, "root", more("x", deps="b"))

        await self.unchanged(engine)

    async def test_an_id_that_is_taken(self, engine):
        await engine.enqueue(sample())

        with pytest.raises(DuplicateIdError, match="sub"):
            await append(engine, "root", Workflow().add_workflow("x", Workflow(id="sub")))

        await self.unchanged(engine)

    async def test_a_cycle_of_appended_jobs_is_refused(self, engine):
        await engine.enqueue(sample())

        with pytest.raises(CycleError):
            await append(engine, "root", more("x", deps="y").add("y", make_job(), deps="x"))

        await self.unchanged(engine)

    async def test_an_addition_with_a_context_is_refused(self, engine):
        await engine.enqueue(sample())

        with pytest.raises(InvalidArgumentError, match="must not have a context"):
            await append(engine, "root", more("x").add_context({"k": 1}))

        await self.unchanged(engine)

    async def test_an_unknown_workflow_takes_no_addition(self, oban):
        with pytest.raises(UnknownWorkflowError, match="'nowhere'"):
            await Workflow(id="nowhere").append(more("x"))

    async def test_something_else_than_a_workflow(self, oban):
        with pytest.raises(InvalidArgumentError, match="addition must be a Workflow, got \\[\\]"):
            await Workflow(id="nowhere").append(cast("Any", []))


class TestConn:
    async def test_rolled_back_leaves_nothing(self, engine, dsn):
        await engine.enqueue(sample())
        addition = more("x", deps="a").add_workflow("more", sample_sub())
        async with await AsyncConnection.connect(dsn) as conn:
            await Workflow(id="root").append(addition, conn=conn)
            await conn.rollback()

        await engine._learn()
        assert len(engine.ids) == 5
        # The same addition can be given again.
        await append(engine, "root", addition)
        assert "more/q" in engine.ids

    async def test_what_is_appended_on_a_connection_is_kept_by_its_commit(self, engine, dsn):
        await engine.enqueue(sample())
        async with await AsyncConnection.connect(dsn) as conn:
            await Workflow(id="root").append(more("x"), conn=conn)
            assert await engine.rows("SELECT count(*) FROM oban_jobs") == [(4,)]
            await conn.commit()

        await engine._learn()
        assert "x" in engine.ids

    async def test_a_refusal_leaves_the_transaction_usable(self, engine, dsn):
        await engine.enqueue(sample())
        async with await AsyncConnection.connect(dsn) as conn:
            with pytest.raises(DuplicateNameError):
                await Workflow(id="root").append(more("a"), conn=conn)

            await Workflow(id="root").append(more("x"), conn=conn)
            await conn.commit()

        await engine._learn()
        assert "x" in engine.ids


class TestRaces:
    async def test_of_equal_names_have_one_winner(self, engine):
        await engine.enqueue(sample())
        outcomes: Any = await asyncio.gather(
            *(Workflow(id="root").append(more("x", deps="a")) for _ in range(8)),
            return_exceptions=True,
        )
        losers = [one for one in outcomes if isinstance(one, DuplicateNameError)]

        assert len(losers) == 7
        await engine._learn()
        assert len(engine.ids) == 6

    async def test_with_the_ack_of_what_it_depends_on(self, engine):
        """Whoever is first, the appended job is released, once."""
        for n in range(20):
            await engine.oban.enqueue_many(Workflow(id=f"w{n}").add("a", make_job()))
            (job,) = await engine.query.fetch_jobs(1, "default", "node", "uuid")
            engine.running[job.id] = job
            await asyncio.gather(
                engine.query.ack_jobs([AckAction(job, "completed")]),
                Workflow(id=f"w{n}").append(more("x", deps="a")),
            )
            (job,) = await engine.query.fetch_jobs(1, "default", "node", "uuid")
            engine.running[job.id] = job
            assert job.meta["name"] == "x"
            await engine.ack([job], "completed")
            assert (await Workflow(id=f"w{n}").status()).state == "completed"


class TestNodes:
    async def test_a_running_job_appends_to_its_own_workflow(self, start_oban, wait_until, engine):
        workflow = Workflow().add("start", growth.Append.new({"left": 20}))
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        await engine.check()

        assert (await workflow.status()).counts == {"completed": 21}

    async def test_appended_jobs_are_woken_and_kept_to_their_schedule(
        self, start_oban, wait_until, engine
    ):
        workflow = Workflow().add("a", work())
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        addition = Workflow(check_deps=False).add("x", work(), deps="a")
        addition.add("later", work(scheduled_in=timedelta(hours=1)), deps="a")
        await workflow.append(addition)

        async def x_ran() -> bool:
            return (await workflow.status()).counts == {"completed": 2, "scheduled": 1}

        await wait_until(x_ran)

    async def test_results_of_what_was_there_reach_appended_cascades(self, start_oban, wait_until):
        workflow = Workflow().add_context({"k": 1}).add_cascade("numbers", growth.numbers)
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        addition = Workflow(check_deps=False)
        await workflow.append(addition.add_cascade("x", growth.received, deps="numbers"))
        await wait_until(lambda: settled(workflow))

        assert await workflow.get_recorded("x") == {"k": 1, "numbers": [1, 2, 3]}
