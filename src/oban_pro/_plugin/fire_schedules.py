"""Firing the ticks of schedules that are due. Every node looks when its stager ticks.

One transaction moves a schedule on to a tick and inserts the workflow, so each tick fires once. The
function that builds the workflow is called before, outside of any transaction. Two nodes may call
it for one tick; one of them inserts the result.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from oban_pro import _host, telemetry
from oban_pro.engine.insertion import insert, tell_inserted
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidScheduleError
from oban_pro.schedules import Schedule, batch_of, exclude, make, schedules

if TYPE_CHECKING:
    from oban_pro._host import Query
    from oban_pro.engine.insertion import Batch
    from oban_pro.engine.schedule_statements import Standing
    from oban_pro.engine.store import Store
    from oban_pro.workflow import Workflow

logger = logging.getLogger(__name__)

LOOK_EVERY = 30.0
"""Seconds between two looks at a schedule that is not due: somebody may have resumed it."""

RETRY_AFTER = 10.0
"""Seconds until a function that raised is called again for the same tick."""

GIVE_UP_AFTER = timedelta(hours=1)
"""How long a function is called again for one tick."""

EARLIER = timedelta(microseconds=1)
"""The least that one moment is before another."""


# The next look at each schedule by its name, on the monotonic clock.
_due: WeakKeyDictionary[Query, dict[str, float]] = WeakKeyDictionary()


async def fire_schedules(query: Query) -> None:
    """Fire what is due; an Oban instance that runs no queues fires too."""
    session = session_of(query)
    known = schedules()

    if not known or not await session.is_installed():
        return

    due = _due.setdefault(query, {})

    for name, schedule in known.items():
        if time.monotonic() >= due.get(name, 0.0):
            due[name] = time.monotonic() + await look(query, schedule)


async def look(query: Query, schedule: Schedule) -> float:
    """Fire the due ticks of one schedule; returns the seconds until the next look at it."""
    standing = await session_of(query).execute(lambda store: _see(store, schedule))

    if standing.is_paused:
        return LOOK_EVERY

    due = schedule.missed(standing.last_tick, standing.now)
    late = None if due else schedule.span(standing.last_tick, standing.now)

    # One that was on time when its function raised for the first time is not missed.
    if late is not None and standing.failing_since is not None:
        due = [late.last]

    for tick in due:
        if not await fire(query, schedule, tick):
            return RETRY_AFTER

    # Before, another node may still be calling the function.
    if late is not None and not due and standing.now - late.last > GIVE_UP_AFTER:
        await _leave_out(query, schedule, late.last)

    coming = next(schedule.ticks(standing.now), None)

    if coming is None:
        return LOOK_EVERY

    return min(LOOK_EVERY, max(0.0, (coming - standing.now).total_seconds()))


async def _see(store: Store, schedule: Schedule) -> Standing:
    return await store.see_schedule(
        name=schedule.name,
        expression=schedule.expression,
        timezone=schedule.timezone,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
    )


async def fire(query: Query, schedule: Schedule, tick: datetime) -> bool:
    """Enqueue the workflow of a tick, unless somebody else does.

    Returns:
        Whether the tick is done: fired by this node or another one, or given up.
    """
    try:
        workflow = await make(schedule, tick)
        batch = None if workflow is None else batch_of(exclude(schedule, workflow))
        before = await session_of(query).transact(
            lambda store: _insert(store, schedule, tick, batch), kind="enqueuer"
        )
    except Exception as error:
        return await _failed(query, schedule, tick, error)

    if before is None:
        return True

    _tell_missed(schedule, before, tick - EARLIER)

    if workflow is not None and batch is not None:
        tell_inserted(batch.plans)

        if workflow.is_duplicate:
            _tell_skipped(schedule, tick, workflow)
        else:
            _tell("scheduled", schedule, tick, workflow_id=workflow.id)

    return True


async def _insert(
    store: Store, schedule: Schedule, tick: datetime, batch: Batch | None
) -> datetime | None:
    """Claim a tick and insert its workflow; returns the last tick before, None if it was taken."""
    before = await store.claim_tick(schedule.name, tick)

    if before is not None and batch is not None:
        await insert(store, batch)

    return before


async def _leave_out(
    query: Query, schedule: Schedule, tick: datetime, error: str | None = None
) -> bool:
    """Move a schedule on to a tick that does not fire; returns whether nobody else had."""
    before = await session_of(query).execute(
        lambda store: store.claim_tick(schedule.name, tick, missed=True, error=error)
    )

    if before is not None:
        _tell_missed(schedule, before, tick if error is None else tick - EARLIER)

    return before is not None


async def _failed(query: Query, schedule: Schedule, tick: datetime, error: Exception) -> bool:
    """Note that a tick failed. After an hour it is given up; returns whether it was."""
    text = _host.describe(error)
    session = session_of(query)
    seconds = await session.execute(lambda store: store.fail_tick(schedule.name, tick, text))
    logger.warning("Schedule %s failed for %s", schedule.name, tick, exc_info=error)

    # An error in the schedule itself does not pass.
    if seconds < GIVE_UP_AFTER.total_seconds() and not isinstance(error, InvalidScheduleError):
        return False

    if await _leave_out(query, schedule, tick, text):
        _tell("schedule_failed", schedule, tick, error=text)

    return True


def _tell_missed(schedule: Schedule, after: datetime, until: datetime) -> None:
    """Tell which ticks a schedule has left out: those after a moment, and up to another one."""
    span = schedule.span(after, until)

    if span is None:
        return

    logger.warning(
        "Schedule %s has missed %s, from %s to %s, and does not catch up on them",
        *(schedule.name, "1 tick" if span.count == 1 else f"{span.count} ticks"),
        *(span.first, span.last),
    )
    metadata = {"schedule": schedule.name, **asdict(span)}
    telemetry.execute("oban.workflow.schedule_missed", metadata)


def _tell_skipped(schedule: Schedule, tick: datetime, there: Workflow) -> None:
    """Tell that a tick enqueued nothing, because another workflow is there."""
    if there.id == schedule.id_of(tick):
        reason = "exists"
    else:
        reason = "unique" if schedule.overlap == "allow" else "overlap"

    logger.info(
        "Schedule %s enqueues nothing for %s (%s): %s is there",
        *(schedule.name, tick, reason, there.id),
    )
    _tell("schedule_skipped", schedule, tick, workflow_id=there.id, reason=reason)


def _tell(event: str, schedule: Schedule, tick: datetime, **metadata: object) -> None:
    telemetry.execute(
        f"oban.workflow.{event}",
        {"schedule": schedule.name, "tick": tick.astimezone(UTC), **metadata},
    )
