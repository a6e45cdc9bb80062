"""Values from the database as text that a person can read."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pprint import pformat
from typing import TYPE_CHECKING, Any

from oban_pro import codec, meta
from oban_pro.codec import CodecError
from oban_pro.explanation import human_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 20_000
"""How many characters of one value a page shows."""


def shorten(text: str) -> str:
    """Cut off what is too much for a page, and say so."""
    if len(text) <= MOST:
        return text

    return f"{text[:MOST]}\n… {len(text) - MOST:,} more characters"


def show_json(value: Any) -> str:
    """Write JSON with line breaks, as far as it fits a page."""
    return shorten(json.dumps(value, indent=2, ensure_ascii=False))


def show_recorded(job_meta: dict[str, Any]) -> str | None:
    """Write what a job recorded as Python does, or why it cannot be read; None for nothing."""
    if not job_meta.get(meta.RECORDED) or meta.RETURN not in job_meta:
        return None

    try:
        value = codec.decode(job_meta[meta.RETURN])
        return shorten(pformat(value, width=40, sort_dicts=False))
    except (CodecError, RecursionError) as error:
        return f"cannot be shown: {error}"


def show_duration(start: datetime | None, end: datetime | None) -> str:
    """Write how long something took, empty where it has not started."""
    if start is None or end is None:
        return ""

    duration = end - start

    if timedelta(0) <= duration < timedelta(seconds=1):
        return f"{duration / timedelta(milliseconds=1):.0f}ms"

    return human_duration(duration)


def show_time(value: datetime | None) -> str:
    """Write a time in UTC, to the second."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def parse_times(texts: Iterable[Any]) -> list[datetime]:
    """Read times in ISO form, in their order; what is none is left out."""
    times = []

    for text in texts:
        with suppress(TypeError, ValueError):
            time = datetime.fromisoformat(text)
            times.append(time if time.tzinfo else time.replace(tzinfo=UTC))

    return sorted(times)
