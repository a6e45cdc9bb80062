"""What explanations are made of: jobs and groups, and the state of each in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .wording import KINDS, SETTLED, count_nodes, human_duration, tell_error, until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .failing import Failures
    from .limiting import QueueBounds, Slot
    from .pausing import Line, Pause
    from .waiting import Wait

type Reason = Literal[
    "waiting",
    "listening",
    "timed",
    "parked",
    "ending",
    "held",
    "limited",
    "lined_up",
    "scheduled",
    "deferred",
    "retrying",
    "queued",
    "paused",
    "unserved",
    "running",
    "orphaned",
    "completed",
    "skipped",
    "cancelled",
    "discarded",
    "deleted",
    "unknown",
    "upstream",
]
"""Why something is in its state.

``"skipped"``: it has completed without running; ``"listening"``: it is a wait for signals, and
open; ``"timed"``: it is a timer, and its clock runs;
``"parked"``: it waits in a call of `await_signal`; ``"ending"``: it waits for the end of its last
execution, of its undo, or of an execution that it follows; ``"limited"``: it waits for a slot of
its fan-out; ``"lined_up"``: the workflow waits in line for its key;
``"held"``: it could start, but somebody paused it, or what it
is in; ``"deferred"``: a node took it that does not have its code, so that it is left to others;
``"paused"``: its queue is paused; ``"unserved"``: no node runs the queue;
``"orphaned"``: what ran the job is gone, it is going to be rescued; ``"unknown"``: the row of the
job is gone, and nobody knows how the job ended; ``"upstream"``: something that it depends on broke.
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A job or group on the chain from what was asked about to the cause.

    Args:
        path: Names from the root workflow down.
        kind: ``"job"``, ``"sub"``, ``"fan_out"`` or ``"graft"``.
        state: Of the job or group; ``"deleted"`` for a job that is gone before it settled,
            ``"unknown"`` for one that vanished.
        queue: Of a job.
        attempt: How often a job was started.
        max_attempts: How often it may be.
        scheduled_at: When a job is to run, or was; None past year 9999.
        attempted_at: When a job was last started.
        settled_at: When a job settled.
        node: The node that last started a job.
        nodes: Number of live nodes that run its queue; None on a standby, which cannot know.
        paused: Number of live nodes where its queue is paused; None on a standby.
        alive: Whether what last started a job is still there; None on a standby.
        error: The last error of a job.
        caused: Whether a job was cancelled because of its upstream.
        unended: Whether an execution of a job has not ended although somebody stopped the job.
        unknown_code: The function or worker that the node did not have which took a job last.
        undo: Of a job that was retried: the id of its undo, if that still executes; else None.
        comes_last: Whether it is a final job, and something else of its workflow has not ended.
        deadline: When it is cancelled unless it settles: by the first deadline that it is under.
        wait: What it waits for that no node runs: signals, or a time.
        skipped: Why it was skipped, as far as that is known; None if it was not.
        turns: Of a loop: how many of its turns have ended.
        line: Where its workflow stands that waits for its key, unless it has settled.
        pause: The pause that it is under, unless it has settled; the outermost of several.
        slot: What it waits for in a fan-out with a limit.
        bounds: The limits of its queue over all nodes, while it is available.
        failures: Of a fan-out that tolerates failures: how many there are.
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
    nodes: int | None = 0
    paused: int | None = 0
    alive: bool | None = False
    error: str | None = None
    caused: bool = False
    unended: bool = False
    unknown_code: str | None = None
    undo: int | None = None
    comes_last: bool = False
    deadline: datetime | None = None
    skipped: str | None = None
    wait: Wait | None = None
    turns: int = 0
    pause: Pause | None = None
    slot: Slot | None = None
    line: Line | None = None
    bounds: QueueBounds | None = None
    failures: Failures | None = None

    @property
    def label(self) -> str:
        """What messages call it, as in ``job 'load'``."""
        return label_of(self.kind, self.path)


