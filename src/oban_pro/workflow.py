"""The builder that people write workflows with, and the handle to one that is in the database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

from oban import Job

from . import introspection, meta
from .errors import (
    DuplicateIdError,
    InvalidArgumentError,
    InvalidJobError,
    InvalidNameError,
    NotInWorkflowError,
)
from .graph import check_free, check_known, check_text, normalize_deps
from .plan import Flags, GroupSpec, JobSpec, Kind, compile_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .status import WorkflowStatus


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
        self._oban: introspection.Source = oban

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

    def _add(self, name: str, spec: JobSpec | GroupSpec) -> Self:
        check_free(name, self._members)

        if self.check_deps:
            check_known(name, spec.deps, self._members)

        self._members[name] = spec

        return self

    def _spec(self, kind: Kind, workflow_id: str | None, deps: tuple[str, ...] = ()) -> GroupSpec:
        return GroupSpec(kind, dict(self._members), self.flags, workflow_id, self.name, deps)

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

    raise InvalidArgumentError(f"jobs of {name!r} must be a list or a dict of jobs, got {jobs!r}")


def _key(name: str, key: object) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)

    try:
        return check_text(key, f"key in {name!r}")
    except InvalidNameError as error:
        raise InvalidArgumentError(str(error)) from None
