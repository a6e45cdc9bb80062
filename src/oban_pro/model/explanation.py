"""Why a job or a nested workflow is in the state that it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .evidence import reason_of, tell
from .waiting import tell_deadline
from .wording import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .evidence import Dependency, Link, Reason


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
    def counted(self) -> tuple[Dependency, ...]:
        """The dependencies that count: all; if only some are needed, those not skipped."""
        return tuple(dep for dep in self.deps if dep.need is None or not dep.skipped)

    @property
    def needs(self) -> int:
        """How many of the counted dependencies must be satisfied: all, or what ``need`` says."""
        return min((dep.need or len(self.counted) for dep in self.deps), default=0)

    @property
    def missing(self) -> int:
        """How many more of its dependencies must be satisfied."""
        return max(self.needs - sum(dep.satisfied for dep in self.counted), 0)

    @property
    def reason(self) -> Reason:
        """Why it is in its state: the state, more precisely."""
        reason = reason_of(self.subject, self.at, inside=len(self.chain) > 1)

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


def _summary(explanation: Explanation) -> str:
    subject, cause, at = explanation.subject, explanation.cause, explanation.at
    parts = [_tell_all(explanation)]

    # a job in a paused group may still run, so the pause is told beside it
    if subject.pause is not None and subject.kind != "job" and cause.state != "suspended":
        parts.append(subject.pause.tell(at))

    if subject.turns:
        parts.append(_count_turns(subject.turns))

    parts += [*_tell_join(explanation), *_tell_failures(explanation)]

    if subject.deadline is not None:
        parts.append(f"{subject.label} {tell_deadline(subject.deadline, at)}")

    return "; ".join(parts)


def _count_turns(turns: int) -> str:
    return "1 turn of its loop has ended" if turns == 1 else f"{turns} turns of its loop have ended"


def _tell_join(explanation: Explanation) -> Iterator[str]:
    """Tell how many dependencies a join needs, and how many broke."""
    deps, needs = len(explanation.counted), explanation.needs
    broken = sum(dep.broken for dep in explanation.counted)

    if needs >= deps:
        return

    if explanation.reason == "upstream":
        yield f"{needs} of {deps} were needed" + (f", {broken} broke" if broken else "")
    elif explanation.missing and broken:
        retried = needs - (deps - broken)
        hope = f", so that {retried} of these must be retried" if retried > 0 else ""
        yield f"{needs} of {deps} are needed, {broken} broke{hope}"


def _tell_failures(explanation: Explanation) -> Iterator[str]:
    """Tell how many members have failed of fan-outs that tolerate some, and what comes of it."""
    subject, counted = explanation.subject, explanation.counted
    told = {subject.path}

    if subject.failures is not None:
        is_open = subject.failures.exceeded and subject.state == "executing"
        end = ", so that it cannot complete unless some are retried" if is_open else ""
        yield f"{subject.failures.tell()}{end}"

    lost = sum(dep.broken or dep.doomed for dep in counted)
    is_lost = explanation.missing > 0 and len(counted) - lost < explanation.needs
    doomed = {dep.path: dep for dep in explanation.deps if dep.doomed}

    others: list[Link | Dependency] = [*explanation.chain[1:], *doomed.values()]

    for found in others:
        if found.path not in told and found.failures is not None and found.failures.failed:
            told.add(found.path)
            breaks = is_lost and found.path in doomed
            end = f", so that {subject.label} will be cancelled" if breaks else ""
            yield f"{found.failures.tell(f' in {found.label}')}{end}"


def _tell_all(explanation: Explanation) -> str:
    subject, cause, at = explanation.subject, explanation.cause, explanation.at

    if explanation.reason == "ending" and cause is not subject:
        return f"{subject.label} waits for {_tell_end(cause)}"

    if explanation.reason == "waiting":
        return _tell_waiting(explanation)

    if cause is subject:
        return tell(subject, at)

    if subject.state in SETTLED:
        return f"{subject.label} was {subject.state} because {tell(cause, at)}"

    return f"{subject.label} is {subject.state}; {tell(cause, at)}"


def _tell_waiting(explanation: Explanation) -> str:
    subject, cause = explanation.subject, explanation.cause
    waits = "everything else" if subject.comes_last else _count_waits(explanation)
    text = f"{subject.label} waits for {waits}"

    if cause is subject:
        return text

    # an execution that has not ended: the link before it waits for that
    if cause.unended and cause.state in SETTLED:
        return f"{text}; {explanation.chain[-2].label} waits for {_tell_end(cause)}"

    return f"{text}; {tell(cause, explanation.at)}"


def _tell_end(link: Link) -> str:
    return f"the end of {link.label}, which was {link.state} while it ran"


def _count_waits(explanation: Explanation) -> str:
    deps, missing = len(explanation.counted), explanation.missing

    if not missing:
        return "an execution before it to end"

    if explanation.needs < deps:
        more = " more" if missing < explanation.needs else ""

        return f"{missing}{more} of its {deps} dependencies"

    if missing == deps:
        return "its dependency" if missing == 1 else f"its {missing} dependencies"

    return f"{missing} of {deps} dependencies"
