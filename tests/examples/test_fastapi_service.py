"""The service that takes orders does what its README says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest

from examples.fastapi_service.service import create_app

type Rows = Callable[[str], int]


@asynccontextmanager
async def client(dsn: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(dsn, **options)
    transport = httpx.ASGITransport(app)

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://orders") as web,
    ):
        yield web


@pytest.fixture
def rows(empty_dsn: str) -> Rows:
    def count(table: str) -> int:
        with psycopg.connect(empty_dsn) as conn:
            row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row
        return int(row[0])

    return count


def order(reference: str, **items: int) -> dict[str, Any]:
    return {"reference": reference, "items": items}


class TestOrders:
    async def test_are_fulfilled_and_show_their_progress(
        self, empty_dsn: str, wait_until: Callable[..., Awaitable[Any]]
    ) -> None:
        async with client(empty_dsn, queues={"default": 10}) as web:
            created = await web.post("/orders", json=order("A-1", pen=2, ink=1))
            assert created.status_code == 202
            path = f"/orders/{created.json()['id']}"

            async def shipped() -> Any:
                shown = (await web.get(path)).json()
                return shown if shown["state"] == "completed" else None

            shown = await wait_until(shipped, timeout=30)
            assert shown == {
                "reference": "A-1",
                "state": "completed",
                "done": 4,
                "of": 4,
                "message": f"parcel P-{created.json()['id']} is on its way",
            }

    async def test_wait_for_workers_that_run_elsewhere(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            created = await web.post("/orders", json=order("A-1", pen=2))
            shown = (await web.get(f"/orders/{created.json()['id']}")).json()

        assert (shown["state"], shown["done"], shown["of"]) == ("executing", 0, 3)

    async def test_are_unknown_before_they_are_taken(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            assert (await web.get("/orders/1")).status_code == 404

    async def test_that_are_taken_twice_start_one_workflow(
        self, empty_dsn: str, rows: Rows
    ) -> None:
        async with client(empty_dsn) as web:
            answers = [await web.post("/orders", json=order("A-1", pen=2)) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [202, 409]
        assert (rows("orders"), rows("oban_jobs")) == (1, 3)

    async def test_whose_workflow_is_refused_leave_no_row(self, empty_dsn: str, rows: Rows) -> None:
        async with client(empty_dsn) as web:
            answer = await web.post("/orders", json={"reference": "A-1", "items": {"": 1}})

        assert answer.status_code == 422
        assert (rows("orders"), rows("oban_jobs")) == (0, 0)
