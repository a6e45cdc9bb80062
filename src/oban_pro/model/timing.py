"""How long jobs waited, were queued and ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a job waited, was queued and ran.

    Args:
        path: From the workflow that was asked down to the job, as in ``"notify/email"``.
        state: The state of the job; ``"skipped"``, ``"absent"`` if only the other workflow has it.
        waiting: From its insertion until it was due: what it depends on was satisfied, and its
            time had come. If it was tried again, earlier attempts are part of that. If it settled
            without having run, all its time is. None while that lasts.
        queued: From when it was due until a node took it for its last attempt; None if none did.
        ran: How long its last attempt took; None if that has not ended, or its end is not known.
        attempts: How often it was taken.
        other: The same of the workflow that it is compared with; None if that has no such job.
    """

    path: str
    state: str = "absent"
    waiting: timedelta | None = None
    queued: timedelta | None = None
    ran: timedelta | None = None
    attempts: int = 0
    other: Timing | None = None


class JobTimes(NamedTuple):
    """The times of a job as they are stored; ``group`` counts those that were asked for, from 1."""

    group: int
    name: str
    state: str
    attempts: int
    inserted_at: datetime | None
    due_at: datetime | None
    attempted_at: datetime | None
    settled_at: datetime | None

    def timing(self, path: str) -> Timing:
        """Compute how long it waited, was queued and ran; due after it was taken, it waits anew."""
        _, _, state, attempts, inserted, due, taken, settled = self
        waiting = queued = None

        if taken is None:
            waiting = _between(inserted, due if state == "available" else settled)
        elif due is not None and due <= taken:
            waiting, queued = _between(inserted, due), taken - due

        return Timing(path, state, waiting, queued, _between(taken, settled), attempts)


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return end - start if start and end else None
