"""Executions that wait for a signal: the calls they have made, and how they are parked."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from oban import Job

WAIT = "wait"
"""Key of the meta of a parked job: the name and the number of the call that it waits in."""

WAIT_UNTIL = "wait_until"
"""Key of the meta of a parked job: when its call times out. Oban Web reads it."""


class Parked(BaseException):
    """Ends an execution that waits for a signal; the signal makes its job available again.

    No ``except Exception`` of the user's catches it.
    """

    def __init__(self, seconds: float, meta: dict[str, Any]) -> None:
        super().__init__(seconds, meta)
        self.seconds = seconds
        self.meta = meta


@dataclass(slots=True)
class RunningJob:
    """A running job, the task that runs it, and its calls of await_signal so far, by name."""

    job: Job
    task: asyncio.Task[Any] | None
    loop: asyncio.AbstractEventLoop
    calls: Counter[str] = field(default_factory=Counter)


execution: ContextVar[RunningJob | None] = ContextVar("oban_workflows_execution", default=None)
"""The execution that this context belongs to: the task of the job, its threads, its child tasks."""


may_block: ContextVar[bool] = ContextVar("oban_workflows_may_block", default=True)
"""Whether calls of await_signal may block before they park their job; False in `run_workflow`."""


def find_parked(error: BaseException) -> Parked | None:
    """Find the `Parked` that ends an execution: raised by itself, or within a task group."""
    if isinstance(error, Parked):
        return error

    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(find_parked, error.exceptions)), None)

    return None
