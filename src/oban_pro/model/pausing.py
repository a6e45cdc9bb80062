"""Explaining workflows that do not start: somebody paused them, or they wait for a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .waiting import tell_left
from .wording import KINDS, human_duration

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that a job or group is under.

    Args:
        since: When it began.
        by: Who paused, where somebody said so.
        until: When it ends by itself; None where it has no end.
        path: Names from the root workflow down to what is paused; empty for the workflow itself.
        kind: What is paused: ``"workflow"``, ``"job"``, ``"sub"``, ``"fan_out"`` or ``"graft"``.
    """

    since: datetime
    by: str | None = None
    until: datetime | None = None
    path: tuple[str, ...] = ()
    kind: str = "workflow"

    def tell(self, at: datetime) -> str:
        """Say what is paused, since when, by whom and for how long.

        Example:
            >>> Pause(noon, "ada", path=("etl",), kind="sub").tell(noon + timedelta(hours=2))
            "sub-workflow 'etl' is paused since 2h by ada"
        """
        label = f"{KINDS[self.kind]} {'/'.join(self.path)!r}" if self.path else "the workflow"
        by = f" by {self.by}" if self.by else ""
        left = tell_left(self.until, at)

        return (
            f"{label} is paused since {human_duration(at - self.since)}{by}{left and f', {left}'}"
        )

    def tell_of(self, path: tuple[str, ...], label: str, at: datetime) -> str:
        """Say that it holds a job back, or that the job itself is paused.

        Args:
            path: Of the job.
            label: How messages call the job.
            at: The moment.
        """
        return self.tell(at) if self.path == path else f"{label} is held back: {self.tell(at)}"


@dataclass(frozen=True, slots=True)
class Line:
    """The place of a workflow that waits in line for its key.

    Args:
        behind: The id of the workflow that it waits for; None where that is gone.
        key: What only one may hold.
        number: Its number in line, from 1 on.
    """

    behind: str | None
    key: str
    number: int

    def tell(self) -> str:
        """Say what it waits for, as what follows the name of the job.

        Example:
            >>> Line("a", "tenant-42", 2).tell()
            "waits behind 'a' (key 'tenant-42'), number 2 in line"
        """
        behind = "" if self.behind is None else f" behind {self.behind!r}"

        return f"waits{behind} (key {self.key!r}), number {self.number} in line"
