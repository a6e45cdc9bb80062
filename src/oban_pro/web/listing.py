"""The list of workflows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException

from oban_pro.model.wording import SETTLED, STATES

from . import values
from .attention import read_attention
from .finding import JOB_STATES, JOBS, ORDERS, Asked, ListPage, Root, write_place
from .finding import STATES as ROOT_STATES
from .pages import session_of
from .templating import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .finding import Query

PAGE = 50
"""How many workflows a page of the list has."""

MOST_COUNTED = 1_000
"""Up to how many workflows in one state are counted."""


async def show_list(request: Request) -> Response:
    """Show root workflows; only the table where htmx asks for it."""
    asked = Asked.of(request.query_params)
    query, wrong = checked(asked)

    async with session_of(request).connect() as store:
        found = await query.page(store, PAGE) if query else ListPage([], None, None, None)
        counts = await store.lists.count(MOST_COUNTED)
        attention = await read_attention(store)

    workflows = [_shown(root) for root in found.roots]

    for workflow in workflows:
        workflow["needed"] = attention.needed(workflow)

    return render(
        request,
        "_list.html" if "HX-Request" in request.headers else "list.html",
        workflows=_sorted(workflows, asked.order),
        needy=sum(1 for workflow in workflows if workflow["needed"]),
        waits=attention.waits,
        counts=counts,
        most=MOST_COUNTED,
        asked=asked,
        wrong=wrong,
        newer=found.before and asked.to_query(before=write_place(found.before)),
        older=found.after and asked.to_query(after=write_place(found.after)),
        looked_until=found.looked_until,
        states=ROOT_STATES,
        job_states=JOB_STATES,
        orders=ORDERS,
        may_act=await request.app.state.operators.may_act(request),
    )


def checked(asked: Asked) -> tuple[Query | None, str]:
    """Return what to look for, or why the fields cannot be used."""
    try:
        return asked.check(), ""
    except ValueError as error:
        return None, str(error)


def query_of(request: Request) -> Query:
    """Return what a request wants to find.

    Raises:
        HTTPException: 400 if nobody can look for that.
    """
    query, wrong = checked(Asked.of(request.query_params))

    if query is None:
        raise HTTPException(400, wrong)

    return query


def _shown(root: Root) -> dict[str, Any]:
    row, counted = root
    assert counted is not None
    started_at = counted["started_at"]
    stopped_at = counted["stopped_at"] if row.state != "executing" else None
    counts = {state: cast("int", counted.get(state)) for state in STATES}

    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "is_paused": row.is_paused,
        "is_queued": row.is_queued,
        "counts": counts,
        "total": counted["total"],
        "settled": sum(counts[state] for state in SETTLED),
        "queues": sorted({queue for queue, _ in counted["seen"]}),
        "looked_at": JOBS,
        "inserted_at": row.inserted_at,
        "started_at": started_at,
        "stopped_at": stopped_at,
        "took": (stopped_at or datetime.now(UTC)) - started_at if started_at else None,
        "duration": values.show_duration(started_at, stopped_at or datetime.now(UTC)),
    }


def _sorted(workflows: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    """Sort a page; those that need somebody come first, unless an order is asked for."""
    match order:
        case "longest":
            return sorted(
                workflows, key=lambda one: -one["took"].total_seconds() if one["took"] else 0
            )
        case "largest":
            return sorted(workflows, key=lambda one: -one["total"])
        case "name":
            return sorted(workflows, key=lambda one: (one["name"] or one["id"]).lower())
        case "" | "newest":
            return sorted(workflows, key=lambda one: not one["needed"])
        case _:
            return workflows
