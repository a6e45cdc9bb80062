"""The workflow of an order after the request: packing, approval of large orders, shipping."""

import functools
from collections.abc import Callable
from typing import Any

from django.db import close_old_connections

from oban_pro import Workflow

from .models import Order

LARGE = 1_000


def with_database[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Close old database connections before and after a job, as Django does for a request."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()

        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return call


def pack(item: str, context: dict[str, Any]) -> str:
    """Pack one item."""
    return f"{item} for order {context['order']}"


@with_database
def ship(context: dict[str, Any]) -> int:
    """Ship the packed items, and store how many parcels there were."""
    parcels = len(context["pack"])
    Order.objects.filter(pk=context["order"]).update(shipped=parcels)

    return parcels


def build(order: Order) -> Workflow:
    """Build the workflow of an order; a large one waits until somebody approves it."""
    workflow = Workflow(id=order.workflow_id, name="order", defaults={"max_attempts": 5})
    workflow.add_context({"order": order.pk})
    workflow.add_cascade("pack", (order.items, pack))
    deps = ["pack"]

    if order.total >= LARGE:
        workflow.add_signal("approval", choices=("approve", "reject"))
        deps.append("approval")

    return workflow.add_cascade("ship", ship, deps=deps)
