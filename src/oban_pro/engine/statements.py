"""Running the statements in ``sql/``. No other module executes SQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from oban import Job
from psycopg import AsyncClientCursor, AsyncPipeline
from psycopg import sql as compose
from psycopg.rows import class_row, dict_row, tuple_row

from oban_pro import sql
from oban_pro.gc_pause import uncollected

from . import role_settings
from .times import load_times

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.rows import AsyncRowFactory

type Row = tuple[Any, ...]

# Statements that may be prepared: they only call a function, which plans for itself. Any other
# would keep a plan that was made when the tables were small.
PREPARED = frozenset({"ack", "contexts", "fetch", "status"})


class Statements:
    """The statements of one folder, on one connection, in one schema.

    Args:
        conn: A psycopg connection.
        prefix: The schema of oban's tables and ours.
        folder: The folder below ``sql/`` that holds the statements.
    """

    def __init__(self, conn: AsyncConnection[Any], prefix: str, folder: str = "queries") -> None:
        self._conn = conn
        self._prefix = prefix
        self._folder = folder
        self.begin = ""
        """What begins a transaction of its own for each statement; nothing if none is needed."""
        self._kept: list[str] | None = None
        self._pipeline: AsyncPipeline | None = None

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """Provide a block within a transaction that is undone alone if it raises."""
        return self._conn.transaction()

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Collect statements that return nothing, and send them as one message at the end."""
        self._kept = []

        try:
            yield
            message = ";\n".join(self._kept)
        finally:
            self._kept = None

        if message:
            await self._conn.execute(message.encode(self._conn.info.encoding), prepare=False)

    @asynccontextmanager
    async def one_by_one(self) -> AsyncIterator[None]:
        """Send each statement that returns nothing at once, and wait for all of them at the end."""
        if not AsyncPipeline.is_supported():
            yield
            return

        async with self._conn.pipeline() as pipeline:
            self._pipeline = pipeline

            try:
                yield
            finally:
                self._pipeline = None

    async def listen(self, channel: str) -> None:
        """Listen to a channel of the schema."""
        name = compose.Identifier(f"{self._prefix}.{channel}")
        await self._conn.execute(compose.SQL("LISTEN {}").format(name))

    async def unlisten(self, channel: str) -> None:
        """Stop listening to a channel of the schema."""
        name = compose.Identifier(f"{self._prefix}.{channel}")
        await self._conn.execute(compose.SQL("UNLISTEN {}").format(name))

    async def execute(self, name: str, params: Mapping[str, Any]) -> None:
        """Run a statement that returns nothing."""
        if self._kept is None:
            await self._run(tuple_row, name, params)
        else:
            statement = sql.statement(f"{self._folder}/{name}", self._prefix)
            cursor = AsyncClientCursor(self._conn)
            self._kept.append(cursor.mogrify(statement.encode(), params))

    async def rows(self, name: str, params: Mapping[str, Any]) -> list[Row]:
        """Run a statement; returns its rows as tuples."""
        return await self.fetch_all(tuple_row, name, params)

    async def dicts(self, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a statement; returns its rows as dicts."""
        return await self.fetch_all(dict_row, name, params)

    async def jobs_from(self, name: str, params: Mapping[str, Any]) -> list[Job]:
        """Run a statement that returns rows of ``oban_jobs``."""
        return await self.fetch_all(class_row(Job), name, params)

    async def made[R](
        self, make: Callable[..., R], name: str, params: Mapping[str, Any]
    ) -> list[R]:
        """Run a statement; returns what a function makes of the columns of each row."""
        return [make(*row) for row in await self.rows(name, params)]

    async def one[R](self, make: Callable[..., R], name: str, params: Mapping[str, Any]) -> R:
        """Run a statement that returns one row; returns what a function makes of its columns."""
        (row,) = await self.made(make, name, params)

        return row

    async def first[R](
        self, make: Callable[..., R], name: str, params: Mapping[str, Any]
    ) -> R | None:
        """Run a statement that may return a row; returns what a function makes of its columns."""
        rows = await self.made(make, name, params)

        return rows[0] if rows else None

    async def fetch_all[R](
        self, factory: AsyncRowFactory[R], name: str, params: Mapping[str, Any]
    ) -> list[R]:
        """Run a statement; returns what a row factory of psycopg makes of its rows."""
        cursor = await self._run(factory, name, params)

        # All rows have arrived already, and there may be very many, so no loop awaits each.
        with uncollected():
            return await cursor.fetchall()

    async def _run[R](
        self, factory: AsyncRowFactory[R], name: str, params: Mapping[str, Any]
    ) -> AsyncCursor[R]:
        statement = sql.statement(f"{self._folder}/{name}", self._prefix)

        if self.begin:
            return await self._run_alone(factory, statement, params)

        cursor = self._conn.cursor(row_factory=factory)
        load_times(cursor)
        await cursor.execute(statement.encode(), params, prepare=name in PREPARED)

        if self._pipeline is not None:
            # Else the server would not count the time that it waits for what comes next.
            self._conn.pgconn.pipeline_sync()
            self._pipeline.result_queue.append(None)

        return cursor

    async def _run_alone[R](
        self, factory: AsyncRowFactory[R], statement: str, params: Mapping[str, Any]
    ) -> AsyncCursor[R]:
        """Run a statement in a transaction of its own, in one message.

        A client that freezes or is cut off leaves no open transaction behind.
        """
        cursor = AsyncClientCursor(self._conn, row_factory=factory)
        load_times(cursor)

        try:
            await cursor.execute(f"{self.begin};\n{statement};\nCOMMIT".encode(), params)
        except BaseException:
            await role_settings.end(self._conn)
            raise

        while not cursor.description and cursor.nextset():
            pass

        return cursor
