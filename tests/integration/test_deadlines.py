"""Deadlines of workflows, groups and jobs; delays; roots that somebody holds when time is up."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import housekeeping, timers
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    UnknownNameError,
    UnknownWorkflowError,
)
from tests.support.engine import Engine, make_job
from tests.support.fixtures import WaitUntil
from tests.support.waits import LATE, pass_time

HANDLE = Workflow(id="w")
HOUR = timedelta(hours=1)


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def chain(**options: Any) -> Workflow:
    return Workflow(id="w", **options).add("a", make_job()).add("b", make_job(), deps="a")


async def errors(engine: Engine, path: str) -> list[str]:
    return [entry["error"] for entry in (await engine.row(path)).errors]


class TestDeadlineOfAWorkflow:
    async def test_cancels_all_that_is_open(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=timedelta(hours=6)).add_signal("ok"))
        await engine.start("a")
        await pass_time(engine)
        assert {*(await engine.states()).values()} == {"cancelled"}

        for path in ("a", "b", "ok"):
            assert await errors(engine, path) == ["deadline of 6 hours exceeded"]

        assert (await engine.row("a")).meta["cancel_attempted_at"]

    async def test_leaves_what_has_settled(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await engine.complete("a")
        await engine.complete("b")
        await pass_time(engine)
        assert (await HANDLE.status()).state == "completed"
        assert await engine.rows("SELECT FROM oban_workflow_timers") == []

    async def test_may_be_a_moment(self, engine: Engine) -> None:
        past = datetime(2026, 1, 1, tzinfo=UTC)
        await engine.enqueue(chain(deadline=past))
        await timers.tick(engine.query)
        assert await errors(engine, "b") == ["deadline 2026-01-01T00:00:00+00:00 exceeded"]

    async def test_is_gone_once_it_has_come(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await pass_time(engine)
        assert await HANDLE.retry_jobs() == 2
        await pass_time(engine)
        assert (await engine.states())["a"] == "available"

    async def test_stays_for_what_is_retried_before(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await engine.discard("a")
        await HANDLE.retry_jobs()
        await pass_time(engine)
        assert (await errors(engine, "a"))[-1] == "deadline of 1 hour exceeded"

    async def test_holds_for_what_is_appended_and_grafted(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR).add_graft("more", make_job()))
        await HANDLE.append(Workflow().add("c", make_job()))
        (grafter,) = await engine.start("more/grafter")
        await engine.enqueue(Workflow.apply_graft(grafter, Workflow().add("d", make_job())))
        await pass_time(engine)
        assert {*(await engine.states()).values()} == {"cancelled"}

    async def test_of_a_nested_one_holds_there_alone(self, engine: Engine) -> None:
        inner = Workflow(deadline=HOUR).add("x", make_job())
        await engine.enqueue(chain().add_workflow("inner", inner, deps="a"))
        await pass_time(engine)
        assert (await engine.states())["inner/x"] == "suspended"

        await engine.complete("a")
        await pass_time(engine)
        states = await engine.states()
        assert (states["inner/x"], states["b"]) == ("cancelled", "available")
        assert await errors(engine, "inner/x") == ["deadline of 1 hour exceeded"]

    async def test_of_a_grafted_one_holds_there(self, engine: Engine) -> None:
        await engine.enqueue(chain().add_graft("more", make_job()))
        (grafter,) = await engine.start("more/grafter")
        grafted = Workflow(deadline=HOUR).add("d", make_job())
        await engine.enqueue(Workflow.apply_graft(grafter, grafted))
        await pass_time(engine)
        states = await engine.states()
        assert states["more/grafted/d"] == "cancelled"
        assert states["more/grafter"] == "executing"

    async def test_is_refused_for_an_addition(self, engine: Engine) -> None:
        await engine.enqueue(chain())

        with pytest.raises(InvalidArgumentError, match="must not have a deadline"):
            await HANDLE.append(Workflow(deadline=1).add("c", make_job()))


class TestDeadlineOfAMember:
    async def test_counts_from_its_release(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a", deadline=HOUR))
        await pass_time(engine)
        assert (await engine.states())["b"] == "suspended"
        await engine.complete("a")
        await pass_time(engine)
        assert (await engine.states())["b"] == "cancelled"

    async def test_at_a_moment_comes_while_it_waits(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        past = datetime.now(UTC) - HOUR
        await engine.enqueue(workflow.add("b", make_job(), deps="a", deadline=past))
        await timers.tick(engine.query)
        assert await engine.states() == {"a": "available", "b": "cancelled"}

    async def test_the_deadline_of_a_member_includes_its_retries(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job(), deadline=HOUR)
        await engine.enqueue(workflow)
        await engine.fail("a")
        await pass_time(engine)
        assert (await errors(engine, "a"))[-1] == "deadline of 1 hour exceeded"

    async def test_counts_from_the_time_it_is_scheduled_for(self, engine: Engine) -> None:
        later = datetime.now(UTC) + timedelta(hours=5)
        job = make_job(scheduled_at=later)
        await engine.enqueue(Workflow(id="w").add("a", job, deadline=HOUR))
        ((due,),) = await engine.rows("SELECT due FROM oban_workflow_timers")
        assert due.replace(tzinfo=UTC) == later + HOUR

    @pytest.mark.parametrize("kind", ["many", "graft", "sub"])
    async def test_of_a_group_cancels_all_in_it(self, engine: Engine, kind: str) -> None:
        workflow = Workflow(id="w").add("a", make_job())

        if kind == "many":
            workflow.add_many("g", [make_job(), make_job()], deps="a", deadline=HOUR)
        elif kind == "graft":
            workflow.add_graft("g", make_job(), deps="a", deadline=HOUR)
        else:
            inner = Workflow(deadline=HOUR * 2).add("x", make_job())
            workflow.add_workflow("g", inner, deps="a", deadline=HOUR)

        await engine.enqueue(workflow.add("after", make_job(), deps="g", ignore_cancelled=True))
        await engine.complete("a")
        await pass_time(engine)
        states = await engine.states()
        inside = {state for path, state in states.items() if path.startswith("g/")}
        assert inside == {"cancelled"}
        assert states["after"] == "available"

    async def test_that_comes_first_is_the_one_that_is_named(self, engine: Engine) -> None:
        inner = Workflow(deadline=HOUR * 3).add("x", make_job(), deadline=HOUR * 2)
        await engine.enqueue(Workflow(id="w").add_workflow("g", inner, deadline=HOUR))
        await pass_time(engine)
        assert await errors(engine, "g/x") == ["deadline of 1 hour exceeded"]


class TestSettingADeadline:
    async def test_replaces_the_one_that_there_was(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await HANDLE.set_deadline(timedelta(minutes=90))
        await pass_time(engine)
        assert await errors(engine, "a") == ["deadline of 1 hour 30 minutes exceeded"]

    async def test_works_where_there_was_none(self, engine: Engine) -> None:
        await engine.enqueue(chain().add_workflow("g", Workflow().add("x", make_job())))
        await HANDLE.set_deadline(HOUR, "g/x")
        await pass_time(engine)
        states = await engine.states()
        assert (states["g/x"], states["a"]) == ("cancelled", "available")

    async def test_to_none_takes_it_away(self, engine: Engine) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await HANDLE.set_deadline(None)
        await pass_time(engine)
        assert (await engine.states())["a"] == "available"

    async def test_comes_with_a_retry(self, engine: Engine) -> None:
        await engine.enqueue(chain())
        await engine.discard("a")
        assert await HANDLE.retry_jobs(names=["a"], deadline=HOUR) == 1
        await pass_time(engine)
        assert (await errors(engine, "a"))[-1] == "deadline of 1 hour exceeded"
        assert await HANDLE.retry_jobs(deadline=HOUR) == 2
        await pass_time(engine)
        assert (await engine.states())["b"] == "cancelled"

    async def test_of_what_is_not_there_is_refused(self, engine: Engine) -> None:
        await engine.enqueue(chain())

        with pytest.raises(UnknownNameError):
            await HANDLE.set_deadline(1, "c")

        with pytest.raises(UnknownWorkflowError):
            await Workflow(id="nobody").set_deadline(1)


class TestDelays:
    async def test_count_from_the_release(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a", delay=HOUR))
        await engine.complete("a")
        row = await engine.row("b")
        assert row.state == "scheduled"
        assert HOUR - timedelta(minutes=5) < row.scheduled_at - datetime.now(UTC) <= HOUR

    async def test_do_not_count_again_for_a_retry(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("a", make_job(), delay=HOUR)
        await engine.enqueue(workflow)
        await engine.psql("UPDATE oban_jobs SET state = 'available', scheduled_at = now()")
        await engine.discard("a")
        await HANDLE.retry_jobs()
        assert (await engine.row("a")).state == "available"

    async def test_of_a_group_put_off_what_starts_first_in_it(self, engine: Engine) -> None:
        deep = Workflow().add("z", make_job())
        inner = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
        inner.add_workflow("deep", deep).add_signal("ok")
        workflow = Workflow(id="w").add("a", make_job())
        await engine.enqueue(workflow.add_workflow("g", inner, deps="a", delay=HOUR))
        await engine.complete("a")
        states = await engine.states()
        assert states["g/x"] == states["g/deep/z"] == "scheduled"
        assert await HANDLE.signal("g/ok") == 1

    async def test_do_not_shorten_a_longer_schedule(self, engine: Engine) -> None:
        later = datetime.now(UTC) + timedelta(hours=5)
        await engine.enqueue(Workflow(id="w").add("a", make_job(scheduled_at=later), delay=HOUR))
        assert (await engine.row("a")).scheduled_at == later


class TestARootThatSomebodyHolds:
    async def test_is_passed_over_and_then_queued_up_for(
        self,
        engine: Engine,
        pool: AsyncConnectionPool,
        wait_until: WaitUntil,
    ) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await engine.enqueue(Workflow(id="v", deadline=HOUR).add("c", make_job()))
        await engine.psql(LATE)

        async with pool.connection() as holder, holder.transaction():
            await HANDLE.append(Workflow().add("d", make_job()), conn=holder)
            await timers.tick(engine.query)
            # the others are not kept waiting
            assert (await Workflow(id="v").status()).state == "cancelled"
            assert (await HANDLE.status()).state == "executing"
            await timers.tick(engine.query)
            await asyncio.sleep(0.1)

        await wait_until(_is_cancelled)
        await housekeeping.stop(engine.query)

    async def test_does_not_keep_one_locked_job_from_the_others(
        self, engine: Engine, pool: AsyncConnectionPool
    ) -> None:
        await engine.enqueue(chain(deadline=HOUR))
        await engine.enqueue(Workflow(id="v", deadline=HOUR).add("c", make_job()))
        await engine.psql(LATE)

        async with pool.connection() as holder, holder.transaction():
            await holder.execute(
                b"SELECT FROM oban_jobs WHERE id = %s FOR UPDATE", [engine.ids["a"]]
            )
            await timers.tick(engine.query)
            assert (await Workflow(id="v").status()).state == "cancelled"

        await timers.tick(engine.query)
        assert await _is_cancelled()


async def _is_cancelled() -> bool:
    return (await HANDLE.status()).state == "cancelled"


class TestBadInput:
    @pytest.mark.parametrize(
        ("value", "error"),
        [
            (0, InvalidOptionError),
            (-1, InvalidOptionError),
            (float("nan"), InvalidOptionError),
            (True, InvalidArgumentError),
            ("1h", InvalidArgumentError),
            (datetime(2026, 1, 1), InvalidArgumentError),
        ],
    )
    def test_is_refused_by_name(self, value: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="deadline of the workflow"):
            Workflow(deadline=value)

        with pytest.raises(error, match="deadline of 'a'"):
            Workflow().add("a", make_job(), deadline=value)

        with pytest.raises(error, match="delay of 'a'"):
            Workflow().add_timer("a", value)

    def test_is_refused_for_a_delay_that_is_a_moment(self) -> None:
        moment: Any = datetime.now(UTC)

        with pytest.raises(InvalidArgumentError, match="delay of 'a' must be a timedelta"):
            Workflow().add("a", make_job(), delay=moment)
