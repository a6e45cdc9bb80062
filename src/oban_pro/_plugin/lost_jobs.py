"""Jobs that the database shows as executing although no producer runs them.

A connection was lost during a fetch or an ack. No heartbeat is missed, because the producer is
alive. Only the producer knows which jobs it runs, so it compares them with the database.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from itertools import batched
from random import sample
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psycopg import DatabaseError
from psycopg.errors import LockNotAvailable

from oban_pro import _host, schema, telemetry
from oban_pro.engine.failures import is_unreachable
from oban_pro.engine.results import Execution, Lost
from oban_pro.engine.session import session_of

from . import deferred_acks, housekeeping
from .deferred_acks import execution_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oban import Job

    from oban_pro._host import Producer, Query

logger = logging.getLogger(__name__)

TOGETHER = 100
"""The most executions that one statement takes back."""

PATIENT = 10
"""The most jobs that one call of `take_back` waits for, each for a moment."""

ON_THEIR_WAY = 10.0
"""Seconds after which a job that was handed to a producer counts as begun."""

MOST = 100_000
"""The most jobs that are remembered for each producer. Looking for lost jobs forgets most."""

# How many statements are taking jobs for each producer now.
_producers: WeakKeyDictionary[Producer, Counter[str]] = WeakKeyDictionary()
# The executions that each producer was handed, and when on the monotonic clock.
_handed: WeakKeyDictionary[Producer, dict[Execution, float]] = WeakKeyDictionary()


@contextmanager
def taking(producer: Producer) -> Iterator[None]:
    """Mark a producer as fetching: jobs that the fetch has yet to return are not lost."""
    calls = _producers.setdefault(producer, Counter())
    calls["taking"] += 1

    try:
        yield
    finally:
        calls["taking"] -= 1


def hand(producer: Producer, jobs: Iterable[Job]) -> None:
    """Note the jobs that a producer is handed, and starts."""
    now = time.monotonic()
    handed = _handed.setdefault(producer, {})
    # A hook of somebody else may return anything.
    handed.update((execution_of(job), now) for job in jobs if job.id and job.attempted_at)

    while len(handed) > MOST:
        del handed[next(iter(handed))]


def has_begun(producer: Producer, execution: Execution) -> bool:
    """Tell whether a producer was handed an execution, so that it has begun."""
    return execution in _handed.get(producer, {})


def producers_of(query: Query) -> list[Producer]:
    """Return the producers of an Oban instance that have taken jobs, and are still there."""
    return [one for one in _producers if _host.query_of(one) is query]


def is_taken(query: Query, job: Job) -> bool:
    """Tell whether a producer of an Oban instance took a job, rather than some other program."""
    uuids = {_host.attempted_by(one)[1] for one in producers_of(query)}

    return not uuids.isdisjoint(job.attempted_by or ())


def wake_producers(query: Query) -> None:
    """Wake producers whose acks failed: oban retries an ack only when its producer wakes up."""
    for producer in producers_of(query):
        if _host.pending_acks(producer):
            producer.notify()


async def requeue(query: Query) -> int:
    """Compare what producers run with what the database shows, and correct both.

    Jobs that were taken for a producer but are not with it become available again. If the producer
    was never handed them, the attempt does not count. Executions that a producer no longer has have
    ended. A job that still runs although somebody stopped it, or although another node has it, is
    told that it was cancelled.

    Args:
        query: Of the Oban instance whose producers are compared.

    Returns:
        How many jobs became available again.
    """
    producers = {
        _host.attempted_by(producer)[1]: producer
        for producer in producers_of(query)
        if not _producers[producer]["taking"]
    }

    if not producers:
        return 0

    running = {
        execution_of(job): job
        for producer in producers.values()
        for job in _host.running_jobs(producer)
    }
    held = _held(query, producers.values())
    known = await session_of(query).execute(lambda store: store.taken([*producers]))
    # A job may have come or gone during the query.
    held |= _held(query, producers.values())

    for execution in running.keys() - {taken.execution for taken in known if not taken.stopped}:
        _host.tell_cancelled(running[execution])

    missing = [taken for taken in known if not taken.recent and taken.execution not in held]
    lost = []

    for taken in missing:
        producer = producers[taken.producer]

        if _producers[producer]["taking"] or _host.is_stopping(producer):
            # A producer that waited long for a connection may be taking the job right now. A
            # job that a stopping producer has cancelled may go on in a thread: see `shutdown`.
            continue

        began = has_begun(producer, taken.execution)
        reason = f"node {_host.attempted_by(producer)[0]} lost track of the job" if began else None
        lost.append(Lost(*taken.execution, reason))

    for producer in producers.values():
        _forget(producer, held | {taken.execution for taken in known})

    return await take_back(query, lost)


async def take_back_one_by_one(query: Query, lost: Sequence[Lost]) -> list[int]:
    """Take executions back, one by one if one fails them all; returns the jobs that stay."""
    _, passed = await _take_back(query, lost, waits=False)

    return passed


async def take_back(query: Query, lost: Sequence[Lost]) -> int:
    """Take executions back that nobody runs any more.

    Jobs that somebody has locked are skipped at first. Under load the same job could be skipped for
    ever, so some locks are waited for afterwards.

    Args:
        query: Of an Oban instance.
        lost: The executions.

    Returns:
        How many jobs became available or were discarded.
    """
    async with housekeeping.mending(query):
        taken_back = 0
        held: set[int] = set()

        for some in batched(lost, TOGETHER):
            count, passed = await _take_back(query, some, waits=False)
            taken_back += count
            held.update(passed)

        passed_over = [one for one in lost if one.id in held]

        for one in sample(passed_over, min(PATIENT, len(passed_over))):
            count, _ = await _take_back(query, [one], waits=True)
            taken_back += count

        if taken_back:
            telemetry.execute("oban.workflow.rescued", {"count": taken_back})

        return taken_back


async def _take_back(query: Query, some: Sequence[Lost], *, waits: bool) -> tuple[int, list[int]]:
    """Take executions back; in halves if one of them fails the statement."""
    try:
        return await session_of(query).execute(
            lambda store: store.requeue_lost(some, waits=waits), seconds=0
        )
    except DatabaseError as error:
        if is_unreachable(error) or isinstance(error, schema.MISSING):
            raise

        if len(some) == 1:
            if not isinstance(error, LockNotAvailable):
                logger.warning("Failed to take job %s back", some[0].id, exc_info=True)

            return 0, [some[0].id]

    half = len(some) // 2
    first, passed = await _take_back(query, some[:half], waits=waits)
    second, others = await _take_back(query, some[half:], waits=waits)

    return first + second, passed + others


def _held(query: Query, producers: Iterable[Producer]) -> set[Execution]:
    """Return the executions that producers have, and those whose acks are kept aside."""
    jobs = {execution_of(job) for producer in producers for job in _host.held_jobs(producer)}

    return jobs | deferred_acks.held(query)


def _forget(producer: Producer, executions: set[Execution]) -> None:
    """Forget the executions of a producer, except those that go on or were handed just now."""
    begun = time.monotonic() - ON_THEIR_WAY
    handed = _handed.get(producer, {})

    for execution in [one for one, at in handed.items() if at < begun and one not in executions]:
        del handed[execution]
