"""Repeating what failed but may succeed the next time, and explaining what never will."""

from __future__ import annotations

import math
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg import Error
from psycopg.errors import (
    DeadlockDetected,
    IdleInTransactionSessionTimeout,
    LockNotAvailable,
    ReadOnlySqlTransaction,
    SerializationFailure,
)
from psycopg_pool import PoolClosed

from oban_pro import blocking
from oban_pro.errors import ReadOnlyError

from .failures import is_unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

# The last one ends a transaction of ours whose client stayed idle for too long.
CONFLICTS = (
    DeadlockDetected,
    LockNotAvailable,
    SerializationFailure,
    IdleInTransactionSessionTimeout,
)
# An ack stops waiting for the lock on a job after 25 ms, so that it never delays a user for long.
# With the pauses between them, these attempts last about ten seconds.
ATTEMPTS = 80
MAX_PAUSE = 0.2

AWAY = 60.0
"""Seconds for which a read is repeated while the database cannot be reached."""


async def repeat[Result](
    transact: Callable[[], Awaitable[Result]], seconds: float | None = None
) -> Result:
    """Call a function that opens a transaction; repeat it if the transaction conflicts.

    Raises:
        ReadOnlyError: If the database takes no changes.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds

    async with changing():
        for attempt in range(1, ATTEMPTS):
            try:
                return await transact()
            except CONFLICTS:
                if time.monotonic() >= end:
                    raise

                await blocking.sleep(random.uniform(0, min(0.01 * attempt, MAX_PAUSE)))

        return await transact()


@asynccontextmanager
async def changing() -> AsyncIterator[None]:
    """Turn PostgreSQL's error about a read-only database into ours.

    Raises:
        ReadOnlyError: In place of PostgreSQL's own error.
    """
    try:
        yield
    except ReadOnlyError:
        raise
    except ReadOnlySqlTransaction as error:
        raise ReadOnlyError.because_of(error) from error


async def survive[Result](
    read: Callable[[], Awaitable[Result]],
    seconds: float = AWAY,
    lost: Callable[[Error], None] = lambda _: None,
) -> Result:
    """Call a function that only reads; repeat it while the database cannot be reached.

    Args:
        read: What to call.
        seconds: For how long.
        lost: Called with each error after which the read is repeated.

    Raises:
        psycopg.Error: The last error, once that time is over.
    """
    end = time.monotonic() + seconds

    while True:
        try:
            return await read()
        except Error as error:
            is_over = isinstance(error, PoolClosed) or time.monotonic() > end

            if is_over or not is_unreachable(error):
                raise

            lost(error)

        await blocking.sleep(random.uniform(0, MAX_PAUSE))
