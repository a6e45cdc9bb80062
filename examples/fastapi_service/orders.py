"""The tables of an order, and the workflow that fulfils one."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from oban import Cancel
from sqlalchemy import JSON, DateTime, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from oban_pro import SignalTimeout, Workflow, await_signal

type Context = dict[str, Any]

NEEDS_APPROVAL = 1_000
"""An order above this sum waits for somebody to approve it."""


class Base(DeclarativeBase):
    """Base class of the service's own tables."""


class Order(Base):
    """An order. Its progress is stored in its workflow only."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    items: Mapped[dict[str, int]] = mapped_column(JSON)
    total: Mapped[int]
    needed_by: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    approved_by: Mapped[str | None]


class Payment(Base):
    """A payment that the provider has confirmed, stored under the provider's id."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    amount: Mapped[int]


def workflow_id(order: int) -> str:
    """Derive the id from the row, so that an order has one workflow however often it is started."""
    return f"order-{order}"


async def request_payment(reference: str, total: int) -> None:
    """Stand in for the payment provider. A second request for one reference does no harm."""


async def pay(context: Context) -> int | Cancel:
    """Ask for the money, and wait until the provider confirms the payment.

    While it waits, the job is parked. Then the function runs again from its start, so it makes the
    request a second time.
    """
    await request_payment(context["reference"], context["total"])

    try:
        payment = await await_signal("paid", wait_for=timedelta(days=2))
    except SignalTimeout:
        return Cancel("nobody paid within two days")

    return int(payment["amount"])


async def pay_back(context: Context) -> int:
    """Give the money back. The provider knows the reference, so a second call does no harm."""
    await request_payment(context["reference"], -context["payment"])

    return int(context["payment"])


async def pack(quantity: int, context: Context) -> int:
    """Stand in for work that takes as long as another system needs."""
    await asyncio.sleep(0.01 * quantity)

    return quantity


async def ship(context: Context) -> dict[str, Any]:
    """Send the packed items. A second run sends the same parcel."""
    return {"parcel": f"P-{context['order']}", "pieces": sum(context["pack"].values())}


async def notify(context: Context) -> str:
    """Tell the customer."""
    return f"parcel {context['ship']['parcel']} is on its way"


def build(order: Order) -> Workflow:
    """Build approval (of large orders) -> payment -> pack (for each item) -> ship -> notify."""
    workflow = Workflow(
        id=workflow_id(order.id),
        name="order",
        # An order that has not been sent by then is cancelled.
        deadline=order.needed_by or timedelta(days=7),
    )
    workflow.add_context({"order": order.id, "reference": order.reference, "total": order.total})

    if order.total > NEEDS_APPROVAL:
        workflow.add_signal("approval", wait_for=timedelta(days=2))
        workflow.add_cascade("payment", pay, deps="approval", undo=pay_back, max_attempts=5)
    else:
        workflow.add_cascade("payment", pay, undo=pay_back, max_attempts=5)

    return (
        workflow.add_cascade("pack", (order.items, pack), deps="payment", max_attempts=5)
        .add_cascade("ship", ship, deps="pack", max_attempts=5)
        .add_cascade("notify", notify, deps="ship", max_attempts=5)
    )
