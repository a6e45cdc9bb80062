"""Why a job or a nested workflow is in the state that it is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from .status import SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

type Reason = Literal[
    "waiting",
    "scheduled",
    "retrying",
    "queued",
    "paused",
    "unserved",
    "running",
    "orphaned",
    "completed",
    "cancelled",
    "discarded",
    "deleted",
    "upstream",
]
"""Why something is in its state.

``"unserved"``: no node runs the queue; ``"orphaned"``: what ran the job is gone, it is going to be
rescued; ``"upstream"``: something that it depends on broke.
"""

GROUPS = {"sub": "sub-workflow", "fan_out": "fan-out", "graft": "graft"}


@dataclass(frozen=True, slots=True)
class Link:
    """A job or group on the way to the cause.

    Args:
        path: Names from the root workflow down.
        kind: ``"job"``, ``"sub"``, ``"fan_out"`` or ``"graft"``.
        state: Of the job or group; ``"deleted"`` for a job that is gone before it settled.
        queue: Of a job.
        attempt: How often a job was started.
        max_attempts: How often it may be.
        scheduled_at: When a job is to run, or was.
        attempted_at: When a job was last started.
        settled_at: When a job settled.
        node: The node that last started a job.
        nodes: Number of live nodes that run its queue.
        paused: Number of live nodes where its queue is paused.
        alive: Whether what last started a job is still there.
        error: The last error of a job.
        caused: Whether a job was cancelled because of its upstream.
    """

    path: tuple[str, ...]
    kind: str
    state: str
    queue: str | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    scheduled_at: datetime | None = None
    attempted_at: datetime | None = None
    settled_at: datetime | None = None
    node: str | None = None
    nodes: int = 0
    paused: int = 0
    alive: bool = False
    error: str | None = None
    caused: bool = False

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{GROUPS.get(self.kind, self.kind)} {'/'.join(self.path)!r}"


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as lists show it.

    Args:
        path: Names from the workflow that was asked down.
        state: Of the job; ``"deleted"`` if it is gone before it settled.
        attempt: How often it was started.
        max_attempts: How often it may be.
        attempted_at: When it was last started.
        error: Its last error.
        caused: Whether it was cancelled because of its upstream.
    """

    path: tuple[str, ...]
    state: str
    attempt: int
    max_attempts: int
    attempted_at: datetime | None
    error: str | None
    caused: bool


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that a job or group depends on.

    Args:
        path: Names from the root workflow down.
        kind: ``"job"``, ``"sub"``, ``"fan_out"`` or ``"graft"``.
        state: Its state; ``"deleted"`` for a job that is gone before it settled.
        satisfied: Whether it lets its dependent go on.
        error: The last error of a job.
    """

    path: tuple[str, ...]
    kind: str
    state: str
    satisfied: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job or a nested workflow is in the state that it is in, at one moment.

    Args:
        workflow_id: The workflow that was asked.
        at: The moment.
        chain: The job or group itself, then what it waits for or what broke it, to the cause.
        deps: Everything it depends on directly, or through the workflows that it is in.

    Example:
        >>> explanation = await workflow.explain("load")
        >>> print(explanation.summary)
        job 'load' was cancelled because job 'extract' was discarded: RuntimeError: no disk
    """

    workflow_id: str
    at: datetime
    chain: tuple[Link, ...]
    deps: tuple[Dependency, ...]

    @property
    def subject(self) -> Link:
        """The job or group that was asked about."""
        return self.chain[0]

    @property
    def cause(self) -> Link:
        """The end of the chain: what has to move, or to be mended, first."""
        return self.chain[-1]

    @property
    def state(self) -> str:
        """The state of the job or group."""
        return self.subject.state

    @property
    def waits_for(self) -> tuple[Dependency, ...]:
        """The dependencies that are not satisfied."""
        return tuple(dep for dep in self.deps if not dep.satisfied)

    @property
    def reason(self) -> Reason:
        """The state, told more precisely."""
        return _reason(self.subject, self.at, inside=len(self.chain) > 1)

    @property
    def summary(self) -> str:
        """All of it in one sentence."""
        return _summary(self)


