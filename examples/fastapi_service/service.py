"""The HTTP side: rows and workflows change in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import psycopg
from fastapi import FastAPI, HTTPException, Request
from oban import Oban
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from oban_pro import Workflow, schema, signal
from oban_pro.errors import InvalidArgumentError, UnknownNameError

from .orders import Base, Order, Payment, build, workflow_id


class NewOrder(BaseModel):
    """The request of a customer: a reference, quantities by item, and the total price."""

    reference: str
    items: dict[str, int]
    total: int
    needed_by: AwareDatetime | None = None


class Decision(BaseModel):
    """A decision about a large order. A real service takes ``by`` from its login."""

    choice: Literal["approve", "reject"]
    by: str
    reason: str | None = None


class PaymentConfirmed(BaseModel):
    """The request of the payment provider. A real service checks its signature first."""

    id: str
    reference: str
    amount: int


def create_app(dsn: str, queues: dict[str, Any] | None = None) -> FastAPI:
    """Create the service.

    Args:
        dsn: The database of the service's tables and of workflows. Missing tables are created.
        queues: The queues that this process runs. By default none: other processes run jobs.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = create_async_engine(
            "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(dsn)
        )

        async with await Oban.create_pool(dsn) as pool:
            await schema.install(pool)

            async with engine.begin() as conn:
                await conn.run_sync(Base.metadata.create_all)

            async with Oban(pool=pool, queues=queues or {}) as oban:
                app.state.oban, app.state.engine = oban, engine
                yield

        await engine.dispose()

    app = FastAPI(title="Orders", lifespan=lifespan)
    app.post("/orders", status_code=202)(create)
    app.get("/orders/{order_id}")(show)
    app.post("/orders/{order_id}/decision")(decide)
    app.post("/payments")(confirm)

    return app


async def create(new: NewOrder, request: Request) -> dict[str, int]:
    """Take an order: the row and the workflow are inserted together, or neither is."""
    state = request.app.state

    try:
        async with AsyncSession(state.engine) as session, session.begin():
            order = Order(**new.model_dump())
            session.add(order)
            await session.flush()
            await state.oban.enqueue_many(build(order), conn=session)

            return {"id": order.id}
    except IntegrityError:
        raise HTTPException(409, "this reference was used before") from None
    except InvalidArgumentError as error:
        raise HTTPException(422, str(error)) from None


async def decide(order_id: int, decision: Decision, request: Request) -> dict[str, str]:
    """Approve or reject a large order: the row and the workflow change together."""
    workflow = Workflow(id=workflow_id(order_id))

    async with AsyncSession(request.app.state.engine) as session, session.begin():
        order = await session.get(Order, order_id)

        if order is None:
            raise HTTPException(404)

        try:
            if decision.choice == "approve":
                order.approved_by = decision.by
                taken = await workflow.signal("approval", by=decision.by, conn=session)
            else:
                taken = await workflow.reject(
                    "approval", decision.reason, by=decision.by, conn=session
                )
        except UnknownNameError:
            raise HTTPException(404, "this order needs no approval") from None

        if not taken:
            raise HTTPException(409, "somebody else has decided, or it was too late")

    return {"decided": decision.choice}


async def confirm(payment: PaymentConfirmed, request: Request) -> dict[str, bool]:
    """Handle the webhook of the payment provider, which repeats it until it gets an answer."""
    try:
        async with AsyncSession(request.app.state.engine) as session, session.begin():
            order = await session.scalar(select(Order).filter_by(reference=payment.reference))

            if order is None:
                raise HTTPException(404)

            session.add(Payment(id=payment.id, order_id=order.id, amount=payment.amount))
            await session.flush()

            job = await Workflow(id=workflow_id(order.id)).get_job("payment")

            if job is not None and job.id is not None:
                paid = {"amount": payment.amount}
                await signal(job.id, paid, name="paid", by="provider", conn=session)
    except IntegrityError:
        return {"is_new": False}

    return {"is_new": True}


async def show(order_id: int, request: Request) -> dict[str, Any]:
    """Show the progress of an order, and its results."""
    async with AsyncSession(request.app.state.engine) as session:
        order = await session.get(Order, order_id)

    if order is None:
        raise HTTPException(404)

    workflow = Workflow(id=workflow_id(order_id))
    status = await workflow.status()

    return {
        "reference": order.reference,
        "approved_by": order.approved_by,
        "state": status.state,
        "done": status.counts["completed"],
        "of": status.total,
        "message": await workflow.get_recorded("notify"),
        "paid_back": await workflow.get_recorded("undo/payment"),
    }
