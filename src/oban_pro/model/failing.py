"""Explaining how many members of a fan-out have failed, and how many may."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failures:
    """How many members of a fan-out have failed, and how many failures it tolerates.

    Args:
        discarded: Number of members that were discarded.
        cancelled: Number of members that were cancelled, or deleted before they settled.
        members: Number of all members. The job that asks the condition of a fan-out is none.
        tolerated: How many failures the fan-out tolerates.
        fails_fast: Whether it cancels what is open as soon as more have failed.
    """

    discarded: int
    cancelled: int
    members: int
    tolerated: int
    fails_fast: bool

    @property
    def failed(self) -> int:
        """Number of members that have failed."""
        return self.discarded + self.cancelled

    @property
    def exceeded(self) -> bool:
        """Whether more have failed than are tolerated."""
        return self.failed > self.tolerated

    def tell(self, where: str = "") -> str:
        """Describe them in words.

        Args:
            where: What to say of the place of the members, as in ``" in fan-out 'call'"``.

        Example:
            >>> Failures(3, 0, 40, 2, False).tell()
            '3 of 40 failed, 2 are tolerated'
        """
        of = f" of {self.members:,}{where}"
        text = f"{self.failed:,}{of} failed"

        # the members that it cancelled itself have not failed by themselves
        if self.fails_fast and self.exceeded and self.discarded and self.cancelled:
            were = "was" if self.discarded == 1 else "were"
            text = f"{self.discarded:,}{of} {were} discarded and {self.cancelled:,} cancelled"

        return f"{text}, {self.tolerated:,} {'is' if self.tolerated == 1 else 'are'} tolerated"
