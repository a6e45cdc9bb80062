"""The argument ``conn=``: a connection of the caller's, whose transaction is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import _host
from oban_pro.blocking import is_blocking
from oban_pro.errors import InvalidArgumentError

from . import synchronous
from .blocking_connection import BlockingConnection

if TYPE_CHECKING:
    from psycopg import AsyncConnection


async def find_caller(conn: Any) -> AsyncConnection[Any] | None:
    """Return the psycopg connection behind what was passed as ``conn=``, or None.

    Raises:
        InvalidArgumentError: If it is synchronous, saying what to use.
    """
    if conn is None:
        return None

    if is_blocking():
        return BlockingConnection(synchronous.for_writing(conn))

    if synchronous.is_synchronous(conn):
        raise InvalidArgumentError(
            f"conn must be asynchronous, got a synchronous {synchronous.type_of(conn)}; use"
            " psycopg.AsyncConnection or SQLAlchemy's AsyncSession, or oban_pro.sync"
        )

    return await _host.connection_of(conn)


async def unwrap(conn: Any) -> AsyncConnection[Any] | None:
    """Return the psycopg connection behind what was passed as ``conn=``; None for None.

    Raises:
        InvalidArgumentError: If the argument holds no psycopg connection.
    """
    caller = await find_caller(conn)

    if caller is None and conn is not None:
        raise InvalidArgumentError(f"conn must lead to a psycopg connection, got {conn!r}")

    return caller
