"""The builder that people write workflows with, and the handle to one that is in the database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from oban import Job

from . import codec, introspection, meta
from .errors import (
    DuplicateIdError,
    InvalidArgumentError,
    InvalidJobError,
    InvalidNameError,
    NotInWorkflowError,
)
from .functions import check_function
from .graph import check_free, check_known, check_text, normalize_deps
from .options import JobOptions, check_options
from .plan import Flags, GroupSpec, JobSpec, Kind, compile_plan
from .workers import CASCADE, FUNCTION, ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .status import WorkflowStatus

type Context = dict[str, Any]


class Workflow:
    """Jobs with dependencies, enqueued together and run in order.

    The same class is the builder and the handle: build with the ``add…`` methods and pass the
    whole to `Oban.enqueue_many`; or look at one that is stored, by id or with `for_job`.

    Args:
        id: Identifies the workflow in the database. A UUID by default (version 7 from Python 3.14
            on, else version 4). Enqueueing an id that exists already inserts nothing and returns
            the existing jobs.
        name: A label to find workflows by; need not be unique.
        check_deps: Whether a dependency must have been added before what depends on it. Otherwise
            names may come later, and are checked when the workflow is enqueued.
        ignore_cancelled: Whether jobs go on when something they depend on was cancelled.
        ignore_discarded: Whether jobs go on when something they depend on was discarded.
        oban: The name of the Oban instance that a handle reads from.

    Raises:
        InvalidNameError: If the id or the name is not text that PostgreSQL can hold.

    Example:
        >>> workflow = (
        ...     Workflow(name="nightly-etl")
        ...     .add("extract", Extract.new({"source": "api"}))
        ...     .add("load", Load.new({}), deps="extract")
        ... )
        >>> await oban.enqueue_many(workflow)
    """

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        check_deps: bool = True,
        ignore_cancelled: bool = False,
        ignore_discarded: bool = False,
        *,
        oban: str = "Oban",
    ) -> None:
        self.id = _generate_id() if id is None else check_text(id, "workflow id")
        self.name = None if name is None else check_text(name, "workflow name")
        self.check_deps = check_deps
        self.flags = Flags(ignore_cancelled, ignore_discarded)
        self._has_given_id = id is not None
        self._given_ids: set[str] = set()
        self._members: dict[str, JobSpec | GroupSpec] = {}
        self._context: dict[str, Any] | None = None
        self._oban: introspection.Place = oban

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"

        return f"<Workflow id={self.id!r}{name}, {len(self._members)} members>"

    def __iter__(self) -> Iterator[Job]:
        """Iterate over all jobs, nested ones too, each after everything it depends on.

        Raises:
            UnknownDependencyError: If a dependency names nothing in its workflow.
            CycleError: If dependencies form a cycle.
        """
        return iter(compile_plan(self._spec("workflow", self.id)))

    @classmethod
    def for_job(cls, job: Job) -> Self:
        """Return a handle to the workflow that a job belongs to.

        Inside a running job the handle uses the Oban instance that runs it. For a job of a
        sub-workflow it is a handle to that sub-workflow.

        Args:
            job: A job with ``workflow_id`` in its meta.

        Raises:
            NotInWorkflowError: If the job belongs to no workflow.

        Example:
            >>> @worker()
            ... class Report:
            ...     async def process(self, job):
            ...         status = await Workflow.for_job(job).status()
        """
        workflow_id = meta.workflow_id(job)

        if workflow_id is None:
            raise NotInWorkflowError(
                f"{job} must belong to a workflow, got no workflow_id in its meta"
            )

        handle = cls(id=workflow_id, name=job.meta.get(meta.WORKFLOW_NAME))
        handle._oban = job

        return handle

    # Building

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
            _check_job(name, job), normalize_deps(name, deps), ignore_cancelled, ignore_discarded
        )

        return self._add(name, spec)

    def add_workflow(
        self, name: str, sub_workflow: Workflow, *, deps: str | Iterable[str] = ()
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
        if not isinstance(sub_workflow, Workflow):
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
        self._add(name, sub_workflow._spec("sub", kept, normalize_deps(name, deps)))
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
            key: JobSpec(_check_job(f"{name}.{key}", job))
            for key, job in _named(name, jobs).items()
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
                are named ``"0"``, ``"1"``, …, those of a dict by its keys.
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

        if isinstance(func_or_tuple, tuple):
            spec = GroupSpec(
                "fan_out",
                _fan_out(name, func_or_tuple, options),
                self.flags.override(ignore_cancelled, ignore_discarded),
                deps=depends_on,
            )
        else:
            path = check_function(name, func_or_tuple, ("context",))
            job = _cascade_job(path, {}, options)
            spec = JobSpec(job, depends_on, ignore_cancelled, ignore_discarded)

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

    def _spec(self, kind: Kind, workflow_id: str | None, deps: tuple[str, ...] = ()) -> GroupSpec:
        members = dict(self._members)

        return GroupSpec(kind, members, self.flags, workflow_id, self.name, deps, self._context)

    # Looking

    async def status(self) -> WorkflowStatus:
        """Count the jobs of this workflow and of all nested ones, by state.

        Returns:
            The status; its state is ``"unknown"`` where there is no such workflow.

        Example:
            >>> status = await Workflow(id="nightly").status()
            >>> print(status.state, status.counts["completed"], "of", status.total)
        """
        return await introspection.status(self._oban, self.id)

    async def get_job(self, name: str) -> Job | None:
        """Fetch a job of this workflow by name.

        Args:
            name: The name it was added under.

        Returns:
            The job, or None where there is none; also for the name of a sub-workflow or fan-out.

        Example:
            >>> job = await Workflow.for_job(job).get_job("extract")
        """
        return await introspection.get_job(self._oban, self.id, name)

    async def all_jobs(
        self,
        *,
        names: Iterable[str] | None = None,
        deps_of: Job | None = None,
        with_subs: bool = False,
    ) -> list[Job]:
        """Fetch the jobs of this workflow, upstream first.

        Args:
            names: Only jobs with these names.
            deps_of: Only what this job directly depends on; of a group, all its jobs.
            with_subs: Whether jobs of nested workflows are included.

        Returns:
            The jobs, ordered by id.

        Example:
            >>> upstream = await Workflow.for_job(job).all_jobs(deps_of=job)
        """
        wanted = None if names is None else list(names)

        return await introspection.all_jobs(self._oban, self.id, wanted, deps_of, with_subs)

    async def get_recorded(self, name: str) -> Any:
        """Fetch what a job of this workflow recorded.

        Args:
            name: The name it was added under.

        Returns:
            The value, or None where there is no such job, or it recorded nothing.

        Raises:
            CodecError: If what is stored cannot be decoded.

        Example:
            >>> total = await Workflow.for_job(job).get_recorded("sum")
        """
        return await introspection.get_recorded(self._oban, self.id, name)

    async def all_recorded(
        self, *, names: Iterable[str] | None = None, deps_of: Job | None = None
    ) -> dict[str, Any]:
        """Fetch what the jobs of this workflow recorded.

        Args:
            names: Only of jobs and groups with these names.
            deps_of: Only of what this job directly depends on.

        Returns:
            Values by name. Each sub-workflow, fan-out and graft is a dict of its own, empty where
            nothing was recorded in it; jobs that recorded nothing are absent.

        Raises:
            CodecError: If what is stored cannot be decoded.

        Example:
            >>> results = await Workflow.for_job(job).all_recorded(deps_of=job)
        """
        wanted = None if names is None else list(names)

        return await introspection.all_recorded(self._oban, self.id, wanted, deps_of)

    async def get_context(self) -> dict[str, Any] | None:
        """Fetch the context that was added to this workflow.

        Returns:
            The dict, or None where none was added. What surrounding workflows add is not in it.

        Example:
            >>> context = await Workflow.for_job(job).get_context()
        """
        return await introspection.get_context(self._oban, self.id)


def _generate_id() -> str:
    # uuid7 is new in Python 3.14; it keeps neighbours in time neighbours in the index.
    generate = getattr(uuid, "uuid7", uuid.uuid4)

    return str(generate())


def _check_job(name: str, job: object) -> Job:
    if isinstance(job, Job):
        return job

    if isinstance(job, Workflow):
        raise InvalidJobError(f"job {name!r} must be a Job, got a Workflow; use add_workflow()")

    hint = "; call its .new(...)" if isinstance(job, type) else ""

    raise InvalidJobError(f"job {name!r} must be a Job, got {job!r}{hint}")


def _named(name: str, jobs: object) -> dict[str, object]:
    if isinstance(jobs, Mapping):
        named: dict[str, object] = {}

        for key, job in jobs.items():
            named[check_free(_key(name, key), named)] = job

        return named

    if isinstance(jobs, Iterable) and not isinstance(jobs, (str, bytes, Workflow)):
        return {str(index): job for index, job in enumerate(jobs)}

    raise InvalidArgumentError(f"{name!r} must be made of a list or a dict, got {jobs!r}")


def _fan_out(
    name: str, items_and_function: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, JobSpec]:
    if len(items_and_function) != 2:
        raise InvalidArgumentError(
            f"cascade {name!r} must be a function or (items, function), got {items_and_function!r}"
        )

    items, function = items_and_function
    path = check_function(name, function, ("item", "context"))

    return {
        key: JobSpec(_cascade_job(path, {ITEM: _encode_item(name, key, item)}, options))
        for key, item in _named(name, items).items()
    }


def _encode_item(name: str, key: str, item: object) -> Any:
    try:
        return codec.to_json(item)
    except (codec.UnsupportedTypeError, codec.CodecError) as error:
        raise type(error)(f"item {key!r} of {name!r} cannot be stored: {error}") from None


def _cascade_job(path: str, args: dict[str, Any], options: dict[str, Any]) -> Job:
    handler = {meta.HANDLER: path.replace(":", ".")}

    own = {**options, "meta": {**options.get("meta", {}), **handler}}

    return Job(CASCADE, args={FUNCTION: path, **args}, **own)


def _key(name: str, key: object) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)

    try:
        return check_text(key, f"key in {name!r}")
    except InvalidNameError as error:
        raise InvalidArgumentError(str(error)) from None
