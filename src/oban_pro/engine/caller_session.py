"""Statements of blocking calls: in the transaction of a caller, or over a connection by a DSN."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg.pq import TransactionStatus

from oban_pro import _host
from oban_pro.sql import check_prefix

from . import role_settings, synchronous
from .blocking_connection import BlockingConnection
from .connecting import make_pool
from .session import Session, going_on
from .store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from oban import Job
    from psycopg import AsyncConnection, Connection

    from oban_pro._host import Query
    from oban_pro.rights import Kind

    from .synchronous import Caller

MAX_DATABASES = 1_000
"""The most databases that are remembered as having a fitting schema."""


def session_at(conn_or_dsn: Caller | str, prefix: str) -> BlockingSession:
    """Return the session of blocking calls.

    Args:
        conn_or_dsn: A connection of the caller's, or a DSN that each call connects to.
        prefix: The schema of the tables.

    Raises:
        InvalidArgumentError: If it is neither.
        InvalidDsnError: If the DSN cannot be read.
        ValueError: If the prefix is not a plain lower-case schema name.
    """
    if isinstance(conn_or_dsn, str):
        return BlockingSession(_query_at(conn_or_dsn, check_prefix(prefix)), Store)

    synchronous.check(conn_or_dsn)

    return CallerSession(conn_or_dsn, check_prefix(prefix))


@lru_cache(MAX_DATABASES)
def _query_at(dsn: str, prefix: str) -> Query:
    """Return the query that stands for a database; always the same, with a pool never opened."""
    return _host.Query(make_pool(dsn), prefix)


def _query_behind(conn: Connection[Any], prefix: str) -> Query:
    info = conn.info

    return _query_to(info.host, info.port, info.dbname, info.user, prefix)


@lru_cache(MAX_DATABASES)
def _query_to(host: str, port: int, database: str, user: str, prefix: str) -> Query:
    return _host.Query(make_pool(""), prefix)


class BlockingSession(Session[Store]):
    """The way of blocking calls to the database, independent of any Oban instance."""

    def remember(self, job: Job) -> None:
        """Do nothing: the job came from no instance, so a handle for it looks one up by name."""

    def check_may_wait(self) -> None:
        """Check that time may pass.

        Raises:
            InTransactionError: If the caller is in a transaction.
        """


class CallerSession(BlockingSession):
    """The way to the database over a connection of the caller's.

    Changes are part of the caller's transaction, and begin one if necessary. In autocommit mode
    they have a transaction of their own. Reads never begin a transaction.

    Args:
        caller: The connection.
        prefix: The schema of the tables.
    """

    def __init__(self, caller: Caller, prefix: str) -> None:
        super().__init__(_query_to("", 0, "", "", prefix), Store)
        self._caller = caller
        self._prefix = prefix

    def check_may_wait(self) -> None:
        """Check that the caller is in no transaction, and so may wait."""
        synchronous.check_may_wait(self._caller)

    async def ensure(self, kind: Kind = "reader") -> None:
        """Check the schema, on the first connection to its database."""
        async with self.connect(kind):
            pass

    async def survive[Result](self, read: Callable[[], Awaitable[Result]], *_: object) -> Result:
        """Read once, as only the caller can open the connection again."""
        return await read()

    @asynccontextmanager
    async def _take(self) -> AsyncIterator[AsyncConnection[Any]]:
        with synchronous.for_reading(self._caller) as conn:
            ours = self._wrap(conn)

            if conn.info.transaction_status != TransactionStatus.IDLE:
                yield ours
                return

            async with _host.autocommit(ours), role_settings.in_utf8(ours):
                yield ours

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Use the caller's transaction, or open one."""
        if (caller := self._joined()) is not None:
            async with going_on(caller):
                yield caller
        else:
            async with super().transaction() as conn:
                yield conn

    async def transact[Result](
        self,
        body: Callable[[Store], Awaitable[Result]],
        caller: AsyncConnection[Any] | None = None,
        seconds: float | None = None,
        kind: Kind = "worker",
    ) -> Result:
        """Run statements in the caller's transaction, or in one of their own."""
        return await super().transact(body, caller or self._joined(), seconds, kind)

    async def execute[Result](
        self,
        body: Callable[[Store], Awaitable[Result]],
        seconds: float | None = None,
        kind: Kind = "worker",
    ) -> Result:
        """Run one statement, which commits by itself unless there is a transaction to join."""
        if kind == "reader":
            return await self.read(body)

        if (caller := self._joined()) is not None:
            return await super().transact(body, caller, seconds, kind)

        return await super().execute(body, seconds, kind)

    async def _independent(self, conn: AsyncConnection[Any]) -> Store:
        store = self.on(conn)
        # Independent of any setting that the caller made on the connection.
        store.begin = role_settings.begin(conn)

        return store

    def commits_alone(self) -> bool:
        """Tell whether there is no transaction of the caller's to join."""
        return self._joined() is None

    def _joined(self) -> AsyncConnection[Any] | None:
        """Return the connection whose transaction to join; None in autocommit mode."""
        conn = synchronous.for_writing(self._caller)
        is_idle = conn.info.transaction_status == TransactionStatus.IDLE

        return None if conn.autocommit and is_idle else self._wrap(conn)

    def _wrap(self, conn: Connection[Any]) -> BlockingConnection:
        if not conn.closed:
            self.query = _query_behind(conn, self._prefix)

        return BlockingConnection(conn)
