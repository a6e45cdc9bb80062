"""What operators do: each action is checked, and told to the audit log."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    InvalidScheduleError,
    InvalidSignalError,
    OpenWorkflowError,
    UniqueConflictError,
    UnknownNameError,
    UnknownWorkflowError,
)
from oban_pro.handles import searching, signalling, steering
from oban_pro.handles.refusals import naming
from oban_pro.model.wording import count_jobs

from .pages import crumbs_of, find_job, job_of, session_of
from .queries import keys_of
from .templating import id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from .operators import Act
    from .statements import JobDetail, PageStore

REFUSALS = (
    *(InvalidArgumentError, InvalidOptionError, InvalidScheduleError, InvalidSignalError),
    *(OpenWorkflowError, UniqueConflictError, UnknownNameError, UnknownWorkflowError),
)
"""Errors that say why an action cannot be done."""


@contextmanager
def refusing() -> Iterator[None]:
    """Tell the page what cannot be done."""
    try:
        yield
    except REFUSALS as error:
        raise HTTPException(409, str(error)) from None


@asynccontextmanager
async def on_workflow(request: Request, action: str) -> AsyncIterator[Act]:
    """Let an operator do something to the workflow of a page."""
    operators = request.app.state.operators

    async with operators.acting(request, action) as act:
        async with session_of(request).connect() as store:
            crumbs = await crumbs_of(store, request)

        act.on(crumbs)
        await operators.check(act)

        with refusing():
            yield act


@asynccontextmanager
async def on_job(
    request: Request, action: str, key: int | None = None
) -> AsyncIterator[tuple[Act, JobDetail]]:
    """Let an operator do something to a job of the workflow of a page, or to a group of a key."""
    operators = request.app.state.operators

    async with operators.acting(request, action) as act:
        async with session_of(request).connect() as store:
            job = await find_job(store, request, job_of(request) if key is None else key)
            crumbs = await crumbs_of(store, request)

        act.on(crumbs, job["path"])
        await operators.check(act)

        with refusing():
            yield act, job


async def cancel(request: Request) -> Response:
    """Cancel the open jobs of a workflow."""
    async with on_workflow(request, "cancel") as act:
        count = await steering.cancel_jobs(session_of(request), id_of(request), by=act.by)
        return _said(act, "Cancelled", count)


async def retry(request: Request) -> Response:
    """Run the failed jobs of a workflow again."""
    async with on_workflow(request, "retry") as act:
        return _said(act, "Retried", await steering.retry_jobs(session_of(request), id_of(request)))


async def start_again(request: Request) -> Response:
    """Run all of a settled workflow again, with the same arguments."""
    session, workflow_id = session_of(request), id_of(request)

    async with on_workflow(request, "start-again") as act:
        async with session.connect() as store:
            group = await store.group(workflow_id)

            if group is None or not await _has_settled(store, workflow_id):
                raise OpenWorkflowError(f"workflow {workflow_id!r} is open; cancel it first")

            names = [member.name for member in await store.members(group.key)]
            # Final jobs run again by themselves, and what undoes the workflow is removed.
            ends = {*await store.ends_among(group.key, names)}

        names = [name for name in names if name not in ends]
        count = await steering.retry_jobs(session, workflow_id, names, downstream=True)
        return _said(act, "Started again:", count)


async def _has_settled(store: PageStore, workflow_id: str) -> bool:
    groups = await store.status(workflow_id)

    return bool(groups) and groups[0].state != "executing"


async def delete(request: Request) -> Response:
    """Remove a workflow that has settled, and lead to the list."""
    async with on_workflow(request, "delete") as act:
        await searching.delete(session_of(request), id_of(request))
        response = answer(act, "Deleted.")
        response.headers["HX-Redirect"] = f"{request.scope.get('root_path', '')}/"

        return response


async def act_on_job(request: Request) -> Response:
    """Cancel a job or group, run it again, or run it and all that depends on it again."""
    action, session = request.path_params["action"], session_of(request)
    named = request.path_params["job"]
    key = next(iter(keys_of(named)), None) if named.startswith("-") else None

    async with on_job(request, action, key) as (act, job):
        workflow_id, names = job["workflow_id"], [job["name"]]

        match action:
            case "cancel":
                count = await steering.cancel_jobs(session, workflow_id, names, by=act.by)
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

    async with on_job(request, "signal") as (act, job):
        form = await form_of(request)
        payload = {"choice": form["choice"]} if "choice" in form else None
        sent = signalling.encode_sent(job["name"], payload, None, act.by)

        async with naming(session):
            count = await session.execute(
                lambda store: store.signal_jobs([job_of(request)], sent, is_strict=True)
            )

        return _told(act, "Signalled", job, count)


async def reject_job(request: Request) -> Response:
    """Refuse a wait, with a reason."""
    session = session_of(request)

    async with on_job(request, "reject") as (act, job):
        reason = (await form_of(request)).get("reason") or None

        async with naming(session):
            count = await session.execute(
                lambda store: store.reject(job["workflow_id"], job["name"], reason, act.by)
            )

        return _told(act, "Rejected", job, count)


def _told(act: Act, what: str, job: JobDetail, count: int) -> Response:
    if count:
        signalling.tell(what.lower(), job["workflow_id"], job["name"], act.by)

    return answer(act, f"{what}." if count else "Nothing took it.")


def _said(act: Act, what: str, count: int) -> Response:
    return answer(act, f"{what} {count_jobs(count)}.")


def answer(act: Act, said: str) -> Response:
    """Tell the page, and the audit log, what was done."""
    act.said = said

    return HTMLResponse(said)


async def form_of(request: Request) -> dict[str, str]:
    """Read the fields of a form; the last one counts of those with the same name."""
    body = (await request.body()).decode("utf-8", "replace").replace("\0", "")

    return dict(parse_qsl(body, keep_blank_values=True))
