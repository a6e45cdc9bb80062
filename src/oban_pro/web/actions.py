"""What operators do: each action is checked, and told to the audit log."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from oban_pro.errors import InvalidSignalError
from oban_pro.handles import signalling, steering
from oban_pro.handles.refusals import naming
from oban_pro.model.wording import count_jobs

from .pages import crumbs_of, find_job, job_of, session_of
from .templating import id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from .operators import Act
    from .session import PageSession
    from .statements import JobDetail


@asynccontextmanager
async def _on_workflow(request: Request, action: str) -> AsyncIterator[Act]:
    """Let an operator do something to the workflow of a page."""
    operators = request.app.state.operators

    async with operators.acting(request, action) as act:
        async with session_of(request).connect() as store:
            crumbs = await crumbs_of(store, request)

        act.on(crumbs)
        await operators.check(act)
        yield act


@asynccontextmanager
async def _on_job(request: Request, action: str) -> AsyncIterator[tuple[Act, JobDetail]]:
    """Let an operator do something to a job of the workflow of a page."""
    operators = request.app.state.operators

    async with operators.acting(request, action) as act:
        async with session_of(request).connect() as store:
            job = await find_job(store, request)
            crumbs = await crumbs_of(store, request)

        act.on(crumbs, job["path"])
        await operators.check(act)
        yield act, job


async def cancel(request: Request) -> Response:
    """Cancel the open jobs of a workflow."""
    async with _on_workflow(request, "cancel") as act:
        count = await steering.cancel_jobs(session_of(request), id_of(request))
        return _said(act, "Cancelled", count)


async def retry(request: Request) -> Response:
    """Run the jobs of a workflow again that broke."""
    async with _on_workflow(request, "retry") as act:
        return _said(act, "Retried", await steering.retry_jobs(session_of(request), id_of(request)))


async def act_on_job(request: Request) -> Response:
    """Cancel a job, run it again, or run it and all that depends on it again."""
    action, session = request.path_params["action"], session_of(request)

    async with _on_job(request, action) as (act, job):
        workflow_id, names = job["workflow_id"], [job["name"]]

        match action:
            case "cancel":
                count = await steering.cancel_jobs(session, workflow_id, names)
                return _said(act, "Cancelled", count)
            case "retry" | "retry-from":
                downstream = action == "retry-from"
                count = await steering.retry_jobs(
                    session, workflow_id, names, downstream=downstream
                )
                return _said(act, "Retried", count)
            case _:
                raise HTTPException(404, "action must be cancel, retry or retry-from")


async def signal_job(request: Request) -> Response:
    """Send a signal to a wait: one of its choices, or nothing at all."""
    session = session_of(request)

    async with _on_job(request, "signal") as (act, job):
        form = await _form(request)
        payload = {"choice": form["choice"]} if "choice" in form else None
        sent = signalling.encode_sent(job["name"], payload, None, act.by)

        async with _refusing(session):
            count = await session.execute(
                lambda store: store.signal_jobs([job_of(request)], sent, is_strict=True)
            )

        return _told(act, "Signalled", job, count)


async def reject_job(request: Request) -> Response:
    """Refuse a wait, with a reason."""
    session = session_of(request)

    async with _on_job(request, "reject") as (act, job):
        reason = (await _form(request)).get("reason") or None

        async with _refusing(session):
            count = await session.execute(
                lambda store: store.reject(job["workflow_id"], job["name"], reason, act.by)
            )

        return _told(act, "Rejected", job, count)


def _told(act: Act, what: str, job: JobDetail, count: int) -> Response:
    if count:
        signalling.tell(what.lower(), job["workflow_id"], job["name"], act.by)

    return _answer(act, f"{what}." if count else "Nothing took it.")


def _said(act: Act, what: str, count: int) -> Response:
    return _answer(act, f"{what} {count_jobs(count)}.")


def _answer(act: Act, said: str) -> Response:
    act.said = said

    return HTMLResponse(said)


@asynccontextmanager
async def _refusing(session: PageSession) -> AsyncIterator[None]:
    """Say what the database refuses."""
    try:
        async with naming(session):
            yield
    except InvalidSignalError as error:
        raise HTTPException(409, str(error)) from None


async def _form(request: Request) -> dict[str, str]:
    """Read the fields of a form; the last one counts of those with the same name."""
    body = (await request.body()).decode("utf-8", "replace").replace("\0", "")

    return dict(parse_qsl(body, keep_blank_values=True))
