"""Waits as members of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from .finals import Finals
from .names import check_need, normalize_deps
from .plan import JobSpec
from .waits import signal_wait, timer_wait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .waits import Moment


class WaitMembers(Finals):
    """The methods of the builder that add waits: members that wait for a signal or a time."""

    def add_signal(
        self,
        name: str,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        wait_for: Moment | None = None,
        on_timeout: Literal["cancel", "discard", "complete"] = "cancel",
        default: object = None,
        count: int = 1,
        choices: Iterable[str] | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
    ) -> Self:
        """Add a wait for somebody: a person who approves, a webhook, another system.

        Nobody runs it. Once its deps are satisfied it listens, and `Workflow.signal` completes it.
        What the signal carries is its result, for what depends on it. A signal that comes earlier
        is kept.

        Args:
            name: Unique within this workflow.
            deps: Names of the jobs and groups that must be satisfied before it listens.
            need: How many of these must be satisfied; by default all.
            wait_for: How long it listens: a timedelta or seconds, or a datetime with a timezone; by
                default without end.
            on_timeout: What it does then: ``"cancel"`` or ``"discard"`` itself, or ``"complete"``
                with the default.
            default: What it records when it completes by itself.
            count: How many signals it needs, each by somebody else. From two on it records the list
                of what they carry.
            choices: What a signal may say: one of these strings, or a dict whose ``"choice"`` is.
            ignore_cancelled: Overrides the flag of the workflow for it.
            ignore_discarded: Overrides the flag of the workflow for it.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If an argument has the wrong type, or lacks the one it goes with.
            InvalidOptionError: If the duration is not finite and positive.
            InvalidSignalError: If the default is none of the choices.

        Example:
            >>> workflow.add_signal("approval", deps="draft", choices=("approve", "reject"))
        """
        job, wait, clocks = signal_wait(
            name,
            wait_for=wait_for,
            on_timeout=on_timeout,
            default=default,
            count=count,
            choices=choices,
        )
        depends_on = normalize_deps(name, deps)
        spec = JobSpec(
            job,
            depends_on,
            ignore_cancelled,
            ignore_discarded,
            wait,
            clocks,
            need=check_need(name, need, depends_on),
        )

        return self._add(name, spec)

    def add_timer(
        self,
        name: str,
        delay: Moment,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
    ) -> Self:
        """Add a wait for a time. Nobody runs it; it completes when its time is up.

        A signal to it ends it early, and is its result; otherwise it records nothing.

        Args:
            name: Unique within this workflow.
            delay: How long after its deps are satisfied: a timedelta or seconds. Or a datetime with
                a timezone.
            deps: Names of the jobs and groups that must be satisfied first.
            need: How many of these must be satisfied; by default all.
            ignore_cancelled: Overrides the flag of the workflow for it.
            ignore_discarded: Overrides the flag of the workflow for it.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If the delay is neither a duration nor a moment.
            InvalidOptionError: If the duration is not finite and positive.

        Example:
            >>> workflow.add_timer("cool-down", timedelta(hours=1), deps="approval")
        """
        job, wait, clocks = timer_wait(name, delay)
        depends_on = normalize_deps(name, deps)
        spec = JobSpec(
            job,
            depends_on,
            ignore_cancelled,
            ignore_discarded,
            wait,
            clocks,
            need=check_need(name, need, depends_on),
        )

        return self._add(name, spec)
