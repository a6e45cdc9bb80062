"""Workflows that start by the clock: once for each tick, whoever fires it.

A schedule is a function that builds a workflow for a tick::

    from oban_pro import Workflow
    from oban_pro.schedules import schedule

    @schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
    def nightly(tick):
        return Workflow(name="nightly").add_cascade("load", load)

Nodes import the modules that the setting ``schedules`` lists, and fire what is due.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, get_args

from . import settings
from .building.planner import compile_plan
from .building.uniqueness import OnConflict, check_unique
from .engine.insertion import Batch, insert, tell_inserted
from .engine.session import session_for
from .errors import InvalidScheduleError, UnknownNameError
from .model.ticks import check_expression, check_zone, first_at, span_of, ticks
from .workflow import Workflow

if TYPE_CHECKING:
    from .engine.schedule_statements import StoredSchedule
    from .engine.session import Place
    from .engine.store import Store
    from .model.ticks import Span

__all__ = ["CATCH_UP_LIMIT", "Schedule", "schedule", "schedules"]

type CatchUp = Literal["latest", "none", "all"]
"""Which of the ticks fire that were missed while no node ran."""

type Overlap = Literal["allow", "skip", "queue", "replace"]
"""What happens to a tick while the workflow of an earlier one is open."""

type Build = Callable[[datetime], Workflow | Awaitable[Workflow | None] | None]

CATCH_UP_LIMIT = 1_000
"""How many missed ticks fire at most: the latest ones, oldest first."""

ON_TIME = timedelta(seconds=60)
"""How late a tick may be and not count as missed."""

_ON_CONFLICT: dict[Overlap, OnConflict] = {
    "skip": "existing",
    "queue": "queue",
    "replace": "replace",
}

_schedules: dict[str, Schedule] = {}


class Schedule:
    """A function that builds workflows, and the ticks at which nodes call it.

    `schedule` makes one; calling it calls the function.
    """

    def __init__(
        self,
        build: Build,
        expression: str,
        *,
        name: str,
        timezone: str,
        catch_up: CatchUp,
        overlap: Overlap,
    ) -> None:
        self.build = build
        self.expression = expression
        self.name = name
        self.timezone = timezone
        self.catch_up = catch_up
        self.overlap = overlap
        self._cron = check_expression(expression)
        self.zone = check_zone(timezone)

    def __call__(self, tick: datetime) -> Workflow | Awaitable[Workflow | None] | None:
        """Build the workflow of a tick, and enqueue nothing.

        Raises:
            InvalidScheduleError: If the schedule cannot fire what the function returns.
        """
        built = self.build(tick)

        return self._checked_later(built) if inspect.isawaitable(built) else self._checked(built)

    async def _checked_later(self, built: Awaitable[object]) -> Workflow | None:
        return self._checked(await built)

    def _checked(self, built: object) -> Workflow | None:
        """Return what the function built, if this schedule can fire it."""
        if built is not None and not isinstance(built, Workflow):
            raise InvalidScheduleError(
                f"schedule {self.name!r} must return a Workflow or None, got {built!r}"
            )

        if built is not None and built._unique is not None and self.overlap != "allow":
            raise InvalidScheduleError(
                f"schedule {self.name!r} must not return a unique workflow, because its overlap"
                f" {self.overlap!r} makes each of its workflows unique already"
            )

        return built

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """Yield the ticks after a moment, without end.

        An expression whose hour is a list, as in ``0 2 * * *``, means local times: one that does
        not exist, because the clock is put forward, comes at the next time that does; one that
        comes twice, because it is put back, comes once, the first time. An expression whose hour
        begins with ``*`` follows real time.

        Args:
            after: With a timezone.

        Yields:
            Moments in UTC.

        Example:
            >>> next(nightly.ticks(datetime.now(UTC)))
            datetime.datetime(2026, 11, 28, 0, 0, tzinfo=datetime.timezone.utc)
        """
        return ticks(self._cron, self.zone, after)

    def missed(self, after: datetime, now: datetime) -> list[datetime]:
        """Return the ticks to fire now, oldest first, as the schedule catches up.

        Args:
            after: The last tick that was dealt with.
            now: The present.

        Returns:
            Moments in UTC, at most 1,000. What ``catch_up`` leaves out is not among them.
        """
        due: list[datetime] = []

        for tick in self.ticks(after):
            if tick > now:
                break

            due.append(tick)

            if len(due) > CATCH_UP_LIMIT:
                del due[0]

        if self.catch_up == "all":
            return due

        latest = due[-1:]

        return latest if self.catch_up == "latest" else [t for t in latest if now - t <= ON_TIME]

    def span(self, after: datetime, until: datetime) -> Span | None:
        """Return the ticks after a moment and up to another one; None if there are none."""
        return span_of(takewhile(lambda tick: tick <= until, self.ticks(after)))

    def id_of(self, tick: datetime) -> str:
        """Return the id of the workflow of a tick: the name, ``@`` and the tick in UTC."""
        return f"{self.name}@{tick.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    async def run(self, tick: datetime | None = None, *, oban: str = "Oban") -> str | None:
        """Enqueue the workflow of a tick now, whether or not it is due.

        Args:
            tick: With a timezone; the present second by default.
            oban: The name of an Oban instance.

        Returns:
            The id of the workflow, which may exist already; of a unique workflow, that of the one
            that holds its key, if it is not enqueued for that; None if the function wants none.

        Raises:
            InvalidScheduleError: If the function returns no workflow, or one that is unique by
                itself although the ``overlap`` of the schedule is not ``"allow"``.
            oban_pro.UniqueConflictError: If the workflow is unique and refuses what happens.

        Example:
            >>> await nightly.run()
            'nightly@2026-11-28T09:30:00Z'
        """
        workflow = await enqueue_tick(self, tick or datetime.now(UTC), oban)

        return None if workflow is None else workflow.id

    async def backfill(
        self, start: datetime | date, end: datetime | date, *, oban: str = "Oban"
    ) -> list[str]:
        """Enqueue the workflows of all ticks of a span, beside each other.

        Ticks whose workflow exists are left as they are, so it can be called again.

        Args:
            start: The first moment that counts. A date, or a datetime without a timezone, is one in
                the zone of the schedule.
            end: The first moment that does not count.
            oban: The name of an Oban instance.

        Returns:
            The ids of the workflows, oldest first; of one that was not enqueued because another
            one holds its key, the id of that.

        Raises:
            InvalidScheduleError: If the span is none, or as `run` does.
            oban_pro.UniqueConflictError: As `run` does.

        Example:
            >>> await nightly.backfill(date(2026, 11, 1), date(2026, 11, 8))
        """
        return [workflow.id for workflow in await enqueue_span(self, start, end, oban)]

    def _span(self, start: datetime | date, end: datetime | date) -> Iterator[datetime]:
        """Yield the ticks of a span, its start included and its end not.

        Raises:
            InvalidScheduleError: If it ends before it begins.
        """
        first, beyond = self._moment(start), self._moment(end)

        if first >= beyond:
            raise InvalidScheduleError(f"backfill must begin before it ends, got {start} to {end}")

        return takewhile(lambda tick: tick < beyond, self.ticks(first - timedelta(microseconds=1)))

    def _moment(self, value: datetime | date) -> datetime:
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())

        return value if value.tzinfo else first_at(value, self.zone)


def schedule(
    expression: str,
    *,
    name: str,
    timezone: str = "UTC",
    catch_up: CatchUp = "latest",
    overlap: Overlap = "allow",
) -> Callable[[Build], Schedule]:
    """Let nodes enqueue the workflow that a function builds, once for each tick.

    The function gets the tick, in the zone of the schedule, and returns a workflow, or None for
    none. Its workflow gets the id ``<name>@<tick in UTC>``. A function that raises is tried again
    for an hour; then the tick is given up, and told by the event ``oban.workflow.schedule_failed``.

    Args:
        expression: Five fields, as in a crontab: minute, hour, day, month, weekday; or ``@hourly``,
            ``@daily``, ``@weekly``, ``@monthly``, ``@yearly``.
        name: Unique among schedules.
        timezone: Whose clock the expression means (default: UTC).
        catch_up: What happens to ticks that were missed while no node ran: the "latest" fires, or
            "all", the last 1,000 at most, or "none". What does not fire is logged, and told by the
            event ``oban.workflow.schedule_missed``. The first tick comes after the schedule was
            first seen, and what was missed while it was paused is gone.
        overlap: What happens while the workflow of an earlier tick is open: "allow" runs both,
            "skip" drops the tick, "queue" lets it wait, "replace" cancels the earlier one.

    Returns:
        A decorator; what it returns can be called as the function.

    Raises:
        InvalidScheduleError: If one of these cannot be used, or the name is taken.

    Example:
        >>> @schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
        ... def nightly(tick):
        ...     return Workflow(name="nightly").add_cascade("load", load)
    """
    _check_choice("catch_up", catch_up, get_args(CatchUp.__value__))
    _check_choice("overlap", overlap, get_args(Overlap.__value__))

    if not re.fullmatch(r"[^\s@]+", name):
        raise InvalidScheduleError(f"name must be a word without '@', got {name!r}")

    def register(build: Build) -> Schedule:
        made = Schedule(
            build,
            expression,
            name=name,
            timezone=timezone,
            catch_up=catch_up,
            overlap=overlap,
        )
        other = _schedules.get(name)

        # A module that is imported again brings the same function.
        if other is not None and _origin(other.build) != _origin(build):
            raise InvalidScheduleError(f"schedule {name!r} is there already: {other.build!r}")

        _schedules[name] = made

        return made

    return register


def schedules() -> dict[str, Schedule]:
    """Return all schedules by name, those of the modules in the setting ``schedules`` included.

    Raises:
        SettingsError: If the settings cannot be read.
        ImportError: If one of the modules cannot be imported.

    Example:
        >>> schedules()["nightly"].expression
        '0 2 * * *'
    """
    for module in settings.current().schedules or ():
        import_module(module)

    return dict(_schedules)


def find(name: str) -> Schedule:
    """Return a schedule by name.

    Raises:
        UnknownNameError: If there is none, with the closest name.
    """
    known = schedules()

    if name in known:
        return known[name]

    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""

    raise UnknownNameError(f"there is no schedule {name!r}{hint}")


def next_tick(stored: StoredSchedule) -> datetime | None:
    """Return the next tick of a schedule as the database knows it; None while it is paused."""
    if stored.paused_at is not None:
        return None

    made = Schedule(
        lambda _: None,
        stored.expression,
        name=stored.name,
        timezone=stored.timezone,
        catch_up="latest",
        overlap="allow",
    )

    return next(made.ticks(datetime.now(UTC)), None)


async def make(schedule: Schedule, tick: datetime) -> Workflow | None:
    """Build the workflow of a tick, with its id.

    Args:
        schedule: Its function gets the tick in the zone of the schedule.
        tick: A moment.

    Returns:
        The workflow, or None where the function wants none.

    Raises:
        InvalidScheduleError: If the function returns something else.
    """
    local = tick.astimezone(schedule.zone)
    built: Any = (
        schedule(local)
        if inspect.iscoroutinefunction(schedule.build)
        else await asyncio.to_thread(schedule, local)
    )
    workflow: Workflow | None = await built if inspect.isawaitable(built) else built

    if workflow is not None:
        workflow.id = schedule.id_of(tick)

    return workflow


def exclude(schedule: Schedule, workflow: Workflow) -> Workflow:
    """Let the workflow of a tick do what the schedule says while an earlier one is open."""
    if schedule.overlap == "allow":
        return workflow

    workflow._unique = check_unique(
        None,
        f"schedule {schedule.name}",
        unique_for=None,
        on_conflict=_ON_CONFLICT[schedule.overlap],
        max_queued=None,
    )

    return workflow


async def enqueue_tick(schedule: Schedule, tick: datetime, oban: Place) -> Workflow | None:
    """Enqueue the workflow of a tick; returns it, which tells whether it is a duplicate."""
    workflow = await make(schedule, tick.replace(microsecond=0))

    if workflow is None:
        return None

    batch = batch_of(workflow)

    async def write(store: Store) -> None:
        await insert(store, batch)

    await session_for(oban).transact(write, kind="enqueuer")
    tell_inserted(batch.plans)

    return workflow


async def enqueue_span(
    schedule: Schedule, start: datetime | date, end: datetime | date, oban: str
) -> list[Workflow]:
    """Enqueue the workflows of all ticks of a span; returns them, oldest first."""
    made = [await enqueue_tick(schedule, tick, oban) for tick in schedule._span(start, end)]

    return [workflow for workflow in made if workflow is not None]


def batch_of(workflow: Workflow) -> Batch:
    """Return what is inserted for a workflow, which learns whether another one is there instead."""
    plan = compile_plan(workflow._spec("workflow", workflow.id))
    plan.learn = workflow._learn

    return Batch(list(plan), [plan])


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise InvalidScheduleError(f"{name} must be one of {known}, got {value!r}")


def _origin(build: Build) -> tuple[object, object]:
    return getattr(build, "__module__", None), getattr(build, "__qualname__", build)
