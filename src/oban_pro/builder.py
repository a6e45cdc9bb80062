"""Collecting jobs, groups and their dependencies."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from oban import Job

from . import codec
from .cascades import (
    CASCADE,
    GRAFTER,
    MAPPER,
    OPTIONS,
    RESULT,
    FromResult,
    cascade_job,
    check_source,
    fan_out_jobs,
    split_pair,
)
from .errors import DuplicateIdError, InvalidArgumentError
from .functions import check_function
from .graph import check_free, check_known, check_text, normalize_deps
from .items import check_job, named_items
from .options import JobOptions, check_options
from .plan import GRAFTER as GRAFTER_NAME
from .plan import Flags, GroupSpec, JobSpec, Kind
from .planner import compile_plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

type Context = dict[str, Any]


class Builder:
    """The half of `Workflow` that needs no database."""

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        check_deps: bool = True,
        ignore_cancelled: bool = False,
        ignore_discarded: bool = False,
    ) -> None:
        self.id = _generate_id() if id is None else check_text(id, "workflow id")
        self.name = None if name is None else check_text(name, "workflow name")
        self.check_deps = check_deps
        self.flags = Flags(ignore_cancelled, ignore_discarded)
        self._has_given_id = id is not None
        self._given_ids: set[str] = set()
        self._members: dict[str, JobSpec | GroupSpec] = {}
        self._context: dict[str, Any] | None = None
        self._grafter: Job | None = None

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"

        return f"<Workflow id={self.id!r}{name}, {len(self._members)} members>"

    def __iter__(self) -> Iterator[Job]:
        """Iterate over all jobs, nested ones too, each after everything it depends on.

        Raises:
            UnknownDependencyError: If a dependency names nothing in its workflow.
            CycleError: If dependencies form a cycle.
        """
        kind: Kind = "workflow" if self._grafter is None else "sub"

        return iter(compile_plan(self.spec(kind, self.id), grafter=self._grafter))

    def add(
        self,
        name: str,
        job: Job,
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
    ) -> Self:
        """Add a job.

        Args:
            name: Unique within this workflow, among jobs and groups.
            job: Made with ``Worker.new(args)``.
            deps: Names of the jobs and groups this job waits for.
            ignore_cancelled: Overrides the flag of the workflow for this job.
            ignore_discarded: Overrides the flag of the workflow for this job.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidNameError: If the name is not a non-empty string.
            DuplicateNameError: If the name is taken.
            InvalidJobError: If ``job`` is not a job.
            UnknownDependencyError: If a dependency is unknown, and ``check_deps`` is on.

        Example:
            >>> workflow.add("load", Load.new({}), deps=["extract", "transform"])
        """
        spec = JobSpec(
            check_job(name, job), normalize_deps(name, deps), ignore_cancelled, ignore_discarded
        )

        return self._add(name, spec)

    def add_workflow(
        self, name: str, sub_workflow: Builder, *, deps: str | Iterable[str] = ()
    ) -> Self:
        """Add a copy of another workflow as a sub-workflow.

        What depends on it waits for all its jobs, nested ones included. Later changes to the
        original do not change the copy, so one workflow can be added under several names.

        Args:
            name: Unique within this workflow.
            sub_workflow: The workflow to nest. An id that was given to it is kept.
            deps: Names of the jobs and groups that it waits for.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If ``sub_workflow`` is not a workflow.
            DuplicateIdError: If its given id, or one nested in it, is used in this workflow
                already.

        Example:
            >>> workflow.add_workflow("notify", notify_flow, deps="extract")
        """
        if not isinstance(sub_workflow, Builder):
            raise InvalidArgumentError(
                f"sub_workflow {name!r} must be a Workflow, got {sub_workflow!r}"
            )

        given = sub_workflow._given_ids | (
            {sub_workflow.id} if sub_workflow._has_given_id else set()
        )

        if used := given & (self._given_ids | {self.id}):
            raise DuplicateIdError(
                f"workflow id of {name!r} must be unique, got {min(used)!r} a second time"
            )

        kept = sub_workflow.id if sub_workflow._has_given_id else None
        self._add(name, sub_workflow.spec("sub", kept, normalize_deps(name, deps)))
        self._given_ids |= given

        return self

    def add_many(
        self,
        name: str,
        jobs: Iterable[Job] | Mapping[str, Job],
        *,
        deps: str | Iterable[str] = (),
    ) -> Self:
        """Add a collection of jobs as a fan-out: a sub-workflow of jobs that run in parallel.

        Args:
            name: Unique within this workflow.
            jobs: A list, whose jobs are named ``"0"``, ``"1"``, …, or a dict, whose keys are the
                names.
            deps: Names of the jobs and groups that each of these jobs waits for.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If ``jobs`` is neither, or a key is neither a string nor an int.
            InvalidJobError: If one of them is not a job.

        Example:
            >>> workflow.add_many("process", [Process.new({"item": item}) for item in items])
        """
        members = {
            key: JobSpec(check_job(f"{name}.{key}", job))
            for key, job in named_items(name, jobs).items()
        }
        spec = GroupSpec("fan_out", members, self.flags, deps=normalize_deps(name, deps))

        return self._add(name, spec)

    @overload
    def add_cascade(
        self,
        name: str,
        func_or_tuple: Callable[[Context], object],
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self: ...

    @overload
    def add_cascade[Item](
        self,
        name: str,
        func_or_tuple: tuple[
            Iterable[Item] | Mapping[str, Item] | Mapping[int, Item],
            Callable[[Item, Context], object],
        ],
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self: ...

    @overload
    def add_cascade(
        self,
        name: str,
        func_or_tuple: tuple[FromResult, Callable[[Any, Context], object]],
        *,
        deps: str | Iterable[str],
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self: ...

    def add_cascade(
        self,
        name: str,
        func_or_tuple: Any,
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self:
        """Add a function that receives earlier results, and records what it returns.

        The function is called with a dict: what `add_context` stored, overlaid by what its direct
        dependencies recorded, by name. It may be ``async def`` or ``def``; a ``def`` runs in a
        thread. It may also return oban's ``Record``, ``Snooze`` or ``Cancel``.

        Args:
            name: Unique within this workflow.
            func_or_tuple: A function ``(context)`` of a module; or ``(items, function)`` for a
                fan-out, one job for each item, with a function ``(item, context)``. Jobs of a list
                are named ``"0"``, ``"1"``, …, those of a dict by its keys. Items that an
                upstream job is yet to record are given as `from_result`.
            deps: Names of the jobs and groups that the cascade waits for.
            ignore_cancelled: Overrides the flag of the workflow.
            ignore_discarded: Overrides the flag of the workflow.
            job_opts: ``queue``, ``priority``, ``max_attempts``, ``tags``, ``scheduled_at``,
                ``scheduled_in`` and ``meta`` of every job.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidFunctionError: If another process could not import the function, or if it cannot
                take the arguments.
            InvalidArgumentError: If an option is unknown, or the items are neither list nor dict.
            UnsupportedTypeError: If an item is of a type that cannot be stored.

        Example:
            >>> workflow.add_cascade("process", (user_ids, process_user), deps="extract")
        """
        options = check_options(name, job_opts)
        depends_on = normalize_deps(name, deps)
        spec: JobSpec | GroupSpec

        flags = self.flags.override(ignore_cancelled, ignore_discarded)

        if not isinstance(func_or_tuple, tuple):
            path = check_function(name, func_or_tuple, ("context",))
            job = cascade_job(CASCADE, path, {}, options)
            spec = JobSpec(job, depends_on, ignore_cancelled, ignore_discarded)
        elif isinstance(items := split_pair(name, func_or_tuple)[0], FromResult):
            check_source(name, items, depends_on)
            path = check_function(name, func_or_tuple[1], ("item", "context"))
            args = {RESULT: list(items.path), OPTIONS: codec.to_json(options)}
            spec = _graft(cascade_job(MAPPER, path, args, options), flags, depends_on)
        else:
            jobs = fan_out_jobs(name, func_or_tuple, CASCADE, options)
            members = {key: JobSpec(job) for key, job in jobs.items()}
            spec = GroupSpec("fan_out", members, flags, deps=depends_on)

        return self._add(name, spec)

    @overload
    def add_graft(
        self,
        name: str,
        job: Job,
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
    ) -> Self: ...

    @overload
    def add_graft(
        self,
        name: str,
        job: Callable[[Context], Awaitable[Builder | None] | Builder | None],
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self: ...

    @overload
    def add_graft[Item](
        self,
        name: str,
        job: tuple[
            Iterable[Item] | Mapping[str, Item] | Mapping[int, Item],
            Callable[[Item, Context], Awaitable[Builder | None] | Builder | None],
        ],
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self: ...

    def add_graft(
        self,
        name: str,
        job: Any,
        *,
        deps: str | Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **job_opts: Unpack[JobOptions],
    ) -> Self:
        """Add a place where a sub-workflow is attached at run time.

        What depends on it waits for the grafter, and for everything that was grafted.

        Args:
            name: Unique within this workflow.
            job: The grafter. A job, whose worker calls `apply_graft`; or a function ``(context)``
                that returns the sub-workflow, or None for nothing; or ``(items, function)`` with a
                function ``(item, context)``, for one graft for each item.
            deps: Names of the jobs and groups that the grafter waits for.
            ignore_cancelled: Overrides the flag of the workflow for the grafter.
            ignore_discarded: Overrides the flag of the workflow for the grafter.
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
        options = check_options(name, job_opts)
        depends_on = normalize_deps(name, deps)
        flags = self.flags.override(ignore_cancelled, ignore_discarded)

        if isinstance(job, tuple):
            jobs = fan_out_jobs(name, job, GRAFTER, options)
            grafts = {key: _graft(one, flags) for key, one in jobs.items()}
            spec = GroupSpec("fan_out", grafts, flags, deps=depends_on)
        elif inspect.isfunction(job):
            path = check_function(name, job, ("context",))
            spec = _graft(cascade_job(GRAFTER, path, {}, options), flags, depends_on)
        elif options:
            raise InvalidArgumentError(
                f"options of {name!r} must be set on its job, got {options!r}"
            )
        else:
            spec = _graft(check_job(name, job), flags, depends_on)

        return self._add(name, spec)

    def add_context(self, value: Mapping[str, object]) -> Self:
        """Store data that all cascades of this workflow, and of those nested in it, receive.

        Args:
            value: A dict with string keys. Called again, later values win.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If it is not a dict, or a key is not a string.
            UnsupportedTypeError: If a value is of a type that cannot be stored.

        Example:
            >>> workflow.add_context({"source": "api", "batch_id": 123})
        """
        given: object = value

        if not isinstance(given, Mapping) or {type(key) for key in given} - {str}:
            raise InvalidArgumentError(f"context must be a dict with string keys, got {given!r}")

        # Encoded at once: a value that cannot be stored is refused here, later changes do not
        # count.
        try:
            encoded = codec.to_json(dict(value))
        except (codec.UnsupportedTypeError, codec.CodecError) as error:
            raise type(error)(f"context cannot be stored: {error}") from None

        self._context = {**(self._context or {}), **encoded}

        return self

    def _add(self, name: str, spec: JobSpec | GroupSpec) -> Self:
        check_free(name, self._members)

        if self.check_deps:
            check_known(name, spec.deps, self._members)

        self._members[name] = spec

        return self

    def spec(self, kind: Kind, workflow_id: str | None, deps: tuple[str, ...] = ()) -> GroupSpec:
        """Return what has been built so far, for planning; later additions do not change it."""
        members = dict(self._members)

        return GroupSpec(kind, members, self.flags, workflow_id, self.name, deps, self._context)


def _generate_id() -> str:
    # uuid7 is new in Python 3.14; it keeps neighbours in time neighbours in the index.
    generate = getattr(uuid, "uuid7", uuid.uuid4)

    return str(generate())


def _graft(grafter: Job, flags: Flags, deps: tuple[str, ...] = ()) -> GroupSpec:
    return GroupSpec("graft", {GRAFTER_NAME: JobSpec(grafter)}, flags, deps=deps)
