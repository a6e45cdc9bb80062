"""Unique workflows: one holder for each key, what becomes of the others, and the line behind."""

import asyncio
import logging
import random
import sys
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from oban import Job, Oban
from oban._executor import AckAction
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import timers
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidArgumentError, InvalidOptionError, UniqueConflictError
from tests.support.engine import Engine, make_job
from tests.support.paths import ROOT
from tests.support.recount import assert_consistent
from tests.support.waits import pass_time

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def one(id: str, on_conflict: Any = None, **options: Any) -> Workflow:
    """Build a workflow of one job whose name is its id, with the key "k"."""
    options = {"unique": "k"} | options

    return Workflow(id=id, on_conflict=on_conflict, **options).add(id, make_job())


def queued(id: str, **options: Any) -> Workflow:
    return one(id, "queue", **options)


async def holder(engine: Engine) -> list[str]:
    rows = await engine.rows(
        "SELECT g.id FROM oban_workflow_keys k JOIN oban_workflow_groups g ON g.key = k.holder"
    )

    return [id for (id,) in rows]


async def join_a_node(engine: Engine) -> str:
    """Register a producer with this package; executions of it that are stopped go on."""
    uuid = "00000000-0000-0000-0000-000000000001"
    await engine.query.insert_producer(
        uuid=uuid, name="Oban", node="node", queue="default", meta={"oban_workflows_patience": 60.0}
    )

    return uuid


class TestUnique:
    async def test_a_unique_workflow_exists_once(self, engine: Engine) -> None:
        (job,) = await engine.enqueue(one("a"))
        second = one("b")
        (same,) = await engine.enqueue(second)
        assert (same.id, second.id, second.is_duplicate) == (job.id, "a", True)
        assert (await second.status()).total == 1
        assert (await Workflow(id="b").status()).state == "unknown"

        # the same again, once the key is free
        await engine.complete("a")
        await engine.enqueue(second)
        assert (second.id, second.is_duplicate) == ("b", False)
        assert await holder(engine) == ["b"]
        await engine.complete("b")
        assert await holder(engine) == []

    async def test_workflows_are_by_their_name_or_a_key(self, engine: Engine) -> None:
        first = Workflow(id="a", name="daily", unique=True).add("a", make_job())
        await engine.enqueue(first, one("b", unique="other"))
        second = Workflow(name="daily", unique=True).add("a", make_job())
        third = one("c", unique="daily")
        await engine.enqueue(second, third)
        assert (first.is_duplicate, second.id, third.id) == (False, "a", "a")

    async def test_a_unique_workflow_may_raise_on_a_conflict(self, engine: Engine) -> None:
        await engine.enqueue(one("a"))

        with pytest.raises(UniqueConflictError, match="'k' is held by workflow 'a'") as raised:
            await engine.oban.enqueue_many(
                [*Workflow(id="x").add("x", make_job()), *one("b", "raise")]
            )

        assert raised.value.workflow_id == "a"
        assert (await Workflow(id="x").status()).state == "unknown"

    async def test_an_id_that_exists_wins_over_the_key(
        self, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        await engine.enqueue(one("a"), one("b", unique="other"))
        await engine.complete("a")
        again = Workflow(id="a", unique="other", on_conflict="raise").add("a", make_job())

        with caplog.at_level(logging.WARNING):
            await engine.enqueue(again)

        assert (again.id, again.is_duplicate, caplog.messages) == ("a", True, [])
        other = Workflow(id="a").add_workflow("sub", Workflow().add("x", make_job()))

        with caplog.at_level(logging.WARNING):
            await engine.enqueue(other)

        assert other.is_duplicate
        assert "workflow 'a' exists already, and differs" in caplog.text
        assert "'sub/x' is not there" in caplog.text

    async def test_workflows_may_be_so_for_longer(self, engine: Engine) -> None:
        await engine.enqueue(one("a", unique_for=timedelta(hours=1)))
        await engine.complete("a")
        second = one("b")
        await engine.enqueue(second)
        assert (second.id, second.is_duplicate) == ("a", True)
        await engine.psql("UPDATE oban_workflow_groups SET stopped_at = now() - interval '1 day'")
        await session_of(engine.query).execute(
            lambda store: store.prune(60, 100, '{"stage": "workflows"}')
        )
        assert await holder(engine) == ["a"]

        await engine.psql("UPDATE oban_workflow_keys SET held_until = now() - interval '1 s'")
        await engine.enqueue(second)
        assert (second.id, await holder(engine)) == ("b", ["b"])

    async def test_twice_in_one_batch(self, engine: Engine) -> None:
        first, second = one("a"), one("b")
        jobs = await engine.oban.enqueue_many([*first, *second, *one("c", unique="l")])
        assert [job.meta["workflow_id"] for job in jobs] == ["a", "a", "c"]
        assert second.id == "a"

    async def test_in_a_transaction_that_is_rolled_back(
        self, engine: Engine, pool: AsyncConnectionPool
    ) -> None:
        async with pool.connection() as conn:
            await engine.oban.enqueue_many(one("a"), conn=conn)
            await conn.rollback()

        assert await holder(engine) == []
        await engine.enqueue(second := one("b"))
        assert not second.is_duplicate

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"unique": True}, InvalidArgumentError),
            ({"unique": 7}, InvalidArgumentError),
            ({"unique": ""}, ValueError),
            ({"unique_for": 60}, InvalidArgumentError),
            ({"on_conflict": "queue"}, InvalidArgumentError),
            ({"unique": "k", "on_conflict": "skip"}, InvalidArgumentError),
            ({"unique": "k", "max_queued": 3}, InvalidArgumentError),
            ({"unique": "k", "on_conflict": "queue", "max_queued": -1}, InvalidArgumentError),
            ({"unique": "k", "on_conflict": "queue", "max_queued": True}, InvalidArgumentError),
            ({"unique": "k", "unique_for": 0}, InvalidOptionError),
        ],
    )
    def test_is_refused_where_it_cannot_work(
        self, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error, match=r"unique|on_conflict|max_queued"):
            Workflow(**options)

    async def test_is_for_roots_alone(self, engine: Engine) -> None:
        with pytest.raises(InvalidArgumentError, match="'sub' must not be unique"):
            Workflow().add_workflow("sub", one("a"))

        await engine.enqueue(Workflow(id="w").add_graft("more", make_job()))
        (grafter,) = await engine.start("more/grafter")

        with pytest.raises(InvalidArgumentError, match="must not be unique"):
            Workflow.apply_graft(grafter, one("a"))

        with pytest.raises(InvalidArgumentError, match="must not be unique"):
            await Workflow(id="w").append(one("a"))


