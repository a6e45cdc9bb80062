"""Explaining the limits that a job waits for: of its fan-out, and of its queue."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from .wording import human_duration, spell_duration

if TYPE_CHECKING:
    from datetime import datetime


class Slot(NamedTuple):
    """What a job waits for in a line.

    Args:
        place: Its number in the line, from 1.
        open: How many members of its fan-out are open: available, scheduled, executing, retryable.
        limit: How many may be; None for any number.
        started: How many were released in the present period.
        allowed: How many may be; None for any number.
        until: When that period ends.
    """

    place: int
    open: int
    limit: int | None
    started: int
    allowed: int | None
    until: datetime | None

    def tell(self, at: datetime) -> str:
        """Describe it in words."""
        bounds = []

        if self.limit is not None:
            bounds.append(f"{self.open:,} of {self.limit:,} run")

        if self.allowed is not None:
            bounds.append(f"{self.started:,} of {self.allowed:,} have started")

        text = f"waits for a slot: number {self.place:,} in line, {', '.join(bounds)}"

        if self.allowed is None or self.until is None or self.started < self.allowed:
            return text

        return f"{text}, the next may in {human_duration(self.until - at)}"


class QueueBounds(NamedTuple):
    """The limits that a queue has over all nodes.

    Args:
        limit: How many of its jobs may run at once; None for any number.
        allowed: How many may start in a period; None for any number.
        period: How many seconds a period lasts.
        is_divided: Whether each kind of job has these limits for itself.
        until: When the present period ends, if no more jobs may start in it.
    """

    limit: int | None
    allowed: int | None
    period: float | None
    is_divided: bool
    until: datetime | None

    def tell(self, at: datetime) -> str:
        """Describe them in words, to go on after what is said of the queue."""
        bounds = []

        if self.limit is not None:
            bounds.append(f"{self.limit:,} at once")

        if self.allowed is not None:
            period = spell_duration(timedelta(seconds=self.period or 0))
            bounds.append(f"{self.allowed:,} in {period}")

        text = f"; on all nodes it runs at most {' and '.join(bounds)}"

        if self.is_divided:
            text += " of each kind"

        if self.until is None or self.until <= at:
            return text

        return f"{text}, and the next starts in {human_duration(self.until - at)}"
