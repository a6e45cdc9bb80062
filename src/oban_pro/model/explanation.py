"""Why a job or a nested workflow is in the state that it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .waiting import tell_deadline
from .wording import KINDS, SETTLED, count_nodes, human_duration, tell_error, until

if TYPE_CHECKING:
    from datetime import datetime

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

    @property
    def label(self) -> str:
        """What messages call it, as in ``job 'load'``."""
        return f"{KINDS[self.kind]} {'/'.join(self.path)!r}"


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
        state: Its state; ``"deleted"`` for a job that is gone before it settled, ``"unknown"``
            for one that vanished.
        satisfied: Whether it lets its dependent go on.
        error: The last error of a job.
        need: How many of the dependencies are needed; None for all.
    """

    path: tuple[str, ...]
    kind: str
    state: str
    satisfied: bool
    error: str | None = None
    need: int | None = None

    @property
    def broken(self) -> bool:
        """Whether it cannot be satisfied unless it is retried."""
        return not self.satisfied and self.state in ("cancelled", "discarded", "deleted")


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
        """The end of the chain: what has to move or be mended first."""
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
    def needs(self) -> int:
        """How many of its dependencies must be satisfied: all, or what ``need`` says."""
        needed = [dep.need for dep in self.deps if dep.need is not None]

        return needed[0] if needed else len(self.deps)

    @property
    def missing(self) -> int:
        """How many more of its dependencies must be satisfied."""
        return max(self.needs - sum(dep.satisfied for dep in self.deps), 0)

    @property
    def reason(self) -> Reason:
        """Why it is in its state: the state, more precisely."""
        reason = _reason(self.subject, self.at, inside=len(self.chain) > 1)

        return "ending" if reason == "waiting" and self._follows else reason

    @property
    def _follows(self) -> bool:
        """Whether it waits for nothing but the end of an execution that it follows."""
        waits = self.subject.comes_last or self.missing

        return not waits and len(self.chain) == 2 and self.cause.unended

    @property
    def summary(self) -> str:
        """The explanation in one sentence."""
        return _summary(self)


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


def _reason(link: Link, at: datetime, *, inside: bool) -> Reason:
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


def _summary(explanation: Explanation) -> str:
    subject, cause, at = explanation.subject, explanation.cause, explanation.at
    parts = [_tell_all(explanation)]

    # a job in a paused group may still run, so the pause is told beside it
    if subject.pause is not None and subject.kind != "job" and cause.state != "suspended":
        parts.append(subject.pause.tell(at))

    if subject.turns:
        parts.append(_count_turns(subject.turns))

    if subject.caused and explanation.needs < len(explanation.deps):
        broken = sum(dep.broken for dep in explanation.deps)
        counts = f"{explanation.needs} of {len(explanation.deps)} were needed"
        parts.append(f"{counts}, {broken} broke" if broken else counts)

    if subject.deadline is not None:
        parts.append(f"{subject.label} {tell_deadline(subject.deadline, at)}")

    return "; ".join(parts)


def _count_turns(turns: int) -> str:
    return "1 turn of its loop has ended" if turns == 1 else f"{turns} turns of its loop have ended"


def _tell_all(explanation: Explanation) -> str:
    subject, cause, at = explanation.subject, explanation.cause, explanation.at

    if explanation.reason == "ending" and cause is not subject:
        return f"{subject.label} waits for {_tell_end(cause)}"

    if explanation.reason == "waiting":
        return _tell_waiting(explanation)

    if cause is subject:
        return _tell(subject, at)

    if subject.state in SETTLED:
        return f"{subject.label} was {subject.state} because {_tell(cause, at)}"

    return f"{subject.label} is {subject.state}; {_tell(cause, at)}"


def _tell_waiting(explanation: Explanation) -> str:
    subject, cause = explanation.subject, explanation.cause
    waits = "everything else" if subject.comes_last else _count_waits(explanation)
    text = f"{subject.label} waits for {waits}"

    if cause is subject:
        return text

    # an execution that has not ended: the link before it waits for that
    if cause.unended and cause.state in SETTLED:
        return f"{text}; {explanation.chain[-2].label} waits for {_tell_end(cause)}"

    return f"{text}; {_tell(cause, explanation.at)}"


def _tell_end(link: Link) -> str:
    return f"the end of {link.label}, which was {link.state} while it ran"


def _count_waits(explanation: Explanation) -> str:
    deps, missing = len(explanation.deps), explanation.missing

    if not missing:
        return "an execution before it to end"

    if explanation.needs < deps:
        more = " more" if missing < explanation.needs else ""

        return f"{missing}{more} of its {deps} dependencies"

    if missing == deps:
        return "its dependency" if missing == 1 else f"its {missing} dependencies"

    return f"{missing} of {deps} dependencies"


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


def _tell(link: Link, at: datetime) -> str:
    """Describe the state of one job or group."""
    sentence = _SENTENCES.get(_reason(link, at, inside=False), "{label} was {state}{error}")

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
