"""What a job, a group or a workflow is held back by: pauses, limits and keys, shown and changed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from oban_pro.handles import steering
from oban_pro.model.wording import SETTLED, count_jobs

from .actions import answer, form_of, on_job, on_workflow
from .pages import crumbs_of, find_job, session_of
from .queries import keys_of, number_of
from .templating import id_of, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from .operators import Act


async def show_holds(request: Request) -> Response:
    """Show what the workflow of a page, or a part of it, is held back by."""
    member = _member_of(request)

    async with session_of(request).connect() as store:
        crumbs = await crumbs_of(store, request)

        if member is None:
            group = await store.group(id_of(request))
            assert group is not None
            key, state = group.key, str((await store.status(id_of(request)))[0].state)
        else:
            key, state = member, (await find_job(store, request, member))["state"]

        holds = await store.holds.of(key)

    return render(
        request,
        "_holds.html",
        id=id_of(request),
        member=member,
        holds=holds,
        is_open=state not in SETTLED,
        allowed=await request.app.state.operators.allowed(request, crumbs[0].id),
        at=datetime.now(UTC),
    )


async def pause(request: Request) -> Response:
    """Pause a workflow, or a part of it."""
    async with _acting(request, "pause") as (act, owner, name):
        count = await steering.pause(session_of(request), owner, name, act.by, None)
        return _changed(act, f"Paused, {count_jobs(count)} held back.")


async def resume(request: Request) -> Response:
    """Resume a workflow, or a part of it."""
    async with _acting(request, "resume") as (act, owner, name):
        count = await steering.resume(session_of(request), owner, name)
        return _changed(act, f"Resumed, {count_jobs(count)} brought back.")


async def limit(request: Request) -> Response:
    """Set how many members of a fan-out may be open at once."""
    async with _acting(request, "limit") as (act, owner, name):
        await steering.set_limit(session_of(request), owner, name or "", await _limit_of(request))
        return _changed(act, "Limit set.")


def _changed(act: Act, said: str) -> Response:
    response = answer(act, said)
    # The parts of the page that show the limit load again.
    response.headers["HX-Trigger"] = "held"

    return response


@asynccontextmanager
async def _acting(request: Request, action: str) -> AsyncIterator[tuple[Act, str, str | None]]:
    """Let an operator change it; yields the workflow, and the name of a member of it."""
    member = _member_of(request)

    if member is None:
        async with on_workflow(request, action) as act:
            yield act, id_of(request), None
    else:
        async with on_job(request, action, member) as (act, job):
            yield act, job["workflow_id"], job["name"]


def _member_of(request: Request) -> int | None:
    """Read the id of a job, or the key of a group, from the path; None for the workflow.

    Raises:
        HTTPException: 404 if it is neither.
    """
    if (named := request.path_params.get("job")) is None:
        return None

    member = next(iter(keys_of(named)), None) if named.startswith("-") else number_of(named)

    if member is None:
        raise HTTPException(404, "the id of a job, or the key of a group, must be a number")

    return member


async def _limit_of(request: Request) -> int | None:
    text = (await form_of(request)).get("limit", "").strip()

    if text and not (text.isdecimal() and text.isascii()):
        raise HTTPException(400, f"limit must be a number, or nothing for any number, got {text!r}")

    return int(text) if text else None
