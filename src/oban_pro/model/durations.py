"""Checking durations (seconds or timedeltas) and moments that callers give."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from oban_pro.errors import InvalidArgumentError, InvalidOptionError

LONGEST = timedelta(days=365_000)
"""The longest duration: a moment that far from now still fits a datetime."""


def check_duration(what: str, value: object, *, zero: bool = False) -> timedelta:
    """Return a duration that was given as a timedelta or in seconds.

    Args:
        what: What errors call it, for example ``timeout of 'load'``.
        value: What was given.
        zero: Whether it may be 0.

    Raises:
        InvalidArgumentError: If it is neither, or a bool.
        InvalidOptionError: If it is not finite, not positive, or longer than a thousand years.

    Example:
        >>> check_duration("timeout of 'load'", 90)
        datetime.timedelta(seconds=90)
    """
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise InvalidArgumentError(f"{what} must be a timedelta or seconds, got {value!r}")

    seconds = value.total_seconds() if isinstance(value, timedelta) else value

    is_finite = isinstance(seconds, int) or math.isfinite(seconds)

    if not is_finite or seconds < 0 or (seconds == 0 and not zero):
        least = "0 or more" if zero else "positive"
        raise InvalidOptionError(f"{what} must be {least} and finite, got {value!r}")

    if seconds > LONGEST.total_seconds():
        raise InvalidOptionError(f"{what} must be at most {LONGEST.days:,} days, got {value!r}")

    duration = timedelta(seconds=seconds)

    if not duration and not zero:
        raise InvalidOptionError(f"{what} must be at least a microsecond, got {value!r}")

    return duration


def check_moment(what: str, value: object) -> datetime:
    """Return a moment that was given as a datetime with a timezone.

    Args:
        what: What errors call it, for example ``scheduled_at of 'load'``.
        value: What was given.

    Raises:
        InvalidArgumentError: If it is no datetime, or one without a timezone.
    """
    if not isinstance(value, datetime):
        raise InvalidArgumentError(f"{what} must be a datetime, got {value!r}")

    if value.utcoffset() is None:
        raise InvalidArgumentError(f"{what} must be a datetime with a timezone, got {value!r}")

    return value
