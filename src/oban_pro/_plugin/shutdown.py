"""Give back the jobs that a stopping producer leaves, so that they run elsewhere at once.

oban waits for the grace period, cancels the tasks of jobs that still run, and forgets the jobs:
they would stay executing until their node counts as dead. A cancelled task has usually ended by
then, but a thread goes on. So which jobs are given back, and when, depends on whether the process
ends.

- The process of `oban start` ends by itself: its last statement gives all jobs back.
- Any other program goes on. Jobs that still run there are left alone, and start again elsewhere
  once the node counts as dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from psycopg import Error

from oban_pro import _host, schema
from oban_pro.engine import calling, repeating, role_settings, session
from oban_pro.engine.failures import is_unreachable
from oban_pro.engine.results import Lost

from . import deferred_acks, lost_jobs, patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from psycopg import AsyncConnection

    from oban_pro._host import Producer, Query
    from oban_pro.engine.store import Store

logger = logging.getLogger(__name__)

CLEAN_UP = 2.0
"""Seconds within which cancelled jobs must clean up."""

POLL = 0.01
"""Seconds between two checks whether they are done, and between two attempts to give back."""

LIMIT = 5.0
"""Seconds that giving back may take."""

BUSY = 0.3
"""Seconds after which a locked workflow counts as held by somebody, not as busy with acks."""


class Left(Enum):
    """The jobs that stopping producers leave."""

    NOTHING = auto()
    SOME = auto()
    UNKNOWN = auto()
    """The database could not be asked: it runs again once the node counts as dead."""


async def let_jobs_end(producer: Producer) -> None:
    """Let the jobs that a producer has cancelled clean up, and settle those that end with a result.

    An exception of a cancelled job comes from the cancellation: the job is given back.
    """
    query = _host.query_of(producer)
    end = time.monotonic() + min(CLEAN_UP, patience.of(query) / 10)

    while _host.running_jobs(producer) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(POLL)

    acks = _host.pending_acks(producer)

    if late := [ack for ack in acks if ack.state not in ("retryable", "discarded")]:
        try:
            await query.ack_jobs(late)
        except Exception:
            logger.warning("Failed to settle %d jobs that ended late", len(late), exc_info=True)


async def give_back(
    query: Query, producers: Sequence[Producer], *, ends: bool, seconds: float = LIMIT
) -> Left:
    """Give back the jobs that producers leave, in one statement. Failures are logged.

    Args:
        query: Of their Oban instance.
        producers: Producers that were told to stop.
        ends: Whether the process ends right afterwards, and all of its jobs with it.
        seconds: How long to try.

    Returns:
        What they leave; given back, unless it goes on, is held or is unknown.
    """
    if not producers:
        return Left.NOTHING

    try:
        async with asyncio.timeout(seconds):
            return await _reach(query, producers, ends=ends)
    except (Error, OSError, TimeoutError) as error:
        logger.warning(
            "Failed to give back what was running; it runs again once this node counts as dead: %s",
            str(error) or "the database does not answer",
        )

        return Left.UNKNOWN


async def _reach(query: Query, producers: Sequence[Producer], *, ends: bool) -> Left:
    while True:
        try:
            async with (
                _connection(query, ends=ends) as conn,
                _host.autocommit(conn),
                role_settings.in_utf8(conn),
            ):
                if not await schema.is_installed(conn, query):
                    return Left.NOTHING

                return await _give_back(query, conn, producers, ends=ends)
        except Error as error:
            if not ends or not is_unreachable(error):
                raise

            logger.debug("Failed to give jobs back, trying again: %s", error)

        await asyncio.sleep(POLL)


@asynccontextmanager
async def _connection(query: Query, *, ends: bool) -> AsyncIterator[AsyncConnection[Any]]:
    """Take a connection; if the process ends, a new one, as jobs may have used up the pool."""
    if not ends:
        async with session.connection(query) as conn:
            yield conn

        return

    async with await _host.open_beside_pool(query, LIMIT) as conn:
        yield conn


async def _give_back(
    query: Query, conn: AsyncConnection[Any], producers: Sequence[Producer], *, ends: bool
) -> Left:
    store = session.session_of(query).on(conn)
    by_uuid = {_host.attempted_by(one)[1]: one for one in producers}
    known = await store.taken([*by_uuid])
    going_on: set[Any] = set() if ends else _going_on(query, producers)
    lost = [
        Lost(*one.execution, _reason(by_uuid[one.producer], one.execution))
        for one in known
        if one.execution not in going_on
    ]

    if staying := [one.id for one in known if one.execution in going_on]:
        logger.warning(
            "Jobs %s go on although their node has stopped; they run again elsewhere once it counts"
            " as dead, so end this process before",
            staying,
        )

    if not lost:
        return Left.SOME if known else Left.NOTHING

    logger.info("Giving jobs back that have not settled: %s", [one.id for one in lost])

    try:
        held = await _in_one_statement(conn, store, lost)
    except Error as error:
        if is_unreachable(error):
            raise

        held = await lost_jobs.take_back_one_by_one(query, lost)

    if held:
        logger.warning("Left jobs %s, which somebody holds, until this node counts as dead", held)

    return Left.SOME


def _going_on(query: Query, producers: Sequence[Producer]) -> set[Any]:
    running = {
        deferred_acks.execution_of(job) for one in producers for job in _host.running_jobs(one)
    }

    return running | calling.executions_in_threads() | deferred_acks.held(query)


def _reason(producer: Producer, execution: Any) -> str | None:
    """Say why an execution is given back; None if it never began, as its attempt does not count."""
    if not lost_jobs.has_begun(producer, execution):
        return None

    return f"node {_host.attempted_by(producer)[0]} was shut down before the job had settled"


async def _in_one_statement(
    conn: AsyncConnection[Any], store: Store, lost: Sequence[Lost]
) -> list[int]:
    """Give executions back in one transaction; returns the jobs that somebody holds.

    At any moment acks lock many workflows, each briefly. All jobs must be given back together, so
    an attempt that skipped a locked one is rolled back. Jobs that every attempt skipped are held by
    somebody else.
    """
    began = time.monotonic()
    always: set[int] | None = None

    while True:
        try:
            async with role_settings.transaction(conn):
                _, held = await store.requeue_lost(lost, waits=False)
                always = {*held} if always is None else always & {*held}
                waited = time.monotonic() - began

                if not held or (waited > BUSY and always == {*held}) or waited > 3 * BUSY:
                    break

                await role_settings.end(conn)
        except repeating.CONFLICTS:
            if time.monotonic() - began > 3 * BUSY:
                raise

        await asyncio.sleep(POLL)

    return held