_REASONS: dict[str, Reason] = {
    "suspended": "waiting",
    "executing": "running",
    "completed": "completed",
    "cancelled": "cancelled",
    "discarded": "discarded",
    "deleted": "deleted",
}


def _reason(link: Link, at: datetime, *, inside: bool) -> Reason:
    if link.state == "cancelled" and (link.caused or (link.kind != "job" and inside)):
        return "upstream"

    if link.state == "executing" and link.kind == "job" and not link.alive:
        return "orphaned"

    if link.state in _REASONS:
        return _REASONS[link.state]

    if link.scheduled_at and link.scheduled_at > at and link.state != "available":
        return "scheduled" if link.state == "scheduled" else "retrying"

    if link.nodes:
        return "queued"

    return "paused" if link.paused else "unserved"


def _summary(explanation: Explanation) -> str:
    subject, cause, at = explanation.subject, explanation.cause, explanation.at

    if subject.state == "suspended":
        text = f"{subject.label} waits for {_count_waits(explanation.deps)}"
        return text if cause is subject else f"{text}; {_tell(cause, at)}"

    if cause is subject:
        return _tell(subject, at)

    if subject.state in SETTLED:
        return f"{subject.label} was {subject.state} because {_tell(cause, at)}"

    return f"{subject.label} is {subject.state}; {_tell(cause, at)}"


def _count_waits(deps: Sequence[Dependency]) -> str:
    waits = sum(not dep.satisfied for dep in deps)

    if waits == len(deps):
        return "its dependency" if waits == 1 else f"its {waits} dependencies"

    return f"{waits} of {len(deps)} dependencies"


_SENTENCES: dict[str, str] = {
    "waiting": "{label} is suspended",
    "scheduled": "{label} is scheduled to run in {until}",
    "retrying": "{label} failed in attempt {attempts} and is tried again in {until}{error}",
    "queued": "{label} is next in queue {queue!r}, which {nodes}",
    "paused": "{label} could run, but queue {queue!r} is paused",
    "unserved": "{label} could run, but no node runs queue {queue!r}",
    "running": "{label} has been running on {node!r} for {since}, attempt {attempts}",
    "orphaned": "{label} was started on {node!r} {since} ago, which is gone; it will be rescued",
    "deleted": "{label} was deleted before it settled",
    "discarded": "{label} was discarded after {attempts} attempts{error}",
}


def _tell(link: Link, at: datetime) -> str:
    """Say how one job or group stands."""
    sentence = _SENTENCES.get(_reason(link, at, inside=False), "{label} was {state}{error}")

    if link.kind != "job":
        sentence = "{label} is executing" if link.state == "executing" else "{label} was {state}"

    return sentence.format(
        label=link.label,
        state=link.state,
        queue=link.queue,
        node=link.node,
        nodes="1 node runs" if link.nodes == 1 else f"{link.nodes} nodes run",
        attempts=f"{link.attempt} of {link.max_attempts}",
        since=human_duration(at - (link.attempted_at or at)),
        until=human_duration((link.scheduled_at or at) - at),
        error=f": {last_line(link.error)}" if link.error and link.state != "completed" else "",
    )


def last_line(error: str) -> str:
    """Return the line of a traceback that says what went wrong."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]

    return lines[-1] if lines else ""


def human_duration(duration: timedelta, units: int = 2) -> str:
    """Write a duration in the biggest units that it has.

    Example:
        >>> human_duration(timedelta(minutes=61, seconds=5))
        '1h 1m'
    """
    seconds = max(duration.total_seconds(), 0)

    if seconds < 10:
        return f"{seconds:.1f}s"

    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)

    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + units] if count)
