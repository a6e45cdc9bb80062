"""Repeating what failed and may succeed the next time, and saying what never will."""

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

# The last one ends a transaction of ours whose client was busy for too long.
CONFLICTS = (
    DeadlockDetected,
    LockNotAvailable,
    SerializationFailure,
    IdleInTransactionSessionTimeout,
)
# An ack gives up waiting for a job after 25 ms, so that it is never in the way of a user for long.
# With the pauses between, these last for about ten seconds.
ATTEMPTS = 80
MAX_PAUSE = 0.2

AWAY = 60.0
"""Seconds for which a read is repeated while the database cannot be reached."""


async def repeat[Result](
    transact: Callable[[], Awaitable[Result]], seconds: float | None = None
) -> Result:
    """Call what opens a transaction of its own, and again if that conflicts with another one.

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
    """Say it where changes are made in a database that takes none.

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
    """Call what only reads, and again while the database cannot be reached.

    Args:
        read: What to call.
        seconds: For how long.
        lost: Told of each error that is survived.

    Raises:
        psycopg.Error: The last one, when that time is over.
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
