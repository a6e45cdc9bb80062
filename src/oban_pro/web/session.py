"""The way from a request to the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oban_pro import _host, schema
from oban_pro.engine import poolers
from oban_pro.engine.connecting import make_pool
from oban_pro.engine.dsn import check_dsn
from oban_pro.engine.session import Session

from .statements import PageStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from oban_pro.rights import Kind

TIMEOUT = 5.0
"""Seconds that a page waits for a connection before it says that there is none."""

LINE = {
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""When a connection that nothing comes through any more is given up, where the DSN says nothing."""


class PageQuery(_host.Query):
    """The query of a page, which waits less long for a connection than a job may."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Take a connection from the pool."""
        pool = _host.pool_of(self)

        async with pool.connection(min(TIMEOUT, pool.timeout)) as conn:
            yield conn


class PageSession(Session[PageStore]):
    """The session of the dashboard, on a pool of the caller's or on one of its own.

    Args:
        source: A psycopg pool that the caller opens and closes, or a DSN.
        prefix: The schema that holds oban's tables.
    """

    def __init__(self, source: AsyncConnectionPool[Any] | str, prefix: str) -> None:
        self._owned = isinstance(source, str)
        self._pool = _open_quickly(source) if isinstance(source, str) else source
        poolers.watch(self._pool)
        super().__init__(PageQuery(self._pool, prefix), PageStore)

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


def _open_quickly(dsn: str) -> AsyncConnectionPool[Any]:
    """Make a pool that soon notices when the database has gone, and when it is back."""
    check_dsn(dsn)
    given = conninfo_to_dict(dsn)
    line = {name: value for name, value in LINE.items() if name not in given}

    return make_pool(make_conninfo(dsn, **line), TIMEOUT)
