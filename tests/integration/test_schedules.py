"""Workflows that start by the clock: once for each tick, whoever fires it."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import oban.telemetry
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schedules
from oban_pro._plugin import fire_schedules
from oban_pro._plugin.fire_schedules import GIVE_UP_AFTER, fire, look
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidScheduleError, UnknownNameError
from oban_pro.schedules import CATCH_UP_LIMIT, Schedule, make, schedule
from tests.support.cli import SCRIPT, invoke, run_cli
from tests.support.graphs import settled, work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg import AsyncConnection

    from tests.support.fixtures import StartOban, WaitUntil

type Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _only_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without schedules."""
    monkeypatch.setattr(schedules, "_schedules", {})


@pytest.fixture
def events() -> Iterator[Events]:
    seen: Events = []
    names = ["scheduled", "schedule_skipped", "schedule_failed", "schedule_missed"]
    names = [f"oban.workflow.{name}" for name in names]
    oban.telemetry.attach("test-schedules", names, lambda name, data: seen.append((name, data)))
    yield seen
    oban.telemetry.detach("test-schedules")


def every_minute(**options: Any) -> Schedule:
    @schedule("* * * * *", name="minutely", **options)
    def minutely(tick: datetime) -> Workflow:
        return Workflow(name="minutely").add("one", work())

    return minutely


async def stored_ids(conn: AsyncConnection) -> list[str]:
    cursor = await conn.execute("SELECT id FROM oban_workflow_groups ORDER BY id")

    return [id for (id,) in await cursor.fetchall()]


async def put_back(conn: AsyncConnection, minutes: float) -> None:
    """Let the last tick of all schedules have been some minutes ago."""
    await conn.execute(
        "UPDATE oban_workflow_schedules SET last_tick = timezone('UTC', now()) - %s",
        [timedelta(minutes=minutes)],
    )


