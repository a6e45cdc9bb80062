"""Options of the jobs that cascades make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict

from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping


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


OPTIONS = frozenset(JobOptions.__annotations__)


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for one or many jobs, with one point in time for all of them.

    Raises:
        InvalidArgumentError: If there is no such option.
    """
    for option in options:
        if option not in OPTIONS:
            close = get_close_matches(option, OPTIONS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidArgumentError(f"unknown job option {option!r} of {name!r}{hint}")

    checked = dict(options)

    if (delay := checked.pop("scheduled_in", None)) is not None:
        delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        checked["scheduled_at"] = datetime.now(UTC) + delay

    return checked
