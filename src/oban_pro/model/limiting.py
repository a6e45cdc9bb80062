"""Explaining what a job waits for that has no slot in its fan-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .wording import human_duration

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
