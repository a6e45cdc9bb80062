"""What people type where they filter workflows: moments, and attributes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, tzinfo

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(text: str, zone: tzinfo | None = None) -> datetime:
    """Read an age like ``12h``, or a time in ISO form.

    Args:
        text: What was typed.
        zone: Of a time that names none; None for that of this machine.

    Raises:
        ValueError: If it is neither.

    Example:
        >>> read_moment("2026-11-28T08:00", UTC).isoformat()
        '2026-11-28T08:00:00+00:00'
    """
    try:
        if match := re.fullmatch(r"([0-9]+)([smhdw])", text):
            return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})

        moment = datetime.fromisoformat(text)

        if moment.tzinfo is None:
            moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)

        # near the year 9999 a time may have no equivalent in UTC
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"must be an age like 30m, 12h, 1d or 2w, or a time like 2026-11-28T08:00, got {text!r}"
        ) from None


def read_attribute(text: str) -> tuple[str, str | int | float | bool | None]:
    """Read ``name=value``: a number, ``true``, ``false``, ``null``, or text, as JSON or as it is.

    Raises:
        ValueError: If it is not that.

    Example:
        >>> read_attribute("size=5")
        ('size', 5)
    """
    name, equals, value = text.partition("=")

    if not equals or not name:
        raise ValueError(f"must be like tenant=acme, got {text!r}")

    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return name, value

    return name, value if isinstance(found, dict | list) else found
