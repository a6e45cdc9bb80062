"""Fixtures: a PostgreSQL server for the session, a fresh database for each test."""

import asyncio
import inspect
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings
from oban import Oban
from oban.oban import _instances
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro import settings as ours
from oban_pro.embedded import server_dsn
from tests.support.cluster import Cluster
from tests.support.databases import Psql, Server, kept_in_memory
from tests.support.engine import Engine
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.graphs import settled
from tests.support.silence import HEARD

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


# Databases


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Provide the server of OBAN_DSN, else a temporary one of our own."""
    with ExitStack() as stack:
        with kept_in_memory():
            dsn = stack.enter_context(server_dsn())
        yield stack.enter_context(closing(Server(dsn)))


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
def psql(dsn: str) -> Psql:
    """Provide a look into the test's database."""
    return Psql(dsn)


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[AsyncConnection]:
    """Provide a connection in autocommit mode."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        yield conn


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(dsn, min_size=1, max_size=10, open=False) as pool:
        yield pool


@pytest.fixture(autouse=True)
def forget_settings() -> Iterator[None]:
    """Let no test run with the settings of another."""
    ours.reset()
    yield
    ours.reset()


# Nodes


@pytest.fixture(autouse=True)
def forget_instances() -> Iterator[None]:
    """Let no test find the Oban instances of another: handles find them by name."""
    _instances.clear()
    yield
    _instances.clear()


@pytest.fixture
def oban(pool: AsyncConnectionPool) -> Oban:
    """Provide a client: it inserts and looks, and runs nothing."""
    return Oban(pool=pool)


@pytest.fixture
def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    """Provide an engine: jobs change state only as the test says, and the books are checked."""
    return Engine(oban, conn)


@pytest.fixture
async def cluster(oban: Oban, conn: AsyncConnection) -> Cluster:
    """Provide an engine whose nodes are rows alone, on a database that has heard them all day."""
    await conn.execute(HEARD.encode())

    return Cluster(oban, conn)


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


@pytest.fixture
async def run(start_oban: StartOban, wait_until: WaitUntil) -> Run:
    """Provide a helper that runs a workflow to its end, and returns all that it recorded."""
    oban = await start_oban({"default": 20, "other": 5})

    async def run(workflow: Workflow) -> dict[str, Any]:
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)

        return await workflow.all_recorded()

    return run


@pytest.fixture
def wait_until() -> WaitUntil:
    """Provide a helper that polls a condition, sync or async, for its first true value."""

    async def poll(
        condition: Callable[[], Awaitable[Any] | Any],
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Any:
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
