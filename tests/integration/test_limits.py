"""Limits of fan-outs: never more members open than the limit, never fewer while one waits."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban
from oban._executor import AckAction
from psycopg import AsyncConnection

from oban_pro import Workflow, from_result
from oban_pro._plugin import timers
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    UnknownNameError,
    UnknownWorkflowError,
)
from tests.support.engine import Engine, make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.waits import LATE, pass_time

HANDLE = Workflow(id="w")
OVER = "UPDATE oban_workflow_groups SET window_from = window_from - interval '1 h'"
OPEN = ("available", "scheduled", "executing", "retryable")


def square(item: int, _context: dict[str, Any]) -> int:
    return item * item


def listed(_context: dict[str, Any]) -> list[int]:
    return [1, 2, 3]


def nothing(_item: int, _context: dict[str, Any]) -> None:
    return None


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def many(size: int = 5, limit: int | None = 2, **options: Any) -> Workflow:
    jobs = [make_job() for _ in range(size)]

    return Workflow(id="w").add_many("call", jobs, limit=limit, **options)


async def counts(engine: Engine) -> Counter[str]:
    return Counter((await engine.states()).values())


async def open_names(engine: Engine) -> list[str]:
    states = await engine.states()

    return sorted(path.removeprefix("call/") for path, one in states.items() if one in OPEN)


class TestLimit:
    async def test_lets_as_many_start_as_it_says(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 2))
        assert await counts(engine) == {"available": 2, "suspended": 3}
        assert await open_names(engine) == ["0", "1"]

    async def test_lets_the_next_start_as_one_settles(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 2))
        await engine.complete("call/1")
        assert await open_names(engine) == ["0", "2"]
        await engine.discard("call/0")
        assert await open_names(engine) == ["2", "3"]
        await engine.cancel("call/2")
        assert await open_names(engine) == ["3", "4"]
        assert (await HANDLE.status()).subs["call"].limit == 2

    async def test_frees_the_slot_of_a_job_that_is_deleted(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await engine.delete("call/0")
        assert await open_names(engine) == ["1"]

    async def test_holds_for_nodes_on_plain_oban(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await engine.plain_ack("completed", "call/0")
        assert await open_names(engine) == ["1"]

    async def test_lets_the_ack_take_the_next_at_once(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        (job,) = await engine.start("call/0")
        await engine.ack([job], "completed")
        (job,) = await engine.fetch()
        assert job.id == engine.ids["call/1"]

    async def test_keeps_the_slot_of_a_job_that_is_tried_again(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await engine.fail("call/0")
        assert await open_names(engine) == ["0"]
        await engine.retry("call/0")
        await engine.snooze("call/0")
        assert await open_names(engine) == ["0"]

    async def test_makes_what_is_retried_line_up(self, engine: Engine) -> None:
        await engine.enqueue(many(4, 1))
        await engine.complete("call/0")
        await engine.cancel("call/2")
        await HANDLE.retry_jobs(names=["call/0", "call/2"])
        assert await open_names(engine) == ["1"]
        await engine.complete("call/1")
        assert await open_names(engine) == ["0"]
        await engine.complete("call/0")
        assert await open_names(engine) == ["2"]

    async def test_makes_what_is_retried_by_plain_oban_line_up(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await engine.discard("call/0")
        await engine.retry("call/0")
        assert await open_names(engine) == ["1"]

    async def test_puts_back_what_is_made_available_by_hand(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await engine.set_states({"call/2": "available"})
        assert await open_names(engine) == ["0"]
        await engine.cancel("call/1")
        await engine.complete("call/0")
        assert await open_names(engine) == ["2"]

    async def test_makes_what_is_appended_wait(self, engine: Engine) -> None:
        await engine.enqueue(many(2, 1))
        (group,) = await engine.rows("SELECT id FROM oban_workflow_groups WHERE kind = 'fan_out'")
        await Workflow(id=group[0]).append(Workflow(check_deps=False).add("late", make_job()))
        await engine.check()
        assert (await HANDLE.status()).counts == {"available": 1, "suspended": 2}

    async def test_counts_from_when_the_gate_opens(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        workflow.add_many("call", [make_job() for _ in range(3)], deps="a", limit=2)
        await engine.enqueue(workflow.add("z", make_job(), deps="call"))
        await engine.complete("a")
        assert await open_names(engine) == ["0", "1"]
        await engine.retry("a")
        await engine.complete("call/0")
        assert (await engine.states())["call/2"] == "suspended"
        await engine.complete("a")
        await engine.complete("call/1")
        await engine.complete("call/2")
        assert (await engine.states())["z"] == "available"

    async def test_a_limit_of_zero_starts_no_job(self, engine: Engine) -> None:
        await engine.enqueue(many(2, 0))
        assert await counts(engine) == {"suspended": 2}

    async def test_runs_all_members_in_the_end(self, engine: Engine) -> None:
        await engine.enqueue(many(50, 7))

        while jobs := await engine.fetch():
            await engine.ack(jobs, "completed")

        assert (await HANDLE.status()).state == "completed"

    async def test_passes_over_one_that_has_not_ended(self, engine: Engine) -> None:
        await engine.query.insert_producer(
            uuid="0e0c1a52-7d0e-4c57-9a3b-2f6f7f0c9d41",
            name="Oban",
            node="node",
            queue="default",
            meta={"oban_workflows_patience": 60.0},
        )
        await engine.enqueue(many(3, 1))
        (job,) = await engine.query.fetch_jobs(
            1, "default", "node", "0e0c1a52-7d0e-4c57-9a3b-2f6f7f0c9d41"
        )
        await HANDLE.cancel_jobs(names=["call/0", "call/1"])
        assert await open_names(engine) == ["2"]
        await HANDLE.retry_jobs()
        await engine.complete("call/2")
        assert await open_names(engine) == ["1"]
        await engine.ack([job], "completed")
        await engine.complete("call/1")
        assert await open_names(engine) == ["0"]


def is_due(_context: dict[str, Any]) -> bool:
    return True


class TestLimitOfAJudgedFanOut:
    @pytest.mark.parametrize("options", [{"limit": 0}, {"limit": None, "rate": (1, 60)}])
    async def test_leaves_the_judge_out(self, engine: Engine, options: dict[str, Any]) -> None:
        await engine.enqueue(many(3, when=is_due, **options))
        assert await open_names(engine) == ["when"]
        await engine.complete("call/when")
        assert await open_names(engine) == ([] if options["limit"] == 0 else ["0"])

    async def test_gives_no_slot_to_a_judge_that_judges_again(self, engine: Engine) -> None:
        await engine.enqueue(many(4, 1, when=is_due))
        await engine.complete("call/when")
        await HANDLE.retry_jobs(names=["call/when"])
        assert await open_names(engine) == ["0", "when"]
        await engine.complete("call/0")
        assert await open_names(engine) == ["when"]
        await engine.fail("call/when")
        await engine.set_states({"call/when": "available"})
        await engine.complete("call/when")
        assert await open_names(engine) == ["1"]
        assert (await HANDLE.explain("call/3")).summary.endswith("number 2 in line, 1 of 1 run")

    async def test_leaves_the_judge_of_grafts_out(self, engine: Engine) -> None:
        grafts = Workflow(id="w").add_graft("call", ([1, 2], nothing), limit=1, when=is_due)
        await engine.enqueue(grafts)
        await engine.complete("call/when")
        await HANDLE.retry_jobs(names=["call/when"])
        assert await open_names(engine) == ["0/grafter", "when"]


class TestLimitOfItems:
    async def test_counts_grafts_until_each_has_settled(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add_graft("load", ([1, 2, 3], nothing), limit=1)
        await engine.enqueue(workflow)
        assert await counts(engine) == {"available": 1, "suspended": 2}
        (grafter,) = await engine.start("load/0/grafter")
        grafter.extra.clear()
        inner = Workflow().add("a", make_job()).add("b", make_job(), deps="a")
        await engine.oban.enqueue_many(Workflow.apply_graft(grafter, inner))
        await engine._learn()
        await engine.ack([grafter], "completed")
        await engine.complete("load/0/grafted/a")
        assert (await engine.states())["load/1/grafter"] == "suspended"
        await engine.complete("load/0/grafted/b")
        assert (await engine.states())["load/1/grafter"] == "available"
        assert (await engine.states())["load/2/grafter"] == "suspended"

    async def test_lets_jobs_in_an_item_run_that_are_retried(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add_graft("load", ([1, 2], nothing), limit=1))
        (grafter,) = await engine.start("load/0/grafter")
        grafter.extra.clear()
        await engine.oban.enqueue_many(
            Workflow.apply_graft(grafter, Workflow().add("a", make_job()))
        )
        await engine._learn()
        await engine.ack([grafter], "completed")
        await engine.discard("load/0/grafted/a")
        await HANDLE.retry_jobs()
        states = await engine.states()
        assert (states["load/0/grafted/a"], states["load/1/grafter"]) == ("available", "available")


class TestLimitOfAMappedFanOut:
    async def test_holds_for_the_items_that_come(self, start_oban: Any, engine: Engine) -> None:
        workflow = Workflow(id="w").add_cascade("list", listed)
        workflow.add_cascade("call", (from_result("list"), square), deps="list", limit=1)
        await engine.enqueue(workflow)
        assert (await HANDLE.status()).subs["call"].limit == 1
        await HANDLE.set_limit("call", 0)
        await start_oban(queues={"default": 10})
        await HANDLE.set_limit("call", 1)
        status = await workflow.wait(timeout=20)
        assert status.state == "completed"
        assert status.subs["call"].limit == 1


class TestSetLimit:
    async def test_releases_more_at_once(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 1))
        await HANDLE.set_limit("call", 3)
        assert await open_names(engine) == ["0", "1", "2"]

    async def test_a_lower_limit_takes_no_released_job_back(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 3))
        await HANDLE.set_limit("call", 1)
        assert await open_names(engine) == ["0", "1", "2"]
        await engine.complete("call/0")
        await engine.complete("call/1")
        assert await open_names(engine) == ["2"]
        await engine.complete("call/2")
        assert await open_names(engine) == ["3"]

    async def test_stops_at_zero_and_goes_on_without(self, engine: Engine) -> None:
        await engine.enqueue(many(4, 1))
        await HANDLE.set_limit("call", 0)
        await engine.complete("call/0")
        assert await open_names(engine) == []
        await HANDLE.set_limit("call", None)
        assert await open_names(engine) == ["1", "2", "3"]
        assert (await HANDLE.status()).subs["call"].limit is None

    async def test_works_on_a_fan_out_that_had_none(self, engine: Engine) -> None:
        await engine.enqueue(many(3, None))
        await HANDLE.set_limit("call", 1)
        await engine.complete("call/0")
        await HANDLE.retry_jobs(names=["call/0"])
        assert await open_names(engine) == ["1", "2"]

    async def test_works_on_items_that_had_none(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add_graft("load", ([1, 2], nothing)))
        await HANDLE.set_limit("load", 1)
        await engine.complete("load/0/grafter")
        await HANDLE.retry_jobs(names=["load/0"])
        assert (await engine.states())["load/0/grafter"] == "suspended"

    async def test_names_what_it_cannot_find(self, engine: Engine) -> None:
        await engine.enqueue(many().add("single", make_job()))

        with pytest.raises(UnknownWorkflowError):
            await Workflow(id="v").set_limit("call", 1)

        with pytest.raises(UnknownNameError, match="call"):
            await HANDLE.set_limit("cal", 1)

        with pytest.raises(InvalidOptionError, match="'single' of workflow 'w' is no fan-out"):
            await HANDLE.set_limit("single", 1)


class TestExplain:
    async def test_tells_the_number_in_line(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 2))
        explanation = await HANDLE.explain("call/3")
        assert explanation.reason == "limited"
        assert explanation.summary == (
            "job 'call/3' waits for a slot: number 2 in line, 2 of 2 run"
        )


class TestRefusal:
    @pytest.mark.parametrize(
        ("limit", "error"), [(True, TypeError), ("2", TypeError), (-1, ValueError)]
    )
    def test_of_what_is_no_limit(self, limit: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="limit of 'call' must be"):
            many(limit=limit)

    def test_of_what_is_no_fan_out(self) -> None:
        options: Any = {"limit": 1}

        with pytest.raises(InvalidArgumentError, match="limit of 'a' is for fan-outs"):
            Workflow().add_cascade("a", listed, **options)

        with pytest.raises(InvalidArgumentError, match="limit of 'a' is for fan-outs"):
            Workflow().add_graft("a", Job("x.Y"), **options)


class TestPause:
    async def test_gives_slots_first_to_those_that_held_one(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 2))
        await engine.complete("call/0")
        await HANDLE.retry_jobs(names=["call/0"])
        assert await open_names(engine) == ["1", "2"]
        await engine.ack(await engine.start("call/1"), "scheduled", schedule_in=60)
        await HANDLE.pause()
        assert await open_names(engine) == []
        await HANDLE.resume()
        assert await open_names(engine) == ["1", "2"]

    async def test_of_one_that_waits_in_line_lets_others_pass(self, engine: Engine) -> None:
        await engine.enqueue(many(3, 1))
        await HANDLE.pause("call/1")
        await engine.complete("call/0")
        assert await open_names(engine) == ["2"]
        await HANDLE.resume("call/1")
        await engine.complete("call/2")
        assert await open_names(engine) == ["1"]


class TestRate:
    async def test_lets_as_many_start_in_a_period(self, engine: Engine) -> None:
        await engine.enqueue(many(8, None, rate=(3, 60)))
        assert await open_names(engine) == ["0", "1", "2"]
        await engine.complete("call/0")
        assert await open_names(engine) == ["1", "2"]
        await pass_time(engine)
        assert await open_names(engine) == ["1", "2", "3", "4", "5"]

    async def test_begins_a_period_with_the_first_start_after_the_last_one(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(many(2, 1, rate=(1, timedelta(minutes=1))))
        await engine.psql(OVER)
        await engine.complete("call/0")
        assert await open_names(engine) == ["1"]
        cursor = await engine.rows(
            "SELECT window_released FROM oban_workflow_groups WHERE rate_allowed > 0"
        )
        assert cursor == [(1,)]

    async def test_does_not_count_what_is_tried_again(self, engine: Engine) -> None:
        await engine.enqueue(many(3, None, rate=(2, 60)))
        await engine.fail("call/0")
        await engine.psql("UPDATE oban_jobs SET state = 'available' WHERE state = 'retryable'")
        assert await open_names(engine) == ["0", "1"]
        released = await engine.rows(
            "SELECT window_released FROM oban_workflow_groups WHERE rate_allowed > 0"
        )
        assert released == [(2,)]

    async def test_and_a_limit_both_hold(self, engine: Engine) -> None:
        await engine.enqueue(many(6, 2, rate=(3, 60)))
        await engine.complete("call/0")
        assert await open_names(engine) == ["1", "2"]
        await engine.complete("call/1")
        assert await open_names(engine) == ["2"]
        await pass_time(engine)
        assert await open_names(engine) == ["2", "3"]

    async def test_holds_for_items_and_mapped_fan_outs(
        self, start_oban: StartOban, wait_until: WaitUntil, engine: Engine
    ) -> None:
        workflow = Workflow(id="w").add_cascade("list", listed)
        workflow.add_graft("load", ([1, 2, 3], nothing), rate=(2, 3600))
        workflow.add_cascade("call", (from_result("list"), square), deps="list", rate=(1, 3600))
        await engine.enqueue(workflow)
        assert (await counts(engine))["available"] == 3
        await start_oban(queues={"default": 10})

        async def goes_on() -> bool:
            await engine.rows(LATE)
            await timers.tick(engine.query)

            return (await workflow.status()).state != "executing"

        await wait_until(goes_on, timeout=20)

    async def test_explain_says_when_the_rate_allows_the_next(self, engine: Engine) -> None:
        await engine.enqueue(many(5, 4, rate=(2, 3600)))
        summary = (await HANDLE.explain("call/3")).summary
        assert summary.startswith(
            "job 'call/3' waits for a slot: number 2 in line, 2 of 4 run, 2 of 2 have started, the"
            " next may in "
        )

    @pytest.mark.parametrize(
        ("rate", "error", "message"),
        [
            (5, TypeError, "must be a pair"),
            ((5,), TypeError, "must be a pair"),
            (("5", 60), TypeError, "rate of 'call' must be an int"),
            ((0, 60), ValueError, "rate of 'call' must be from 1"),
            ((5, 0), ValueError, "period of the rate of 'call' must be positive"),
            ((5, float("nan")), ValueError, "must be positive and finite"),
        ],
    )
    def test_that_cannot_hold_is_refused(
        self, rate: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            many(rate=rate)


class TestRaces:
    async def test_never_let_more_be_open_and_end_all(
        self, engine: Engine, dsn: str, wait_until: WaitUntil
    ) -> None:
        """Acks, cancellations, retries and new limits at once."""
        size, limit, rounds = 60, 5, 60
        await engine.enqueue(many(size, limit))
        rng = random.Random(7)
        seen = [0]
        is_over = asyncio.Event()
        left = "SELECT FROM oban_jobs WHERE state NOT IN ('completed', 'cancelled', 'discarded')"

        async def run() -> None:
            while not is_over.is_set():
                for job in await engine.query.fetch_jobs(2, "default", "node", str(uuid4())):
                    state = rng.choice(["completed", "completed", "cancelled", "discarded"])
                    await engine.query.ack_jobs([AckAction(job=job, state=state)])

        async def has_ended() -> bool:
            return not await engine.rows(left)

        async def steer() -> None:
            for _ in range(rounds):
                await HANDLE.set_limit("call", rng.choice([1, 3, limit]))
                await HANDLE.cancel_jobs(names=[f"call/{rng.randrange(size)}"])
                await HANDLE.retry_jobs(names=[f"call/{rng.randrange(size)}"])

            await HANDLE.set_limit("call", limit)

            await wait_until(has_ended, timeout=30)
            is_over.set()

        async def watch() -> None:
            async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
                while not is_over.is_set():
                    cursor = await conn.execute(
                        "SELECT count(*) FROM oban_jobs"
                        " WHERE state IN ('available', 'scheduled', 'executing', 'retryable')"
                    )
                    seen.append((await cursor.fetchone() or [0])[0])

        async with asyncio.TaskGroup() as group:
            for one in (run(), run(), run(), watch(), steer()):
                group.create_task(one)

        assert max(seen) <= limit
        await engine.check()
