"""Pausing workflows and parts of them: what waits, what goes on, and how it comes back."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from oban import Job, Oban, telemetry
from oban._executor import AckAction
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro._plugin import timers
from oban_pro.engine.results import Lost
from oban_pro.engine.session import session_of
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnknownNameError,
    UnknownWorkflowError,
)
from tests.support.engine import Engine, make_job
from tests.support.races import Race, race
from tests.support.waits import pass_time

HANDLE = Workflow(id="w")
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def fan(**options: Any) -> Workflow:
    """Build a job, one after it, one for later, and a fan-out of two."""
    return (
        Workflow(id="w", **options)
        .add("a", make_job())
        .add("b", make_job(), deps="a")
        .add("later", make_job(scheduled_at=LATER))
        .add_many("many", [make_job(), make_job()])
    )


async def is_held(engine: Engine, *paths: str) -> bool:
    states = await engine.states()

    return {states[path] for path in paths} == {"suspended"}


class TestPause:
    async def test_holds_back_what_could_start(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        assert await HANDLE.pause() == 4
        assert {*(await engine.states()).values()} == {"suspended"}
        assert await engine.fetch() == []

        status = await HANDLE.status()
        assert (status.state, status.counts) == ("executing", {"suspended": 5})

    async def test_lets_what_runs_end_and_holds_what_follows_it(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await engine.start("a")
        assert await HANDLE.pause() == 1
        await engine.complete("a")
        states = await engine.states()
        assert (states["a"], states["b"]) == ("completed", "suspended")
        assert await HANDLE.resume() == 2
        assert (await engine.states())["b"] == "available"

    async def test_holds_what_is_tried_again(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await engine.start("a", "many/0", "many/1")
        await HANDLE.pause()
        await engine.fail("a")
        await engine.snooze("many/0")
        assert await is_held(engine, "a", "many/0")
        assert (await HANDLE.status()).started_at is not None

        assert await HANDLE.resume() == 3
        states = await engine.states()
        assert (states["a"], states["many/0"]) == ("retryable", "scheduled")
        assert [entry["error"] for entry in (await engine.row("a")).errors] == ["boom"]

    async def test_holds_executions_that_are_given_up(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        (a,) = await engine.start("a")
        await engine.start("many/0", "many/1")
        await HANDLE.pause()
        assert a.id is not None
        lost = [Lost(a.id, a.attempted_at, "lost")]
        await session_of(engine.query).execute(lambda store: store.requeue_lost(lost, waits=True))
        await engine.set_states({"many/0": "available"})
        assert await is_held(engine, "a", "many/0")
        await HANDLE.resume()
        states = await engine.states()
        assert (states["a"], states["many/0"]) == ("available", "available")

    async def test_holds_what_is_appended_grafted_and_retried(self, engine: Engine) -> None:
        await engine.enqueue(fan().add_graft("more", make_job()))
        (grafter,) = await engine.start("more/grafter")
        await engine.discard("a")
        await HANDLE.pause()
        await HANDLE.append(Workflow(check_deps=False).add("c", make_job()))
        await engine.enqueue(Workflow.apply_graft(grafter, Workflow().add("d", make_job())))
        assert await HANDLE.retry_jobs(names=["a", "b"]) == 2
        assert await is_held(engine, "a", "b", "c", "more/grafted/d")

        await HANDLE.resume()
        states = await engine.states()
        assert (states["a"], states["c"], states["more/grafted/d"]) == ("available",) * 3
        assert states["b"] == "suspended"

    async def test_puts_back_what_is_made_available_by_hand(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause()
        await engine.set_states({"a": "available"})
        await engine.retry("many/0")
        assert await is_held(engine, "a", "b", "many/0")
        assert await HANDLE.resume() == 4

    async def test_lets_settle_what_does_not_run(self, engine: Engine) -> None:
        workflow = fan().add_workflow("none", Workflow(), deps="a").add("end", make_job(), deps="b")
        await engine.enqueue(workflow)
        await engine.start("a")
        await HANDLE.pause()
        await engine.complete("a")
        assert await engine.group("none") == "completed"
        await engine.cancel("b")
        assert (await engine.states())["end"] == "cancelled"
        assert await HANDLE.cancel_jobs() == 3
        assert (await HANDLE.status()).state == "cancelled"
        assert (await HANDLE.pause(), await HANDLE.resume()) == (0, 0)

    async def test_lets_signals_come_and_clocks_go_on(self, engine: Engine) -> None:
        workflow = (
            Workflow(id="w", deadline=3_600)
            .add_signal("ok", wait_for=60)
            .add_timer("timer", 60)
            .add("a", make_job(), deps="ok")
            .add("b", make_job(), deps="timer")
        )
        await engine.enqueue(workflow)
        await HANDLE.pause()
        assert await HANDLE.signal("ok", 1) == 1
        states = await engine.states()
        assert (states["ok"], states["a"]) == ("completed", "suspended")

        await pass_time(engine)
        states = await engine.states()
        assert (states["timer"], states["a"], states["b"]) == (
            "completed",
            "cancelled",
            "cancelled",
        )

    async def test_lets_a_signal_wake_a_parked_job_when_it_is_resumed(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()))
        (job,) = await engine.start("a")
        assert job.id is not None
        await session_of(engine.query).execute(
            lambda store: store.answer(job.id or 0, "", 1, None, None)
        )
        parked = {"wait": {"name": "", "call": 1}, "wait_until": None}
        await engine.ack([job], "scheduled", attempt_change=-1, schedule_in=10**6, meta=parked)
        await HANDLE.pause()
        assert await HANDLE.signal("a", 1) == 1
        assert await is_held(engine, "a")
        await HANDLE.resume()
        row = await engine.row("a")
        assert (row.state, {"wait", "paused_from"} & {*row.meta}) == ("available", set())

    async def test_a_second_pause_changes_nothing(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause(by="ada")
        before = await HANDLE.status()
        assert await HANDLE.pause(by="bob") == 0
        assert await HANDLE.status() == before
        assert (before.paused_by, before.paused_at is not None) == ("ada", True)

    async def test_holds_in_the_transaction_that_an_upstream_settles_in(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(fan())
        await engine.start("a")
        await HANDLE.pause()

        async with engine.audited() as changes:
            await engine.complete("a")

        assert changes == {("a", "executing", "completed"): 1}


class TestAppending:
    async def test_behind_what_broke_keeps_waits_and_delays(self, engine: Engine) -> None:
        """What breaks while it is added moves what ignores that, by the rules of both."""
        await engine.enqueue(fan())
        await engine.discard("a")
        addition = (
            Workflow(check_deps=False, ignore_cancelled=True)
            .add("broken", make_job(), deps="a", ignore_cancelled=False)
            .add("late", make_job(), deps="broken", delay=60)
            .add_signal("ok", deps="broken")
        )
        await HANDLE.append(addition)
        states = await engine.states()
        assert (states["broken"], states["late"], states["ok"]) == (
            "cancelled",
            "scheduled",
            "suspended",
        )
        assert (await HANDLE.status()).waits == 1


class TestPausingAPart:
    async def test_leaves_the_rest_alone(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        assert await HANDLE.pause("many", by="ada") == 2
        assert await HANDLE.pause("later") == 1
        states = await engine.states()
        assert states["a"] == "available"
        assert await is_held(engine, "many/0", "many/1", "later")

        status = await HANDLE.status()
        assert (status.paused_at, status.subs["many"].paused_by) == (None, "ada")

    async def test_and_what_is_around_it_adds_up(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        assert await HANDLE.pause("many/0") == 1
        assert await HANDLE.pause("many") == 1
        assert await HANDLE.pause() == 2
        assert await HANDLE.resume() == 2
        assert await HANDLE.resume("many/0") == 0
        assert await is_held(engine, "many/0", "many/1")
        assert await HANDLE.resume("many") == 2
        assert await engine.rows("SELECT 1 FROM oban_workflow_pauses") == []

    async def test_by_a_handle_of_the_nested_workflow(self, engine: Engine) -> None:
        inner = Workflow(id="inner").add("x", make_job())
        await engine.enqueue(fan().add_workflow("sub", inner))
        assert await Workflow(id="inner").pause() == 1
        assert (await HANDLE.status()).subs["sub"].paused_at is not None
        assert await HANDLE.resume("sub") == 1

    @pytest.mark.parametrize("settled", ["a", "none"])
    async def test_that_has_settled_does_nothing(self, engine: Engine, settled: str) -> None:
        await engine.enqueue(fan().add_workflow("none", Workflow()))
        await engine.complete("a")
        assert await HANDLE.pause(settled) == 0
        assert await engine.rows("SELECT 1 FROM oban_workflow_pauses") == []

    async def test_that_is_not_there_is_refused(self, engine: Engine) -> None:
        await engine.enqueue(fan())

        with pytest.raises(UnknownNameError, match="did you mean 'many'"):
            await HANDLE.pause("manu")

        with pytest.raises(UnknownNameError, match="did you mean 'many/0'"):
            await HANDLE.resume("many/00")

        for act in (Workflow(id="x").pause, Workflow(id="x").resume):
            with pytest.raises(UnknownWorkflowError):
                await act()

        assert await engine.rows("SELECT 1 FROM oban_workflow_pauses") == []


class TestResume:
    async def test_brings_jobs_back_with_their_time(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        jobs = await engine.fetch(demand=1)
        await engine.ack(jobs, "retryable", error={"error": "boom"}, schedule_in=60)
        rows = [await engine.row(path) for path in ("a", "later", "many/0")]
        await HANDLE.pause()
        assert await HANDLE.resume() == 4

        for row in rows:
            job: Any = await engine.query.get_job(row.id)
            assert (job.state, job.scheduled_at) == (row.state, row.scheduled_at)
            assert job.meta == row.meta

    async def test_makes_available_whose_time_has_come(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause()
        await engine.psql("UPDATE oban_jobs SET scheduled_at = timezone('UTC', now())")
        await HANDLE.resume()
        assert (await engine.states())["later"] == "available"

    async def test_leaves_what_waits_for_an_upstream_that_was_retried(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await engine.complete("a")
        await HANDLE.pause()
        await HANDLE.retry_jobs(names=["a"])
        await HANDLE.resume()
        states = await engine.states()
        assert (states["a"], states["b"]) == ("available", "suspended")
        assert "paused_from" not in (await engine.row("b")).meta
        await engine.complete("a")
        assert (await engine.states())["b"] == "available"

    async def test_resume_wakes_the_queues_of_its_jobs(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause()
        await conn.execute('LISTEN "public.oban_insert"')
        await HANDLE.resume()
        await conn.execute("SELECT 1")
        told = [notify.payload async for notify in conn.notifies(timeout=0.1, stop_after=1)]
        assert told == ['{"queue" : "default"}']

    async def test_a_pause_until_a_time_ends_by_itself(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause(until=timedelta(hours=1))
        await HANDLE.pause("many", until=datetime(2026, 1, 1, tzinfo=UTC))
        await timers.tick(engine.query)
        assert await is_held(engine, "a", "many/0")
        await pass_time(engine)
        states = await engine.states()
        assert (states["a"], states["many/0"]) == ("available", "available")
        assert await engine.rows("SELECT 1 FROM oban_workflow_timers") == []

    async def test_by_hand_takes_its_clock_away(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause(until=60)
        await HANDLE.resume()
        await HANDLE.pause()
        await pass_time(engine)
        assert await is_held(engine, "a")

    @pytest.mark.parametrize(
        ("until", "error"),
        [
            (0, InvalidOptionError),
            (-1, InvalidOptionError),
            (float("inf"), InvalidOptionError),
            (True, InvalidArgumentError),
            ("tomorrow", InvalidArgumentError),
            (datetime(2026, 1, 1), InvalidArgumentError),
        ],
    )
    async def test_at_what_is_no_time_is_refused(
        self, engine: Engine, until: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match="until"):
            await HANDLE.pause(until=until)

    async def test_by_nobody_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InvalidNameError, match="by"):
            await HANDLE.pause(by="")


class TestShown:
    async def test_explain_shows_a_pause(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause("a")
        await HANDLE.pause("many", by="ada", until=timedelta(hours=3))
        explanation = await HANDLE.explain("a")
        assert explanation.reason == "held"
        assert explanation.summary.startswith("job 'a' is paused since ")

        explanation = await HANDLE.explain("b")
        assert explanation.reason == "waiting"
        assert "; job 'a' is paused since" in explanation.summary

        summary = (await HANDLE.explain("many/1")).summary
        assert summary.startswith("job 'many/1' is held back: fan-out 'many' is paused since")
        assert " by ada, for " in summary

        await HANDLE.pause(by="bob")
        summary = (await HANDLE.explain("many")).summary
        assert "the workflow is paused since" in summary
        assert " by bob" in summary

    async def test_of_a_group_in_which_something_runs(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await engine.fetch(demand=3)
        await HANDLE.pause("many")
        assert "; fan-out 'many' is paused since" in (await HANDLE.explain("many")).summary

    async def test_events_tell_of_a_pause(self, engine: Engine) -> None:
        seen: list[tuple[str, dict[str, Any]]] = []
        events = ["oban.workflow.paused", "oban.workflow.resumed"]
        telemetry.attach("pauses", events, lambda event, meta: seen.append((event, meta)))

        try:
            await engine.enqueue(fan())
            await HANDLE.pause("many", by="ada")
            await HANDLE.resume("many")
        finally:
            telemetry.detach("pauses")

        assert seen == [
            (events[0], {"workflow_id": "w", "path": "many", "by": "ada", "count": 2}),
            (events[1], {"workflow_id": "w", "path": "many", "by": None, "count": 2}),
        ]


class TestKeeping:
    async def test_removes_pauses_with_the_workflow(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await HANDLE.pause(until=60)
        await HANDLE.pause("many")
        await engine.psql("DELETE FROM oban_jobs")
        await engine.oban.enqueue_many(fan())
        assert await engine.rows("SELECT 1 FROM oban_workflow_pauses") == []
        assert await engine.rows("SELECT 1 FROM oban_workflow_timers") == []
        assert (await HANDLE.status()).paused_at is None

    async def test_finds_no_job_stuck_and_mends_what_is_unseen(self, engine: Engine) -> None:
        await engine.enqueue(fan())
        await engine.start("a")
        await HANDLE.pause()

        async with engine.conn.transaction():
            await engine.conn.execute("SET LOCAL session_replication_role = replica")
            await engine.conn.execute("UPDATE oban_jobs SET state = 'completed' WHERE attempt = 1")

        assert await engine.rows("SELECT oban_workflow_repair_v1(key) FROM oban_workflow_groups")
        assert await is_held(engine, "b")


class Pause(Race):
    """What must be true of a pause, whatever happens at that moment."""

    def build(self) -> Workflow:
        return Workflow(id=self.handle.id).add("a", make_job()).add("b", make_job(), deps="a")

    async def first(self) -> int:
        return await self.handle.pause()

    async def run(self, rng: random.Random) -> str:
        outcome = await super().run(rng)
        assert await self.fetch() == [], "nothing must start once it is paused"
        await self.handle.resume()

        return outcome


class Fetch(Pause):
    async def second(self) -> list[Job]:
        return await self.fetch()

    async def outcome(self, first: int, second: list[Job]) -> str:
        assert len(second) + first == 1
        assert (await self.states())["a"] == ("executing" if second else "suspended")

        return "act" if second else "pause"


class Ack(Pause):
    held = "b"

    async def prepare(self) -> None:
        await super().prepare()
        (self.job,) = await self.fetch()

    async def second(self) -> list[int]:
        acked: list[int] = await self.query.ack_jobs([self.ack()])

        return acked

    def ack(self) -> AckAction:
        return AckAction(job=self.job, state="completed")

    async def outcome(self, first: int, second: list[int]) -> str:
        assert second == [self.job.id]
        assert (await self.states())[self.held] == "suspended"

        # what the ack released before is held back by the pause
        return "act" if first else "pause"


class Failure(Ack):
    held = "a"

    def ack(self) -> AckAction:
        return AckAction(job=self.job, state="retryable", error={"error": "boom"}, schedule_in=0)


RACES = [Fetch, Ack, Failure]


class TestPausing:
    async def test_while_something_happens_has_one_outcome(
        self, dsn: str, conn: AsyncConnection
    ) -> None:
        for kind in RACES:
            await conn.execute("TRUNCATE oban_jobs")
            assert (await race(dsn, conn, kind, 20)).total() == 20

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("kind", RACES)
    async def test_does_so_in_a_thousand_workflows(
        self, dsn: str, conn: AsyncConnection, kind: type[Race]
    ) -> None:
        assert {*await race(dsn, conn, kind, 1_000)} == {"act", "pause"}