def label_of(kind: str, path: Iterable[str]) -> str:
    """Say what messages call a job or group, as in ``job 'load'``."""
    return f"{KINDS[kind]} {'/'.join(path)!r}"


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that a job or group depends on.

    Args:
        path: Names from the root workflow down.
        kind: ``"job"``, ``"sub"``, ``"fan_out"`` or ``"graft"``.
        state: Its state; ``"deleted"`` for a job that is gone before it settled, ``"unknown"``
            for one that vanished.
        satisfied: Whether it lets its dependent go on.
        error: The last error of a job.
        need: How many of the dependencies are needed; None for all.
        skipped: Whether it completed without running anything.
        failures: Of a fan-out that tolerates failures: how many there are.
        would_break: Whether its dependent breaks if these failures are too many.
    """

    path: tuple[str, ...]
    kind: str
    state: str
    satisfied: bool
    error: str | None = None
    need: int | None = None
    skipped: bool = False
    failures: Failures | None = None
    would_break: bool = False

    @property
    def label(self) -> str:
        """What messages call it, as in ``job 'load'``."""
        return label_of(self.kind, self.path)

    @property
    def broken(self) -> bool:
        """Whether it cannot be satisfied unless it is retried."""
        return not self.satisfied and self.state in ("cancelled", "discarded", "deleted")

    @property
    def doomed(self) -> bool:
        """Whether it is open, and breaks its dependent when it settles, unless some is retried."""
        return (
            self.would_break
            and self.state == "executing"
            and self.failures is not None
            and self.failures.exceeded
        )


_REASONS: dict[str, Reason] = {
    "suspended": "waiting",
    "executing": "running",
    "completed": "completed",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "discarded": "discarded",
    "deleted": "deleted",
    "unknown": "unknown",
}


_WAITS: dict[str, Reason] = {"signal": "listening", "timer": "timed", "call": "parked"}
_UNTIL: dict[str, Reason] = {"scheduled": "scheduled", "retryable": "retrying"}


def reason_of(link: Link, at: datetime, *, inside: bool) -> Reason:
    """Say why a job or group is in its state.

    Args:
        link: The job or group.
        at: The moment of the explanation.
        inside: Whether something else tells more: what it waits for, or what broke it.
    """
    if link.state == "cancelled" and (link.caused or (link.kind != "job" and inside)):
        return "upstream"

    if link.state == "executing" and link.kind == "job" and link.alive is False:
        return "orphaned"

    if link.state in _REASONS or link.wait is not None:
        return _still(link, inside=inside)

    if link.state == "scheduled" and link.unknown_code is not None:
        return "deferred"

    # A job that waits for a time has one; None means that it does not fit a datetime.
    if link.state in _UNTIL and (link.scheduled_at is None or link.scheduled_at > at):
        return _UNTIL[link.state]

    # On a standby nothing is known about nodes.
    is_served = link.nodes is None or link.nodes > 0

    return "queued" if is_served else "paused" if link.paused else "unserved"


def _still(link: Link, *, inside: bool) -> Reason:
    """Say why something is in a state in which no node runs it."""
    if link.skipped is not None:
        return "skipped"

    if (link.unended or link.undo) and link.state == "suspended" and not inside:
        return "ending"

    if link.wait is not None:
        return _WAITS[link.wait.kind]

    if link.line is not None and link.state == "suspended" and not inside:
        return "lined_up"

    if link.slot is not None:
        return "limited"

    is_held = link.pause is not None and link.state == "suspended" and not inside

    return "held" if is_held else _REASONS[link.state]


_SENTENCES: dict[str, str] = {
    "waiting": "{label} is suspended",
    "ending": "{label} waits for the end of its last execution",
    "scheduled": "{label} is scheduled to run {until}",
    "deferred": "{label} waits for a node that has {code!r}, and comes again {until}{program}",
    "retrying": "{label} failed in attempt {attempts} and is tried again {until}{error}",
    "queued": "{label} is next in queue {queue!r}{nodes}",
    "paused": "{label} could run, but queue {queue!r} is paused",
    "unserved": "{label} could run, but no node runs queue {queue!r}",
    "running": "{label} has been running on {node!r} for {since}, attempt {attempts}",
    "orphaned": "{label} was started on {node!r} {since} ago, which is gone; it will be rescued",
    "skipped": "{label} was skipped{why}",
    "deleted": "{label} was deleted before it settled",
    "unknown": "{label} is gone, and nobody knows how it ended",
    "discarded": "{label} was discarded after {attempts} attempts{error}",
}

_OF_PROGRAM = ("__main__:", "__main__.")
_PROGRAM = "; only the program that enqueued it has that: put it in a module that nodes can import"


def tell(link: Link, at: datetime) -> str:
    """Describe the state of one job or group."""
    sentence = _SENTENCES.get(reason_of(link, at, inside=False), "{label} was {state}{error}")

    if link.wait is not None:
        return f"{link.label} {link.wait.tell(at)}"

    if link.line is not None and link.state == "suspended":
        return f"{link.label} {link.line.tell()}"

    if link.slot is not None:
        return f"{link.label} {link.slot.tell(at)}"

    if link.undo is not None:
        return f"{link.label} waits for the end of its undo, job {link.undo}, which still runs"

    if link.pause is not None and link.state == "suspended" and not link.unended:
        return link.pause.tell_of(link.path, link.label, at)

    if link.unended and link.state in SETTLED:
        sentence = "{label} was {state}{error}, and its execution has not ended"

    if link.kind != "job" and link.skipped is None:
        sentence = "{label} is executing" if link.state == "executing" else "{label} was {state}"

    return sentence.format(
        label=link.label,
        state=link.state,
        why=f": {link.skipped}" if link.skipped else "",
        queue=link.queue,
        code=link.unknown_code,
        program=_PROGRAM if (link.unknown_code or "").startswith(_OF_PROGRAM) else "",
        node=link.node,
        nodes=count_nodes(link.nodes) + (link.bounds.tell(at) if link.bounds else ""),
        attempts=f"{link.attempt} of {link.max_attempts}",
        since=human_duration(at - (link.attempted_at or at)),
        until=until(link.scheduled_at, at),
        error=tell_error(link.state, link.error),
    )
