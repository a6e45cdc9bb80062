"""Adding functions, grafts and waits to a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from oban import Job

from oban_pro.values.context import Context

from .arguments import FunctionOptions, SizedOptions
from .cascades import FromResult
from .finals import Finals
from .limits import check_limits
from .names import check_need, normalize_deps
from .plan import JobSpec
from .sizes import check_sizes
from .specs import cascade_spec, check_given, graft_spec
from .tolerance import Tolerate
from .waits import Moment, signal_wait, timer_wait
from .wiring import CascadeOptions, Wiring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from .members import Members


# A dict, so that a function which takes any dict takes it.
type ContextDict = Context
type Condition = Callable[[ContextDict], object]


class Builder(Wiring, Finals):
    """The half of `Workflow` that needs no database."""

    def _wiring(self) -> tuple[Members, dict[str, Any]]:
        return self, {}

    @overload
    def add_cascade(
        self,
        name: str,
        func_or_tuple: Callable[[ContextDict], object],
        *,
        deps: str | Iterable[object] = (),
        **options: Unpack[CascadeOptions],
    ) -> Self: ...

    @overload
    def add_cascade[Item](
        self,
        name: str,
        func_or_tuple: tuple[
            Iterable[Item] | Mapping[str, Item] | Mapping[int, Item],
            Callable[[Item, ContextDict], object],
        ],
        *,
        deps: str | Iterable[object] = (),
        **options: Unpack[CascadeOptions],
    ) -> Self: ...

    @overload
    def add_cascade[Item](
        self,
        name: str,
        func_or_tuple: tuple[
            Mapping[str, Item] | Mapping[int, Item],
            Callable[[dict[str, Item], ContextDict], object],
        ],
        *,
        deps: str | Iterable[object] = (),
        batch: int,
        **options: Unpack[CascadeOptions],
    ) -> Self: ...

    @overload
    def add_cascade[Item](
        self,
        name: str,
        func_or_tuple: tuple[Iterable[Item], Callable[[list[Item], ContextDict], object]],
        *,
        deps: str | Iterable[object] = (),
        batch: int,
        **options: Unpack[CascadeOptions],
    ) -> Self: ...

    @overload
    def add_cascade(
        self,
        name: str,
        func_or_tuple: tuple[FromResult, Callable[[Any, ContextDict], object]],
        *,
        deps: str | Iterable[object],
        batch: int | None = None,
        **options: Unpack[CascadeOptions],
    ) -> Self: ...

    def add_cascade(
        self,
        name: str,
        func_or_tuple: Any,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
        **job_opts: Unpack[SizedOptions],
    ) -> Self:
        """Add a function that receives earlier results, and records what it returns.

        The function is called with a dict: what `add_context` stored, overlaid by what its direct
        dependencies recorded, by name. It may be ``async def`` or ``def``; a ``def`` runs in a
        thread. It may also return oban's ``Record``, ``Snooze`` or ``Cancel``; or, a function
        without items, `Again` to run once more.

        Args:
            name: Unique within this workflow.
            func_or_tuple: A function ``(context)`` of a module; or ``(items, function)`` for a
                fan-out, one job for each item, with a function ``(item, context)``. Jobs of a list
                are named ``"0"``, ``"1"``, …, those of a dict by its keys. Items that an
                upstream job is yet to record are given as `from_result`.
            deps: Names of the jobs and groups that the cascade waits for.
            need: How many of these must be satisfied; by default all.
            tolerate: How many jobs of a fan-out may be cancelled or discarded while the whole still
                counts as completed: an int, or a share below 1, rounded down.
            fail_fast: Cancel what is open as soon as more have failed.
            when: A function ``(context)`` of a module that is asked before the first attempt. If
                what it returns is false, the cascade is skipped. A fan-out is asked for once, by a
                job ``"when"`` in it.
            ignore_cancelled: Overrides the flag of the workflow.
            ignore_discarded: Overrides the flag of the workflow.
            deadline: When all its jobs that are open are cancelled: a timedelta or seconds from its
                release, retries included; or a datetime with a timezone.
            delay: A timedelta or seconds, from its release, before it may start.
            limit: Of a fan-out: how many of its jobs may be open at once (available, scheduled,
                executing or retryable), on all nodes together; by default all of them. The others
                wait suspended, and start in order as slots become free. 0 stops it.
            rate: Of a fan-out: how many of its jobs may start in a period, and the period: a
                timedelta or seconds. A period begins with the first start after the last one
                ended; a retry does not count.
            job_opts: ``queue``, ``priority``, ``max_attempts``, ``tags``, ``scheduled_at``,
                ``scheduled_in`` and ``meta`` of every job. ``scheduled_in`` counts from the
                insertion, on the clock of the database. And what bounds the executions of the
                function. ``timeout``: seconds or a timedelta that one may take; a ``def`` is left
                behind in its thread. ``backoff``: seconds or a timedelta until the next one, or a
                function ``(job)`` of a module that returns them; where it fails, oban's backoff.
                ``give_up_on``: an Exception class, or a tuple of them, that discards the job at
                once. And ``lazy=True``: receive the results of each group as `LazyResults`, read in
                pages while the function looks at them. ``batch=100``, of a fan-out: one
                job for up to 100 items. The function receives a list of items, or a dict of them by
                key, and returns their results in the same shape. The jobs are named ``"0-99"``, …,
                of a dict ``"batch-0"``, …; results are by item.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidFunctionError: If another process could not import the function, or if it cannot
                take the arguments.
            InvalidArgumentError: If an option is unknown, or the items are neither list nor dict.
            InvalidOptionError: If an option has a value that it cannot have.
            UnsupportedTypeError: If an item is of a type that cannot be stored.

        Example:
            >>> workflow.add_cascade("process", (user_ids, process_user), deps="extract")
        """
        own_flags = ignore_cancelled, ignore_discarded
        clocks = deadline, delay
        limits = check_limits(repr(name), limit, rate)
        sizes, options = check_sizes(name, job_opts)
        given = check_given(
            name,
            deps,
            self._flags,
            options,
            own_flags=own_flags,
            clocks=clocks,
            need=need,
            limits=limits,
            tolerates=(tolerate, fail_fast),
            when=when,
        )

        return self._add(name, cascade_spec(given, func_or_tuple, sizes))

    @overload
    def add_graft(
        self,
        name: str,
        job: Job,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
    ) -> Self: ...

    @overload
    def add_graft(
        self,
        name: str,
        job: Callable[[ContextDict], Awaitable[Builder | None] | Builder | None],
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
        **job_opts: Unpack[FunctionOptions],
    ) -> Self: ...

    @overload
    def add_graft[Item](
        self,
        name: str,
        job: tuple[
            Iterable[Item] | Mapping[str, Item] | Mapping[int, Item],
            Callable[[Item, ContextDict], Awaitable[Builder | None] | Builder | None],
        ],
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
        **job_opts: Unpack[FunctionOptions],
    ) -> Self: ...

    def add_graft(
        self,
        name: str,
        job: Any,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
        **job_opts: Unpack[FunctionOptions],
    ) -> Self:
        """Add a place where a sub-workflow is attached at run time.

        What depends on it waits for the grafter, and for everything that was grafted.

        Args:
            name: Unique within this workflow.
            job: The grafter. A job, whose worker calls `apply_graft`; or a function ``(context)``
                that returns the sub-workflow, or None for nothing; or ``(items, function)`` with a
                function ``(item, context)``, for one graft for each item.
            deps: Names of the jobs and groups that the grafter waits for.
            need: How many of these must be satisfied; by default all.
            tolerate: How many grafts over items may be cancelled or discarded while the whole still
                counts as completed: an int, or a share below 1, rounded down.
            fail_fast: Cancel what is open as soon as more have failed.
            when: A function ``(context)`` of a module that is asked once, by a job ``"when"`` in
                the graft. If what it returns is false, the grafter is skipped.
            ignore_cancelled: Overrides the flag of the workflow for the grafter.
            ignore_discarded: Overrides the flag of the workflow for the grafter.
            deadline: When the grafter and all that was grafted are cancelled: a timedelta or
                seconds from its release, retries included; or a datetime with a timezone.
            delay: A timedelta or seconds, from its release, before the grafter may start.
            limit: Of grafts over items: how many may have begun and not settled, on all nodes
                together; by default all of them. The others wait, and start in order. 0 stops it.
            rate: Of grafts over items: how many may begin in a period, and the period: a timedelta
                or seconds.
            job_opts: Options of the job that a function becomes, as for `add_cascade`.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidJobError: If it is neither a job nor a function.
            InvalidFunctionError: If another process could not import the function, or if it cannot
                take the arguments.
            InvalidArgumentError: If an option is unknown, or given for a job.

        Example:
            >>> workflow.add_graft("notify", UserNotifier.new({"account_id": 123}), deps="setup")
        """
        own_flags = ignore_cancelled, ignore_discarded
        clocks = deadline, delay
        limits = check_limits(repr(name), limit, rate)
        given = check_given(
            name,
            deps,
            self._flags,
            job_opts,
            own_flags=own_flags,
            clocks=clocks,
            need=need,
            limits=limits,
            tolerates=(tolerate, fail_fast),
            when=when,
        )

        return self._add(name, graft_spec(given, job))

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
