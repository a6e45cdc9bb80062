"""Transactions of our own, and of callers that bring their connection."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg import Error
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure
from psycopg.pq import TransactionStatus

from . import _host
from .store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from psycopg import AsyncConnection

    from ._host import Query

CONFLICTS = (DeadlockDetected, LockNotAvailable, SerializationFailure)
# An ack gives up waiting for a job after 25 ms, so that it is never in the way of a user for long.
# With the pauses between, these last for about ten seconds.
ATTEMPTS = 80
MAX_PAUSE = 0.2


async def unwrap(conn: Any) -> AsyncConnection[Any] | None:
    """Return the psycopg connection behind what was passed as ``conn=``; None for None.

    Raises:
        TypeError: If there is none behind it.
    """
    if conn is None:
        return None

    if (caller := await _host.connection_of(conn)) is None:
        raise TypeError(f"conn must lead to a psycopg connection, got {conn!r}")

    return caller


@asynccontextmanager
async def transaction(
    query: Query, caller: AsyncConnection[Any] | None
) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a transaction of our own, or go on in the caller's: all of it is done, or nothing."""
    if caller is None:
        async with query.connection() as conn, conn.transaction():
            yield conn
    elif caller.autocommit or caller.info.transaction_status != TransactionStatus.IDLE:
        async with caller.transaction():
            yield caller
    else:
        try:
            yield caller
        except BaseException:
            # There is nothing in it but ours. Inside a block of the caller's, the block does it.
            with suppress(Error):
                await caller.rollback()

            raise


async def run[Result](
    query: Query,
    body: Callable[[Store], Awaitable[Result]],
    caller: AsyncConnection[Any] | None = None,
) -> Result:
    """Run statements in a transaction, and again where it conflicts with another.

    A conflict in the caller's transaction is the caller's to deal with.

    Args:
        query: Of the Oban instance whose schema is meant.
        body: Called with the statements; all of it may be repeated.
        caller: A connection to use instead of one from the pool.
    """

    async def attempt() -> Result:
        async with transaction(query, caller) as conn:
            return await body(Store(conn, _host.prefix_of(query)))

    return await attempt() if caller is not None else await repeat(attempt)


async def run_single[Result](query: Query, body: Callable[[Store], Awaitable[Result]]) -> Result:
    """Run one statement, which commits by itself, and again where it conflicts with another.

    It spares the way to the server and back that a transaction takes to begin, and to commit.

    Args:
        query: Of the Oban instance whose schema is meant.
        body: Called with the statements, of which it may call one; may be repeated.
    """

    async def attempt() -> Result:
        async with query.connection() as conn, _host.autocommit(conn):
            return await body(Store(conn, _host.prefix_of(query)))

    return await repeat(attempt)


async def repeat[Result](transact: Callable[[], Awaitable[Result]]) -> Result:
    """Call what opens a transaction of its own, and again where that conflicts with another."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await transact()
        except CONFLICTS:
            await asyncio.sleep(random.uniform(0, min(0.01 * attempt, MAX_PAUSE)))

    return await transact()
