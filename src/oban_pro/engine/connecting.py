"""Connecting to a database by its DSN, outside of the pool of an Oban instance."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from .dsn import check_dsn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_TIMEOUT = 10
"""Seconds to wait for a server that does not answer, where the DSN says nothing else."""


@asynccontextmanager
async def open_connection(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a connection outside of any pool, which commits each statement.

    Raises:
        psycopg.Error: If the database cannot be reached, saying why.
    """
    async with await connect(dsn) as conn:
        yield conn


async def connect(dsn: str, timeout: float = CONNECT_TIMEOUT) -> AsyncConnection[Any]:  # noqa: ASYNC109
    """Open such a connection, for the caller to close.

    Args:
        dsn: Where to connect.
        timeout: Seconds to wait for each server that does not answer, where the DSN says nothing.

    Raises:
        InvalidDsnError: If the DSN cannot be read.
        psycopg.Error: If the database cannot be reached, saying why.
    """
    check_dsn(dsn)
    limit = conninfo_to_dict(dsn).get("connect_timeout", round(timeout))

    return await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=limit)


def make_pool(dsn: str, timeout: float = 30.0) -> AsyncConnectionPool[Any]:
    """Make a small pool of connections, for the caller to open and close.

    Args:
        dsn: Where to connect.
        timeout: Seconds to wait for a connection. After as long without one the pool stops trying
            at ever longer intervals; whoever asks next makes it try at once.

    Raises:
        InvalidDsnError: If the DSN cannot be read.
    """
    check_dsn(dsn)

    return AsyncConnectionPool(
        dsn, min_size=1, max_size=4, open=False, timeout=timeout, reconnect_timeout=timeout
    )


@asynccontextmanager
async def open_pool(dsn: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Open a small pool of connections.

    Raises:
        psycopg.Error: If the database cannot be reached, saying why.
    """
    # A pool keeps trying and never says why; a connection fails at once.
    async with open_connection(dsn):
        pass

    async with make_pool(dsn) as pool:
        yield pool
