"""Answers to requests that fail: a page that says why, never a bare 500."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from psycopg import DataError, Error, OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from oban_pro.errors import ReadOnlyError, SchemaError
from oban_pro.model.wording import visible

from .security import secure
from .templating import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

logger = logging.getLogger("oban_pro.web")


def show_http_error(request: Request, error: Exception) -> Response:
    """Say what was wrong with a request."""
    assert isinstance(error, HTTPException)

    return _show(request, error.status_code, error.detail)


def show_bad_text(request: Request, error: Exception) -> Response:
    """Say that PostgreSQL cannot hold what was asked for: a NUL, a surrogate, too big a number."""
    return _show(request, 400, f"the request cannot be asked of the database: {error}")


def show_schema_error(request: Request, error: Exception) -> Response:
    """Say that the database is not ready."""
    return _show(request, 503, str(error))


def show_read_only(request: Request, error: Exception) -> Response:
    """Say that nothing can be changed in this database, as on a standby."""
    return _show(request, 503, str(error))


def show_database_error(request: Request, error: Exception) -> Response:
    """Say why the database does not answer."""
    assert isinstance(error, Error)
    # A lost connection needs no traceback, a statement that fails does.
    trace = None if isinstance(error, OperationalError) else error
    logger.warning("database error: %s", visible(str(error)), exc_info=trace)

    # The server writes a code into whatever it answers, but for lines that break.
    is_reached = error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P"))
    what = "cannot be used" if is_reached else "cannot be reached, retrying"

    return _show(request, 503, f"the database {what}: {error}")


def show_error(request: Request, _: Exception) -> Response:
    """Say that something is wrong here; the server logs what, as it is raised again."""
    response = _show(request, 500, "this page failed; the log of the dashboard says why")
    # Middleware is not asked for this response.
    secure(response.headers)

    return response


HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    HTTPException: show_http_error,
    DataError: show_bad_text,
    UnicodeEncodeError: show_bad_text,
    SchemaError: show_schema_error,
    ReadOnlyError: show_read_only,
    Error: show_database_error,
    Exception: show_error,
}
"""By the class of what was raised, the most exact one first taken."""


def _show(request: Request, code: int, message: str) -> Response:
    # Scripts put the sentence alone where it is seen.
    if "HX-Request" in request.headers:
        return PlainTextResponse(message, code)

    return render(request, "error.html", code, code=code, message=message)
