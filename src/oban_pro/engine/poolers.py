"""Poolers such as PgBouncer between a pool and the server, and what they prevent.

In transaction mode a pooler gives each transaction any connection to the server, so nothing
outlives a transaction: no prepared statement, and no LISTEN. Why poolers are found in this way is
in docs/adr/0015-a-pooler-shows-in-the-process-id.md.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import ReadOnlySqlTransaction

from oban_pro import _host, settings
from oban_pro.errors import SettingsError, UnheardError

from .store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from psycopg_pool import AsyncConnectionPool

HEARD_WITHIN = 2.0
"""Seconds after which a notification that has not arrived never will."""

_watched: WeakSet[AsyncConnectionPool[Any]] = WeakSet()
_known: WeakSet[AsyncConnection[Any]] = WeakSet()


async def is_pooled(conn: AsyncConnection[Any]) -> bool:
    """Tell whether an idle connection leads to a pooler.

    The server tells each client the id of the process that serves it. A pooler tells another id
    when the client connects, since it does not know yet which process will serve it.
    """
    async with _host.autocommit(conn):
        return await Store(conn, "public").backend_pid() != conn.info.backend_pid


async def suit(conn: AsyncConnection[Any], pool: AsyncConnectionPool[Any]) -> None:
    """Switch prepared statements off on an idle connection that leads to a pooler, or if told to.

    Args:
        conn: The connection; it is checked once.
        pool: The pool of the connection. A ``prepare_threshold`` that it was made with stays.
    """
    if conn in _known or conn.prepare_threshold is None or "prepare_threshold" in _options(pool):
        return

    wanted = _wanted()

    if wanted is False or (wanted is None and await is_pooled(conn)):
        conn.prepare_threshold = None

    _known.add(conn)


async def check_arrival(
    conn: AsyncConnection[Any],
    sending: AbstractAsyncContextManager[AsyncConnection[Any]],
    on: Callable[[AsyncConnection[Any]], Store],
) -> None:
    """Check that a notification sent over one connection arrives at another one, which is idle.

    Args:
        conn: The connection that is to listen.
        sending: Opens the other one.
        on: Makes the statements for a connection.

    Raises:
        UnheardError: If nothing arrives.
    """
    # The name of a channel begins with the schema, which leaves it 13 characters.
    channel, token = f"oban_{secrets.token_hex(4)}", secrets.token_hex(8)

    try:
        await on(conn).listen(channel)

        async with sending as other:
            await on(other).notify(channel, token)
    except ReadOnlySqlTransaction as error:
        raise UnheardError("notifications are not sent on a standby") from error

    arrived = [one async for one in conn.notifies(timeout=HEARD_WITHIN, stop_after=1)]

    if not arrived:
        raise UnheardError(
            f"notifications do not arrive at {conn.info.host}:{conn.info.port}, which must lead"
            " to the same database without a pooler, or with one in session mode: LISTEN has"
            " no effect through a pooler in transaction mode; set notify_dsn, or"
            " OBAN_WORKFLOWS_NOTIFY_DSN, to a connection string that does"
        )

    await on(conn).unlisten(channel)


def watch(pool: AsyncConnectionPool[Any]) -> None:
    """Check each connection that a pool gives out.

    A connection that was cut while it was idle is replaced by the next one. A connection that leads
    to a pooler prepares no statements, unless the pool was made with a ``prepare_threshold``.

    Args:
        pool: Open or not. The check lasts as long as the pool lives.
    """
    if pool in _watched:
        return

    _watched.add(pool)
    # A strong reference would keep the pool alive.
    instance: Any = pool
    instance.getconn = _watching(ref(pool), type(pool).getconn)


def _watching(
    where: ref[AsyncConnectionPool[Any]], getconn: Callable[..., Awaitable[AsyncConnection[Any]]]
) -> Callable[..., Awaitable[AsyncConnection[Any]]]:
    async def get_good_connection(timeout: float | None = None) -> AsyncConnection[Any]:  # noqa: ASYNC109
        pool = where()
        assert pool is not None
        left = pool.timeout if timeout is None else timeout
        end = time.monotonic() + left

        while True:
            conn = await getconn(pool, left)

            try:
                if not is_cut(conn):
                    await suit(conn, pool)

                    return conn
            except BaseException:
                await pool.putconn(conn)

                if not conn.closed:
                    raise
            else:
                await pool.putconn(conn)

            left = end - time.monotonic()

    return get_good_connection


def is_cut(conn: AsyncConnection[Any]) -> bool:
    """Tell whether an idle connection was cut, without asking the server."""
    with suppress(OperationalError):
        # The first look may only read why the server closed it; the second finds it closed.
        conn.pgconn.consume_input()
        conn.pgconn.consume_input()

    return conn.closed


def _wanted() -> bool | None:
    """Return whether to prepare statements; None if that depends on the connection."""
    try:
        return settings.current().prepared_statements
    except SettingsError:
        # Nodes say so; a client goes on.
        return None


def _options(pool: AsyncConnectionPool[Any]) -> dict[str, Any]:
    """Return what a pool passes to its connections, where that is known beforehand."""
    options = pool.kwargs

    return options if isinstance(options, dict) else {}
