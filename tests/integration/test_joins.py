"""Members that need some of their dependencies: when they start and break, what undoes that."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, doctor
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job

HANDLE = Workflow(id="w")
SOURCES = ("a", "b", "c", "d")


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def race(need: int, *names: str, **options: Any) -> Workflow:
    """Build jobs of which one more needs some."""
    workflow = Workflow(id="w", **options)

    for name in names or SOURCES:
        workflow.add(name, make_job())

    return workflow.add("end", make_job(), deps=names or SOURCES, need=need)


async def append(engine: Engine, workflow_id: str, addition: Workflow) -> None:
    await Workflow(id=workflow_id).append(addition)
    await engine._learn()


async def error_of(engine: Engine, path: str) -> str:
    text = (await engine.row(path)).errors[-1]["error"]
    assert isinstance(text, str)

    return text


ADDED: dict[str, Callable[[Workflow], Workflow]] = {
    "end": lambda w: w.add("end", make_job(), deps=SOURCES, need=2),
    "end/0": lambda w: w.add_many("end", [make_job()], deps=SOURCES, need=2),
    "end/x": lambda w: w.add_workflow("end", Workflow().add("x", make_job()), deps=SOURCES, need=2),
    "end/x/y": lambda w: w.add_workflow(
        "end",
        Workflow().add_workflow("x", Workflow().add("y", make_job())),
        deps=SOURCES,
        need=2,
    ),
    # flags of its own: it does not share the count of its group
    "end/z": lambda w: w.add_workflow(
        "end", Workflow().add("z", make_job(), ignore_cancelled=True), deps=SOURCES, need=2
    ),
    "end/grafter": lambda w: w.add_graft("end", make_job(), deps=SOURCES, need=2),
    "after": lambda w: w.add_workflow("end", Workflow(), deps=SOURCES, need=2).add(
        "after", make_job(), deps="end"
    ),
}


class TestJoins:
    async def test_start_with_the_last_that_they_need_and_once(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.complete("a")
        assert (await engine.states())["end"] == "suspended"

        async with engine.audited() as changes:
            await engine.complete("b")
            assert (await engine.states())["end"] == "available"
            await engine.complete("end")
            await engine.complete("c")
            await engine.discard("d")

        assert changes["end", "suspended", "available"] == 1
        assert changes["end", "executing", "completed"] == 1
        assert (await engine.states())["end"] == "completed"

    async def test_break_when_fewer_can_be_satisfied(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.discard("a")
        await engine.discard("b")
        assert (await engine.states())["end"] == "suspended"

        await engine.cancel_by_ack("c")
        assert (await engine.states())["end"] == "cancelled"
        assert await error_of(engine, "end") == (
            "cancelled because upstream job 'c' was cancelled; 2 of 4 were needed, 3 broke"
        )

    @pytest.mark.parametrize("need", [1, 2, 3])
    async def test_end_alike_in_whatever_order_their_deps_settle(
        self, engine: Engine, need: int
    ) -> None:
        outcomes = ("completed", "cancelled", "discarded")

        for n, order in enumerate(permutations("abc")):
            workflow = Workflow(id=f"w{n}")

            for name in "abc":
                workflow.add(f"{name}{n}", make_job())

            workflow.add(f"end{n}", make_job(), deps=[f"{name}{n}" for name in "abc"], need=need)
            await engine.enqueue(workflow)

            for name in order:
                path = f"{name}{n}"
                await engine.ack(await engine.start(path), outcomes["abc".index(name)])

            expected = "available" if need == 1 else "cancelled"
            assert (await engine.states())[f"end{n}"] == expected
            await Workflow(id=f"w{n}").cancel_jobs()

    async def test_take_what_settles_at_once_together(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.set_states({"a": "discarded", "b": "completed", "c": "completed"})
        assert (await engine.states())["end"] == "available"

    async def test_judge_by_the_flags_of_the_dependent(self, engine: Engine) -> None:
        await engine.enqueue(
            race(2).add("lax", make_job(), deps=SOURCES, need=3, ignore_discarded=True)
        )
        await engine.discard("a", "b")
        await engine.cancel_by_ack("c")
        states = await engine.states()
        assert (states["end"], states["lax"]) == ("cancelled", "suspended")

        await engine.complete("d")
        assert (await engine.states())["lax"] == "available"

    @pytest.mark.parametrize("path", ADDED)
    async def test_may_be_any_kind_of_member(self, engine: Engine, path: str) -> None:
        for n, outcome in enumerate(("completed", "discarded")):
            workflow = Workflow(id=f"w{n}")

            for name in SOURCES:
                workflow.add(name, make_job())

            await engine.enqueue(ADDED[path](workflow))
            states = [outcome, "discarded" if n else "completed", "discarded", "completed"]

            for name, state in list(zip(SOURCES, states, strict=True))[: 2 + n]:
                assert (await engine.states())[path] == "suspended"
                await engine.ack(await engine.start(name), state)

            assert (await engine.states())[path] == ("cancelled" if n else "available")

            if n:
                assert (await error_of(engine, path)).endswith(
                    "cancelled" if path == "after" else "2 of 4 were needed, 3 broke"
                )

            await engine.psql("TRUNCATE oban_jobs")

    async def test_depend_on_groups_as_well(self, engine: Engine) -> None:
        workflow = (
            Workflow(id="w")
            .add_many("many", [make_job(), make_job()])
            .add_workflow("sub", Workflow().add("x", make_job()))
            .add_workflow("empty", Workflow(), deps="sub")
            .add("end", make_job(), deps=["many", "sub", "empty"], need=2)
        )
        await engine.enqueue(workflow)
        await engine.complete("sub/x")
        assert (await engine.states())["end"] == "available"

    async def test_count_an_empty_group_from_the_start(self, engine: Engine) -> None:
        workflow = (
            Workflow(id="w")
            .add("a", make_job())
            .add_workflow("empty", Workflow())
            .add("end", make_job(), deps=["a", "empty"], need=1)
        )
        await engine.enqueue(workflow)
        assert (await engine.states())["end"] == "available"


def one(context: dict[str, Any]) -> int:
    return 1


def keep(context: dict[str, Any]) -> dict[str, Any]:
    return dict(context)


class TestContext:
    async def test_has_what_was_recorded_when_the_job_started(self, oban: Oban) -> None:
        half = Workflow().add_cascade("x", one).add_signal("later")
        workflow = (
            Workflow(id="w")
            .add_workflow("half", half)
            .add_cascade("a", one)
            .add_signal("later")
            .add_cascade("end", keep, deps=["a", "later", "half"], need=1)
            .add_workflow(
                "sub", Workflow().add_cascade("y", keep), deps=["a", "later", "half"], need=1
            )
        )
        # One at a time, so that half/x has run when a lets the two start.
        await run_workflow(workflow, oban, concurrency=1, signals={"later": 2, "half/later": 2})
        expected = {"a": 1, "half": {"x": 1}}
        assert await workflow.get_recorded("end") == expected
        assert await workflow.get_recorded("sub/y") == expected


class TestRetries:
    async def test_of_an_upstream_take_back_what_it_counted(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.complete("a")
        await HANDLE.retry_jobs(names=["a"])
        await engine.complete("b")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("a")
        assert (await engine.states())["end"] == "available"

    async def test_of_one_that_broke_let_it_count_anew(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.discard("a", "b")
        await HANDLE.retry_jobs(names=["a"])
        await engine.discard("c")
        assert (await engine.states())["end"] == "suspended"

        await engine.discard("a")
        assert (await engine.states())["end"] == "cancelled"

    async def test_of_all_revive_what_was_broken(self, engine: Engine) -> None:
        await engine.enqueue(race(2))
        await engine.discard("a", "b", "c")
        assert await HANDLE.retry_jobs() == 4
        await engine.complete("a", "b")
        assert (await engine.states())["end"] == "available"

    async def test_alone_wait_on_purpose_for_what_broke(self, engine: Engine) -> None:
        await engine.enqueue(race(3))
        await engine.discard("a", "b")
        engine.revived.add(engine.ids["end"])
        assert await HANDLE.retry_jobs(names=["end"]) == 1
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("c", "d")
        assert (await engine.states())["end"] == "suspended"
        await HANDLE.retry_jobs(names=["b"])
        await engine.complete("b")
        assert (await engine.states())["end"] == "available"

    async def test_close_the_gate_only_while_too_few_are_satisfied(self, engine: Engine) -> None:
        sub = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job()).add("c", make_job())
        await engine.enqueue(workflow.add_workflow("sub", sub, deps=["a", "b", "c"], need=1))
        await engine.complete("a", "b")
        await HANDLE.retry_jobs(names=["a"])
        await engine.discard("sub/x")
        await HANDLE.retry_jobs(names=["sub/x"])
        assert (await engine.states())["sub/x"] == "available"

        await HANDLE.cancel_jobs(names=["sub"])
        await HANDLE.retry_jobs(names=["b"])
        await HANDLE.retry_jobs(names=["sub"])
        assert (await engine.states())["sub/x"] == "suspended"
        await engine.complete("c")
        assert (await engine.states())["sub/x"] == "available"


class TestWaits:
    async def test_open_with_the_last_that_they_need(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        workflow.add_signal("go", deps=["a", "b"], need=1, wait_for=60)
        workflow.add_timer("pause", 60, deps=["a", "b"], need=1)
        await engine.enqueue(workflow)
        assert (await HANDLE.status()).waits == 0

        await engine.complete("a")
        assert (await HANDLE.status()).waits == 1
        await engine.complete("b")
        # it goes on listening with the other one
        await HANDLE.retry_jobs(names=["a"])
        assert (await HANDLE.status()).waits == 1
        await HANDLE.retry_jobs(names=["b"])
        assert (await HANDLE.status()).waits == 0


class TestAppending:
    async def test_a_join_counts_what_has_settled(self, engine: Engine) -> None:
        workflow = Workflow(id="w")

        for name in SOURCES:
            workflow.add(name, make_job())

        await engine.enqueue(workflow)
        await engine.complete("a")
        await engine.discard("b", "c")
        addition = Workflow(check_deps=False)
        addition.add("ready", make_job(), deps=SOURCES, need=1)
        addition.add("waiting", make_job(), deps=SOURCES, need=2)
        addition.add("broken", make_job(), deps=SOURCES, need=3)
        addition.add_workflow("empty", Workflow(), deps=SOURCES, need=3)
        await append(engine, "w", addition)
        states = await engine.states()
        assert [states[name] for name in ("ready", "waiting", "broken")] == [
            "available",
            "suspended",
            "cancelled",
        ]
        assert await engine.group("empty") == "cancelled"
        assert await error_of(engine, "broken") == (
            "cancelled because upstream job 'c' was discarded; 3 of 4 were needed, 2 broke"
        )

        await engine.complete("d")
        assert (await engine.states())["waiting"] == "available"

    async def test_to_a_group_with_a_join_waits_for_as_many(self, engine: Engine) -> None:
        sub = Workflow(id="sub").add_workflow("deep", Workflow(id="deep").add("x", make_job()))
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job()).add("c", make_job())
        await engine.enqueue(workflow.add_workflow("sub", sub, deps=["a", "b", "c"], need=2))
        await engine.complete("a")

        for group in ("sub", "deep"):
            addition = Workflow().add(f"{group}-same", make_job())
            addition.add(f"{group}-own", make_job(), ignore_cancelled=True)
            await append(engine, group, addition)

        await engine.discard("b")
        paths = ("sub/sub-same", "sub/sub-own", "sub/deep/deep-same", "sub/deep/deep-own")
        assert {(await engine.states())[path] for path in paths} == {"suspended"}
        await engine.complete("c")
        assert {(await engine.states())[path] for path in paths} == {"available"}

        await append(engine, "deep", Workflow().add("late", make_job(), ignore_discarded=True))
        assert (await engine.states())["sub/deep/late"] == "available"


class TestGrafts:
    async def test_need_what_their_graft_needs(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job()).add("b", make_job())
        await engine.enqueue(workflow.add_graft("graft", make_job(), deps=["a", "b"], need=1))
        await engine.complete("a")
        (grafter,) = await engine.start("graft/grafter")
        grafted = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
        await engine.oban.enqueue_many(Workflow.apply_graft(grafter, grafted))
        await engine._learn()
        assert (await engine.states())["graft/grafted/x"] == "available"


class TestBooks:
    async def test_wrong_counters_of_joins_are_mended(self, engine: Engine) -> None:
        await engine.enqueue(race(3))
        await engine.discard("a")

        for change in (
            "UPDATE oban_workflow_joins SET broken = 0, deps = 7",
            "UPDATE oban_workflow_members SET pending = 9 WHERE name = 'end'",
        ):
            await engine.rows(change)
            found = await doctor.audit(engine.oban._name)
            assert {one.name for one in found} == {"end"}
            await doctor.repair(engine.oban._name)
            await engine.check()

        # nobody saw that
        await engine.rows("ALTER TABLE oban_jobs DISABLE TRIGGER USER")
        await engine.rows("UPDATE oban_jobs SET state = 'cancelled' WHERE meta ->> 'name' = 'b'")
        await engine.rows("ALTER TABLE oban_jobs ENABLE TRIGGER USER")
        await doctor.repair(engine.oban._name)
        assert (await engine.states())["end"] == "cancelled"
        assert await error_of(engine, "end") == (
            "cancelled because upstream job 'a' was discarded; 3 of 4 were needed, 2 broke"
        )

    async def test_of_joins_go_with_their_workflow(self, engine: Engine) -> None:
        await engine.enqueue(race(1))
        await HANDLE.cancel_jobs()
        assert await engine.rows("SELECT need FROM oban_workflow_joins") == [(1,)]

        await engine.rows("UPDATE oban_workflow_groups SET stopped_at = now() - interval '1 day'")
        await engine.rows('SELECT oban_workflow_prune_v1(60, 1000, \'{"stage": "workflows"}\')')
        assert await engine.rows("SELECT FROM oban_workflow_joins") == []
