"""Building a workflow: its options, its members and their dependencies."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from oban import Job

from oban_pro.errors import DuplicateIdError, InvalidArgumentError
from oban_pro.stores import check_store

from .arguments import JobOptions, check_job, named_items
from .attributes import check_attributes, refuse_attributes
from .cascades import encode_context
from .conditions import Condition, check_condition, conditional_deps, judged
from .defaults import check_defaults
from .ends import check_ends
from .limits import check_limits
from .names import check_free, check_known, check_need, check_own, check_text
from .plan import Flags, GroupKind, GroupSpec, JobSpec
from .planner import compile_plan
from .reuse import Reuse, check_reuse, refuse_reuse
from .tolerance import Tolerate, check_tolerance
from .undos import check_undo_job
from .uniqueness import OnConflict, check_unique
from .waits import Moment, check_deadline, check_delay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from .attributes import Attribute


class Members:
    """The part of a workflow under construction that collects jobs, sub-workflows and context."""

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        check_deps: bool = True,
        ignore_cancelled: bool = False,
        ignore_discarded: bool = False,
        *,
        deadline: Moment | None = None,
        defaults: JobOptions | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        unique: bool | str | None = None,
        unique_for: timedelta | float | None = None,
        on_conflict: OnConflict | None = None,
        max_queued: int | None = None,
        store: str | None = None,
    ) -> None:
        self.id = _generate_id() if id is None else check_text(id, "workflow id")
        self.name = None if name is None else check_text(name, "workflow name")
        self.check_deps = check_deps
        self._flags = Flags(ignore_cancelled, ignore_discarded)
        self._defaults = check_defaults(defaults)
        self._attributes = check_attributes(attributes)
        self._store_url = check_store(store)
        self._has_given_id = id is not None
        # ids that callers chose for the workflows nested in this one
        self._given_ids: set[str] = set()
        self._members: dict[str, JobSpec | GroupSpec] = {}
        self._context: dict[str, Any] | None = None
        # the job that grafts this workflow, if it is a graft
        self._grafter: Job | None = None
        self._clocks = check_deadline("the workflow", deadline, "inner")
        # The id that this builder had, once ``id`` names the stored workflow that holds the unique
        # key instead. The next plan uses it again.
        self._own_id: str | None = None
        self._unique = check_unique(
            self.name,
            unique,
            unique_for=unique_for,
            on_conflict=on_conflict,
            max_queued=max_queued,
        )
        self.is_duplicate = False
        self._reuse: Reuse | None = None

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"

        return f"<Workflow id={self.id!r}{name}, {len(self._members)} members>"

    def __iter__(self) -> Iterator[Job]:
        """Iterate over all jobs, nested ones too, each after everything it depends on.

        This plans the workflow, and writes into the jobs that were added: their place in the
        workflow goes into their ``meta``, the plan into their ``extra``. A job that is in another
        plan already is copied instead.

        Raises:
            UnknownDependencyError: If a dependency names nothing in its workflow.
            CycleError: If dependencies form a cycle.
        """
        kind: GroupKind = "workflow" if self._grafter is None else "sub"

        own_id = self.id if self._own_id is None else self._own_id
        plan = compile_plan(self._spec(kind, own_id), grafter=self._grafter)
        plan.learn = self._learn

        return iter(plan)

    def _learn(self, workflow_id: str, is_duplicate: bool) -> None:
        """Take over the id of the workflow that was enqueued, or that existed in its place."""
        if self._own_id is None and workflow_id != self.id:
            self._own_id = self.id

        self.id, self.is_duplicate = workflow_id, is_duplicate

    def add(
        self,
        name: str,
        job: Job,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        when: Condition | None = None,
        undo: Job | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
    ) -> Self:
        """Add a job.

        Args:
            name: Unique within this workflow, among jobs and groups.
            job: Made with ``Worker.new(args)``.
            deps: Names of the jobs and groups this job waits for.
            need: How many of these must be satisfied; by default all. It is cancelled as soon as
                fewer can be.
            when: A function ``(context)`` of a module, as `add_cascade` takes it, that is asked
                before the first attempt; or a placeholder. If what it returns or stands for is
                false, the job is skipped.
            undo: A job that runs if this one completed and the workflow ends otherwise: after the
                undos of all that is downstream of it.
            ignore_cancelled: Overrides the flag of the workflow for this job.
            ignore_discarded: Overrides the flag of the workflow for this job.
            deadline: When it is cancelled unless it has settled: a timedelta or seconds from its
                release, retries included; or a datetime with a timezone.
            delay: A timedelta or seconds, from its release, before it may start.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidNameError: If the name is not a non-empty string.
            DuplicateNameError: If the name is taken.
            InvalidJobError: If ``job`` is not a job.
            InvalidOptionError: If the deadline or the delay is not finite and positive.
            InvalidArgumentError: If it needs more than it has deps.
            UnknownDependencyError: If a dependency is unknown, and ``check_deps`` is on.

        Example:
            >>> workflow.add("load", Load.new({}), deps=["extract", "transform"])
        """
        depends_on = conditional_deps(name, deps, when)
        spec = JobSpec(
            check_job(name, job),
            depends_on,
            ignore_cancelled,
            ignore_discarded,
            clocks=check_deadline(repr(name), deadline) + check_delay(repr(name), delay),
            need=check_need(name, need, depends_on),
            when=check_condition(name, when, need),
            undo=check_undo_job(name, undo),
        )

        return self._add(name, spec)

    def add_workflow(
        self,
        name: str,
        sub_workflow: Members,
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        when: Condition | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
    ) -> Self:
        """Add a copy of another workflow as a sub-workflow.

        What depends on it waits for all its jobs, nested ones included. Later changes to the
        original do not change the copy, so one workflow can be added under several names.

        Args:
            name: Unique within this workflow.
            sub_workflow: The workflow to nest. An id that was given to it is kept, and so is a
                deadline.
            deps: Names of the jobs and groups that it waits for.
            need: How many of these must be satisfied; by default all.
            when: A function ``(context)`` of a module, as `add_cascade` takes it, that is asked
                once, by a job ``"when"`` in it; or a placeholder. If what it returns or stands for
                is false, all of it is skipped.
            deadline: When everything in it that is open is cancelled: a timedelta or seconds from
                the moment that its deps are satisfied; or a datetime with a timezone.
            delay: A timedelta or seconds, from that moment, before its first jobs may start.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If ``sub_workflow`` is not a workflow.
            DuplicateIdError: If its given id, or one nested in it, is used in this workflow
                already.

        Example:
            >>> workflow.add_workflow("notify", notify_flow, deps="extract")
        """
        if not isinstance(sub_workflow, Members):
            raise InvalidArgumentError(
                f"sub_workflow {name!r} must be a Workflow, got {sub_workflow!r}"
            )

        refuse_attributes(f"sub_workflow {name!r}", sub_workflow._attributes)
        refuse_reuse(f"sub_workflow {name!r}", sub_workflow._reuse)

        if sub_workflow._unique is not None:
            raise InvalidArgumentError(
                f"sub_workflow {name!r} must not be unique; only a root can be"
            )

        given = sub_workflow._given_ids | (
            {sub_workflow.id} if sub_workflow._has_given_id else set()
        )

        if used := given & (self._given_ids | {self.id}):
            raise DuplicateIdError(
                f"workflow id of {name!r} must be unique, got {min(used)!r} a second time"
            )

        kept = sub_workflow.id if sub_workflow._has_given_id else None
        spec = sub_workflow._spec("sub", kept, conditional_deps(name, deps, when))
        own = replace(
            spec,
            clocks=spec.clocks + check_deadline(repr(name), deadline),
            delay=check_delay(repr(name), delay),
            need=check_need(name, need, spec.deps),
        )
        self._add(name, judged(name, own, check_condition(name, when, need)))
        self._given_ids |= given

        return self

    def add_many(
        self,
        name: str,
        jobs: Iterable[Job] | Mapping[str, Job],
        *,
        deps: str | Iterable[object] = (),
        need: int | None = None,
        tolerate: Tolerate | None = None,
        fail_fast: bool = False,
        when: Condition | None = None,
        deadline: Moment | None = None,
        delay: timedelta | float | None = None,
        limit: int | None = None,
        rate: tuple[int, timedelta | float] | None = None,
    ) -> Self:
        """Add a collection of jobs as a fan-out: a sub-workflow of jobs that run in parallel.

        Args:
            name: Unique within this workflow.
            jobs: A list, whose jobs are named ``"0"``, ``"1"``, …, or a dict, whose keys are the
                names.
            deps: Names of the jobs and groups that each of these jobs waits for.
            need: How many of these must be satisfied; by default all.
            tolerate: How many of the jobs may be cancelled or discarded, so that the whole still
                counts as completed: an int, or a share below 1, rounded down.
            fail_fast: Cancel what is open as soon as more have failed.
            when: A function ``(context)`` of a module, as `add_cascade` takes it, that is asked
                once, by a job ``"when"`` in it; or a placeholder. If what it returns or stands for
                is false, all of it is skipped.
            deadline: When everything in it that is open is cancelled: a timedelta or seconds from
                the moment that its deps are satisfied; or a datetime with a timezone.
            delay: A timedelta or seconds, from that moment, before its first jobs may start.
            limit: How many of its jobs may be open at once (available, scheduled, executing or
                retryable), on all nodes together; by default all of them. The others wait
                suspended, and start in order as slots become free. 0 stops it.
            rate: How many of its jobs may start in a period, and the period: a timedelta or
                seconds. A period begins with the first start after the last one ended; a retry
                does not count.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If ``jobs`` is neither, a key is neither a string nor an int, it
                needs more than it has deps, or ``tolerate`` is neither.
            InvalidJobError: If one of them is not a job.
            InvalidOptionError: If the limit is negative.

        Example:
            >>> workflow.add_many("process", [Process.new({"item": item}) for item in items])
        """
        members = {
            key: JobSpec(check_job(f"{name}.{key}", job))
            for key, job in named_items(name, jobs).items()
        }
        depends_on = conditional_deps(name, deps, when)
        spec = GroupSpec(
            "fan_out",
            members,
            self._flags,
            deps=depends_on,
            clocks=check_deadline(repr(name), deadline),
            delay=check_delay(repr(name), delay),
            need=check_need(name, need, depends_on),
            limits=check_limits(repr(name), limit, rate),
            tolerance=check_tolerance(name, tolerate, fail_fast),
        )

        return self._add(name, judged(name, spec, check_condition(name, when, need)))

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
        self._context = {**(self._context or {}), **encode_context(value)}

        return self

    def reuse(self, workflow_id: str, rerun: Iterable[str] = ()) -> Self:
        """Reuse what stands of another workflow: jobs whose result would be the same do not run.

        Such a job is inserted as completed, with what that one recorded, if a job of its path
        completed there, with the same worker or function, arguments and deps, if the context
        around it is the same, and if everything that it depends on is reused as well. Items of a
        fan-out are compared one by one. What was skipped is judged anew. Final jobs and grafts,
        mapped fan-outs among them, always run. `reuse_plan` tells in advance.

        Args:
            workflow_id: The id of a root workflow, which may still run.
            rerun: Names or paths of jobs and groups that run in any case.

        Returns:
            This workflow, for chaining. An unknown id raises an `UnknownWorkflowError` when it is
            enqueued, an unknown name an `UnknownNameError`.

        Raises:
            InvalidNameError: If the id or a name is not text that PostgreSQL can hold.
            InvalidArgumentError: If it is the id of this workflow, or ``rerun`` is no list.

        Example:
            >>> await oban.enqueue_many(nightly().reuse("nightly-2026-11-26", rerun=["load"]))
        """
        self._reuse = check_reuse(self.id, workflow_id, rerun)

        return self

    def _add(self, name: str, spec: JobSpec | GroupSpec) -> Self:
        check_free(name, self._members)
        spec = replace(spec, deps=check_own(name, spec.deps, self))

        if self.check_deps:
            check_known(name, spec.deps, self._members)

        check_ends(name, spec, self._members)
        self._members[name] = spec

        return self

    def _spec(
        self, kind: GroupKind, workflow_id: str | None, deps: tuple[str, ...] = ()
    ) -> GroupSpec:
        """Return what has been built so far, for planning. Later additions do not change it."""
        return GroupSpec(
            kind,
            dict(self._members),
            self._flags,
            workflow_id,
            self.name,
            deps,
            self._context,
            self._clocks,
            defaults=self._defaults,
            attributes=self._attributes,
            unique=self._unique,
            reuse=self._reuse,
            store=self._store_url,
        )


def _generate_id() -> str:
    # uuid7 is new in Python 3.14. Ids that are made one after the other are neighbours in the
    # index.
    generate = getattr(uuid, "uuid7", uuid.uuid4)

    return str(generate())
