"""Options of the jobs that cascades make."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypedDict

from oban import Job

from .errors import InvalidArgumentError, InvalidOptionError


class JobOptions(TypedDict, total=False):
    """What can be set for the job of a cascade, and for every job of a fan-out.

    Each has the meaning and the default that it has for `oban.Job`.
    """

    queue: str
    priority: int
    max_attempts: int
    tags: list[str]
    scheduled_at: datetime
    scheduled_in: timedelta | float
    meta: dict[str, Any]


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "queue": (str, "a string"),
    "priority": (int, "an int"),
    "max_attempts": (int, "an int"),
    "tags": (Sequence, "a list of strings"),
    "scheduled_at": (datetime, "a datetime"),
    "scheduled_in": ((timedelta, int, float), "a timedelta or seconds"),
    "meta": (Mapping, "a dict"),
}


MAX_ATTEMPTS = 32_767
"""What the column holds."""


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for one or many jobs, with one point in time for all of them.

    Args:
        name: Of the cascade, for errors.
        options: What was passed as ``job_opts``.

    Raises:
        InvalidArgumentError: If there is no such option, or its value has the wrong type.
        InvalidOptionError: If a value is one that no job can have.
    """
    for option, value in options.items():
        _check_type(name, option, value)

    checked = copy.deepcopy(dict(options))

    try:
        if (delay := checked.pop("scheduled_in", None)) is not None:
            delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
            checked["scheduled_at"] = datetime.now(UTC) + delay

        if checked.get("max_attempts", 0) > MAX_ATTEMPTS:
            raise ValueError(f"max_attempts must be at most {MAX_ATTEMPTS}")

        Job("probe", **checked)
    except (ValueError, OverflowError) as error:
        raise InvalidOptionError(f"options of {name!r} must suit a job, got: {error}") from None

    return checked


def _check_type(name: str, option: str, value: object) -> None:
    if option not in _TYPES:
        close = get_close_matches(option, _TYPES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidArgumentError(f"unknown job option {option!r} of {name!r}{hint}")

    expected, spelled = _TYPES[option]

    if not isinstance(value, expected) or (expected is not str and _only_seems_so(value)):
        raise InvalidArgumentError(f"{option} of {name!r} must be {spelled}, got {value!r}")


def _only_seems_so(value: object) -> bool:
    """Tell whether a value is a bool for an int, or a sequence of something else than strings."""
    if isinstance(value, Sequence):
        return isinstance(value, (str, bytes)) or not all(isinstance(tag, str) for tag in value)

    return isinstance(value, bool)
