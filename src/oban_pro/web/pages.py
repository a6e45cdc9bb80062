"""What the routes answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from oban_pro.explain import explain_in
from oban_pro.status import SETTLED

from . import actions, values
from .live import changes
from .templating import STATES, id_of, render
from .view import read_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from oban_pro.store import Store

    from .database import Database

PAGE = 50
JOBS = 100
LOOKED_AT = 2000
"""How many jobs of one workflow the list asks for their queue."""

NEIGHBOURS = 60

FILTERS = ("executing", "completed", "cancelled", "discarded")


async def show_list(request: Request) -> Response:
    """Show root workflows, newest first; only the table where htmx asks for it."""
    query = request.query_params
    state = query.get("state", "")
    number = _page(request)
    states = [state] if state in FILTERS else None
    search = query.get("q", "").strip() or None

    async with _database(request).connect() as store:
        rows = await store.roots(states, search, PAGE + 1, (number - 1) * PAGE)
        counted = await store.web_roots([row[0] for row in rows[:PAGE]], LOOKED_AT)

    return render(
        request,
        "_list.html" if "HX-Request" in request.headers else "list.html",
        workflows=[_root(row, counted[row[0]]) for row in rows[:PAGE] if row[0] in counted],
        page=number,
        more=len(rows) > PAGE,
        search=search or "",
        state=state if states else "",
        filters=FILTERS,
    )


def _root(row: Sequence[Any], counted: dict[str, Any]) -> dict[str, Any]:
    workflow_id, name, state, inserted_at, *_, stopped_at = row
    stopped_at = stopped_at.replace(tzinfo=UTC) if stopped_at else datetime.now(UTC)

    return {
        "id": workflow_id,
        "name": name,
        "state": state,
        "counts": {state: counted[state] for state in STATES},
        "total": counted["total"],
        "settled": sum(counted[state] for state in SETTLED),
        "queues": counted["queues"],
        "looked_at": LOOKED_AT,
        "inserted_at": inserted_at,
        "duration": values.show_duration(counted["started_at"], stopped_at),
    }


async def show_workflow(request: Request) -> Response:
    """Show one workflow; its page fetches what it draws from `show_view`."""
    workflow_id = id_of(request)

    async with _database(request).connect() as store:
        place = await store.web_place(workflow_id)
        view = await read_view(store, workflow_id)

    if view is None:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    return render(request, "workflow.html", id=workflow_id, place=place, top=view["members"][0])


async def show_view(request: Request) -> Response:
    """Answer with what graph, timeline and table of a workflow are drawn from."""
    workflow_id = id_of(request)
    opened, shut = (_keys(request.query_params.get(name, "")) for name in ("open", "shut"))

    async with _database(request).connect() as store:
        view = await read_view(store, workflow_id, opened, shut)

    if view is None:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    return Response(orjson.dumps(view), media_type="application/json")


async def show_jobs(request: Request) -> Response:
    """Show a page of all jobs of a workflow, as a table for its page."""
    workflow_id, query = id_of(request), request.query_params
    state = query.get("state", "")

    async with _database(request).connect() as store:
        jobs = await store.web_jobs(
            workflow_id,
            search=query.get("q", "").strip() or None,
            state=state if state in STATES else None,
            group=next(iter(_keys(query.get("group", ""))), None),
            job=_number(query.get("job", "")),
            page=_page(request),
            limit=JOBS,
        )

    page = jobs[0]["page"] if jobs else 1

    return render(
        request,
        "_jobs.html",
        id=workflow_id,
        jobs=jobs,
        page=page,
        first=(page - 1) * JOBS + 1,
        total=jobs[0]["total"] if jobs else 0,
    )


async def show_events(request: Request) -> Response:
    """Stream an event for each change of a workflow."""
    state = request.app.state
    stream = changes(state.database, state.bell, id_of(request))

    return StreamingResponse(
        stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def show_job(request: Request) -> Response:
    """Show one job; only its panel where htmx asks for it."""
    workflow_id, job_id = id_of(request), request.path_params["job"]

    async with _database(request).connect() as store:
        job = await _find_job(store, request)
        neighbours = await store.web_neighbours(job_id, NEIGHBOURS)
        explanation = await explain_in(store, job["workflow_id"], job["name"])

    return render(
        request,
        "_job.html" if "HX-Request" in request.headers else "job.html",
        id=workflow_id,
        job_id=job_id,
        job=job,
        recorded=values.show_recorded(job["meta"] or {}),
        explanation=explanation,
        upstream=[other for other in neighbours if other["upstream"]],
        downstream=[other for other in neighbours if not other["upstream"]],
        shorten=values.shorten,
    )


async def _find_job(store: Store, request: Request) -> dict[str, Any]:
    workflow_id, job_id = id_of(request), request.path_params["job"]
    job = await store.web_job(workflow_id, job_id)

    if job is None:
        raise HTTPException(404, f"there is no job {job_id} in workflow {workflow_id!r}")

    return job


async def unlock(request: Request) -> Response:
    """Let a reader who knows the token cancel and retry from now on."""
    guard = request.app.state.guard

    if not guard.accepts(request.query_params.get("token", "")):
        raise HTTPException(403, "token must be the one that the dashboard was started with")

    response = RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)
    guard.remember(request, response)

    return response


async def cancel(request: Request) -> Response:
    """Cancel the open jobs of a workflow."""
    request.app.state.guard.check(request)
    count = await actions.cancel(_database(request), id_of(request))

    return _said("Cancelled", count)


async def retry(request: Request) -> Response:
    """Run the jobs of a workflow again that broke."""
    request.app.state.guard.check(request)
    count = await actions.retry(_database(request), id_of(request))

    return _said("Retried", count)


async def act_on_job(request: Request) -> Response:
    """Cancel a job, run it again, or run it and all that waits for it again."""
    request.app.state.guard.check(request)
    database = _database(request)

    async with database.connect() as store:
        job = await _find_job(store, request)

    workflow_id, name = job["workflow_id"], job["name"]

    match request.path_params["action"]:
        case "cancel":
            return _said("Cancelled", await actions.cancel(database, workflow_id, name))
        case "retry":
            return _said("Retried", await actions.retry(database, workflow_id, name))
        case "retry-from":
            job_id = request.path_params["job"]
            return _said("Retried", await actions.retry_from(database, workflow_id, job_id))
        case _:
            raise HTTPException(404, "action must be cancel, retry or retry-from")


async def show_http_error(request: Request, error: Exception) -> Response:
    """Say what was wrong with a request."""
    assert isinstance(error, HTTPException)

    return render(
        request, "error.html", error.status_code, code=error.status_code, message=error.detail
    )


async def show_schema_error(request: Request, error: Exception) -> Response:
    """Say that the database is not ready."""
    return render(request, "error.html", 503, code=503, message=str(error))


def _said(what: str, count: int) -> Response:
    return HTMLResponse(f"{what} {count:,} {'job' if count == 1 else 'jobs'}.")


def _database(request: Request) -> Database:
    database: Database = request.app.state.database

    return database


def _number(text: str) -> int | None:
    """Read a number that fits a bigint."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _page(request: Request) -> int:
    number = _number(request.query_params.get("page", "")) or 1

    return min(number, 1_000_000)


def _keys(text: str) -> list[int]:
    """Read keys of groups, which are negative."""
    keys = [_number(part.removeprefix("-")) for part in text.split(",")]

    return [-key for key in keys if key]
