"""All values of a job as JSON: what it was given, and what it recorded."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from oban_pro.model import meta
from oban_pro.values import codec
from oban_pro.values.codec import etf

from .pages import find_job, job_of, session_of
from .values import MOST_DECODED, meta_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from .statements import JobDetail


async def show_values(request: Request) -> Response:
    """Answer with all values that a job has, by name."""
    found = await _read(request)

    return _answer(await asyncio.to_thread(_write, found, None))


async def show_value(request: Request) -> Response:
    """Answer with one of them, to be copied or saved.

    Raises:
        HTTPException: 404 if the job has none.
    """
    name = request.path_params["name"]
    found = await _read(request)

    if name not in found:
        raise HTTPException(404, f"the job has no {name!r}")

    answer = _answer(await asyncio.to_thread(_write, found[name], 2))

    if "download" in request.query_params:
        file = f"{job_of(request)}-{name}.json"
        answer.headers["Content-Disposition"] = f'attachment; filename="{file}"'

    return answer


def _answer(text: str) -> Response:
    return Response(text, media_type="application/json")


async def _read(request: Request) -> dict[str, Any]:
    async with session_of(request).connect() as store:
        job = await find_job(store, request, job_of(request))
        around = await store.breadcrumbs(job["workflow_id"])
        context: dict[str, Any] = {}

        for one in around:
            # The context of a nested workflow overrides that of the one around it.
            context |= json.loads(await store.group_context(one.id) or "{}")

    found = {
        "args": job["args"],
        "recorded": await asyncio.to_thread(_recorded, job),
        "context": context or None,
        "meta": meta_of(job),
    }

    return {name: value for name, value in found.items() if value not in (None, {})}


def _recorded(job: JobDetail) -> Any:
    """Read what a job recorded as it is stored: that needs none of the classes of its values."""
    job_meta = job["meta"] or {}
    encoded = job_meta.get(meta.RETURN)

    if not job_meta.get(meta.RECORDED) or not isinstance(encoded, str):
        return None

    if len(encoded) > MOST_DECODED:
        return f"too large to be shown: {len(encoded):,} characters encoded"

    try:
        return etf.unpack(codec.to_bytes(encoded), lambda entries: entries)
    except (ValueError, RecursionError) as error:
        return f"cannot be read: {error}"


def _write(value: Any, indent: int | None) -> str:
    """Write JSON; what JSON has no form for is written as Python does.

    Raises:
        HTTPException: 413 if it nests too deeply.
    """
    try:
        return json.dumps(_plain(value), indent=indent, ensure_ascii=False)
    except RecursionError:
        raise HTTPException(413, "it nests too deeply to be written as JSON") from None


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {
                key if isinstance(key, str) else repr(key): _plain(part)
                for key, part in value.items()
            }
        case list() | tuple():
            return [_plain(part) for part in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return repr(value)
