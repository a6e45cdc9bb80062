"""Reusing what stands of another workflow: what runs, what does not, and why."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker

from oban_pro import Workflow
from oban_pro.errors import InvalidArgumentError, UnknownNameError, UnknownWorkflowError
from oban_pro.testing import run_workflow
from tests.support import growth
from tests.support.engine import Engine, make_job, random_workflow

ran: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    ran.clear()


def double(item: int, context: dict[str, Any]) -> int:
    ran.append(f"double {item}")

    if item < 0:
        raise ValueError("told to fail")

    return 2 * item


def total(context: dict[str, Any]) -> int:
    ran.append("total")

    return sum(context["double"].values())


def other_total(context: dict[str, Any]) -> int:
    ran.append("other total")

    return 0


def report(context: dict[str, Any]) -> str:
    ran.append("report")

    return f"{context['total']} {context.get('unit')}"


def no(context: dict[str, Any]) -> bool:
    return False


def yes(context: dict[str, Any]) -> bool:
    return True


def tidy(context: dict[str, Any], outcome: Any) -> None:
    ran.append("tidy")


def nightly(id: str, items: list[int], unit: str = "kg", **options: Any) -> Workflow:
    return (
        Workflow(id=id, name="nightly")
        .add_context({"unit": unit})
        .add_cascade("double", (items, double), max_attempts=1, **options)
        .add_cascade("total", total, deps="double")
        .add_cascade("report", report, deps="total")
    )


def plain(id: str, n: int = 0, **options: Any) -> Workflow:
    """Build a -> b -> c; of b the args may differ."""
    return (
        Workflow(id=id, **options)
        .add("a", make_job())
        .add("b", make_job(args={"n": n}), deps="a")
        .add("c", make_job(), deps="b")
    )


async def complete_all(engine: Engine) -> None:
    while jobs := await engine.query.fetch_jobs(100, "default", "node", "5" * 32):
        await engine.ack(jobs, "completed")


async def states(id: str) -> dict[str, str]:
    return {job.meta["name"]: str(job.state) for job in await Workflow(id=id).all_jobs()}


class TestReuse:
    async def test_of_the_same_workflow_settles_when_it_is_inserted(self, oban: Oban) -> None:
        await run_workflow(nightly("old", [1, 2, 3]), oban)
        ran.clear()

        new = nightly("new", [1, 2, 3])
        jobs = await oban.enqueue_many(new.reuse("old"))

        assert {job.state for job in jobs} == {"completed"}
        status = await new.wait(timeout=5)
        assert (status.state, status.counts["completed"]) == ("completed", 5)
        assert await new.get_recorded("report") == "12 kg"
        assert await new.all_recorded() == await Workflow(id="old").all_recorded()
        assert ran == []
        job = await new.get_job("total")
        assert job is not None
        assert (job.meta["reused"], job.attempt, job.attempted_at) == ("old", 0, None)
        assert job.completed_at is not None

    async def test_runs_what_changed_and_what_hangs_on_it(self, oban: Oban) -> None:
        await run_workflow(nightly("old", [1, 2, 3]), oban)
        ran.clear()

        new = await run_workflow(nightly("new", [1, 5, 3]).reuse("old"), oban)

        assert ran == ["double 5", "total", "report"]
        assert await Workflow(id="new").get_recorded("report") == "18 kg"
        assert new.state == "completed"

    async def test_takes_a_fan_out_item_by_item(self, oban: Oban) -> None:
        items = [1, 2, -3, 4]
        await run_workflow(nightly("old", items), oban, with_safety=True)
        ran.clear()

        await run_workflow(nightly("new", [1, 2, 3, 4]).reuse("old"), oban)

        assert ran == ["double 3", "total", "report"]
        assert await Workflow(id="new").get_recorded("total") == 20

    async def test_runs_what_is_named(self, engine: Engine) -> None:
        for id in ("old", "other"):
            await engine.enqueue(plain(id))
        await complete_all(engine)

        await engine.enqueue(plain("new").reuse("old", rerun=["b"]))
        assert await states("new") == {"a": "completed", "b": "available", "c": "suspended"}

    async def test_can_be_of_what_was_reused_itself(self, oban: Oban) -> None:
        await run_workflow(nightly("first", [1]), oban)
        await oban.enqueue_many(nightly("second", [1]).reuse("first"))

        third = nightly("third", [1]).reuse("second")
        await oban.enqueue_many(third)

        assert await third.get_recorded("report") == "2 kg"
        job = await third.get_job("report")
        assert job is not None
        assert job.meta["reused"] == "second"

    async def test_takes_what_has_completed_of_a_workflow_that_runs(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))
        await engine.start("a")
        await engine.complete("a")

        await engine.enqueue(plain("new").reuse("old"))

        assert await states("new") == {"a": "completed", "b": "available", "c": "suspended"}

    async def test_of_one_job_lets_what_is_retried_by_name_run(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)
        await engine.enqueue(plain("new").reuse("old"))

        assert await Workflow(id="new").retry_jobs(names=["b"]) == 1
        await engine.check()
        assert await states("new") == {"a": "completed", "b": "available", "c": "completed"}
        job = await Workflow(id="new").get_job("b")
        assert job is not None
        assert "reused" not in job.meta


class TestPlan:
    async def test_says_what_is_reused_and_why_the_rest_runs(self, oban: Oban) -> None:
        def flow(id: str, *, is_old: bool) -> Workflow:
            def args(n: int) -> dict[str, int]:
                return {"n": n if is_old else 0}

            sub = Workflow().add_context({"x": args(3)["n"]}).add_cascade("in", double_none)
            workflow: Workflow = (
                Workflow(id=id)
                .add_cascade("same", double_none, timeout=None if is_old else 60)
                .add("args", Same.new(args(1)))
                .add("typed", Same.new({"n": 1 if is_old else 1.0}))
                .add("worker", Same.new({}) if is_old else Other.new({}))
                .add_cascade("function", other_none if is_old else double_none)
                .add_cascade("condition", double_none, when=yes if is_old else None)
                .add_cascade("skipped", double_none, when=no)
                .add_cascade("deps", double_none, deps="same" if is_old else ())
                .add_cascade("failed", fail, max_attempts=1)
                .add_workflow("sub", sub)
                .add_graft("grow", growth.graft_pair)
                .add_cascade("named", double_none, deps="same")
                .add_cascade("after", double_none, deps=["same", "args"])
                .add_final("tidy", tidy)
            )

            if not is_old:
                workflow.add_cascade("absent", double_none)

            return workflow

        await run_workflow(flow("old", is_old=True), oban, with_safety=True)

        assert await flow("new", is_old=False).reuse_plan("old", rerun=["named"]) == {
            "same": "reused",
            "args": "its args differ",
            "typed": "its args differ",
            "worker": "its worker differs",
            "function": "its function differs",
            "condition": "its condition differs",
            "skipped": "it was skipped",
            "deps": "its deps differ",
            "failed": "it was discarded",
            "sub/in": "its context differs",
            "grow": "grafts always run",
            "named": "it is named in rerun",
            "after": "'args' runs",
            "absent": "it is not there",
            "tidy": "final jobs always run",
        }
        assert (await Workflow(id="new").status()).state == "unknown"

    async def test_names_groups_by_their_paths(self, engine: Engine) -> None:
        def flow(id: str) -> Workflow:
            sub = Workflow().add_many("many", {"a/b": make_job(), "c": make_job()})
            return Workflow(id=id).add_workflow("sub", sub).add("x/y", make_job())

        await engine.enqueue(flow("old"))
        await complete_all(engine)

        async def running(*rerun: str) -> set[str]:
            plan = await flow("new").reuse_plan("old", rerun)
            return {path for path, verdict in plan.items() if verdict != "reused"}

        assert await running() == set()
        assert await running("sub") == await running("sub/many") == {r"sub/many/a\/b", "sub/many/c"}
        assert await running(r"sub/many/a\/b") == {r"sub/many/a\/b"}
        assert await running("x/y") == {r"x\/y"}


@worker()
class Same(Worker):
    async def process(self, job: Job) -> None: ...


@worker()
class Other(Worker):
    async def process(self, job: Job) -> None: ...


def double_none(context: dict[str, Any]) -> None: ...


def other_none(context: dict[str, Any]) -> None: ...


def fail(context: dict[str, Any]) -> None:
    raise ValueError("told to fail")


class TestRefusals:
    async def test_name_what_is_not_there_before_anything_is_written(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))

        with pytest.raises(UnknownWorkflowError, match="no root workflow 'nope'"):
            await engine.oban.enqueue_many(plain("new").reuse("nope"))
        with pytest.raises(
            UnknownNameError, match="'bb' in workflow 'new' to run again; did you mean 'b'"
        ):
            await engine.oban.enqueue_many(plain("new").reuse("old", rerun=["bb"]))
        with pytest.raises(UnknownWorkflowError, match="no root workflow 'nope'"):
            await plain("new").reuse_plan("nope")

        assert (await Workflow(id="new").status()).state == "unknown"

    async def test_are_those_of_nested_workflows(self, engine: Engine) -> None:
        old = Workflow(id="old").add_workflow("sub", Workflow(id="inner").add("x", make_job()))
        await engine.enqueue(old)
        await complete_all(engine)
        reusing = Workflow().add("x", make_job()).reuse("old")

        with pytest.raises(UnknownWorkflowError, match="no root workflow 'inner'"):
            await plain("new").reuse_plan("inner")
        with pytest.raises(InvalidArgumentError, match="only the root workflow may; got 'old'"):
            Workflow().add_workflow("sub", reusing)
        with pytest.raises(InvalidArgumentError, match="only the root workflow may; got 'old'"):
            await Workflow(id="old").append(reusing)

    def test_are_those_of_wrong_arguments(self) -> None:
        with pytest.raises(InvalidArgumentError, match="must reuse another one"):
            Workflow(id="a").reuse("a")
        with pytest.raises(InvalidArgumentError, match="rerun must be a list of names, got 'load'"):
            Workflow().reuse("old", rerun="load")

    async def test_spare_a_workflow_that_exists_although_the_other_one_is_gone(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)
        jobs = await engine.enqueue(plain("new").reuse("old"))
        await Workflow(id="old").delete()

        again = await engine.enqueue(plain("new").reuse("old"))

        assert [job.id for job in again] == [job.id for job in jobs]


class TestMeanwhile:
    async def test_nothing_happens_to_what_is_reused_until_the_commit(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)

        async with engine.query.connection() as conn, conn.transaction():
            await engine.oban.enqueue_many(plain("new").reuse("old"), conn=conn)
            retried = asyncio.create_task(Workflow(id="old").retry_jobs(names=["b"]))
            done, _ = await asyncio.wait([retried], timeout=0.5)
            assert not done

        assert await retried == 1
        assert await states("new") == dict.fromkeys("abc", "completed")
        await engine.check()

    async def test_what_was_retried_before_runs(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)

        async with engine.query.connection() as conn, conn.transaction():
            await conn.execute("SELECT oban_workflow_lock_root_v1('old')")
            enqueued = asyncio.create_task(engine.oban.enqueue_many(plain("new").reuse("old")))
            await asyncio.wait([enqueued], timeout=0.5)
            await conn.execute(
                "UPDATE oban_jobs SET state = 'available' WHERE meta ->> 'name' = 'b'"
            )

        await enqueued
        assert await states("new") == {"a": "completed", "b": "available", "c": "suspended"}
        await engine.check()

    async def test_a_transaction_that_is_rolled_back_leaves_no_trace(self, engine: Engine) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)
        jobs = [*plain("new").reuse("old")]

        async with engine.query.connection() as conn:
            await engine.oban.enqueue_many(jobs, conn=conn)
            await conn.rollback()

        await Workflow(id="old").retry_jobs(names=["b"])
        await engine.oban.enqueue_many(jobs)

        assert await states("new") == {"a": "completed", "b": "available", "c": "suspended"}
        await engine.check()


class TestRules:
    """What else a workflow may use."""

    async def run(self, engine: Engine, make: Any, rerun: list[str]) -> dict[str, str]:
        await engine.enqueue(make("old"))
        await complete_all(engine)
        await engine.enqueue(make("new").reuse("old", rerun))
        await engine.check()

        return {
            f"{job.meta.get('sub_name', '')}/{job.meta['name']}".lstrip("/"): str(job.state)
            for job in await Workflow(id="new").all_jobs(with_subs=True)
        }

    async def test_joins_count_what_is_reused(self, engine: Engine) -> None:
        def make(id: str) -> Workflow:
            workflow = Workflow(id=id).add("a", make_job()).add("b", make_job())
            workflow.add("c", make_job())
            return workflow.add("end", make_job(), deps=["a", "b", "c"], need=2)

        found = await self.run(engine, make, ["c"])
        assert found == {**dict.fromkeys("ab", "completed"), "c": "available", "end": "available"}
        await complete_all(engine)
        await engine.check()

    async def test_limits_leave_room_for_what_runs(self, engine: Engine) -> None:
        def make(id: str) -> Workflow:
            return Workflow(id=id).add_many("call", [make_job() for _ in range(5)], limit=2)

        found = await self.run(engine, make, ["call/1", "call/3", "call/4"])
        assert [found[f"call/{n}"] for n in range(5)] == [
            *("completed", "available", "completed", "available", "suspended"),
        ]

    async def test_groups_open_behind_what_is_reused(self, engine: Engine) -> None:
        def make(id: str) -> Workflow:
            sub = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
            return (
                Workflow(id=id)
                .add("a", make_job())
                .add_workflow("empty", Workflow(), deps="a")
                .add_workflow("sub", sub, deps=["a", "empty"], deadline=60)
                .add("end", make_job(), deps="sub")
            )

        found = await self.run(engine, make, ["sub/x"])
        assert found == {
            "a": "completed",
            "sub/x": "available",
            "sub/y": "suspended",
            "end": "suspended",
        }
        ((due,),) = await engine.rows(
            """
            SELECT t.due FROM oban_workflow_timers t JOIN oban_workflow_groups g ON g.key = t.root
            WHERE g.id = 'new'
            """
        )
        assert due

    async def test_final_jobs_run_once_all_else_stands(self, engine: Engine) -> None:
        def make(id: str) -> Workflow:
            return Workflow(id=id).add("a", make_job()).add_final("tidy", make_job())

        assert await self.run(engine, make, []) == {"a": "completed", "tidy": "available"}
        await complete_all(engine)
        assert (await Workflow(id="new").status()).state == "completed"

    async def test_conditions_of_groups_stand_and_what_was_skipped_is_judged_anew(
        self, oban: Oban
    ) -> None:
        def make(id: str) -> Workflow:
            sub = Workflow().add_cascade("x", double_none)
            return (
                Workflow(id=id)
                .add_workflow("taken", sub, when=yes)
                .add_workflow("left", sub, when=no)
            )

        await run_workflow(make("old"), oban)
        plan = await make("new").reuse_plan("old")
        assert plan == {
            "taken/when": "reused",
            "taken/x": "reused",
            "left/when": "it was skipped",
            "left/x": "it was skipped",
        }
        await run_workflow(make("new").reuse("old"), oban)
        status = await Workflow(id="new").status()
        assert (status.state, status.subs["left"].counts["skipped"]) == ("completed", 1)

    async def test_waits_keep_what_they_were_told(self, engine: Engine) -> None:
        def make(id: str) -> Workflow:
            return Workflow(id=id).add_signal("ok").add("send", make_job(), deps="ok")

        await engine.enqueue(make("old"))
        await Workflow(id="old").signal("ok", {"by": "ada"})
        await complete_all(engine)
        await engine.enqueue(make("new").reuse("old", rerun=["send"]))

        assert await Workflow(id="new").get_recorded("ok") == {"by": "ada"}
        assert await states("new") == {"ok": "completed", "send": "available"}
        await Workflow(id="new").retry_jobs(names=["ok"])
        assert await Workflow(id="new").signal("ok") == 1
        await engine.check()

    @pytest.mark.parametrize("mode", ["existing", "queue", "replace"])
    async def test_keys_go_on_from_what_settles_at_once(self, engine: Engine, mode: Any) -> None:
        await engine.enqueue(plain("old"))
        await complete_all(engine)
        options = {"unique": "k", "on_conflict": mode}

        for id in ("new", "newer"):
            workflow = plain(id, **options)
            await engine.enqueue(workflow.reuse("old"))
            assert (await workflow.status()).state == "completed"
            assert not workflow.is_duplicate

        async with engine.audited() as found:
            assert not found

        assert await engine.rows("SELECT key FROM oban_workflow_keys") == []


class TestAtRandom:
    @pytest.mark.parametrize("seed", range(20))
    async def test_the_books_are_right_and_everything_ends(self, engine: Engine, seed: int) -> None:
        rng = random.Random(seed)
        old, new = (random_workflow(random.Random(seed)) for _ in range(2))
        await engine.enqueue(old)

        for _ in range(rng.randint(0, 12)):
            jobs = await engine.query.fetch_jobs(3, "default", "node", "5" * 32)
            await engine.ack(jobs, rng.choice(["completed"] * 5 + ["discarded", "cancelled"]))

        plan = await new.reuse_plan(old.id)
        rerun = [path for path in plan if rng.random() < 0.1]
        plan = await new.reuse_plan(old.id, rerun)
        await engine.enqueue(new.reuse(old.id, rerun))
        counts = (await new.status()).counts
        assert counts["completed"] == [*plan.values()].count("reused")

        for path in rerun:
            assert plan[path] != "reused"

        await complete_all(engine)
        await engine.check()
        assert (await new.status()).state == "completed"
