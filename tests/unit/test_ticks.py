"""When ticks come, through both changes of the clock."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from oban_pro import Workflow
from oban_pro.errors import InvalidScheduleError
from oban_pro.model.ticks import check_expression, ticks
from oban_pro.schedules import CATCH_UP_LIMIT, CatchUp, Schedule, schedule

KYIV = ZoneInfo("Europe/Kyiv")


def year(expression: str, zone: ZoneInfo = KYIV) -> list[datetime]:
    """Return all ticks of 2026, in UTC."""
    first = datetime(2026, 1, 1, tzinfo=zone)
    last = datetime(2027, 1, 1, tzinfo=zone)
    cron = check_expression(expression)

    return [*takewhile(lambda tick: tick < last, ticks(cron, zone, first - timedelta(seconds=1)))]


def local(found: list[datetime], day: date) -> list[str]:
    times = [tick.astimezone(KYIV) for tick in found]

    return [f"{time:%H:%M %z}" for time in times if time.date() == day]


FORWARD = date(2026, 3, 29)  # 03:00 becomes 04:00
BACK = date(2026, 10, 25)  # 04:00 becomes 03:00


class TestYears:
    @pytest.mark.parametrize("expression", ["0 2 * * *", "30 3 * * *", "0 0 * * *", "@daily"])
    def test_of_a_daily_schedule_have_each_day_once(self, expression: str) -> None:
        days = [tick.astimezone(KYIV).date() for tick in year(expression)]

        assert days == [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]

    def test_of_an_hourly_schedule_have_each_hour_of_real_time(self) -> None:
        found = year("0 * * * *")

        assert len(found) == 365 * 24
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


class TestChanges:
    def test_bring_a_time_that_does_not_exist_at_the_next_that_does(self) -> None:
        assert local(year("30 3 * * *"), FORWARD) == ["04:00 +0300"]

    def test_bring_several_that_do_not_exist_once(self) -> None:
        assert local(year("*/10 3 * * *"), FORWARD) == ["04:00 +0300"]

    def test_bring_a_doubled_time_once_at_the_first(self) -> None:
        assert local(year("30 3 * * *"), BACK) == ["03:30 +0300"]
        assert local(year("*/30 3 * * *"), BACK) == ["03:00 +0300", "03:30 +0300"]

    def test_leave_what_follows_real_time_alone(self) -> None:
        assert len(local(year("30 * * * *"), FORWARD)) == 23
        assert len(local(year("30 * * * *"), BACK)) == 25

    def test_of_an_hour_with_ticks_before_and_after_the_gap_stay_in_order(self) -> None:
        found = year("0 2,3,4 * * *")

        assert local(found, FORWARD) == ["02:00 +0200", "04:00 +0300"]
        assert found == sorted(set(found))

    def test_are_passed_from_any_moment_without_a_tick_twice(self) -> None:
        cron = check_expression("30 3 * * *")
        whole = [tick for tick in year("30 3 * * *") if tick.month == 10]
        moment = datetime(2026, 9, 30, 22, tzinfo=UTC)
        stepped = []

        while moment < datetime(2026, 10, 31, 12, tzinfo=UTC):
            coming = next(ticks(cron, KYIV, moment))

            if coming - moment <= timedelta(minutes=20):
                stepped.append(coming)

            moment += timedelta(minutes=20)

        assert stepped == whole


def make(catch_up: CatchUp) -> Schedule:
    return Schedule(
        lambda _: None,
        "0 * * * *",
        name="hourly",
        timezone="UTC",
        catch_up=catch_up,
        overlap="allow",
    )


class TestCatchingUp:
    NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def test_fires_the_latest_by_default(self) -> None:
        missed = make("latest").missed(self.NOON - timedelta(hours=5), self.NOON)

        assert missed == [self.NOON]

    def test_fires_all_oldest_first_up_to_a_bound(self) -> None:
        missed = make("all").missed(self.NOON - timedelta(hours=3), self.NOON)
        assert missed == [self.NOON - timedelta(hours=n) for n in (2, 1, 0)]

        many = make("all").missed(self.NOON - timedelta(days=90), self.NOON)
        assert len(many) == CATCH_UP_LIMIT
        assert many == sorted(many)
        assert many[-1] == self.NOON

    def test_fires_none_but_what_is_on_time(self) -> None:
        nothing = make("none")

        assert nothing.missed(self.NOON - timedelta(hours=5), self.NOON) == [self.NOON]
        late = self.NOON + timedelta(minutes=5)
        assert nothing.missed(self.NOON - timedelta(hours=5), late) == []


class TestOptions:
    @pytest.mark.parametrize(
        "expression",
        ["", "x", "* * * *", "0 0 0 * * *", "61 * * * *", "0 0 31 2 *", "@reboot", None],
    )
    def test_that_are_no_expression_are_refused(self, expression: str) -> None:
        with pytest.raises(InvalidScheduleError, match="cannot be used"):
            schedule(expression, name="x")(lambda tick: Workflow())

    def test_that_are_no_choice_are_refused_by_name(self) -> None:
        with pytest.raises(InvalidScheduleError, match="catch_up must be one of 'latest'"):
            schedule("@daily", name="x", catch_up="some")  # type: ignore[arg-type]

        with pytest.raises(InvalidScheduleError, match="overlap must be one of 'allow'"):
            schedule("@daily", name="x", overlap="wait")  # type: ignore[arg-type]

        with pytest.raises(InvalidScheduleError, match="timezone must be one like"):
            schedule("@daily", name="x", timezone="Europe/Atlantis")(lambda tick: None)

        with pytest.raises(InvalidScheduleError, match="name must be a word"):
            schedule("@daily", name="a@b")

    def test_name_a_workflow_after_its_tick(self) -> None:
        tick = datetime(2026, 11, 28, 2, tzinfo=KYIV)

        assert make("latest").id_of(tick) == "hourly@2026-11-28T00:00:00Z"
