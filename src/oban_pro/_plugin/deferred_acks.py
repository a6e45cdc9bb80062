"""Acks that could not settle their jobs yet: kept aside, so that their producers go on.

Somebody may hold a workflow for hours, and a statement may fail again and again. The acks that this
concerns wait here; housekeeping tries them again, over one connection for all.
"""

from __future__ import annotations

import time
from itertools import batched, islice
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psycopg.errors import LockNotAvailable

from oban_pro.engine.results import Execution
from oban_pro.model import meta

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oban import Job

    from oban_pro._host import AckAction, Query

type Settle = Callable[[Query, Sequence[AckAction], bool], Awaitable[object]]
"""Settles acks, and keeps those aside again that still cannot settle.

Called with whether to wait for a workflow that somebody holds, or to pass it over.
"""

MOST = 10_000
"""The most acks that an instance keeps. Beyond it, producers keep theirs and take no jobs."""

TOGETHER = 1_000
"""The most acks that one statement retries."""

PATIENT = 3
"""The most workflows that one call of `retry` waits for, each for a moment."""

MAX_PAUSE = 5.0
"""Seconds after which `retry` waits for a workflow again at the latest."""


class _Group:
    """Acks that wait for the same thing: those of a held workflow, or a single one."""

    def __init__(self) -> None:
        self.acks: dict[Execution, AckAction] = {}
        # the acks that a statement is trying now
        self.trying: dict[Execution, AckAction] = {}
        self.error: Exception | None = None
        self.tries = 0
        self.due = 0.0

    def __len__(self) -> int:
        return len(self.executions)

    @property
    def executions(self) -> set[Execution]:
        return self.acks.keys() | self.trying.keys()

    @property
    def is_held(self) -> bool:
        """Whether somebody held the workflow, or the job, when it was last tried."""
        return isinstance(self.error, LockNotAvailable)


_groups: WeakKeyDictionary[Query, dict[str | Execution, _Group]] = WeakKeyDictionary()


def keep(query: Query, ack: AckAction, error: Exception) -> None:
    """Keep an ack aside that could not settle its job, and try it again later.

    Args:
        query: Of the Oban instance that ran the job.
        ack: The ack.
        error: Why it could not settle the job.

    Raises:
        Exception: The given error, if too many acks are aside already. The producer keeps the ack.
    """
    groups = _groups.setdefault(query, {})
    execution = execution_of(ack.job)
    # An error of the database concerns this job alone, a lock its whole workflow.
    key = _key(ack) if isinstance(error, LockNotAvailable) else execution
    group = groups.setdefault(key, _Group())

    if execution not in group.executions and count(query) >= MOST:
        raise error

    group.acks[execution] = ack
    group.error = error


def count(query: Query) -> int:
    """Return how many acks are aside."""
    return sum(map(len, _groups.get(query, {}).values()))


def total() -> int:
    """Return how many acks of this process are aside; any thread may ask."""
    return sum(len(group) for groups in [*_groups.values()] for group in [*groups.values()])


def put_with_others(query: Query, acks: Sequence[AckAction]) -> list[AckAction]:
    """Put acks aside whose workflow was held a moment ago; returns all other acks.

    Each of them would wait as well, and occupy a connection while it waits.
    """
    if not (groups := _groups.get(query)):
        return [*acks]

    others = []

    for ack in acks:
        group = groups.get(_key(ack))

        if group is not None and group.error is not None and group.is_held:
            keep(query, ack, group.error)
        else:
            others.append(ack)

    return others


def held(query: Query) -> set[Execution]:
    """Return the executions whose acks are aside: they have ended, though they look executing."""
    return {one for group in _groups.get(query, {}).values() for one in group.executions}


async def retry(query: Query, settle: Settle, *, all_at_once: bool = False) -> None:
    """Retry the acks that are due: first all in one statement, then some workflows one by one.

    The first statement skips workflows that are locked. Under load it could skip the same one for
    ever, so `retry` waits for the locks of a few workflows afterwards. Of each workflow that is not
    due, one ack is tried as well. If it settles, the lock is gone, and the other acks of that
    workflow follow.

    Args:
        query: Of the Oban instance.
        settle: Settles acks.
        all_at_once: Whether to retry all acks, due or not.
    """
    groups = _groups.get(query, {})
    now = time.monotonic()
    due = {key: group for key, group in groups.items() if all_at_once or group.due <= now}

    if held := {key: one for key, one in groups.items() if key not in due and one.is_held}:
        await _try(query, settle, [*held.values()], waits=False, most=1)
        due |= {key: group for key, group in held.items() if not group.is_held}

    if not due:
        return

    await _try(query, settle, [*due.values()], waits=False)
    stuck = sorted((one for one in due.values() if one.acks), key=lambda one: one.tries)

    for group in stuck[:PATIENT]:
        await _try(query, settle, [group], waits=True)

    for key, group in due.items():
        if not group.acks:
            groups.pop(key, None)
        elif group.error is not None:
            group.tries += 1
            group.due = time.monotonic() + min(0.05 * 2**group.tries, MAX_PAUSE)


async def _try(
    query: Query, settle: Settle, some: Sequence[_Group], *, waits: bool, most: int | None = None
) -> None:
    """Try the acks of some groups, at most `most` of each; keep those that cannot settle."""
    for group in some:
        group.trying = dict(islice(group.acks.items(), most))
        group.acks = dict(islice(group.acks.items(), len(group.trying), None))
        group.error = None

    try:
        for acks in batched((ack for one in some for ack in one.trying.values()), TOGETHER):
            await settle(query, acks, waits)
    except BaseException as error:
        for group in some:
            group.acks = group.trying | group.acks
            group.error = error if isinstance(error, Exception) else group.error

        raise
    finally:
        for group in some:
            group.trying = {}


def execution_of(job: Job) -> Execution:
    """Return the identity of an execution: the job, and when it was attempted."""
    assert job.id is not None
    assert job.attempted_at is not None

    return Execution(job.id, job.attempted_at)


def _key(ack: AckAction) -> str | Execution:
    return meta.workflow_id(ack.job) or execution_of(ack.job)
