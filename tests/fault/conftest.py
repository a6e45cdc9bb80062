"""Fixtures of tests that kill, cut and restart."""

import pytest
from psycopg import AsyncConnection

from tests.support.workload import RUNS


@pytest.fixture
async def conn(conn: AsyncConnection) -> AsyncConnection:
    """Provide a connection to a database in which jobs can write what they do."""
    await conn.execute(RUNS.encode())

    return conn
