"""Doing one thing to many: to workflows of the list, to jobs of a workflow."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse

from oban_pro.handles import reading, searching, steering
from oban_pro.model.wording import count_jobs

from .actions import refusing
from .finding import STATES, Asked
from .listing import query_of
from .pages import crumbs_of, session_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from .operators import Act
    from .session import PageSession
    from .statements import Breadcrumb, PickedJob

MOST = 100
"""How many ids one request may bring, so that it is soon answered."""

MOST_FOUND = 100_000
"""How many workflows can be found at once."""

TIME = 10.0
"""Seconds for finding them."""


async def _resume(session: PageSession, workflow_id: str) -> bool:
    if (await reading.status(session, workflow_id)).paused_at is None:
        return False

    await steering.resume(session, workflow_id, None)

    return True


async def _delete(session: PageSession, workflow_id: str) -> bool:
    await searching.delete(session, workflow_id)

    return True


DOING: dict[
    str, tuple[tuple[str, ...], Callable[[PageSession, str, str | None], Awaitable[bool]]]
] = {
    "cancel": (
        searching.OPEN,
        lambda session, id, by: searching.cancel(session, id, reason=None, by=by),
    ),
    "retry": (searching.FAILED, lambda session, id, _: searching.retry(session, id)),
    "pause": (searching.OPEN, lambda session, id, by: searching.pause(session, id, by=by)),
    "resume": (searching.OPEN, lambda session, id, _: _resume(session, id)),
    "delete": (searching.SETTLED, lambda session, id, _: _delete(session, id)),
}
"""Actions on many workflows: the states they apply to, and what does it and tells if it did."""


async def show_found(request: Request) -> Response:
    """Answer with the ids of all workflows that match the filters and that an action applies to."""
    action = request.query_params.get("action", "")

    if action not in DOING:
        raise HTTPException(400, f"action must be one of {', '.join(DOING)}, got {action!r}")

    query = query_of(request)
    asked = query.asked

    if action == "resume" and asked.state in ("", "executing"):
        asked = replace(asked, state="paused")

    ids: list[str] = []

    try:
        async with asyncio.timeout(TIME):
            async for id in _find(request, asked, DOING[action][0]):
                ids.append(id)

                if len(ids) > MOST_FOUND:
                    raise TimeoutError
    except TimeoutError:
        raise HTTPException(
            413,
            "there are too many to find them at once: narrow the filters,"
            f" or use oban-workflows {action} --all",
        ) from None

    return JSONResponse(ids)


async def _find(request: Request, asked: Asked, states: tuple[str, ...]) -> AsyncIterator[str]:
    state = "executing" if asked.state in STATES[4:] else asked.state

    for one in states if not state else [state] if state in states else []:
        narrowed = asked if asked.state else replace(asked, state=one)

        try:
            query = replace(narrowed, order="", after="", before="").check()
        except ValueError:
            # no workflow in this state has jobs like that
            continue

        place = None

        while True:
            async with session_of(request).connect() as store:
                ids, place = await query.ids(store, place)

            for id in ids:
                yield id

            if place is None:
                break


async def act_on_workflows(request: Request) -> Response:
    """Do something to each of some workflows; tells what became of each."""
    action = request.path_params["action"]

    if action not in DOING:
        raise HTTPException(404, f"action must be one of {', '.join(DOING)}")

    ids = await _given(request, str)

    async with session_of(request).connect() as store:
        roots = await store.root_crumbs(ids)

    return JSONResponse([await _act_on(request, action, id, roots.get(id)) for id in ids])


async def _act_on(
    request: Request, action: str, workflow_id: str, root: Breadcrumb | None
) -> dict[str, str]:
    operators, session = request.app.state.operators, session_of(request)
    outcome = None

    try:
        async with operators.acting(request, action, workflow_id=workflow_id) as act:
            outcome = "refused"

            if root is None:
                raise HTTPException(404, f"there is no root workflow {workflow_id!r}")

            act.on([root])
            await operators.check(act)

            with refusing():
                is_changed = await DOING[action][1](session, workflow_id, act.by)

            outcome = "done" if is_changed else "unchanged"
            act.said = "Done." if is_changed else "Nothing to do."

            return {"id": workflow_id, "outcome": outcome, "said": act.said}
    except HTTPException as error:
        if outcome is None:
            # who asks may not do anything at all
            raise

        return {"id": workflow_id, "outcome": outcome, "said": error.detail}


async def act_on_jobs(request: Request) -> Response:
    """Cancel some jobs of a workflow, or run them again, those of one nested workflow at once."""
    action, session = request.path_params["action"], session_of(request)

    if action not in ("cancel", "retry", "retry-from"):
        raise HTTPException(404, "action must be cancel, retry or retry-from")

    nested: dict[str, list[PickedJob]] = {}
    count = 0
    asked = await _given(request, int)

    async with session.connect() as store:
        crumbs = await crumbs_of(store, request)
        picked = await store.picked_jobs(crumbs[-1].id, asked)

    for job_id in asked:
        if job_id not in picked:
            raise HTTPException(404, f"there is no job {job_id} in workflow {crumbs[-1].id!r}")

        nested.setdefault(picked[job_id].workflow_id, []).append(picked[job_id])

    for workflow_id, jobs in nested.items():
        async with _on_jobs(request, action, crumbs, jobs) as acts:
            names = [job.name for job in jobs]

            if action == "cancel":
                by = acts[0].by
                changed = await steering.cancel_jobs(session, workflow_id, names, by=by)
            else:
                downstream = action == "retry-from"
                changed = await steering.retry_jobs(
                    session, workflow_id, names, downstream=downstream
                )

            count += changed

            for act in acts:
                act.said = f"{DONE[action]} {count_jobs(changed)} with {len(jobs)} selected."

    return PlainTextResponse(f"{DONE[action]} {count_jobs(count)}.")


DONE = {"cancel": "Cancelled", "retry": "Retried", "retry-from": "Retried"}


@asynccontextmanager
async def _on_jobs(
    request: Request, action: str, crumbs: Sequence[Breadcrumb], jobs: Sequence[PickedJob]
) -> AsyncIterator[list[Act]]:
    """Let an operator do something to jobs; each gets its audit line."""
    operators = request.app.state.operators

    async with AsyncExitStack() as stack:
        acts = [await stack.enter_async_context(operators.acting(request, action)) for _ in jobs]

        for act, job in zip(acts, jobs, strict=True):
            act.on(crumbs, job.path)

        await operators.check(acts[0])

        with refusing():
            yield acts


async def _given(request: Request, kind: type) -> list[Any]:
    """Read what a request is about: a list.

    Raises:
        HTTPException: 400 if it brings none.
    """
    try:
        given = orjson.loads(await request.body())
    except ValueError:
        given = None

    is_list = isinstance(given, list) and all(type(one) is kind for one in given)

    if not is_list or not 0 < len(given) <= MOST:
        raise HTTPException(400, f"the body must be a JSON list of 1 to {MOST} ids")

    if kind is str and any("\0" in one for one in given):
        raise HTTPException(400, "an id must be without NUL")

    if kind is int and any(not -(2**63) <= one < 2**63 for one in given):
        raise HTTPException(400, "an id must fit a bigint")

    return list(dict.fromkeys(given))
