"""Fixtures: a PostgreSQL server for the session, a fresh database for each test."""

import asyncio
import inspect
import itertools
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
import pytest_asyncio
from hypothesis import settings
from oban import Oban
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from oban_pro import schema
from oban_pro.embedded import server_dsn

# A database is as slow as the machine it shares: no example of a property has a deadline.
settings.register_profile("database", deadline=None)
settings.load_profile("database")

# What a shell runs in the background is deaf to Ctrl+C, and so is whatever the tests start there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FAULTS = Path(__file__).parent / "fault"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below tests/fault as slow."""
    for item in items:
        if item.path.is_relative_to(FAULTS):
            item.add_marker(pytest.mark.slow)


class Server:
    """A PostgreSQL server that databases are created on, and dropped from."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._prefix = f"oban_test_{os.getpid()}_{secrets.token_hex(3)}"
        self._numbers = itertools.count(1)

    def dsn(self, dbname: str) -> str:
        return make_conninfo(self._dsn, dbname=dbname)

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Yield the name of a database that lives as long as the block."""
        name = f"{self._prefix}_{next(self._numbers)}"
        database, source = sql.Identifier(name), sql.Identifier(template)
        # Copying files is faster than copying through the log, and has no name before 15.
        strategy = " STRATEGY file_copy" if self._conn.info.server_version >= 150_000 else ""
        create = "CREATE DATABASE {} TEMPLATE {}" + strategy
        self._conn.execute(sql.SQL(create).format(database, source))
        try:
            yield name
        finally:
            drop = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
            self._conn.execute(sql.SQL(drop).format(database))

    def close(self) -> None:
        self._conn.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Provide the server of OBAN_DSN, else a temporary one of our own."""
    with server_dsn() as dsn, closing(Server(dsn)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(postgres: Server) -> AsyncIterator[str]:
    """Provide the name of a database with the schema installed, to be copied and not touched."""
    with postgres.database() as name:
        async with AsyncConnectionPool(postgres.dsn(name), open=False) as pool:
            await schema.install(pool)
        yield name


@pytest.fixture
def dsn(postgres: Server, template: str) -> Iterator[str]:
    """Provide a fresh database with the schema installed."""
    with postgres.database(template) as name:
        yield postgres.dsn(name)


@pytest.fixture
def empty_dsn(postgres: Server) -> Iterator[str]:
    """Provide a fresh database with nothing in it."""
    with postgres.database() as name:
        yield postgres.dsn(name)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(dsn, min_size=1, max_size=10, open=False) as pool:
        yield pool


@pytest.fixture
def oban(pool: AsyncConnectionPool) -> Oban:
    """Provide a client: it inserts and looks, and runs nothing."""
    return Oban(pool=pool)


class StartOban(Protocol):
    """Start a node on the test's database; the end of the test stops it."""

    async def __call__(self, queues: dict[str, Any] | None = None, **opts: Any) -> Oban: ...


@pytest.fixture
async def start_oban(pool: AsyncConnectionPool) -> AsyncIterator[StartOban]:
    numbers = itertools.count(1)

    async with AsyncExitStack() as nodes:

        async def start(queues: dict[str, Any] | None = None, **opts: Any) -> Oban:
            defaults: dict[str, Any] = {
                "pool": pool,
                "queues": {"default": 10} if queues is None else queues,
                "node": f"node-{next(numbers)}",
                "stager": {"interval": 0.05},
                "shutdown_grace_period": 2.0,
            }
            return await nodes.enter_async_context(Oban(**defaults | opts))

        yield start


type Condition = Callable[[], Awaitable[Any] | Any]


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[Any]]:
    """Provide a helper that polls a condition, sync or async, for its first true value."""

    async def poll(condition: Condition, timeout: float = 10.0) -> Any:  # noqa: ASYNC109
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            if time.monotonic() > deadline:
                pytest.fail(f"condition must turn true within {timeout} s, got {value!r}")
            await asyncio.sleep(0.01)

    return poll
