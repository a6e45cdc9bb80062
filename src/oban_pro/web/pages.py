"""What the routes answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson
from psycopg import Error
from starlette.exceptions import HTTPException
from starlette.responses import (
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from oban_pro import settings
from oban_pro.errors import SchemaError, message_of
from oban_pro.handles.explaining import explain_in
from oban_pro.handles.stats import read_stats
from oban_pro.model.links import TRACE_ID, trace_of
from oban_pro.model.meta import TRACE
from oban_pro.model.wording import SETTLED, STATES, visible

from . import values
from .live import changes, digest
from .phases import last_attempt
from .queries import drawing_of, keys_of, number_of, page_of
from .statements import wait_of
from .templating import id_of, render
from .totals import sum_groups
from .view import read_view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from .session import PageSession
    from .statements import Breadcrumb, JobDetail, PageStore

logger = logging.getLogger("oban_pro.web")

JOBS = 100
NEIGHBOURS = 60


async def show_health(request: Request) -> Response:
    """Tell a probe whether the page can show anything; the log says why it cannot."""
    try:
        await session_of(request).check()
    except (Error, SchemaError) as error:
        logger.warning("unhealthy: %s", visible(str(error)))

        return PlainTextResponse("unhealthy\n", 503)

    return PlainTextResponse("healthy\n")


async def show_metrics(request: Request) -> Response:
    """Answer Prometheus: what is open in the database."""
    try:
        from oban_pro.metrics import CONTENT_TYPE, to_text
    except ModuleNotFoundError:
        return PlainTextResponse("the metrics need: pip install 'oban-workflows[metrics]'\n", 501)

    async with session_of(request).connect() as store:
        text = to_text(await read_stats(store))

    return Response(text, media_type=CONTENT_TYPE)


async def show_workflow(request: Request) -> Response:
    """Show one workflow; its page fetches what it draws from `show_view`."""
    workflow_id = id_of(request)

    async with session_of(request).connect() as store:
        groups = await store.status(workflow_id)
        crumbs = await crumbs_of(store, request)
        name = crumbs[0].name if len(crumbs) == 1 else None
        siblings = None if name is None else await store.history.siblings(workflow_id)

    if not groups:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    return render(
        request,
        "workflow.html",
        id=workflow_id,
        crumbs=crumbs,
        run_of=name,
        siblings=siblings,
        state=sum_groups(groups)[groups[0].key].shown_state,
        allowed=await request.app.state.operators.allowed(request, crumbs[0].id),
    )


async def show_view(request: Request) -> Response:
    """Answer with what graph, timeline and table of a workflow are drawn from."""
    workflow_id = id_of(request)

    async with session_of(request).connect() as store:
        view = await read_view(store, workflow_id, drawing_of(request.query_params))

    if view is None:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    mark = digest({name: value for name, value in view.items() if name != "now"})

    return _unless_known(
        request, mark, lambda: Response(orjson.dumps(view), media_type="application/json")
    )


async def show_jobs(request: Request) -> Response:
    """Show a page of all jobs of a workflow, as a table for its page."""
    workflow_id, query = id_of(request), request.query_params
    state = query.get("state", "")

    async with session_of(request).connect() as store:
        jobs = await store.job_page(
            workflow_id,
            search=query.get("q", "").strip() or None,
            state=state if state in STATES else None,
            group=next(iter(keys_of(query.get("group", ""))), None),
            job=number_of(query.get("job", "")),
            page=page_of(request.query_params),
            limit=JOBS,
        )

    for job in jobs:
        job["error"] = values.shorten_line(message_of(job["error"] or ""))

    page = jobs[0]["page"] if jobs else 1
    waits = {job["id"]: wait for job in jobs if (wait := wait_of(job)) is not None}
    told = [wait.tell_short(datetime.now(UTC)) for wait in waits.values()]

    return _unless_known(
        request,
        digest((jobs, told)),
        lambda: render(
            request,
            "_jobs.html",
            id=workflow_id,
            jobs=jobs,
            waits=waits,
            page=page,
            first=(page - 1) * JOBS + 1,
            total=jobs[0]["total"] if jobs else 0,
        ),
    )


def _unless_known(request: Request, mark: str, answer: Callable[[], Response]) -> Response:
    """Answer 304 if a script has the same answer already."""
    etag = f'"{mark}"'
    # A proxy that compresses answers marks the ETag as weak.
    is_known = request.headers.get("If-None-Match", "").removeprefix("W/") == etag
    response = Response(status_code=304) if is_known else answer()
    response.headers["ETag"] = etag

    return response


async def show_events(request: Request) -> Response:
    """Stream an event for each change of a workflow."""
    state = request.app.state
    known = request.headers.get("Last-Event-ID") or request.query_params.get("seen")
    stream = changes(state.session, state.listener, id_of(request), known)
    # The database answers first, so that an error can still have a status of its own.
    first = await anext(stream)

    async def events() -> AsyncIterator[str]:
        async with aclosing(stream):
            yield first

            async for event in stream:
                yield event

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def show_job(request: Request) -> Response:
    """Show one job; only its panel where htmx asks for it."""
    workflow_id, job_id = id_of(request), job_of(request)

    async with session_of(request).connect() as store:
        job = await find_job(store, request, job_id)
        neighbours = await store.neighbours(job_id, NEIGHBOURS)
        explanation = await explain_in(store, job["workflow_id"], job["name"])
        crumbs = await crumbs_of(store, request)

    # The app that is asked may need a connection of the same pool.
    allowed = await request.app.state.operators.allowed(request, crumbs[0].id)
    behind = 0

    if "cancel" in allowed and job["state"] not in SETTLED:
        async with session_of(request).connect() as store:
            behind = await store.behind(job_id)

    trace_id = trace_of((job["meta"] or {}).get(TRACE[0]))
    template = settings.current().trace_url
    trace = template and trace_id and template.replace(TRACE_ID, quote(trace_id, safe=""))

    return render(
        request,
        "_job.html" if "HX-Request" in request.headers else "job.html",
        id=workflow_id,
        job_id=job_id,
        job=job,
        errors=values.show_errors(job["errors"]),
        trace_id=trace_id,
        trace=trace,
        ran=last_attempt(job, values.times_of(job["errors"])),
        meta=values.meta_of(job),
        recorded=await asyncio.to_thread(values.show_recorded, job["meta"] or {}),
        explanation=explanation,
        wait=explanation.subject.wait,
        allowed=allowed,
        behind=behind,
        upstream=[other for other in neighbours if other["upstream"]],
        downstream=[other for other in neighbours if not other["upstream"]],
    )


async def crumbs_of(store: PageStore, request: Request) -> list[Breadcrumb]:
    """Read the workflow that a path names, and those around it, the root first.

    Raises:
        HTTPException: 404 if it is not there.
    """
    workflow_id = id_of(request)
    crumbs = await store.breadcrumbs(workflow_id)

    if not crumbs:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    return crumbs


async def find_job(store: PageStore, request: Request, member: int) -> JobDetail:
    """Read a job of the workflow that a path names, or as much as there is of a group.

    Raises:
        HTTPException: 404 if it is not there.
    """
    workflow_id = id_of(request)
    job = await store.job(workflow_id, member)

    if job is None:
        raise HTTPException(404, f"there is no job {member} in workflow {workflow_id!r}")

    job["meta"] = values.only(dict, job["meta"])

    return job


async def unlock(request: Request) -> Response:
    """Let a reader who knows the token cancel and retry from now on."""
    guard = request.app.state.guard

    if not guard.accepts(request.query_params.get("token", "")):
        raise HTTPException(403, "token must be the one that the dashboard was started with")

    response = RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)
    guard.remember(request, response)

    return response


def session_of(request: Request) -> PageSession:
    """Return the way to the database."""
    session: PageSession = request.app.state.session

    return session


def job_of(request: Request) -> int:
    """Read the id of a job from the path.

    Raises:
        HTTPException: 404 if no job can have it.
    """
    job_id = number_of(request.path_params["job"])

    if job_id is None:
        raise HTTPException(404, "the id of a job must be a number")

    return job_id