class TestReplace:
    async def test_cancels_the_holder_and_starts(self, engine: Engine) -> None:
        await engine.enqueue(one("a").add("z", make_job(), deps="a"))
        await engine.enqueue(queued("q"))
        await engine.enqueue(second := one("b", "replace"))
        states = await engine.states()
        assert states == {"a": "cancelled", "z": "cancelled", "b": "available", "q": "suspended"}
        assert (second.id, second.is_duplicate, await holder(engine)) == ("b", False, ["b"])
        await engine.complete("b")
        assert await holder(engine) == ["q"]

    async def test_says_which_workflow_took_the_place(self, engine: Engine) -> None:
        await engine.enqueue(one("a"))
        await engine.enqueue(one("b", "replace"))
        (error,) = (await engine.row("a")).errors
        assert error["error"] == "cancelled: replaced by workflow 'b'"

    async def test_waits_for_the_end_of_an_execution(self, engine: Engine) -> None:
        node = await join_a_node(engine)
        await engine.enqueue(one("a"))
        (running,) = await engine.query.fetch_jobs(1, "default", "node", node)
        await engine.enqueue(one("b", "replace"))
        assert await engine.states() == {"a": "cancelled", "b": "suspended"}
        explanation = await Workflow(id="b").explain("b")
        assert explanation.reason == "lined_up"
        assert explanation.summary == "job 'b' waits behind 'a' (key 'k'), number 1 in line"

        # another takes the place of one that has not started
        await engine.enqueue(one("c", "replace"))
        assert (await engine.states())["b"] == "cancelled"
        assert (await engine.states())["c"] == "suspended"
        assert await holder(engine) == ["c"]
        await engine.ack([running], "completed")
        assert (await engine.states())["c"] == "available"

    async def test_that_is_cancelled_leaves_the_key_to_the_next(self, engine: Engine) -> None:
        node = await join_a_node(engine)
        await engine.enqueue(one("a"))
        (running,) = await engine.query.fetch_jobs(1, "default", "node", node)
        await engine.enqueue(one("b", "replace"))
        await engine.enqueue(queued("q"))
        await Workflow(id="b").cancel_jobs()
        assert await holder(engine) == ["q"]
        assert (await engine.states())["q"] == "suspended"
        await engine.ack([running], "completed")
        assert (await engine.states())["q"] == "available"

    async def test_of_a_settled_holder_waits_for_its_end(self, engine: Engine) -> None:
        node = await join_a_node(engine)
        await engine.enqueue(one("a"))
        (running,) = await engine.query.fetch_jobs(1, "default", "node", node)
        await Workflow(id="a").cancel_jobs()
        await engine.enqueue(second := one("b"))
        assert not second.is_duplicate
        assert (await engine.states())["b"] == "suspended"
        await engine.ack([running], "completed")
        assert (await engine.states())["b"] == "available"


