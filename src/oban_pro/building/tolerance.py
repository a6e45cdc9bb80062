"""How many failures a fan-out tolerates."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

type Tolerate = int | float
"""A number of failures from 0 on, or a share of the members, below 1."""

# Keys of args, named like the options.
TOLERATE = "tolerate"
FAIL_FAST = "fail_fast"


class Tolerance(NamedTuple):
    """How many of its direct members may fail: an int, or a share below 1.

    ``fail_fast`` cancels what is open as soon as more have failed.
    """

    limit: Decimal
    fail_fast: bool


def check_tolerance(name: str, tolerate: object, fail_fast: object) -> Tolerance | None:
    """Return what a fan-out tolerates; None if it tolerates nothing and does not fail fast.

    Args:
        name: Of the fan-out.
        tolerate: A number of failures from 0 on, or a share below 1; None for 0.
        fail_fast: Whether to cancel what is open as soon as there are more.

    Raises:
        InvalidArgumentError: If it is neither, or ``fail_fast`` is no bool.
    """
    if not isinstance(fail_fast, bool):
        raise InvalidArgumentError(f"fail_fast of {name!r} must be a bool, got {fail_fast!r}")

    if tolerate is None:
        return Tolerance(Decimal(0), fail_fast) if fail_fast else None

    if not _is_limit(tolerate):
        raise InvalidArgumentError(
            f"tolerate of {name!r} must be an int from 0 on, or a share below 1, got {tolerate!r}"
        )

    # as a decimal: 0.29 of 100 members is 29, but 28 in floating point
    return Tolerance(Decimal(str(tolerate)), fail_fast)


def _is_limit(tolerate: object) -> bool:
    if isinstance(tolerate, int):
        return tolerate >= 0 and not isinstance(tolerate, bool)

    # NaN is not in the range
    return isinstance(tolerate, float) and 0 <= tolerate < 1


def refuse_tolerance(name: str, tolerate: object, fail_fast: object) -> None:
    """Raise if a member that is no fan-out is to tolerate failures.

    Raises:
        InvalidArgumentError: If it is.
    """
    if tolerate is not None or fail_fast is not False:
        option = FAIL_FAST if tolerate is None else TOLERATE
        raise InvalidArgumentError(
            f"{option} of {name!r} is for fan-outs: each(), or (items, function)"
        )


def to_args(tolerance: Tolerance | None) -> dict[str, Any]:
    """Return the args that tell a mapper the tolerance of its fan-out."""
    if tolerance is None:
        return {}

    return {TOLERATE: str(tolerance.limit), FAIL_FAST: tolerance.fail_fast}


def from_args(args: Mapping[str, Any]) -> Tolerance | None:
    """Read the tolerance of a fan-out from the args of its mapper."""
    if TOLERATE not in args:
        return None

    return Tolerance(Decimal(args[TOLERATE]), bool(args.get(FAIL_FAST)))
