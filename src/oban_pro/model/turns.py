"""Loops: what a function returns to run again, and what its job keeps between two turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .durations import check_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

TURN = "turn"
"""Key of the meta of a loop: how many of its turns have ended."""

AGAIN = "again"
"""Key of the meta of a loop between two turns: the value that it goes on with, encoded."""


@dataclass(frozen=True, slots=True)
class Again:
    """A result by which a cascade asks to run again, with a value for its next turn.

    The job runs again from its first attempt, and finds the value in its context under its own
    name. What depends on it waits until it returns something else, which is its result.

    Args:
        value: What the next turn goes on with: anything that a cascade may return.
        delay: A timedelta or seconds before the next turn may start; None for none.

    Raises:
        InvalidArgumentError: If the delay is neither a timedelta nor a number.
        InvalidOptionError: If the delay is not finite and positive.

    Example:
        >>> async def pages(context):
        ...     found = context.get("pages", {"rows": [], "page": 1})
        ...     rows = await fetch(found["page"])
        ...     found = {"rows": found["rows"] + rows, "page": found["page"] + 1}
        ...     return Again(found) if rows else found["rows"]
    """

    value: Any
    delay: timedelta | float | None = None

    def __post_init__(self) -> None:
        if self.delay is not None:
            check_duration("delay of Again", self.delay)

    @property
    def seconds(self) -> float:
        """The seconds before the next turn may start."""
        return 0 if self.delay is None else check_duration("delay", self.delay).total_seconds()


@dataclass(frozen=True, slots=True)
class NextTurn:
    """Ends a turn of a loop: the value to go on with, encoded, and the seconds until then."""

    encoded: str
    seconds: float


def turns_of(meta: Mapping[str, Any]) -> int:
    """Return how many turns of a loop have ended, by the meta of its job; 0 if it has not begun."""
    turn = meta.get(TURN) if AGAIN in meta else 0

    return turn if isinstance(turn, int) else 0
