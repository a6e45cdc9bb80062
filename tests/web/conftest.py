"""The dashboard without a browser: requests to the app, in the loop of the test."""

from collections.abc import AsyncIterator

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool

from oban_pro.web import create_app
from tests.support.dashboard import TOKEN, browse


@pytest.fixture
async def reader(pool: AsyncConnectionPool) -> AsyncIterator[httpx.AsyncClient]:
    """Provide somebody who may look."""
    async with browse(create_app(pool)) as client:
        yield client


@pytest.fixture
async def operator(pool: AsyncConnectionPool) -> AsyncIterator[httpx.AsyncClient]:
    """Provide somebody who may also act, and whose requests bring the proof of the page."""
    app = create_app(pool, allow_operations=True, token=TOKEN)

    async with browse(app) as client:
        assert (await client.get("/unlock", params={"token": TOKEN})).status_code == 303
        client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
        yield client
