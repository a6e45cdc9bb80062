"""Values from the database as text that a person can read."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pprint import pformat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from oban_pro.model import meta
from oban_pro.model.wording import human_duration
from oban_pro.values import codec

from .tracebacks import Traceback, read_traceback

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from .statements import JobDetail

MOST = 20_000
"""How many characters of one value a page shows."""

MOST_IN_LINE = 300
"""How many characters of one value are in a line of a table."""

MOST_PARTS = 2_000
"""How many values in one value are looked at: to format a million takes seconds."""

MOST_DECODED = 8_000_000
"""How many characters of a recorded value are decoded: more would take the node's time."""

MOST_BITS = 10_000
"""Bits of an int that is written out: Python refuses more than 4,300 digits."""

MOST_ERRORS = 50


def shorten(text: str) -> str:
    """Cut off what is too much for a page, and say so."""
    if len(text) <= MOST:
        return text

    return f"{text[:MOST]}\n… {len(text) - MOST:,} more characters"


def shorten_line(text: str) -> str:
    """Cut off what is too much for a line of a table."""
    return text if len(text) <= MOST_IN_LINE else f"{text[:MOST_IN_LINE]}…"


def only[Kind](kind: type[Kind], value: object) -> Kind:
    """Return a value if it is of a type, else an empty one: anybody may have written the column."""
    return value if isinstance(value, kind) else kind()


def show_json(value: Any) -> str:
    """Write JSON with line breaks, as far as it fits a page."""
    try:
        return shorten(json.dumps(_Cut().part(value), indent=2, ensure_ascii=False))
    except RecursionError:
        return "cannot be shown: nested too deeply"


def show_python(value: Any) -> str:
    """Write a value as Python does, with line breaks, as far as it fits a page."""
    return shorten(pformat(_Cut().part(value), width=40, sort_dicts=False))


def meta_of(job: JobDetail) -> dict[str, Any]:
    """Return the meta of a job without what it recorded, which is shown by itself."""
    return {key: value for key, value in (job["meta"] or {}).items() if key != meta.RETURN}


def show_recorded(job_meta: dict[str, Any]) -> str | None:
    """Write what a job recorded as Python does, or why it cannot be read; None for nothing.

    Takes its time with a large value: not for the event loop.
    """
    if not job_meta.get(meta.RECORDED) or meta.RETURN not in job_meta:
        return None

    encoded = job_meta[meta.RETURN]

    if isinstance(encoded, str) and len(encoded) > MOST_DECODED:
        return f"too large to be shown: {len(encoded):,} characters encoded"

    try:
        return show_python(codec.decode(encoded, _show_reference))
    except Exception as error:
        # The ``repr`` of a user's class may raise anything.
        return f"cannot be shown: {error}"


def _show_reference(reference: codec.Reference) -> _Mark:
    return _Mark(f"{reference.size:,} bytes, kept at {reference.url}")


def show_errors(errors: Any) -> list[dict[str, Any]]:
    """Return the last errors of a job, newest first, whatever somebody wrote into its row."""
    entries = [entry for entry in only(list, errors) if isinstance(entry, dict)]

    return [
        {
            "attempt": entry.get("attempt"),
            "at": str(entry.get("at"))[:19].replace("T", " "),
            "error": _fit(read_traceback(str(entry.get("error")))),
        }
        for entry in entries[: -MOST_ERRORS - 1 : -1]
    ]


def _fit(traceback: Traceback) -> Traceback:
    """Cut what is too much for a page out of the middle: both ends of a traceback matter."""
    return replace(
        traceback,
        message=shorten(traceback.message),
        own=_shorten_middle(traceback.own),
        text=_shorten_middle(traceback.text),
    )


def _shorten_middle(text: str) -> str:
    if len(text) <= MOST:
        return text

    half = MOST // 2

    return f"{text[:half]}\n… {len(text) - 2 * half:,} more characters\n{text[-half:]}"


def times_of(errors: Any) -> list[datetime]:
    """Read when the attempts of a job failed, in order, whatever somebody wrote into its row."""
    return parse_times(entry.get("at") for entry in only(list, errors) if isinstance(entry, dict))


class _Mark(str):
    """A note in the place of a value that the page leaves out; its repr has no quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _scalar(value: Any) -> Any:
    match value:
        case str() if len(value) > MOST:
            return f"{value[:MOST]}… {len(value) - MOST:,} more characters"
        case bytes() if len(value) > MOST:
            return _Mark(f"{value[:MOST]!r} … {len(value) - MOST:,} more bytes")
        case int() if value.bit_length() > MOST_BITS:
            return _Mark(f"an int of {value.bit_length():,} bits")
        case _:
            return value


class _Cut:
    """Copies the beginning of a value that may be of any size."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def part(self, value: Any) -> Any:
        """Copy a value up to where too much of it has been copied."""
        self._left -= 1

        match value:
            case _ if (fields := codec.fields_of(value)) is not None:
                return self._instance(value, fields)
            case dict():
                return dict(self._entries(value))
            case list() | tuple() | set() | frozenset():
                return type(value)(self._items(value))
            case _:
                return _scalar(value)

    def _instance(self, value: object, fields: dict[str, Any]) -> SimpleNamespace:
        """Copy an instance as something that looks like it, whose lines pformat can break."""
        looks: type[SimpleNamespace] = type(type(value).__name__, (SimpleNamespace,), {})

        return looks(**dict(self._entries(fields)))

    def _items(self, values: Collection[Any]) -> Iterator[Any]:
        for index, value in enumerate(values):
            if self._left <= 0:
                yield _Mark(f"… {len(values) - index:,} more")
                return

            yield self.part(value)

    def _entries(self, values: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
        for index, (key, value) in enumerate(values.items()):
            if self._left <= 0:
                yield _Mark(f"… {len(values) - index:,} more"), _Mark("…")
                return

            yield self.part(key), self.part(value)


def show_duration(start: datetime | None, end: datetime | None) -> str:
    """Write how long something took, empty where it has not started."""
    if start is None or end is None:
        return ""

    return show_length(end - start)


def show_length(length: timedelta | None) -> str:
    """Write a duration, empty for None."""
    if length is None:
        return ""

    if timedelta(0) <= length < timedelta(seconds=1):
        return f"{length / timedelta(milliseconds=1):.0f}ms"

    return human_duration(length)


def show_time(value: datetime | None) -> str:
    """Write a time in UTC, to the second."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def parse_times(texts: Iterable[Any]) -> list[datetime]:
    """Read times in ISO form, in their order, and leave out anything else."""
    times = []

    for text in texts:
        with suppress(TypeError, ValueError):
            time = datetime.fromisoformat(text)
            times.append(time if time.tzinfo else time.replace(tzinfo=UTC))

    return sorted(times)
