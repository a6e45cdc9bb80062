"""Scripts, styles and icons, which browsers keep: their address changes with what is in them."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

FOLDER = Path(__file__).parent / "static"

FILES = {
    path.relative_to(FOLDER).as_posix(): path.read_bytes()
    for path in sorted(FOLDER.rglob("*"))
    if path.is_file()
}
"""What is in them, by path: a page asks for many small ones at once."""

KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}

# One of a script's imports from another file of ours.
IMPORT = re.compile(r'^import [^;]*?"(\.[^"]+)"', re.MULTILINE)


def _fingerprint() -> str:
    found = hashlib.sha256()

    for path, content in FILES.items():
        found.update(path.encode() + content)

    return found.hexdigest()[:16]


BASE = f"static/{_fingerprint()}"
"""Where they are below the dashboard. Scripts import each other relative to that."""


async def show_file(request: Request) -> Response:
    """Serve one of them, to be kept for ever."""
    path = request.path_params["path"]

    if path not in FILES:
        raise HTTPException(404, f"there is no file {path!r}")

    headers, content = KEPT, FILES[path]

    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers, content = headers | {"Content-Encoding": "gzip"}, _compressed(path)

    return Response(content, headers=headers, media_type=guess_type(path)[0])


@cache
def _compressed(path: str) -> bytes:
    return gzip.compress(FILES[path])


@cache
def modules_of(script: str) -> list[str]:
    """Return all scripts that a script imports, and those that these import.

    A browser that is not told finds out about each only when it has the one that imports it.
    """
    found: dict[str, None] = {}
    left = [script]

    while left:
        path = left.pop()

        for imported in IMPORT.findall(FILES[path].decode()):
            name = normpath(join(dirname(path), imported))

            if name not in found:
                found[name] = None
                left.append(name)

    return list(found)
