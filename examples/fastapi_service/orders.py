"""What an order is, and the workflow that fulfils one."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from oban_pro import Workflow

type Context = dict[str, Any]


class Base(DeclarativeBase):
    """The tables of the service itself."""


class Order(Base):
    """An order; how far it is, its workflow knows."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    items: Mapped[dict[str, int]] = mapped_column(JSON)


def workflow_id(order: int) -> str:
    """Derive the id from the row, so that an order has one workflow however often it is started."""
    return f"order-{order}"


async def pack(quantity: int, context: Context) -> int:
    """Stand in for work at an other system's pace."""
    await asyncio.sleep(0.01 * quantity)

    return quantity


async def ship(context: Context) -> dict[str, Any]:
    """Send what was packed; run twice, it sends the same parcel."""
    return {"parcel": f"P-{context['order']}", "pieces": sum(context["pack"].values())}


async def notify(context: Context) -> str:
    """Tell the customer."""
    return f"parcel {context['ship']['parcel']} is on its way"


def build(order: Order) -> Workflow:
    """Build pack (a job for each item) -> ship -> notify."""
    return (
        Workflow(id=workflow_id(order.id), name="order")
        .add_context({"order": order.id})
        .add_cascade("pack", (order.items, pack))
        .add_cascade("ship", ship, deps="pack")
        .add_cascade("notify", notify, deps="ship")
    )