class TestQueue:
    async def test_starts_in_the_transaction_that_settles_the_holder(self, engine: Engine) -> None:
        await engine.enqueue(queued("a"))
        await engine.enqueue(queued("b"))
        await engine.enqueue(queued("c"))
        assert await engine.states() == {"a": "available", "b": "suspended", "c": "suspended"}

        async with engine.audited() as changes:
            await engine.complete("a")

        assert changes["b", "suspended", "available"] == 1
        assert (await engine.states())["c"] == "suspended"
        await engine.discard("b")
        await engine.complete("c")
        assert await holder(engine) == []

    async def test_wakes_whoever_waits_in_order(self, engine: Engine) -> None:
        for id in "abcd":
            await engine.enqueue(queued(id))

        summary = (await Workflow(id="c").explain("c")).summary
        assert summary == "job 'c' waits behind 'a' (key 'k'), number 2 in line"
        assert (await Workflow(id="c").status()).state == "executing"
        await Workflow(id="b").cancel_jobs()
        summary = (await Workflow(id="c").explain("c")).summary
        assert summary.endswith("number 1 in line")

        # one that has left the line joins it at its end
        await Workflow(id="b").retry_jobs()
        await engine.complete("a")
        await engine.complete("c")
        await engine.complete("d")
        assert (await engine.states())["b"] == "available"

    async def test_waits_as_a_whole(self, engine: Engine) -> None:
        await engine.enqueue(queued("a"))
        workflow = (
            queued("b", deadline=3_600)
            .add_signal("ok", wait_for=60, on_timeout="complete")
            .add_timer("timer", 60)
            .add("late", make_job(), delay=60)
        )
        await engine.enqueue(workflow)
        await engine.set_states({"b": "available"})
        assert await Workflow(id="b").append(Workflow().add("more", make_job()))
        await pass_time(engine)
        states = await engine.states()
        assert {states[path] for path in ("b", "ok", "timer", "late")} == {"suspended"}
        assert (await Workflow(id="b").status()).waits == 0

        await engine.complete("a")
        states = await engine.states()
        assert (states["b"], states["late"], states["ok"]) == (
            "available",
            "scheduled",
            "suspended",
        )
        assert (await Workflow(id="b").status()).waits == 1
        await engine.psql("UPDATE oban_workflow_timers SET due = now() WHERE kind = 'inner'")
        await timers.tick(engine.query)
        assert {state for path, state in (await engine.states()).items() if path != "a"} == {
            "cancelled"
        }

    async def test_keeps_signals_that_come_in_line(self, engine: Engine) -> None:
        await engine.enqueue(queued("a"))
        await engine.enqueue(Workflow(id="b", unique="k", on_conflict="queue").add_signal("ok"))
        await engine.enqueue(queued("c"))
        assert await Workflow(id="b").signal("ok", 1) == 1
        assert (await engine.states())["ok"] == "suspended"
        await engine.complete("a")
        assert (await engine.states())["ok"] == "completed"
        await timers.tick(engine.query)
        assert (await engine.states())["c"] == "available"

    async def test_does_not_wait_for_the_time_that_the_holder_holds_longer(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(queued("a", unique_for=3_600))
        await engine.enqueue(queued("b", unique_for=7_200))
        await engine.complete("a")
        assert (await engine.states())["b"] == "available"
        await engine.enqueue(later := one("c"))
        assert later.id == "b"
        await engine.complete("b")
        await engine.enqueue(last := queued("d"))
        assert (last.is_duplicate, await holder(engine)) == (False, ["d"])

    async def test_refuses_more_than_may_wait(self, engine: Engine) -> None:
        await engine.enqueue(queued("a", max_queued=0))
        await engine.enqueue(queued("b", max_queued=1))

        with pytest.raises(UniqueConflictError, match="as many as may wait in line") as raised:
            await engine.oban.enqueue_many(queued("c", max_queued=1))

        assert raised.value.workflow_id == "a"
        await engine.enqueue(queued("d"))

    async def test_hands_over_to_a_paused_one_which_starts_when_it_is_resumed(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(queued("a"))
        await engine.enqueue(queued("b"))
        await Workflow(id="b").pause()
        await engine.complete("a")
        assert (await engine.states())["b"] == "suspended"
        assert await holder(engine) == ["b"]
        await Workflow(id="b").resume()
        assert (await engine.states())["b"] == "available"

    @pytest.mark.parametrize("held", ["the next", "the key", "the next, which grows"])
    async def test_passes_over_what_somebody_holds_until_the_next_tick(
        self, engine: Engine, pool: AsyncConnectionPool, held: str
    ) -> None:
        await engine.enqueue(queued("a"))
        await engine.enqueue(queued("b"))

        async with pool.connection() as conn:
            if held == "the next":
                await conn.execute(
                    "SELECT 1 FROM oban_workflow_groups WHERE id = 'b' FOR NO KEY UPDATE"
                )
            elif held == "the key":
                await engine.oban.enqueue_many(queued("c"), conn=conn)
            else:
                await Workflow(id="b").append(Workflow().add("more", make_job()), conn=conn)

            await engine.complete("a")
            assert (await engine.states())["b"] == "suspended"
            # whoever wants the key meets the one whose turn it is
            waiting = one("d")
            await engine.oban.enqueue_many(waiting)
            assert waiting.id == "b"

        await timers.tick(engine.query)
        states = await engine.states()
        assert {states[path] for path in ("b", "more") if path in states} == {"available"}
        assert await holder(engine) == ["b"]

    async def test_is_handed_over_by_whoever_settles_the_holder(self, engine: Engine) -> None:
        for id in "abcde":
            await engine.enqueue(queued(id))

        await engine.plain_ack("completed", "a")
        await engine.cancel("b")
        assert (await engine.states())["c"] == "available"
        await engine.psql("DELETE FROM oban_jobs WHERE meta ->> 'name' = 'c'")
        assert (await engine.states())["d"] == "available"
        await engine.set_states({"d": "discarded"})
        assert (await engine.states())["e"] == "available"

    async def test_a_hundred_workflows_in_line_run_in_order(self, engine: Engine) -> None:
        await engine.enqueue(*(queued(f"w{n:04}") for n in range(100)))

        for n in range(100):
            (job,) = await engine.query.fetch_jobs(5, "default", "node", str(n))
            assert job.meta["name"] == f"w{n:04}"
            engine.running[job.id or 0] = job
            await engine.query.ack_jobs([_completed(job)])

        assert (await engine.check()) is not None
        assert await holder(engine) == []


def _completed(job: Job) -> AckAction:
    return AckAction(job=job, state="completed")


class TestOpeningAgain:
    async def test_takes_the_key_back_if_it_is_free(self, engine: Engine) -> None:
        await engine.enqueue(one("a"))
        await engine.discard("a")
        assert await holder(engine) == []
        await Workflow(id="a").retry_jobs()
        assert await holder(engine) == ["a"]
        await engine.complete("a")
        await Workflow(id="a").append(Workflow().add("more", make_job()))
        assert await holder(engine) == ["a"]

    async def test_is_refused_where_another_holds_it(self, engine: Engine) -> None:
        await engine.enqueue(one("a"))
        await engine.discard("a")
        await engine.enqueue(one("b"))

        with pytest.raises(UniqueConflictError, match="workflow 'b' holds its key 'k'") as raised:
            await Workflow(id="a").retry_jobs()

        assert raised.value.workflow_id == "b"

        with pytest.raises(UniqueConflictError, match="holds its key"):
            await Workflow(id="a").append(Workflow().add("more", make_job()))

        assert (await engine.states()) == {"a": "discarded", "b": "available"}
        assert await Workflow(id="a").retry_jobs(names=[]) == 0

    async def test_is_refused_where_another_is_to_start_after_its_final_jobs(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(one("a").add_final("last", make_job()))
        await engine.enqueue(one("b", "replace"))
        states = {"a": "cancelled", "last": "available", "b": "suspended"}

        for opens in (
            Workflow(id="a").retry_jobs(),
            Workflow(id="a").retry_jobs(names=["a", "last"]),
            Workflow(id="a").append(Workflow().add("more", make_job())),
        ):
            with pytest.raises(UniqueConflictError, match="workflow 'b' holds its key 'k'"):
                await opens

            assert await engine.states() == states

        # the final jobs alone may run again
        await engine.fail("last")
        assert await Workflow(id="a").retry_jobs(names=["last"]) == 1
        assert await engine.states() == states
        await engine.complete("last")
        assert (await engine.states())["b"] == "available"

    async def test_leaves_the_key_alone_where_the_holder_has_not_settled(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(queued("a").add("z", make_job()))
        await engine.enqueue(queued("b"))
        await engine.discard("a")
        assert await Workflow(id="a").retry_jobs() == 1
        assert await holder(engine) == ["a"]
        assert (await engine.states())["b"] == "suspended"

    async def test_by_psql_is_reported_by_the_doctor(self, engine: Engine) -> None:
        await engine.enqueue(one("a"))
        await engine.discard("a")
        await engine.enqueue(one("b"))
        await engine.rows("UPDATE oban_jobs SET state = 'available' WHERE state = 'discarded'")
        audit = "SELECT workflow_id, field, stored, actual FROM oban_workflow_audit_v1(NULL)"
        assert await engine.rows(audit) == [("a", "unique_key", "b", "a")]

    async def test_a_settled_holder_that_no_trigger_saw_is_mended(self, engine: Engine) -> None:
        await engine.enqueue(queued("a"))
        await engine.enqueue(queued("b"))
        await engine.enqueue(queued("c"))

        async with engine.conn.transaction():
            await engine.conn.execute("SET LOCAL session_replication_role = replica")
            await engine.conn.execute(
                "UPDATE oban_jobs SET state = 'completed' WHERE meta ->> 'name' = 'a'"
            )

        repair = "SELECT oban_workflow_repair_v1(key) FROM oban_workflow_groups WHERE id = 'a'"
        await engine.rows(repair)
        assert (await engine.states())["b"] == "available"
        await engine.rows("DELETE FROM oban_workflow_keys")
        assert await engine.rows("SELECT 1 FROM oban_workflow_audit_v1(NULL)") != []
        await engine.rows(repair.replace("'a'", "'b'"))
        assert await holder(engine) == ["b"]
        await engine.check()


class TestRaces:
    async def test_sixty_racing_inserts_of_a_key_insert_one(self, engine: Engine, dsn: str) -> None:
        async with AsyncConnectionPool(dsn, min_size=10, max_size=10, open=False) as pool:
            oban = Oban(pool=pool, name="races")
            workflows = [one(f"w{n}", oban="races") for n in range(60)]
            await asyncio.gather(*(oban.enqueue_many(workflow) for workflow in workflows))

        await engine.check()
        ((count,),) = await engine.rows("SELECT count(*) FROM oban_jobs")
        assert (count, sum(not one.is_duplicate for one in workflows)) == (1, 1)
        assert len({workflow.id for workflow in workflows}) == 1

    @pytest.mark.slow
    async def test_of_200_transactions_from_8_processes_insert_one(
        self, engine: Engine, dsn: str
    ) -> None:
        command = [sys.executable, "-m", "tests.support.claimant", dsn, "25"]
        pipe = asyncio.subprocess.PIPE
        claimants = [
            await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
            for _ in range(8)
        ]

        for claimant in claimants:
            assert claimant.stdout is not None
            assert await claimant.stdout.readline() == b"ready\n"

        told = await asyncio.gather(*(claimant.communicate(b"\n") for claimant in claimants))
        lines = [line.split() for output, _ in told for line in output.splitlines()]
        assert len(lines) == 200
        assert len({workflow_id for workflow_id, _ in lines}) == 1
        assert Counter(is_duplicate for _, is_duplicate in lines) == {b"False": 1, b"True": 199}
        assert await engine.rows("SELECT count(*) FROM oban_jobs") == [(1,)]

    async def test_end_with_one_at_a_time(self, engine: Engine, dsn: str) -> None:
        rng = random.Random(5)

        async with AsyncConnectionPool(dsn, min_size=10, max_size=10, open=False) as pool:
            oban = Oban(pool=pool, name="races")
            outcomes = await asyncio.gather(*(_act(oban, rng, n) for n in range(80)))

        for _ in range(100):
            await timers.tick(engine.query)

            if not (jobs := await engine.fetch()):
                break

            assert len(jobs) == 1
            await engine.ack(jobs, "completed")

        assert Counter(outcomes).keys() == {"queue", "replace", "run"}
        await assert_consistent(engine.conn)
        assert await engine.rows("SELECT 1 FROM oban_jobs WHERE state = 'suspended'") == []
        assert await holder(engine) == []


async def _act(oban: Oban, rng: random.Random, number: int) -> str:
    act = rng.choice(["queue", "queue", "replace", "run", "run"])
    await asyncio.sleep(rng.random() / 5)

    if act == "run":
        jobs = await oban._query.fetch_jobs(5, "default", "node", f"node-{number}")
        assert len(jobs) <= 1, "never two at once"
        await oban._query.ack_jobs([_completed(job) for job in jobs])
    else:
        await oban.enqueue_many(one(f"w{number}", act, oban=oban._name))

    return act
