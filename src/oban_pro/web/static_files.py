"""Scripts, styles and icons, which browsers keep: their address changes with what is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"


def _fingerprint() -> str:
    found = hashlib.sha256()

    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(FOLDER).as_posix().encode() + path.read_bytes())

    return found.hexdigest()[:16]


BASE = f"static/{_fingerprint()}"
"""Where they are below the dashboard. Scripts import each other relative to that."""


class KeptFiles(StaticFiles):
    """Serves the files, to be kept for ever."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Serve one of them."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"

        return response
