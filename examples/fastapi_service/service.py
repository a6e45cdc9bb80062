"""The HTTP side: write a row and start its workflow in one transaction, and show progress."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI, HTTPException, Request
from oban import Oban
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from oban_pro import Workflow, schema
from oban_pro.errors import InvalidArgumentError

from .orders import Base, Order, build, workflow_id


class NewOrder(BaseModel):
    """What a customer sends: a reference of their own, and quantities by item."""

    reference: str
    items: dict[str, int]


def create_app(dsn: str, queues: dict[str, Any] | None = None) -> FastAPI:
    """Create the service.

    Args:
        dsn: Where its own table and those of workflows are; both are made if need be.
        queues: What this process runs itself. By default nothing: workers run elsewhere.
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

    return app


async def create(new: NewOrder, request: Request) -> dict[str, int]:
    """Take an order: the row and the workflow are there together, or neither is."""
    state = request.app.state

    try:
        async with AsyncSession(state.engine) as session, session.begin():
            order = Order(reference=new.reference, items=new.items)
            session.add(order)
            await session.flush()
            await state.oban.enqueue_many(build(order), conn=session)

            return {"id": order.id}
    except IntegrityError:
        raise HTTPException(409, "this reference was used before") from None
    except InvalidArgumentError as error:
        raise HTTPException(422, str(error)) from None


async def show(order_id: int, request: Request) -> dict[str, Any]:
    """Show how far an order is, and what came out of it."""
    async with AsyncSession(request.app.state.engine) as session:
        order = await session.get(Order, order_id)

    if order is None:
        raise HTTPException(404)

    workflow = Workflow(id=workflow_id(order_id))
    status = await workflow.status()

    return {
        "reference": order.reference,
        "state": status.state,
        "done": status.counts["completed"],
        "of": status.total,
        "message": await workflow.get_recorded("notify"),
    }
