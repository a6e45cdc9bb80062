"""The service that takes orders does what its README says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from oban import Job

from examples.fastapi_service.service import create_app
from oban_pro import Workflow
from tests.support.databases import Psql
from tests.support.fixtures import StartOban, WaitUntil


@asynccontextmanager
async def client(dsn: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(dsn, **options)
    transport = httpx.ASGITransport(app)

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://orders") as web,
    ):
        yield web


def count(dsn: str, table: str) -> int:
    return len(Psql(dsn).rows(f"SELECT FROM {table}"))


def order(reference: str = "A-1", *, total: int = 20, **items: int) -> dict[str, Any]:
    return {"reference": reference, "items": items or {"pen": 2}, "total": total}


def payment(id: str = "evt-1", reference: str = "A-1") -> dict[str, Any]:
    return {"id": id, "reference": reference, "amount": 20}


def error_of(job: Job | None) -> str:
    errors: list[Any] = [] if job is None else job.errors

    return str(errors[-1]["error"])


async def take(web: httpx.AsyncClient, new: dict[str, Any]) -> str:
    """Send an order; returns its path."""
    created = await web.post("/orders", json=new)
    assert created.status_code == 202, created.text

    return f"/orders/{created.json()['id']}"


async def reach(web: httpx.AsyncClient, path: str, state: str, wait_until: WaitUntil) -> Any:
    """Wait until an order is in a state; returns what is shown of it."""

    async def shown() -> Any:
        answer = (await web.get(path)).json()
        return answer if answer["state"] == state else None

    return await wait_until(shown, timeout=30)


class TestOrders:
    async def test_are_fulfilled_once_they_are_paid(
        self, empty_dsn: str, wait_until: WaitUntil
    ) -> None:
        async with client(empty_dsn, queues={"default": 10}) as web:
            path = await take(web, order(pen=2, ink=1))
            assert (await web.post("/payments", json=payment())).json() == {"is_new": True}

            assert await reach(web, path, "completed", wait_until) == {
                "reference": "A-1",
                "approved_by": None,
                "state": "completed",
                "done": 5,
                "of": 5,
                "message": "parcel P-1 is on its way",
                "paid_back": None,
            }

    async def test_that_are_cancelled_once_they_are_paid_are_paid_back(
        self, empty_dsn: str, wait_until: WaitUntil
    ) -> None:
        async with client(empty_dsn, queues={"default": 10}) as web:
            path = await take(web, order(pen=300))
            await web.post("/payments", json=payment())
            workflow = Workflow(id="order-1")

            async def is_paid() -> bool:
                return bool(await workflow.get_recorded("payment") == 20)

            await wait_until(is_paid)
            assert await workflow.cancel_jobs() > 0
            shown = await reach(web, path, "cancelled", wait_until)

        assert (shown["paid_back"], shown["message"]) == (20, None)

    async def test_wait_for_workers_that_run_elsewhere(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            path = await take(web, order())
            shown = (await web.get(path)).json()

        assert (shown["state"], shown["done"], shown["of"]) == ("executing", 0, 4)

    async def test_are_unknown_before_they_are_taken(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            assert (await web.get("/orders/1")).status_code == 404

    async def test_that_are_taken_twice_start_one_workflow(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            answers = [await web.post("/orders", json=order()) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [202, 409]
        assert (count(empty_dsn, "orders"), count(empty_dsn, "oban_jobs")) == (1, 4)

    async def test_whose_workflow_is_refused_leave_no_row(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            answer = await web.post("/orders", json=order() | {"items": {"": 1}})

        assert answer.status_code == 422
        assert (count(empty_dsn, "orders"), count(empty_dsn, "oban_jobs")) == (0, 0)

    async def test_that_nobody_pays_are_cancelled_at_their_deadline(
        self, empty_dsn: str, wait_until: WaitUntil
    ) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=1)

        async with client(empty_dsn, queues={"default": 10}) as web:
            path = await take(web, order() | {"needed_by": soon.isoformat()})
            shown = await reach(web, path, "cancelled", wait_until)
            job = await Workflow(id="order-1").get_job("ship")

        assert (shown["paid_back"], shown["message"]) == (None, None)
        assert error_of(job).startswith("deadline ")


class TestApproval:
    async def test_is_needed_above_a_sum(self, empty_dsn: str, wait_until: WaitUntil) -> None:
        async with client(empty_dsn, queues={"default": 10}) as web:
            path = await take(web, order(total=1_001))
            await web.post("/payments", json=payment())
            assert (await web.get(path)).json()["done"] == 0

            decision = {"choice": "approve", "by": "ada"}
            assert (await web.post(f"{path}/decision", json=decision)).status_code == 200
            shown = await reach(web, path, "completed", wait_until)
            assert shown["approved_by"] == "ada"

            # too late
            decision = {"choice": "reject", "by": "bob"}
            assert (await web.post(f"{path}/decision", json=decision)).status_code == 409
            assert (await web.get(path)).json()["approved_by"] == "ada"

    async def test_that_is_refused_cancels_the_order(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            path = await take(web, order(total=1_001))
            decision = {"choice": "reject", "by": "ada", "reason": "too expensive"}
            assert (await web.post(f"{path}/decision", json=decision)).status_code == 200
            assert (await web.get(path)).json()["state"] == "cancelled"
            job = await Workflow(id="order-1").get_job("approval")

        assert error_of(job) == "rejected by ada: too expensive"

    async def test_is_not_needed_for_small_orders(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            path = await take(web, order())
            decision = {"choice": "approve", "by": "ada"}
            assert (await web.post(f"{path}/decision", json=decision)).status_code == 404
            assert (await web.get(path)).json()["approved_by"] is None


class TestPayments:
    async def test_that_come_twice_count_once(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            await take(web, order())
            answers = [await web.post("/payments", json=payment()) for _ in range(2)]
            (signal,) = await Workflow(id="order-1").signals("payment")

        assert [answer.json() for answer in answers] == [{"is_new": True}, {"is_new": False}]
        assert (signal.by, signal.payload) == ("provider", {"amount": 20})
        assert count(empty_dsn, "payments") == 1

    async def test_of_orders_that_nobody_knows_are_not_found(self, empty_dsn: str) -> None:
        async with client(empty_dsn) as web:
            assert (await web.post("/payments", json=payment())).status_code == 404

    async def test_that_come_late_find_a_job_that_is_parked(
        self, dsn: str, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        """The service runs nothing here: two nodes beside it do, and either may go on."""
        for _ in range(2):
            await start_oban({"default": 5})

        async with client(dsn) as web:
            path = await take(web, order())
            workflow = Workflow(id="order-1")

            async def parked() -> bool:
                job = await workflow.get_job("payment")
                return job is not None and job.state == "scheduled"

            await wait_until(parked, timeout=30)
            await web.post("/payments", json=payment())
            shown = await reach(web, path, "completed", wait_until)

        assert shown["message"] == "parcel P-1 is on its way"
