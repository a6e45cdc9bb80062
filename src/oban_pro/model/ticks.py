"""Computing the times of a cron expression, on the clock of a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from oban_pro.errors import InvalidScheduleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_MINUTES = 2 * 24 * 60
"""The largest jump by which any clock was ever put forward."""

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Ticks that follow each other.

    Args:
        first: In UTC.
        last: In UTC.
        count: How many they are.
    """

    first: datetime
    last: datetime
    count: int


def span_of(moments: Iterable[datetime]) -> Span | None:
    """Return the span of ticks, oldest first; None if there are none."""
    first = last = None
    count = 0

    for count, last in enumerate(moments, 1):  # noqa: B007
        first = first or last

    return None if first is None or last is None else Span(first, last, count)


def ticks(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the ticks of an expression after a moment, in UTC, without end.

    An expression whose hour is a list means times on the wall clock; any other follows real time.

    Args:
        cron: Five fields, as `check_expression` returns them.
        zone: Whose clock the expression means.
        after: With a timezone.
    """
    start = after.astimezone(zone)

    if cron.split()[1].startswith("*"):
        for tick in CronSim(cron, start):
            yield tick.astimezone(UTC)

        return

    last = after

    for local in CronSim(cron, start.replace(tzinfo=None)):
        tick = first_at(local, zone)

        # Several local times that do not exist fall on the same moment.
        if tick > last:
            yield tick
            last = tick


def first_at(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment at which a clock shows a time, or the next time that exists.

    Args:
        local: Without a timezone.
        zone: Of the clock.
    """
    for _ in range(MOST_MINUTES):
        moment = local.replace(tzinfo=zone).astimezone(UTC)

        if moment.astimezone(zone).replace(tzinfo=None) == local:
            return moment

        local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)

    raise InvalidScheduleError(f"no clock in {zone} shows {local}")


def check_zone(name: str) -> ZoneInfo:
    """Return a zone by name.

    Raises:
        InvalidScheduleError: If there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise InvalidScheduleError(
            f"timezone must be one like 'Europe/Kyiv', got {name!r}"
        ) from error


def check_expression(given: str) -> str:
    """Return the five fields of an expression.

    Raises:
        InvalidScheduleError: If it cannot be read, or never comes.
    """
    try:
        cron = ALIASES.get(given, given)

        if len(cron.split()) != 5:
            raise CronSimError("it must have five fields")

        next(islice(CronSim(cron, datetime(2000, 1, 1)), 1))
    except (AttributeError, CronSimError, TypeError, StopIteration) as error:
        reason = str(error) or "it never comes"
        raise InvalidScheduleError(f"expression {given!r} cannot be used: {reason}") from error

    return cron
