"""The way from a request to the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg_pool import AsyncConnectionPool

from oban_pro import _host, schema, transactions
from oban_pro.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class Database:
    """A pool of connections, and the schema in it that holds oban's tables.

    Args:
        source: A psycopg pool that the caller opens and closes, or a DSN.
        prefix: The schema.
    """

    def __init__(self, source: AsyncConnectionPool[Any] | str, prefix: str) -> None:
        self._owned = isinstance(source, str)
        self._pool = (
            AsyncConnectionPool(source, min_size=1, max_size=4, open=False)
            if isinstance(source, str)
            else source
        )
        self.query = _host.Query(self._pool, prefix)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Store]:
        """Open a connection.

        Raises:
            SchemaError: If the schema is not installed.
        """
        await self._open()

        async with self.query.connection() as conn:
            await schema.ensure(conn, self.query)

            yield Store(conn, _host.prefix_of(self.query))

    async def change[Result](self, body: Callable[[Store], Awaitable[Result]]) -> Result:
        """Run statements in a transaction, and again where it conflicts with another.

        Raises:
            SchemaError: If the schema is not installed.
        """
        await self._open()
        await schema.ensure_query(self.query)

        return await transactions.run(self.query, body)

    async def close(self) -> None:
        """Close the pool, where it is ours."""
        if self._owned:
            await self._pool.close()

    async def _open(self) -> None:
        # Nobody runs the lifespan of an app that is mounted in another.
        if self._owned:
            await self._pool.open()
