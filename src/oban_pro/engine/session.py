"""The one way to the database: connections, transactions, the check of the schema, notifications.

Everything that talks to PostgreSQL for an Oban instance goes through its `Session`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from oban import Job
from psycopg import OperationalError
from psycopg.errors import QueryCanceled
from psycopg.pq import TransactionStatus

from oban_pro import _host, blocking, schema, settings
from oban_pro.errors import MissingRightError, SchemaError, SchemaVersionError, UnheardError

from . import missing_rights, poolers, role_settings
from .blocking_connection import BlockingPool
from .connecting import CONNECT_TIMEOUT, connect
from .repeating import changing, repeat, survive
from .store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from psycopg import AsyncConnection

    from oban_pro._host import Query
    from oban_pro.rights import Kind

type Place = str | Job | Session[Store]
"""How a handle finds its database: by an Oban's name, a job of that Oban, or a session."""

MAX_BESIDE_POOLS = 10
"""How many connections this process opens at once for event loops that cannot use a pool."""

SLOT_INTERVAL = 0.01
"""Seconds between two attempts to get such a connection."""

_beside_pools = BoundedSemaphore(MAX_BESIDE_POOLS)

# Whether statements that commit by themselves depend on settings of the role or the database.
_limited: WeakKeyDictionary[Query, bool] = WeakKeyDictionary()


def query_for(place: Place) -> Query:
    """Return the query of the Oban instance that a handle uses.

    Raises:
        RuntimeError: If no instance has that name.
    """
    if isinstance(place, Session):
        return place.query

    if isinstance(place, Job):
        return _host.query_running(place) or _host.query_named("Oban")

    return _host.query_named(place)


def session_for(place: Place) -> Session[Store]:
    """Return the session of the Oban instance that a handle uses.

    Raises:
        RuntimeError: If no instance has that name.
    """
    return place if isinstance(place, Session) else session_of(query_for(place))


def session_of(query: Query) -> Session[Store]:
    """Return the session of an Oban instance."""
    return Session(query, Store)


