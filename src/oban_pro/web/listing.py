"""The list of workflows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException

from oban_pro.errors import message_of
from oban_pro.model.wording import SETTLED, STATES

from . import values
from .attention import FEW_JOBS, read_attention
from .finding import JOB_STATES, JOBS, ORDERS, Asked, ListPage, Root, write_place
from .finding import STATES as ROOT_STATES
from .pages import session_of
from .statements import MOST_OF_ERROR
from .templating import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from .finding import Query
    from .statements import PageStore

PAGE = 50
"""How many workflows a page of the list has."""

FAILED = ("discarded", "retryable", "cancelled")
"""States of jobs that have errors, in the order in which they matter."""

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
        workflows = [_shown(root, JOBS) for root in found.roots]

        if asked == Asked(order=asked.order) and asked.order in ("", "newest"):
            # Who opens the list sees those that need somebody, however old they are.
            others = await attention.others(store, {one["id"] for one in workflows})
            shown = [_shown(root, FEW_JOBS) for root in others]
            workflows += [one for one in shown if attention.needed(one)]

        errors = await _read_errors(store, workflows)

    for workflow in workflows:
        workflow["needed"] = attention.needed(workflow)
        workflow["error"] = errors.get(workflow["id"])

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


async def _read_errors(
    store: PageStore, workflows: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Read the first error of each workflow in which something failed, by id."""
    states = {
        one["id"]: state
        for one in workflows
        if (state := next((state for state in FAILED if one["counts"][state]), None))
    }
    found = await store.lists.first_errors(states, MOST_OF_ERROR) if states else {}

    return {
        id: {
            "job": one.job_id,
            "path": " / ".join(one.path),
            "message": values.shorten_line(message_of(one.error)),
        }
        for id, one in found.items()
    }


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


def _shown(root: Root, looked_at: int) -> dict[str, Any]:
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
        "looked_at": looked_at,
        "moved_at": counted["moved_at"],
        "is_waiting": counted["is_waiting"],
        "is_timed": counted["is_timed"],
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
