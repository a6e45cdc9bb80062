"""What a job waits for that no node runs: signals, or a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from .wording import human_duration

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """What a job waits for that no node runs.

    Args:
        kind: ``"signal"`` for a wait that listens, ``"timer"`` for one whose clock runs,
            ``"call"`` for a job that is parked in a call of `await_signal`.
        since: When the wait opened; None for a parked job.
        until: When it ends by itself; None where it has no end.
        wanted: How many signals it needs, each of another sender.
        came: How many have come.
        senders: Who sent them, ten at most.
        choices: What a signal may choose; None for anything.
        call: The name of the call; empty for a call without one, None for a wait.
    """

    kind: Literal["signal", "timer", "call"]
    since: datetime | None = None
    until: datetime | None = None
    wanted: int = 1
    came: int = 0
    senders: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    call: str | None = None

    def tell(self, at: datetime) -> str:
        """Say what it waits for, and how long, as what follows the name of the job.

        Example:
            >>> Wait("signal", since=noon, until=noon + timedelta(days=2)).tell(
            ...     noon + timedelta(hours=2)
            ... )
            'waits for a signal since 2h, for 1d 22h more'
        """
        if self.kind == "timer":
            return _join(f"waits until {_spell(self.until)}", tell_left(self.until, at))

        if self.kind == "call":
            label = f"signal {self.call!r}" if self.call else "a signal"
            left = tell_left(self.until, at)

            return f"is parked: waits for {label}{f' {left}' if left else ''}"

        since = human_duration(at - (self.since or at))
        text = _join(f"waits for a signal since {since}", tell_left(self.until, at))

        return text if self.wanted == 1 else f"{text}; {self._tell_senders()}"

    def tell_short(self, at: datetime) -> str:
        """Say it in a few words, for narrow places.

        Example:
            >>> Wait("signal", until=noon + timedelta(hours=2)).tell_short(noon)
            'signal, 2h left'
        """
        kind = "parked" if self.kind == "call" else self.kind
        came = f" {self.came} of {self.wanted}" if self.wanted > 1 else ""
        left = "" if self.until is None else f", {human_duration(self.until - at)} left"

        return f"{kind}{came}{left}"

    def _tell_senders(self) -> str:
        text = f"{self.came} of {self.wanted} came"

        if not self.senders:
            return text

        others = ", …" if self.came > len(self.senders) else ""

        return f"{text} ({', '.join(self.senders)}{others})"


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait as lists show it.

    Args:
        workflow_id: The workflow that its path begins at.
        name: The name of that workflow, or None.
        path: Names from the workflow down.
        job_id: The id of the job that waits.
        wait: What it waits for.
    """

    workflow_id: str
    name: str | None
    path: tuple[str, ...]
    job_id: int
    wait: Wait


def tell_deadline(deadline: datetime, at: datetime) -> str:
    """Say when a job or group is cancelled.

    Example:
        >>> tell_deadline(noon + timedelta(hours=2), noon)
        'is cancelled in 2h unless it settles'
    """
    if deadline <= at:
        return "is cancelled now, as its deadline has come"

    return f"is cancelled in {human_duration(deadline - at)} unless it settles"


def _join(text: str, left: str) -> str:
    return f"{text}, {left}" if left else text


def tell_left(until: datetime | None, at: datetime) -> str:
    """Say for how long something goes on that ends by itself; nothing where it does not.

    Example:
        >>> tell_left(noon + timedelta(hours=2), noon)
        'for 2h more'
    """
    if until is None:
        return ""

    left = until - at

    return f"for {human_duration(left)} more" if left > timedelta() else "its time is up"


def _spell(time: datetime | None) -> str:
    return "after year 9999" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
