"""The dashboard as an ASGI app."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from oban_pro.engine.listener import Listener

from . import (
    actions,
    attention,
    bulk,
    history,
    holds,
    job_values,
    listing,
    pages,
    queues,
    schedules,
    static_files,
)
from .failures import HANDLERS
from .live import CHANNELS
from .operators import Operators
from .security import Guard, SecureHeaders
from .session import PageSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg_pool import AsyncConnectionPool

    from .operators import May, User

# The first that matches is taken, so longer paths come first. Ids hold anything: see `quote_id`.
ROUTES = [
    Route("/", listing.show_list, name="list"),
    Route("/found", bulk.show_found, name="found"),
    Route("/act/{action}", bulk.act_on_workflows, methods=["POST"], name="act-on-workflows"),
    Route("/waits", attention.show_waits, name="waits"),
    Route("/queues", queues.show_queues, name="queues"),
    Route("/history", history.show_history, name="history"),
    Route("/schedules", schedules.show_schedules, name="schedules"),
    Route("/schedules/run", schedules.run_schedule, methods=["POST"], name="run-schedule"),
    Route("/schedules/pause", schedules.pause_schedule, methods=["POST"], name="pause-schedule"),
    Route("/schedules/resume", schedules.resume_schedule, methods=["POST"], name="resume-schedule"),
    Route("/health", pages.show_health, name="health"),
    Route("/metrics", pages.show_metrics, name="metrics"),
    Route("/unlock", pages.unlock, name="unlock"),
    Route("/workflows/{id:path}/view.json", pages.show_view, name="view"),
    Route("/workflows/{id:path}/events", pages.show_events, name="events"),
    Route("/workflows/{id:path}/compare", history.show_comparison, name="compare"),
    Route("/workflows/{id:path}/jobs", pages.show_jobs, name="jobs"),
    Route("/workflows/{id:path}/jobs/{job}", pages.show_job, name="job"),
    Route("/workflows/{id:path}/jobs/{job}/holds", holds.show_holds, name="holds-of-job"),
    Route("/workflows/{id:path}/jobs/{job}/pause", holds.pause, methods=["POST"], name="pause-job"),
    Route(
        "/workflows/{id:path}/jobs/{job}/resume",
        holds.resume,
        methods=["POST"],
        name="resume-job",
    ),
    Route("/workflows/{id:path}/jobs/{job}/limit", holds.limit, methods=["POST"], name="limit"),
    Route("/workflows/{id:path}/jobs/{job}/values", job_values.show_values, name="values"),
    Route("/workflows/{id:path}/jobs/{job}/values/{name}", job_values.show_value, name="value"),
    Route(
        "/workflows/{id:path}/jobs/{job}/signal",
        actions.signal_job,
        methods=["POST"],
        name="signal",
    ),
    Route(
        "/workflows/{id:path}/jobs/{job}/reject",
        actions.reject_job,
        methods=["POST"],
        name="reject",
    ),
    Route(
        "/workflows/{id:path}/jobs/{job}/{action}",
        actions.act_on_job,
        methods=["POST"],
        name="act",
    ),
    Route("/workflows/{id:path}/holds", holds.show_holds, name="holds"),
    Route("/workflows/{id:path}/pause", holds.pause, methods=["POST"], name="pause"),
    Route("/workflows/{id:path}/resume", holds.resume, methods=["POST"], name="resume"),
    Route(
        "/workflows/{id:path}/act/{action}",
        bulk.act_on_jobs,
        methods=["POST"],
        name="act-on-jobs",
    ),
    Route("/workflows/{id:path}/cancel", actions.cancel, methods=["POST"], name="cancel"),
    Route(
        "/workflows/{id:path}/start-again",
        actions.start_again,
        methods=["POST"],
        name="start-again",
    ),
    Route("/workflows/{id:path}/delete", actions.delete, methods=["POST"], name="delete"),
    Route("/workflows/{id:path}/retry", actions.retry, methods=["POST"], name="retry"),
    Route("/workflows/{id:path}", pages.show_workflow, name="workflow"),
    Route(f"/{static_files.BASE}/{{path:path}}", static_files.show_file, name="static"),
]


def create_app(
    database: AsyncConnectionPool[Any] | str,
    *,
    prefix: str = "public",
    allow_operations: bool = False,
    token: str | None = None,
    user: User | None = None,
    may: May | None = None,
) -> Starlette:
    """Create the dashboard, to be served by itself or mounted in another ASGI app.

    It shows whoever reaches it all workflows, their arguments and results: mount it behind the
    login of your app.

    Args:
        database: An open psycopg pool, or a DSN, to which a small pool of its own is opened at the
            first request.
        prefix: PostgreSQL schema of oban's tables (default: "public").
        allow_operations: Whether workflows can be cancelled and retried, and waits signalled, by
            those who have opened ``unlock?token=…`` with the token, or whom ``may`` permits it.
        token: A secret that is hard to guess, as from `secrets.token_urlsafe`. With ``may`` it is
            not needed; who has both asks for both.
        user: Tells from a request who reads the page, None if nobody does; sync, then it is called
            in a thread, or async. Needed for waits that want signals of several senders.
        may: Tells whether somebody may do something: gets what ``user`` returned, the action, which
            is "cancel", "retry", "retry-from", "start-again", "pause", "resume", "limit", "signal",
            "reject" or "delete", and the id of the root workflow; or "run-schedule" or
            "pause-schedule" and the name of a schedule. Sync or async. It is not asked about
            nobody, who may do nothing.

    Returns:
        The app. Each action writes a line of JSON to the logger ``oban_pro.audit``, and sends the
        event ``oban.workflow.operated``.

    Raises:
        ValueError: If operations are allowed with neither token nor ``may``, or if there is ``may``
            and no ``user``.
        InvalidDsnError: If the DSN cannot be read.

    Example:
        >>> app = FastAPI()
        >>> app.mount("/workflows", create_app("postgresql://localhost/app"))
    """
    if allow_operations and not token and may is None:
        raise ValueError(
            f"token must be given, or may, where operations are allowed, got {token!r}"
        )

    if may is not None and user is None:
        raise ValueError("user must be given where may is: it tells who that is")

    session = PageSession(database, prefix)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await session.close()

    app = Starlette(
        routes=ROUTES,
        # No page of another site gets a compressed answer that depends on it, with a secret in it:
        # its requests come without our cookie.
        middleware=[Middleware(SecureHeaders), Middleware(GZipMiddleware, compresslevel=6)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.session = session
    app.state.listener = Listener(*CHANNELS)
    app.state.guard = Guard(token or None, is_open=allow_operations)
    app.state.operators = Operators(app.state.guard, user, may)

    return app
