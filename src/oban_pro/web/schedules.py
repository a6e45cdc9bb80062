"""The page of schedules: what comes next, what was missed, and running one now."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg import Error
from starlette.exceptions import HTTPException

from oban_pro import schedules as ours
from oban_pro.errors import InvalidScheduleError, SettingsError, WorkflowError
from oban_pro.model.wording import human_duration

from .actions import answer, refusing
from .operators import SCHEDULE_ACTIONS
from .pages import session_of
from .templating import render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from oban_pro.engine.schedule_statements import StoredSchedule

    from .operators import Act


async def show_schedules(request: Request) -> Response:
    """Show the schedules that nodes have seen; only the table where htmx asks for it."""
    async with session_of(request).connect() as store:
        found = await store.schedules()

    now = datetime.now(UTC)

    return render(
        request,
        "_schedules.html" if "HX-Request" in request.headers else "schedules.html",
        schedules=[await _row(request, one, now) for one in found],
        troubled=sum(1 for one in found if one.failing_since or one.error),
    )


async def _row(request: Request, one: StoredSchedule, now: datetime) -> dict[str, Any]:
    try:
        coming = ours.next_tick(one)
    except InvalidScheduleError as error:
        # Stored by a node with another release, or with other time zones.
        coming, trouble = None, str(error)
    else:
        trouble = one.error or ""

    return {
        **one._asdict(),
        "coming": coming,
        "until": "" if coming is None else human_duration(coming - now),
        "trouble": trouble,
        "allowed": await request.app.state.operators.allowed(request, one.name, SCHEDULE_ACTIONS),
    }


@asynccontextmanager
async def _on_schedule(request: Request, action: str) -> AsyncIterator[tuple[Act, str]]:
    """Let an operator do something to a schedule."""
    name, operators = request.query_params.get("name", ""), request.app.state.operators

    async with operators.acting(request, action, name) as act:
        await operators.check(act)

        async with session_of(request).connect() as store:
            if name not in {one.name for one in await store.schedules()}:
                raise HTTPException(404, f"no node has seen a schedule {name!r}")

        with refusing():
            yield act, name


async def run_schedule(request: Request) -> Response:
    """Enqueue the workflow of a schedule now; its function is called in this process."""
    async with _on_schedule(request, "run-schedule") as (act, name):
        try:
            schedule = await asyncio.to_thread(ours.find, name)
        except (ImportError, SettingsError) as error:
            raise HTTPException(409, f"schedules cannot be imported here: {error}") from error

        try:
            workflow = await ours.enqueue_tick(schedule, datetime.now(UTC), session_of(request))
        except (Error, WorkflowError):
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise HTTPException(409, f"schedule {name!r} raised {told}") from error

        return answer(act, "Nothing to run." if workflow is None else f"Enqueued {workflow.id}.")


async def pause_schedule(request: Request) -> Response:
    """Pause a schedule: what it misses is not caught up."""
    return await _set_paused(request, paused=True)


async def resume_schedule(request: Request) -> Response:
    """Let a schedule go on, from now."""
    return await _set_paused(request, paused=False)


async def _set_paused(request: Request, *, paused: bool) -> Response:
    async with _on_schedule(request, "pause-schedule") as (act, name):
        done = await session_of(request).execute(
            lambda store: store.pause_schedule(name, paused=paused)
        )
        state = "paused" if paused else "running"

        return answer(act, f"{name} is {state}." if done else f"{name} was {state} already.")
