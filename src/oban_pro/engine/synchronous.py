"""Connections of blocking drivers that callers pass: psycopg's, SQLAlchemy's, Django's."""

from __future__ import annotations

from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol

from psycopg import Connection, Cursor
from psycopg.conninfo import make_conninfo
from psycopg.pq import PipelineStatus, TransactionStatus

from oban_pro.errors import InTransactionError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator


class SqlAlchemyConnection(Protocol):
    """A `Connection`, `Session` or `scoped_session` of SQLAlchemy, on psycopg."""

    @property
    def scalars(self) -> Any:
        """What no connection of another library has."""

    def commit(self) -> None:
        """Commit; the asynchronous ones return a coroutine."""


class DjangoConnection(Protocol):
    """``django.db.connection``, or one of ``django.db.connections``, on psycopg."""

    def ensure_connection(self) -> None:
        """Connect, unless that has been done."""

    def commit(self) -> None:
        """Commit."""


type Caller = Connection[Any] | Cursor[Any] | SqlAlchemyConnection | DjangoConnection
"""A connection of the caller's that blocks."""


def is_synchronous(conn: Any) -> bool:
    """Tell whether something is a blocking connection: its ``commit`` is no coroutine function."""
    conn = conn.connection if isinstance(conn, Cursor) else conn
    methods = [getattr(conn, name, None) for name in ("commit", "execute")]

    return methods[0] is not None and not any(map(iscoroutinefunction, methods))


def for_writing(caller: Any) -> Connection[Any]:
    """Return the psycopg connection of a caller, within a transaction that may begin here.

    Raises:
        InvalidArgumentError: If there is none.
    """
    caller = _checked(caller)

    if hasattr(caller, "get_bind"):
        caller = caller.connection()

    conn = _psycopg_of(caller)

    # SQLAlchemy has to know that there is something to commit.
    if hasattr(caller, "in_transaction") and not (caller.in_transaction() or conn.autocommit):
        caller.begin()

    return conn


@contextmanager
def for_reading(caller: Any) -> Iterator[Connection[Any]]:
    """Provide the psycopg connection of a caller, and begin no transaction.

    Raises:
        InvalidArgumentError: If there is none.
    """
    caller = _checked(caller)

    if not hasattr(caller, "get_bind"):
        yield _psycopg_of(caller)
    elif caller.in_transaction():
        yield _psycopg_of(caller.connection())
    elif hasattr(bind := caller.get_bind(), "in_transaction"):
        yield _psycopg_of(bind)
    else:
        with bind.connect() as own:
            yield _psycopg_of(own)


def has_begun(caller: Any) -> bool:
    """Tell whether a caller is within a transaction, even if no statement has been sent yet."""
    caller = _checked(caller)

    if getattr(caller, "in_atomic_block", False):
        return True

    if hasattr(caller, "get_bind"):
        if not caller.in_transaction():
            return False

        caller = caller.connection()

    conn = _psycopg_of(caller)
    is_told = hasattr(caller, "in_transaction") and caller.in_transaction() and not conn.autocommit

    return is_told or conn.info.transaction_status in _BEGUN


def dsn_of(caller: Any) -> str:
    """Return the connection string of a caller's connection.

    Raises:
        InTransactionError: If the caller is in a transaction, as no other connection sees its
            changes.
    """
    check_may_wait(caller)

    with for_reading(caller) as conn:
        info = conn.info
        password = {"password": info.password} if info.password else {}

        return make_conninfo("", **info.get_parameters(), **password)


def check_may_wait(caller: Any) -> None:
    """Check that a caller may wait for others: that it is in no transaction.

    Raises:
        InTransactionError: If it is in one.
    """
    if has_begun(caller):
        raise InTransactionError(
            "a call that waits must be outside of a transaction, got a connection in one: what it"
            " holds would be held all the time, and what it inserted runs after its commit"
        )


_BEGUN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)


def check(caller: Any) -> None:
    """Check that something is a connection or session that blocks.

    Raises:
        InvalidArgumentError: If it is anything else.
    """
    if not is_synchronous(caller):
        raise InvalidArgumentError(
            "conn must be a blocking connection of psycopg, SQLAlchemy or Django,"
            f" got {type_of(caller)}"
        )


def _checked(caller: Any) -> Any:
    """Return a connection or session of the caller's that blocks."""
    check(caller)

    # SQLAlchemy's scoped_session passes on most methods of a session, but not all.
    return caller.registry() if hasattr(caller, "registry") else caller


def _psycopg_of(caller: Any) -> Connection[Any]:
    if isinstance(caller, Cursor):
        found: Any = caller.connection
    elif hasattr(caller, "ensure_connection"):
        # Django refuses its own statements after an error in an inner block, so ours are refused
        # too.
        caller.validate_no_broken_transaction()
        caller.ensure_connection()
        found = caller.connection
    elif hasattr(caller, "in_transaction"):
        found = caller.connection.driver_connection
    else:
        found = caller

    if not isinstance(found, Connection):
        raise InvalidArgumentError(
            f"conn must lead to a connection of psycopg (version 3), got {type_of(found)}"
        )

    if found.pgconn.pipeline_status != PipelineStatus.OFF:
        raise InvalidArgumentError("conn must not be in a pipeline; leave the block of pipeline()")

    return found


def type_of(value: object) -> str:
    """Return the full name of the type of something."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
