"""A database full of workflows, and a node on it that tells what its statements read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from tests.support.explained import Recorder, explaining
from tests.support.operations import CONNECTIONS, Node
from tests.support.stored import BIG, SMALL, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.databases import Server

SIZES = {"small": SMALL, "big": BIG}


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[pytest.param(size, marks=pytest.mark.slow) for size in SIZES],
)
async def stored_template(
    request: pytest.FixtureRequest, postgres: Server, template: str
) -> AsyncIterator[str]:
    """Provide the name of a database full of workflows, to be copied and not touched."""
    with postgres.database(template) as name:
        await fill(postgres.dsn(name), SIZES[request.param])
        yield name


@pytest.fixture(scope="module")
def stored_dsn(postgres: Server, stored_template: str) -> Iterator[str]:
    """Provide a database full of workflows, which all tests of a module change."""
    with postgres.database(stored_template) as name:
        yield postgres.dsn(name)


@pytest.fixture
async def node(stored_dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """Provide a node in a database full of workflows."""
    recorder = Recorder()
    recorder.install(monkeypatch)
    pool = AsyncConnectionPool(explaining(stored_dsn), min_size=1, max_size=CONNECTIONS, open=False)

    async with pool:
        yield Node(Oban(pool=pool), recorder)
