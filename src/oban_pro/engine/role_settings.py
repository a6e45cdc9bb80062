"""Defaults of a role, a database or a connection that our own statements do not follow.

The pool is the user's, and a pooler may stand before the server. So nothing is set for longer than
a transaction, but for the encoding, which is the same to whoever speaks Python.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Error
from psycopg import sql as compose
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IDLE_LIMIT = "5s"
"""How long a transaction of ours may wait for its client. It holds locks that others wait for."""


def begin(conn: AsyncConnection[Any]) -> str:
    """Return what begins a transaction that no default of the role or the database changes."""
    timeouts = ["statement_timeout"]

    if conn.info.server_version >= 170_000:
        timeouts.append("transaction_timeout")

    return "".join(
        [
            "BEGIN ISOLATION LEVEL READ COMMITTED",
            f"; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_LIMIT}'",
            *(f"; SET LOCAL {timeout} = 0" for timeout in timeouts),
        ]
    )


@asynccontextmanager
async def transaction(conn: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Open a transaction of our own on a connection in autocommit mode, in one round trip.

    A client that is frozen or cut off in it loses it after `IDLE_LIMIT`.
    """
    await conn.execute(begin(conn).encode(), prepare=False)

    try:
        yield
    except BaseException:
        await end(conn)
        raise

    await conn.commit()


async def end(conn: AsyncConnection[Any]) -> None:
    """Roll back what is left of a transaction, if the connection still stands."""
    with suppress(Error):
        await conn.rollback()


@asynccontextmanager
async def in_utf8(conn: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Send and receive text as UTF-8, since other encodings lack characters that jobs have."""
    before = conn.pgconn.parameter_status(b"client_encoding") or b"UTF8"

    if before == b"UTF8":
        yield
        return

    await _set_encoding(conn, "UTF8")

    try:
        yield
    finally:
        if conn.info.transaction_status == TransactionStatus.IDLE:
            await _set_encoding(conn, before.decode())


async def _set_encoding(conn: AsyncConnection[Any], encoding: str) -> None:
    await conn.execute(compose.SQL("SET client_encoding TO {}").format(compose.Literal(encoding)))
