"""The way from a request to the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from oban_pro import _host, schema
from oban_pro.engine import poolers
from oban_pro.engine.connecting import make_pool
from oban_pro.engine.session import Session

from .statements import PageStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg_pool import AsyncConnectionPool

    from oban_pro.rights import Kind

TIMEOUT = 5.0
"""Seconds that a page waits for a connection before it says that there is none."""


class PageSession(Session[PageStore]):
    """The session of the dashboard, on a pool of the caller's or on one of its own.

    Args:
        source: A psycopg pool that the caller opens and closes, or a DSN.
        prefix: The schema that holds oban's tables.
    """

    def __init__(self, source: AsyncConnectionPool[Any] | str, prefix: str) -> None:
        self._owned = isinstance(source, str)
        self._pool = make_pool(source, TIMEOUT) if isinstance(source, str) else source
        poolers.watch(self._pool)
        super().__init__(_host.Query(self._pool, prefix), PageStore)

    @asynccontextmanager
    async def connect(self, kind: Kind = "reader") -> AsyncIterator[PageStore]:
        """Take a connection, for statements that only read.

        Args:
            kind: What the role of the connections is needed for.

        Raises:
            SchemaError: If the schema is not installed.
        """
        await self.open()

        async with super().connect(kind) as store:
            yield store

    async def check(self) -> None:
        """Look whether the page can show anything.

        Raises:
            psycopg.Error: If the database cannot be reached.
            SchemaError: If the schema is not installed.
        """
        await self.open()

        async with self._take() as conn:
            await schema.verify(conn, _host.prefix_of(self.query))

    async def open(self) -> None:
        """Open the pool if it is ours."""
        # The lifespan of a mounted app never runs, so the first request opens the pool.
        if self._owned:
            await self._pool.open()

    async def close(self) -> None:
        """Close the pool if it is ours."""
        if self._owned:
            await self._pool.close()