class TestFiring:
    async def test_begins_when_a_schedule_is_first_seen(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        await look(oban._query, every_minute(catch_up="all"))

        assert await stored_ids(conn) == []

    async def test_fires_the_latest_of_what_was_missed(
        self, oban: Oban, conn: AsyncConnection, events: Events
    ) -> None:
        minutely = every_minute()
        await look(oban._query, minutely)
        await put_back(conn, 7)
        await look(oban._query, minutely)
        await look(oban._query, minutely)

        (id,) = await stored_ids(conn)
        _, (name, data) = events
        assert name == "oban.workflow.scheduled"
        assert data["workflow_id"] == id == minutely.id_of(data["tick"])
        assert datetime.now(UTC) - data["tick"] < timedelta(minutes=2)

    async def test_fires_all_of_what_was_missed_if_told(
        self, oban: Oban, conn: AsyncConnection, events: Events
    ) -> None:
        minutely = every_minute(catch_up="all")
        await look(oban._query, minutely)
        await put_back(conn, 7)
        await look(oban._query, minutely)

        ticks = [data["tick"] for _, data in events]
        assert len(ticks) in (7, 8)
        assert ticks == sorted(ticks)
        assert await stored_ids(conn) == [minutely.id_of(tick) for tick in ticks]

    async def test_fires_a_tick_once_whoever_tries(
        self, oban: Oban, conn: AsyncConnection, events: Events
    ) -> None:
        minutely = every_minute()
        await look(oban._query, minutely)
        await put_back(conn, 60)
        tick = datetime.now(UTC).replace(second=0, microsecond=0)
        await asyncio.gather(*(fire(oban._query, minutely, tick) for _ in range(8)))

        assert [name.rpartition(".")[2] for name, _ in events] == ["schedule_missed", "scheduled"]
        assert await stored_ids(conn) == [minutely.id_of(tick)]

    async def test_leaves_no_workflow_behind_a_tick_that_was_not_claimed(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        """The claim and the workflow are one transaction: neither is there without the other."""

        @schedule("* * * * *", name="broken")
        def broken(tick: datetime) -> Workflow:
            nested = Workflow(id="taken").add("a", work())

            return Workflow().add_workflow("nested", nested)

        await oban.enqueue_many(Workflow(id="taken").add("b", work()))
        await look(oban._query, broken)
        await put_back(conn, 1)
        tick = datetime.now(UTC).replace(second=0, microsecond=0)

        assert not await fire(oban._query, broken, tick)
        assert await stored_ids(conn) == ["taken"]
        standing = await conn.execute(
            "SELECT last_tick < %s, error FROM oban_workflow_schedules", [tick.replace(tzinfo=None)]
        )
        assert (await standing.fetchone() or ())[0]

    async def test_happens_on_a_node_by_itself(
        self, start_oban: StartOban, conn: AsyncConnection, wait_until: WaitUntil
    ) -> None:
        minutely = every_minute()
        client = await start_oban({})
        await look(client._query, minutely)
        await put_back(conn, 2)
        await start_oban()
        await start_oban()

        async def fired() -> list[str]:
            return await stored_ids(conn)

        (id, *_) = await wait_until(fired)
        await wait_until(lambda: settled(Workflow(id=id)))

    async def test_gives_the_function_the_tick_in_its_zone(self) -> None:
        given: list[datetime] = []

        @schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
        async def nightly(tick: datetime) -> None:
            given.append(tick)

        assert await make(nightly, datetime(2026, 11, 28, 0, tzinfo=UTC)) is None
        assert given[0].isoformat() == "2026-11-28T02:00:00+02:00"


class TestOverlap:
    async def test_skips_queues_or_replaces(self, oban: Oban, conn: AsyncConnection) -> None:
        for overlap, states in (
            ("allow", ["executing", "executing"]),
            ("skip", ["executing"]),
            ("queue", ["executing", "executing"]),
            ("replace", ["cancelled", "executing"]),
        ):

            @schedule("* * * * *", name=overlap, overlap=overlap)  # type: ignore[arg-type]
            def build(tick: datetime) -> Workflow:
                return Workflow().add("one", work())

            await look(oban._query, build)
            await put_back(conn, 10)
            now = datetime.now(UTC).replace(second=0, microsecond=0)

            for tick in (now - timedelta(minutes=1), now):
                assert await fire(oban._query, build, tick)

            cursor = await conn.execute(
                "SELECT state, queued_at IS NOT NULL FROM oban_workflow_groups"
                " WHERE id LIKE %s ORDER BY id",
                [f"{overlap}@%"],
            )
            rows = await cursor.fetchall()
            assert [state for state, _ in rows] == states
            assert rows[-1][1] == (overlap == "queue")

    async def test_is_refused_beside_a_key_of_its_own_and_told_at_once(
        self, oban: Oban, conn: AsyncConnection, events: Events
    ) -> None:
        @schedule("* * * * *", name="both", overlap="skip")
        def both(tick: datetime) -> Workflow:
            return Workflow(unique="mine").add("one", work())

        await look(oban._query, both)
        await put_back(conn, 1)
        await look(oban._query, both)

        ((name, data),) = events
        assert name == "oban.workflow.schedule_failed"
        assert "must not return a unique workflow" in data["error"]
        assert await stored_ids(conn) == []

    async def test_is_refused_beside_a_key_wherever_the_workflow_is_built(self) -> None:
        now = datetime.now(UTC)

        @schedule("* * * * *", name="both", overlap="queue")
        def both(tick: datetime) -> Workflow:
            return Workflow(unique="mine").add("one", work())

        @schedule("* * * * *", name="later", overlap="queue")
        async def later(tick: datetime) -> Workflow:
            return both.build(tick)  # type: ignore[return-value]

        built: Any = later(now)

        with pytest.raises(InvalidScheduleError, match="'both' must not return a unique"):
            both(now)

        with pytest.raises(InvalidScheduleError, match="'later' must not return a unique"):
            await built

        with pytest.raises(InvalidScheduleError, match="'both' must not return a unique"):
            await both.run()


class TestSkippedTicks:
    async def test_are_told_with_the_reason(
        self, oban: Oban, events: Events, conn: AsyncConnection
    ) -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        earlier = now - timedelta(minutes=1)

        @schedule("* * * * *", name="apart", overlap="skip")
        def apart(tick: datetime) -> Workflow:
            return Workflow().add("one", work())

        @schedule("* * * * *", name="keyed")
        def keyed(tick: datetime) -> Workflow:
            return Workflow(unique="key").add("one", work())

        for one in (apart, keyed):
            await look(oban._query, one)

        await put_back(conn, 10)

        for one, reason in ((apart, "overlap"), (keyed, "unique")):
            await fire(oban._query, one, earlier)
            await fire(oban._query, one, now)
            assert [name.rpartition(".")[2] for name, _ in events] == [
                "schedule_missed",
                "scheduled",
                "schedule_skipped",
            ]
            assert events[-1][1] == {
                "schedule": one.name,
                "tick": now,
                "workflow_id": one.id_of(earlier),
                "reason": reason,
            }
            events.clear()

        minutely = every_minute()
        await look(oban._query, minutely)
        await put_back(conn, 10)
        assert await minutely.run(now) == minutely.id_of(now)
        await fire(oban._query, minutely, now)
        _, (_, told) = events
        assert (told["workflow_id"], told["reason"]) == (minutely.id_of(now), "exists")

    async def test_that_somebody_runs_return_the_workflow_that_is_there(self, oban: Oban) -> None:
        now = datetime.now(UTC).replace(microsecond=0)

        @schedule("* * * * *", name="keyed")
        def keyed(tick: datetime) -> Workflow:
            return Workflow(unique="key").add("one", work())

        first = await keyed.run(now - timedelta(minutes=1))
        assert await keyed.run(now) == first == keyed.id_of(now - timedelta(minutes=1))
        assert {*await keyed.backfill(now - timedelta(hours=1), now)} == {first}


class TestMissedTicks:
    async def test_ticks_that_nobody_catches_up_are_reported_once(
        self, oban: Oban, events: Events, conn: AsyncConnection, caplog: pytest.LogCaptureFixture
    ) -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)

        for catch_up, fired in (("latest", 1), ("all", CATCH_UP_LIMIT)):
            minutely = every_minute(catch_up=catch_up)
            await look(oban._query, minutely)
            await conn.execute("UPDATE oban_workflow_schedules SET last_tick = '2026-11-01T12:00'")
            ticks = minutely.missed(datetime(2026, 11, 1, 12, tzinfo=UTC), now)
            await asyncio.gather(*(fire(oban._query, minutely, ticks[0]) for _ in range(4)))

            ((_, told),) = [one for one in events if one[0] == "oban.workflow.schedule_missed"]
            first, last = datetime(2026, 11, 1, 12, 1, tzinfo=UTC), ticks[0] - timedelta(minutes=1)
            count = (last - first) // timedelta(minutes=1) + 1
            assert told == {"schedule": "minutely", "count": count, "first": first, "last": last}
            assert len(ticks) == fired
            assert f"has missed {count} ticks, from {first}" in caplog.text
            events.clear()
            caplog.clear()

    async def test_are_told_where_none_fires(
        self, oban: Oban, events: Events, conn: AsyncConnection
    ) -> None:
        now = datetime.now(UTC)
        late = now - timedelta(minutes=90)

        @schedule(f"{late.minute} {late.hour} * * *", name="late", catch_up="none")
        def daily(tick: datetime) -> Workflow:
            return Workflow().add("one", work())

        await look(oban._query, daily)
        await put_back(conn, 24 * 60)
        await look(oban._query, daily)
        await look(oban._query, daily)

        tick = late.replace(second=0, microsecond=0)
        data = {"schedule": "late", "count": 1, "first": tick, "last": tick}
        assert events == [("oban.workflow.schedule_missed", data)]
        assert await stored_ids(conn) == []
        (stored,) = await session_of(oban._query).read(lambda store: store.schedules())
        assert stored.missed_tick == tick

    async def test_are_not_told_while_another_node_may_be_building(
        self, oban: Oban, events: Events, conn: AsyncConnection
    ) -> None:
        late = datetime.now(UTC) - timedelta(minutes=10)

        @schedule(f"{late.minute} {late.hour} * * *", name="late", catch_up="none")
        def daily(tick: datetime) -> Workflow:
            return Workflow().add("one", work())

        await look(oban._query, daily)
        await put_back(conn, 60)
        await look(oban._query, daily)
        assert events == []
        assert await fire(oban._query, daily, late.replace(second=0, microsecond=0))
        assert [name for name, _ in events] == ["oban.workflow.scheduled"]

    async def test_are_none_whose_function_raised_when_they_were_on_time(
        self, oban: Oban, events: Events, conn: AsyncConnection
    ) -> None:
        late = datetime.now(UTC) - timedelta(minutes=10)
        outage = [True]

        @schedule(f"{late.minute} {late.hour} * * *", name="late", catch_up="none")
        def daily(tick: datetime) -> Workflow:
            if outage:
                raise RuntimeError("not yet")

            return Workflow().add("one", work())

        await look(oban._query, daily)
        await put_back(conn, 60)
        assert not await fire(oban._query, daily, late.replace(second=0, microsecond=0))
        outage.clear()
        await look(oban._query, daily)
        assert [name for name, _ in events] == ["oban.workflow.scheduled"]


class TestFailures:
    async def test_are_tried_again_for_an_hour_and_then_told(
        self, oban: Oban, conn: AsyncConnection, events: Events
    ) -> None:
        calls: list[datetime] = []

        @schedule("* * * * *", name="failing")
        def failing(tick: datetime) -> Workflow:
            calls.append(tick)
            raise RuntimeError("no data yet")

        await look(oban._query, failing)
        await put_back(conn, 1)
        await look(oban._query, failing)
        await look(oban._query, failing)
        assert len(calls) == 2
        assert events == []

        await conn.execute(
            "UPDATE oban_workflow_schedules SET failing_since = failing_since - %s", [GIVE_UP_AFTER]
        )
        await look(oban._query, failing)
        ((name, data),) = events
        assert name == "oban.workflow.schedule_failed"
        assert "no data yet" in data["error"]
        assert await stored_ids(conn) == []

    async def test_that_are_over_leave_nothing_behind(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        outcomes: list[Exception | None] = [RuntimeError("once"), None]

        @schedule("* * * * *", name="flaky")
        def flaky(tick: datetime) -> Workflow:
            if (error := outcomes.pop(0)) is not None:
                raise error

            return Workflow().add("one", work())

        await look(oban._query, flaky)
        await put_back(conn, 1)
        await look(oban._query, flaky)
        await look(oban._query, flaky)
        cursor = await conn.execute("SELECT failing_since, error FROM oban_workflow_schedules")

        assert await cursor.fetchone() == (None, None)
        assert len(await stored_ids(conn)) == 1

    async def test_of_what_is_no_workflow_say_so(self) -> None:
        @schedule("@daily", name="wrong")
        def wrong(tick: datetime) -> Any:
            return "a workflow"

        with pytest.raises(InvalidScheduleError, match="must return a Workflow or None, got 'a w"):
            await make(wrong, datetime.now(UTC))

    def test_of_two_with_one_name_are_refused(self) -> None:
        every_minute()

        with pytest.raises(InvalidScheduleError, match="schedule 'minutely' is there already"):

            @schedule("@daily", name="minutely")
            def other(tick: datetime) -> None: ...


class TestSteering:
    async def test_what_is_missed_while_paused_is_gone(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        minutely = every_minute(catch_up="all")
        await look(oban._query, minutely)
        assert (
            await asyncio.to_thread(invoke, dsn, "schedules", "pause", "minutely")
        ).exit_code == 0
        await put_back(conn, 7)
        await look(oban._query, minutely)
        assert await stored_ids(conn) == []

        await asyncio.to_thread(invoke, dsn, "schedules", "resume", "minutely")
        await look(oban._query, minutely)
        assert len(await stored_ids(conn)) <= 1

    async def test_backfill_takes_its_start_and_leaves_its_end(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        @schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
        def nightly(tick: datetime) -> Workflow:
            return Workflow(name="nightly").add("one", work())

        ids = await nightly.backfill(date(2026, 11, 1), date(2026, 11, 4))
        again = await nightly.backfill(date(2026, 11, 1), datetime(2026, 11, 4, 2))

        assert ids == again == [f"nightly@2026-11-0{day}T00:00:00Z" for day in (1, 2, 3)]
        assert await stored_ids(conn) == ids

        with pytest.raises(InvalidScheduleError, match="begin before it ends"):
            await nightly.backfill(date(2026, 11, 4), date(2026, 11, 1))

    @pytest.mark.parametrize("overlap", ["allow", "skip", "queue", "replace"])
    async def test_a_tick_that_was_filled_in_ahead_does_not_run_twice(
        self, oban: Oban, conn: AsyncConnection, events: Events, overlap: Any
    ) -> None:
        @schedule("0 2 * * *", name="nightly", overlap=overlap)
        def nightly(tick: datetime) -> Workflow:
            return Workflow(name="nightly").add("one", work())

        tick = next(nightly.ticks(datetime.now(UTC)))
        await look(oban._query, nightly)
        ids = await nightly.backfill(tick.date(), tick.date() + timedelta(days=1))
        assert await nightly.run(tick) == nightly.id_of(tick)

        assert await fire(oban._query, nightly, tick)
        assert ids == await stored_ids(conn) == [nightly.id_of(tick)]
        assert (await Workflow(id=ids[0]).status()).total == 1
        _, told = events[-1]
        assert (told["workflow_id"], told["reason"]) == (ids[0], "exists")

    async def test_run_enqueues_a_workflow_at_once(self, oban: Oban, conn: AsyncConnection) -> None:
        id = await every_minute().run()

        assert await stored_ids(conn) == [id]
        assert (await Workflow(id=id).status()).total == 1

    def test_names_that_nobody_has_are_refused_with_the_closest(self) -> None:
        every_minute()

        with pytest.raises(UnknownNameError, match="did you mean 'minutely'"):
            schedules.find("minutly")


MODULE = """
from oban import worker, Worker
from oban_pro import Workflow
from oban_pro.schedules import schedule

async def load(context): ...

@schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
def nightly(tick):
    return Workflow(name="nightly").add_cascade("load", load)

@schedule("0 3 * * *", name="single")
def single(tick):
    return Workflow(id="first", name="single", unique=True).add_cascade("load", load)
"""


class TestCommands:
    def test_find_modules_in_the_current_directory(self, dsn: str, tmp_path: Path) -> None:
        (tmp_path / "shop_schedules.py").write_text(MODULE)
        (tmp_path / "workflows.toml").write_text('schedules = ["shop_schedules"]')
        run = partial(run_cli, cwd=tmp_path, dsn=dsn, command=SCRIPT)

        ran = run("schedules", "run", "nightly")
        assert ran.stdout.startswith("Enqueued nightly@"), ran.stderr
        assert run("check").stdout.startswith("All code is here: 3 paths")

        span = ("--from", "2026-11-01", "--to", "2026-11-03")
        apart = run("schedules", "backfill", "nightly", *span, PYTHONSAFEPATH="1")
        assert apart.stderr == "Error: No module named 'shop_schedules'\n"

    def test_list_run_and_backfill(
        self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "shop_schedules.py").write_text(MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("OBAN_WORKFLOWS_SCHEDULES", "shop_schedules")

        ran = invoke(dsn, "schedules", "run", "nightly")
        assert ran.stdout.startswith("Enqueued nightly@"), ran.output
        first = invoke(dsn, "schedules", "run", "single").stdout.split()[-1].rstrip(".")
        single = invoke(dsn, "schedules", "run", "single").stdout
        assert single == f"Enqueued nothing: {first} is there already.\n"
        assert invoke(dsn, "schedules").stdout == "No node has seen a schedule yet.\n"
        span = ("--from", "2026-11-01", "--to", "2026-11-03")
        filled = invoke(dsn, "schedules", "backfill", "nightly", *span)
        told = "nightly@2026-11-01T00:00:00Z to nightly@2026-11-02T00:00:00Z"
        assert filled.stdout == f"Enqueued 2 of 2 workflows: {told}.\n"
        again = invoke(dsn, "schedules", "backfill", "nightly", *span)
        assert again.stdout == "Enqueued 0 of 2 workflows.\n"

        async def see() -> None:
            async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
                await fire_schedules.fire_schedules(Oban(pool=pool)._query)

        asyncio.run(see())
        (listed, _) = json.loads(invoke(dsn, "schedules", "--json").stdout)
        assert (listed["name"], listed["timezone"]) == ("nightly", "Europe/Kyiv")
        assert listed["next_tick"].endswith("00:00:00+00:00")
        assert "0 2 * * *" in invoke(dsn, "schedules").stdout
        assert invoke(dsn, "schedules", "pause", "nightl").exit_code == 1
        sys.modules.pop("shop_schedules")
