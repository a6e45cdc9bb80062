"""Adding functions and grafts to a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from oban import Job

from oban_pro.values.context import Context

from .arguments import FunctionOptions, SizedOptions
from .call_options import CascadeOptions
from .cascades import FromResult
from .conditions import Condition
from .limits import check_limits
from .sizes import check_sizes
from .specs import cascade_spec, check_given, graft_spec
from .taken_options import check_options_of
from .tolerance import Tolerate
from .wait_members import WaitMembers
from .waits import Moment
from .wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from .members import Members


# A dict, so that a function which takes any dict takes it.
type ContextDict = Context


class Builder(Wiring, WaitMembers):
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
        undo: Callable[[ContextDict], object] | None = None,
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
        undo: Callable[[Item, ContextDict], object] | None = None,
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
        undo: Callable[[dict[str, Item], ContextDict], object] | None = None,
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
        undo: Callable[[list[Item], ContextDict], object] | None = None,
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
        undo: Callable[[Any, ContextDict], object] | None = None,
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
        undo: Callable[..., object] | None = None,
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
            when: A function ``(context)`` of a module that is asked before the first attempt, or a
                placeholder. If what it returns or stands for is false, the cascade is skipped. A
                fan-out is asked for once, by a job ``"when"`` in it.
            undo: A function like the cascade's own, which is called for each job that completed if
                the workflow ends otherwise: after the undos of all that is downstream of the job.
                Its context also has what the job recorded, under its own name.
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

        return self._add(name, cascade_spec(given, func_or_tuple, sizes, undo))

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
                the graft; or a placeholder. If what it returns or stands for is false, the grafter
                is skipped.
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


check_options_of(Builder)
