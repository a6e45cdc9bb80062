"""Rendering templates: everything is escaped, and every link is below the mount path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from oban_pro import __version__
from oban_pro.model.links import quote_id
from oban_pro.model.wording import SHOWN, STATES

from . import static_files, values
from .security import CSRF_HEADER

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

# In the order in which a progress bar shows them.


def show_time(value: datetime | None) -> Markup:
    """Write a moment in UTC, to the second; scripts may write it otherwise. Empty for None."""
    if value is None:
        return Markup()

    return Markup('<time datetime="{}">{}</time>').format(
        value.isoformat(), values.show_time(value)
    )


_environment = Environment(
    loader=PackageLoader("oban_pro.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "json": values.show_json,
    "time": show_time,
    "number": "{:,}".format,
}
ICONS = {
    "executing": "▶",
    "cancelled": "⊘",
    "discarded": "✕",
    "unknown": "✕",
}
"""What stands for the state of a workflow beside its colour, as in ``static/states.js``."""

_environment.globals |= {
    "ICONS": ICONS,
    "STATES": STATES,
    "VERSION": __version__,
    "duration": values.show_duration,
    "modules": static_files.modules_of,
    "segments": lambda counts: list(segments(counts)),
}


def id_of(request: Request) -> str:
    """Read the id of a workflow from the path.

    Raises:
        HTTPException: 400 if no workflow can have it.
    """
    workflow_id = unquote(request.path_params["id"])

    if "\0" in workflow_id:
        raise HTTPException(400, f"an id must be without NUL, got {workflow_id!r:.80}")

    return workflow_id


def render(request: Request, name: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a template as the response to a request."""
    guard = request.app.state.guard
    csrf = guard.csrf_token(request)

    def link(path: str = "") -> str:
        return f"{request.scope.get('root_path', '')}/{path}"

    text = _environment.get_template(name).render(
        context,
        link=link,
        static=lambda path: link(f"{static_files.BASE}/{path}"),
        quote=lambda text: quote(text, safe=""),
        quote_id=quote_id,
        csrf=csrf,
        csrf_header=CSRF_HEADER,
        mode=_mode(csrf, context.get("allowed")),
        now=datetime.now(UTC),
    )

    return HTMLResponse(text, status)


def _mode(csrf: str | None, allowed: Collection[str] | None) -> str:
    """Say what the reader of a page may do there, if that is known."""
    if csrf is None or (allowed is not None and not allowed):
        return "read-only"

    return "operations unlocked"


def segments(counts: dict[str, int]) -> Any:
    """Yield the parts of a progress bar: state, count, start and width in percent."""
    total = sum(counts.values())
    start = 0.0

    for state in SHOWN:
        if count := counts.get(state, 0):
            width = 100 * count / total
            yield state, count, round(start, 3), round(width, 3)
            start += width
