"""How everything but the final jobs of a workflow has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from oban_pro.errors import message_of

from .status import WorkflowState


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that was cancelled or discarded.

    Args:
        path: From the workflow that was asked down to the job, as in ``"notify/email"``.
        state: ``"cancelled"`` or ``"discarded"``.
        error: The last error of the job; None if it has none, as a job that somebody cancelled.
    """

    path: str
    state: str
    error: str | None

    @property
    def message(self) -> str | None:
        """The line of the error that says what went wrong; None without an error.

        Example:
            >>> [(failure.path, failure.message) for failure in outcome.failed]
            [('load', 'ValueError: bad date')]
        """
        return None if self.error is None else message_of(self.error)


class EndLine(NamedTuple):
    """A final job, or the graft that undoes a workflow, as lists show it.

    Args:
        path: Names from the workflow that was asked down.
        state: Of the job, or of the graft.
    """

    path: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How everything but the final jobs of a workflow has ended.

    Args:
        state: ``"discarded"`` if any job was, nested ones included; else ``"cancelled"`` if any
            was, else ``"completed"``. ``"executing"`` while something is open, ``"unknown"`` if
            there is no such workflow.
        failed: The jobs that were discarded, then those that were cancelled; 100 at most.
        failed_total: How many there are in all.

    Example:
        >>> outcome = await Workflow.for_job(job).outcome()
        >>> if outcome.state != "completed":
        ...     print(outcome.failed_total, "jobs failed, first", outcome.failed[0].path)
    """

    state: WorkflowState = "unknown"
    failed: list[Failure] = field(default_factory=list)
    failed_total: int = 0
