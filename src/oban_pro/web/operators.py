"""Who may do what, and an audit line for each time that somebody did."""

from __future__ import annotations

import inspect
import logging
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from oban_pro import settings, telemetry
from oban_pro.model.links import page_of
from oban_pro.model.paths import join_path

from .templating import id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request

    from .security import Guard
    from .statements import Breadcrumb

    type User = Callable[[Request], Awaitable[str | None] | str | None]
    type May = Callable[[str, str, str], Awaitable[bool] | bool]

AUDIT = "oban_pro.audit"
"""The logger that gets a line of JSON for each action."""

ACTIONS = (
    *("cancel", "retry", "retry-from", "start-again", "pause", "resume", "limit"),
    *("signal", "reject", "delete"),
)
"""What can be done to workflows, as `may` is asked for it."""

SCHEDULE_ACTIONS = ("run-schedule", "pause-schedule")
"""What can be done to schedules; to pause one is to resume it as well."""

logger = logging.getLogger(AUDIT)


@dataclass
class Act:
    """Something that somebody does on a page.

    Args:
        workflow_id: Id of the root workflow; the one that was asked for until that is known. None
            for a schedule.
        action: One of `ACTIONS` or `SCHEDULE_ACTIONS`.
        schedule: The name of a schedule, None for a workflow.
        path: Path of the job from the root, None for a whole workflow.
        by: Who does it, None if nobody says.
        client: The address that the request came from.
        at: When it was asked for, in UTC.
        outcome: ``"done"``, ``"refused"`` or ``"failed"``.
        said: What the page was told.
    """

    workflow_id: str | None
    action: str
    client: str | None
    at: str
    schedule: str | None = None
    path: str | None = None
    by: str | None = None
    outcome: str = "failed"
    said: str = ""

    def on(self, crumbs: Sequence[Breadcrumb], path: Sequence[str] | None = None) -> None:
        """Note what it is done to.

        Args:
            crumbs: The workflow of the page, and those around it.
            path: Of a job from the root; None for the whole workflow.
        """
        names = [crumb.name or crumb.id for crumb in crumbs[1:]] if path is None else path
        self.workflow_id, self.path = crumbs[0].id, join_path(names) or None

    def tell(self) -> None:
        """Write the audit line, and send the event."""
        metadata = asdict(self)
        line = orjson.dumps(
            {"event": "oban.workflow.operated", **metadata, **self._page()}, default=str
        ).decode()
        logger.log(logging.INFO if self.outcome == "done" else logging.WARNING, "%s", line)
        telemetry.execute("oban.workflow.operated", metadata)

    def _page(self) -> dict[str, str]:
        """Return the address of the page of it, where the settings say where that is."""
        dashboard = settings.current().web_url

        if dashboard is None or self.workflow_id is None:
            return {}

        return {"url": page_of(dashboard, self.workflow_id, path=self.path)}


class Operators:
    """Knows who reads a page, and what they may do.

    Args:
        guard: Tells who has shown the token.
        user: Tells from a request who reads the page; None if nobody can.
        may: Tells whether somebody may do something to a workflow; None if everybody may whom the
            guard lets through.
    """

    def __init__(self, guard: Guard, user: User | None, may: May | None) -> None:
        self._guard = guard
        self._user = user
        self._may = may

    async def allowed(
        self, request: Request, target: str, actions: Sequence[str] = ACTIONS
    ) -> frozenset[str]:
        """Return which actions the reader of a page may take.

        Args:
            request: The request for the page.
            target: The id of a root workflow, or the name of a schedule.
            actions: Which actions there are.
        """
        if not self._guard.permits(request):
            return frozenset()

        if self._may is None:
            return frozenset(actions)

        user = await self._ask_user(request)

        return frozenset([one for one in actions if await self._permits(user, one, target)])

    async def may_act(self, request: Request) -> bool:
        """Tell whether the reader of a page may do anything at all."""
        if not self._guard.permits(request):
            return False

        return self._may is None or await self._ask_user(request) is not None

    @asynccontextmanager
    async def acting(
        self,
        request: Request,
        action: str,
        schedule: str | None = None,
        workflow_id: str | None = None,
    ) -> AsyncIterator[Act]:
        """Let somebody do something, and tell how it went.

        Whoever may not is refused before the block is entered, or by `check` in it.

        Args:
            request: The request for it.
            action: What.
            schedule: To which schedule; None for a workflow.
            workflow_id: To which workflow; None for the one of the path.

        Raises:
            HTTPException: 403, saying what is missing.
        """
        client = request.client.host if request.client else None

        if workflow_id is None and schedule is None:
            workflow_id = id_of(request)

        act = Act(workflow_id, action, client, datetime.now(UTC).isoformat(), schedule)

        try:
            self._guard.check(request)
            act.by = await self._ask_user(request)
            yield act
            act.outcome = "done"
        except HTTPException as error:
            act.outcome, act.said = "refused", error.detail
            raise
        except BaseException as error:
            act.said = str(error)
            raise
        finally:
            act.tell()

    async def check(self, act: Act) -> None:
        """Refuse what somebody may not do.

        Raises:
            HTTPException: 403.
        """
        target = act.workflow_id or act.schedule or ""

        if not await self._permits(act.by, act.action, target):
            raise HTTPException(403, f"{act.by or 'nobody'} may not {act.action} {target!r}")

    async def _ask_user(self, request: Request) -> str | None:
        user: str | None = None if self._user is None else await _call(self._user, request)

        return user

    async def _permits(self, user: str | None, action: str, target: str) -> bool:
        if self._may is None:
            return True

        return user is not None and bool(await _call(self._may, user, action, target))


async def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of the app, in a thread if it may block."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)

    result = await run_in_threadpool(function, *args)

    return await result if inspect.isawaitable(result) else result