class Session[S: Store]:
    """The way of our statements to the database of one Oban instance.

    Args:
        query: The query of the instance: its pool and its schema.
        make_store: Makes the statements for a connection and a schema.
    """

    def __init__(self, query: Query, make_store: Callable[[AsyncConnection[Any], str], S]) -> None:
        self.query = query
        self._make_store = make_store

    survive = staticmethod(survive)
    """Repeats a read while the database cannot be reached."""

    def remember(self, job: Job) -> None:
        """Note on a job which Oban instance it came from."""
        _host.remember_query(job, self.query)

    async def ensure(self, kind: Kind = "reader") -> None:
        """Check the schema, once for each instance.

        Args:
            kind: What the role of the connections is needed for.

        Raises:
            SchemaError: If the schema is not installed, saying what to do.
        """
        if not schema.is_verified(self.query):
            async with self.connect(kind):
                pass

    async def check_rights(self, kind: Kind) -> None:
        """Check that the role of the connections has its rights, where the schema is installed.

        Raises:
            MissingRightError: Naming the GRANT.
            SchemaVersionError: If the installed schema does not fit this package.
        """
        try:
            async with self.connect(kind) as store:
                await store.check_rights(kind)
        except (MissingRightError, SchemaVersionError):
            raise
        except SchemaError:
            pass

    async def is_installed(self) -> bool:
        """Tell whether the schema is installed and fits this package."""
        try:
            await self.ensure()
        except SchemaError:
            return False

        return True

    @asynccontextmanager
    async def connect(self, kind: Kind = "reader") -> AsyncIterator[S]:
        """Take a connection, for statements that only read.

        Args:
            kind: What the role of the connections is needed for.

        Raises:
            SchemaError: If the schema is not installed.
        """
        async with self.explaining(kind), self._take() as conn:
            await schema.ensure(conn, self.query, kind)

            yield self.on(conn)

    async def read[Result](self, body: Callable[[S], Awaitable[Result]]) -> Result:
        """Run statements that only read; repeat them if the connection is lost.

        Args:
            body: Called with the statements; all of it may be repeated.

        Raises:
            psycopg.OperationalError: If the database cannot be reached for a minute.
            SchemaError: If the schema is not installed.
        """

        async def attempt() -> Result:
            async with self.connect() as store:
                return await body(store)

        return await self.survive(attempt)

    @asynccontextmanager
    async def _take(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Take a connection on which each statement commits by itself."""
        async with (
            connection(self.query) as conn,
            _host.autocommit(conn),
            role_settings.in_utf8(conn),
        ):
            yield conn

    async def transact[Result](
        self,
        body: Callable[[S], Awaitable[Result]],
        caller: AsyncConnection[Any] | None = None,
        seconds: float | None = None,
        kind: Kind = "worker",
    ) -> Result:
        """Run statements in a transaction; repeat it if it conflicts with another one.

        A conflict in the caller's transaction is raised to the caller.

        Args:
            body: Called with the statements; all of it may be repeated.
            caller: A connection to use instead of one from the pool.
            seconds: How long to go on repeating; None for about ten seconds.
            kind: What the role of the connection is needed for.

        Raises:
            ReadOnlyError: If the database takes no changes.
            SchemaError: If the schema is not installed.
        """
        if caller is not None:
            async with changing(), self.explaining(kind, caller), going_on(caller):
                await schema.ensure(caller, self.query, kind)

                return await body(self.on(caller))

        await self.ensure(kind)

        async def attempt() -> Result:
            async with self.transaction() as conn:
                return await body(self.on(conn))

        async with self.explaining(kind):
            return await repeat(attempt, seconds)

    def commits_alone(self) -> bool:
        """Tell whether what `execute` changes now is committed once that returns."""
        return True

    def explaining(
        self, kind: Kind, caller: AsyncConnection[Any] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Turn an error about missing rights into one that names the GRANT.

        Args:
            kind: What the role is needed for.
            caller: A connection that is used instead of those from the pool.
        """
        connect = self._take if caller is None else lambda: missing_rights.borrowed(caller)

        return missing_rights.explained(kind, _host.prefix_of(self.query), connect)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Open a transaction of our own."""
        async with self._take() as conn, role_settings.transaction(conn):
            yield conn

    async def execute[Result](
        self,
        body: Callable[[S], Awaitable[Result]],
        seconds: float | None = None,
        kind: Kind = "worker",
    ) -> Result:
        """Run one statement that commits by itself; repeat it if it conflicts with another one.

        Saves the round trips of BEGIN and COMMIT. A client that freezes between them would hold
        locks.

        Args:
            body: Called with the statements; may run only one of them, and may be repeated.
            seconds: How long to go on repeating; None for about ten seconds.
            kind: What the role of the connections is needed for.

        Raises:
            ReadOnlyError: If the statement changes something, and the database takes no changes.
            SchemaError: If the schema is not installed.
        """
        await self.ensure(kind)

        async def attempt() -> Result:
            async with self.explaining(kind), self._take() as conn:
                return await body(await self._independent(conn))

        try:
            return await repeat(attempt, seconds)
        except OperationalError as error:
            # A timeout may have been set for the role since the last look.
            was_limited = _limited.pop(self.query, True)

            if was_limited or not isinstance(error, QueryCanceled):
                raise

            return await repeat(attempt, seconds)

    async def _independent(self, conn: AsyncConnection[Any]) -> S:
        """Return statements that do not depend on settings of the role or the database."""
        store = self.on(conn)

        if self.query not in _limited:
            _limited[self.query] = await store.is_limited()

        if _limited[self.query]:
            store.begin = role_settings.begin(conn)

        return store

    async def or_else[Result](
        self, ours: Callable[[], Awaitable[Result]], fallback: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Do something our way; oban's way if our tables, or the rights on them, are missing.

        oban's way loses nothing: the triggers do what our statements would have done.
        """
        try:
            await self.ensure("worker")

            return await ours()
        except schema.MISSING as error:
            # The tables may have been removed since they were found.
            schema.forget(self.query)

            if isinstance(error, MissingRightError):
                missing_rights.warn_once(self.query, error)

            async with self.explaining("worker"):
                return await fallback()

    @asynccontextmanager
    async def listen(self, *channels: str) -> AsyncIterator[AsyncIterator[str]]:
        """Open a connection that listens, and provide the payloads of its notifications.

        Args:
            channels: Names of the channels, without the schema, as in ``"oban_workflow"``.
        """
        async with await self.open_ear() as conn:
            for channel in channels:
                await self.on(conn).listen(channel)

            yield (notification.payload async for notification in conn.notifies())

    async def open_ear(self, timeout: float = CONNECT_TIMEOUT) -> AsyncConnection[Any]:  # noqa: ASYNC109
        """Open a connection at which notifications arrive, for the caller to close.

        Args:
            timeout: Seconds to wait for a server that does not answer, where the DSN says nothing.

        Raises:
            psycopg.Error: If the database cannot be reached.
            UnheardError: If notifications do not arrive at it.
        """
        dsn = settings.current().notify_dsn
        conn = await connect(dsn or await self.query.dsn(), timeout)
        conn.prepare_threshold = None

        try:
            # A direct connection to the primary needs no test: notifications arrive at it.
            if dsn or await poolers.is_pooled(conn):
                await poolers.check_arrival(conn, self._take(), self.on)
            elif conn.info.parameter_status("in_hot_standby") == "on":
                raise UnheardError("notifications are not sent on a standby")
        except BaseException:
            await conn.close()
            raise

        return conn

    def on(self, conn: AsyncConnection[Any]) -> S:
        """Return the statements on a given connection."""
        return self._make_store(conn, _host.prefix_of(self.query))


@asynccontextmanager
async def connection(query: Query) -> AsyncIterator[AsyncConnection[Any]]:
    """Take a connection from the pool of an instance; on another event loop, open one.

    A pool belongs to the event loop that opened it. It does not wake a caller who waits on another
    loop, and everybody behind that caller waits as well, even the node's heartbeats. A blocking
    call has no loop at all.
    """
    if _host.is_home(query):
        async with query.connection() as conn:
            yield conn

        return

    # A semaphore of asyncio works on one loop only; a blocking one would stop the caller's loop.
    while not _beside_pools.acquire(blocking=False):
        await blocking.sleep(SLOT_INTERVAL)

    try:
        stand_in = BlockingPool if blocking.is_blocking() else None

        async with await _host.open_beside_pool(query, stand_in=stand_in) as conn:
            await poolers.suit(conn, _host.pool_of(query))

            yield conn
    finally:
        _beside_pools.release()


@asynccontextmanager
async def going_on(caller: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Use the caller's transaction: either all statements of the block take effect, or none."""
    if caller.autocommit or caller.info.transaction_status != TransactionStatus.IDLE:
        async with caller.transaction():
            yield
    else:
        try:
            yield
        except BaseException:
            # The transaction holds only our statements. Inside a block of the caller's, that block
            # ends it.
            await role_settings.end(caller)
            raise
