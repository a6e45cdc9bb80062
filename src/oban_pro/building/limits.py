"""Limits of fan-outs: how many of their members may be open at once, and start in a period."""

from __future__ import annotations

from dataclasses import dataclass

from oban_pro.errors import InvalidArgumentError, InvalidOptionError
from oban_pro.model.durations import check_duration

# The bit of the rules that a root uses; see the migration that adds the columns.
LIMITS = 32

MAX_LIMIT = 2**31 - 1
"""What the column holds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the members of a fan-out.

    Args:
        limit: How many may be open at once; None for any number.
        allowed: How many may start in a period; None for any number.
        period: The period, in seconds.
    """

    limit: int | None = None
    allowed: int | None = None
    period: float | None = None


def check_limits(owner: str, limit: object, rate: object) -> Limits | None:
    """Return the limits of a fan-out; None where it has none.

    Args:
        owner: Of the fan-out, for errors.
        limit: How many of its members may be open at once; 0 stops it.
        rate: How many may start in a period, and that period as a timedelta or in seconds.

    Raises:
        InvalidArgumentError: If one of them has the wrong type.
        InvalidOptionError: If one of them is out of range.
    """
    checked = check_limit(owner, limit)

    if rate is None:
        return None if checked is None else Limits(checked)

    if not isinstance(rate, tuple) or len(rate) != 2:
        raise InvalidArgumentError(
            f"rate of {owner} must be a pair of a number and a period, as in (9, 60), got {rate!r}"
        )

    allowed = check_limit(owner, rate[0], "rate", least=1)

    if allowed is None:
        raise InvalidArgumentError(f"rate of {owner} must have a number, got {rate!r}")

    period = check_duration(f"period of the rate of {owner}", rate[1])

    return Limits(checked, allowed, period.total_seconds())


def check_limit(owner: str, limit: object, what: str = "limit", least: int = 0) -> int | None:
    """Check how many members of a fan-out may be open or start; None for any number.

    Raises:
        InvalidArgumentError: If it is no int.
        InvalidOptionError: If it is too small, or larger than the database can store.
    """
    if limit is None:
        return None

    if isinstance(limit, bool) or not isinstance(limit, int):
        raise InvalidArgumentError(f"{what} of {owner} must be an int, got {limit!r}")

    if not least <= limit <= MAX_LIMIT:
        raise InvalidOptionError(
            f"{what} of {owner} must be from {least} to {MAX_LIMIT:,}, got {limit!r}"
        )

    return limit


def refuse_limits(name: str, limits: Limits | None) -> None:
    """Refuse limits of a member that is no fan-out.

    Raises:
        InvalidArgumentError: If there are any.
    """
    if limits is not None:
        what = "rate" if limits.limit is None else "limit"
        raise InvalidArgumentError(
            f"{what} of {name!r} is for fan-outs: each(), or (items, function)"
        )
