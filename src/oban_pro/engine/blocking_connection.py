"""A connection for our coroutines that blocks the thread instead of suspending them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row

from oban_pro.blocking import seconds_left

if TYPE_CHECKING:
    from collections.abc import Generator
    from threading import Lock

    from psycopg.abc import PQGen
    from psycopg.rows import AsyncRowFactory
    from psycopg_pool import AsyncConnectionPool


class BlockingConnection(AsyncConnection[Any]):
    """An asynchronous connection over a synchronous one, which waits for the server.

    Both use one line to the server. What is set on the other connection stays as it is: its row
    factory, adapters, handlers of notices, and the names of its prepared statements, as this one
    prepares none.

    Args:
        conn: The synchronous connection. It is not closed with this object, which may come and go.
    """

    def __init__(self, conn: Connection[Any]) -> None:
        handlers = conn.pgconn.notice_handler, conn.pgconn.notify_handler
        super().__init__(conn.pgconn, tuple_row)
        conn.pgconn.notice_handler, conn.pgconn.notify_handler = handlers
        # It may be dropped without a warning, like a connection of a pool.
        self._pool = None
        self._blocking = conn
        self._autocommit = conn.autocommit
        self._isolation_level = conn.isolation_level
        self._read_only = conn.read_only
        self._deferrable = conn.deferrable
        self.lock = _SharedLock(conn.lock)  # type: ignore[assignment]
        self.prepare_threshold = None

    @classmethod
    async def connect(
        cls,
        conninfo: str = "",
        *,
        row_factory: AsyncRowFactory[Any] | None = None,
        cursor_factory: Any = None,
        prepare_threshold: int | None = None,
        **options: Any,
    ) -> BlockingConnection:
        """Open a connection, with the options of psycopg's own method."""
        opened = Connection.connect(conninfo, **options)
        opened._pool = None
        conn = cls(opened)
        conn.row_factory = row_factory or conn.row_factory
        conn.cursor_factory = cursor_factory or conn.cursor_factory

        return conn

    async def wait[Result](self, gen: PQGen[Result], *args: Any, **options: Any) -> Result:
        """Wait for the server in this thread.

        Raises:
            TimeoutError: If a limit around the call is over; the statement is cancelled then.
        """
        limited: Any = gen if seconds_left() == math.inf else _Limited(gen)

        try:
            result: Result = self._blocking.wait(limited, *args, **options)
        except _Overdue:
            raise TimeoutError from None

        return result


class BlockingPool:
    """A pool whose connections block.

    Args:
        pool: Which has the settings of the connections.
    """

    connection_class = BlockingConnection

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class _Overdue(KeyboardInterrupt):
    """Makes psycopg cancel the statement that runs; the connection stays usable."""


class _Limited:
    """A generator of psycopg into which an error is thrown once the time is over."""

    def __init__(self, gen: Generator[Any, Any, Any]) -> None:
        self._gen = gen
        self._is_over = False

    def __iter__(self) -> _Limited:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, ready: Any) -> Any:
        if seconds_left() < 0 and not self._is_over:
            self._is_over = True
            raise _Overdue

        return self._gen.send(ready)


class _SharedLock:
    """The lock of a synchronous connection, as an asynchronous one takes it."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
