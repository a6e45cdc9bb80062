"""Fixtures for tests about the roles of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from oban import schema as oban_schema
from psycopg_pool import AsyncConnectionPool

from oban_pro import _plugin
from tests.support.roles import Roles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def owner_pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide connections of the owner, to a database that has oban's tables alone."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
        await oban_schema.install(pool)
        yield pool


@pytest.fixture
def roles(request: pytest.FixtureRequest) -> Iterator[Roles]:
    """Provide roles for the database of the test."""
    name = "empty_dsn" if "owner_pool" in request.fixturenames else "dsn"
    roles = Roles(request.getfixturevalue(name))
    yield roles
    roles.drop()


@pytest.fixture
def without_us() -> Iterator[None]:
    """Run nodes of plain oban."""
    _plugin.unregister()
    yield
    _plugin.register()
