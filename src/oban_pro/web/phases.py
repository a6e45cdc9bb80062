"""What a job or a group did when: the bars of the timeline.

oban keeps when the last attempt of a job began, and when each attempt failed, but not when earlier
attempts began. So everything from the release of the job to its last attempt is one phase,
"retries".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from oban_pro.model.wording import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

type PhaseKind = Literal["waiting", "queued", "retries", "running"]

IDLE: dict[str, PhaseKind] = {"retryable": "retries", "cancelled": "retries", "available": "queued"}
"""What a job does between two attempts; in any other state it waits."""


class Phase(NamedTuple):
    """A bar of the timeline."""

    kind: PhaseKind
    start: datetime
    end: datetime


def find_phases(member: Mapping[str, Any], released: datetime | None, now: datetime) -> list[Phase]:
    """Compute the phases of a member from its times.

    Args:
        member: A job or a group, as the page draws it.
        released: When all that it depends on had settled; None where it has not yet.
        now: When what has not settled ends.

    Returns:
        Phases that took time, and those that ran however short; none where the row is gone.
    """
    if member["inserted_at"] is None:
        return []

    is_job = member["kind"] == "job"
    # An empty group settles when it is released.
    is_empty = not is_job and not member["total"] and member["state"] in SETTLED
    end = member["settled_at"] or (released if is_empty else None) or now
    find = _of_job if is_job else _of_group

    return [
        phase
        for phase in find(member, released, end)
        if phase.start < phase.end or (phase.kind == "running" and phase.start == phase.end)
    ]


def _of_group(
    group: Mapping[str, Any], released: datetime | None, end: datetime
) -> Iterator[Phase]:
    started, counts = group["attempted_at"], group["counts"]
    yield from _before(started or end, group, released if started or counts["available"] else None)

    if started:
        yield Phase("running", started, end)

    if group["retries"]:
        failed_at, attempted_at = group["retries"]
        yield Phase("retries", failed_at, end if counts["retryable"] else attempted_at)


def _of_job(job: Mapping[str, Any], released: datetime | None, end: datetime) -> Iterator[Phase]:
    state, due, started = job["state"], job["scheduled_at"], job["attempted_at"]

    if started is None:
        yield from _before(end, job, due if state == "available" else None)
        return

    if job["attempt"] > 1:
        failures = [at for at in job["failed_at"] if at <= started]
        queued = due if due and failures and failures[-1] <= due <= started else started
        yield from _before(started, job, released, queued)
    else:
        yield from _before(started, job, due)

    stopped = _stop(job, end)
    yield Phase("running", started, stopped)
    yield Phase(IDLE.get(state, "waiting"), stopped, end)


def _before(
    started: datetime,
    member: Mapping[str, Any],
    released: datetime | None,
    queued: datetime | None = None,
) -> Iterator[Phase]:
    """Split the time before the last start at the release, and where it was queued again."""
    # What is grafted comes later than the release of the group around it.
    released = max(min(released or started, started), member["inserted_at"])
    queued = queued or released
    yield Phase("waiting", member["inserted_at"], released)
    yield Phase("retries", released, queued)
    yield Phase("queued", queued, started)


def last_attempt(
    job: Mapping[str, Any], failed_at: Sequence[datetime]
) -> tuple[datetime, datetime | None] | None:
    """Tell when the last attempt of a job began, and when it ended.

    Args:
        job: A job with its times.
        failed_at: When its attempts failed, in order.

    Returns:
        None for the end while it runs; nothing where it has not begun, or nobody knows the end, as
        of a job that was snoozed.
    """
    started = job["attempted_at"]

    if started is None:
        return None

    if job["state"] == "executing":
        return started, None

    known = [at for at in failed_at if at > started]
    end = job["settled_at"] if not known or job["state"] == "completed" else known[0]

    return (started, end) if end else None


def _stop(job: Mapping[str, Any], end: datetime) -> datetime:
    """Tell when the last attempt of a job stopped."""
    started: datetime = job["attempted_at"]
    failures: list[datetime] = [at for at in job["failed_at"] if at > started]

    match job["state"]:
        case "executing" | "completed" | "discarded":
            return end
        case "cancelled":
            return min([*failures, end])
        case _:
            return failures[0] if failures else started
