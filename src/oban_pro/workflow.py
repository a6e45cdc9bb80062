"""The workflow that people build, and the handle to one that is in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .building.attributes import refuse_attributes
from .building.builder import Builder
from .building.planner import compile_plan
from .building.reuse import check_reuse, refuse_reuse
from .engine import grafting, reusing
from .engine.session import session_for
from .errors import InvalidArgumentError, NotInWorkflowError
from .handles.handle import Handle
from .handles.over_all import Searching
from .model import meta
from .render import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from oban import Job

    from .building.arguments import JobOptions
    from .building.attributes import Attribute
    from .building.uniqueness import OnConflict
    from .building.waits import Moment
    from .engine.session import Place
    from .render import Graph


class Workflow(Builder, Handle, Searching):
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
        deadline: When everything that is open is cancelled: a timedelta or seconds from the
            insertion, or a datetime with a timezone. Nested, it holds for this part alone.
        oban: The name of the Oban instance that a handle reads from.
        defaults: Options of jobs, as for `add_cascade`, that functions of this workflow take where
            they have none of their own, option by option, and ``meta`` key by key. So do those of
            nested workflows, whose own defaults come first, those that are grafted, and those that
            are appended later. Jobs that are added bring their own options.
        attributes: What the workflow is found by: strings, numbers, booleans or None by name. Of a
            root alone.
        unique: A key that at most one workflow holds, from its start until it has settled; True
            for the name. Only of what is enqueued by itself, not of what is nested.
        unique_for: A timedelta or seconds from its insertion for which it holds the key at least.
        on_conflict: What to do if another workflow holds the key. ``"existing"``, the default:
            insert nothing and return the jobs of that workflow; ``is_duplicate`` is true then, and
            ``id`` its id. ``"raise"``: raise a `UniqueConflictError`. ``"replace"``: cancel it, and
            start once it has settled and its executions have ended. ``"queue"``: wait in line,
            first come, first served.
        max_queued: How many may wait in line; one more raises a `UniqueConflictError`.
        store: Where to keep recorded values of more than a megabyte, instead of in the rows of
            their jobs: a URL that fsspec knows, as in ``"s3://bucket/prefix"``. Takes the extra
            ``store``. So do nested workflows, unless they have their own, those that are grafted,
            and what is appended. By default nowhere.

    Raises:
        InvalidNameError: If the id or the name is not text that PostgreSQL can hold.
        InvalidArgumentError: If an option among the defaults is unknown, or has the wrong type.
        InvalidOptionError: If it has a value that no job can have, the deadline is not finite
            and positive, or the store is no URL that fsspec knows.
        MissingExtraError: If fsspec, or its package for that store, is not installed.

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
        deadline: Moment | None = None,
        oban: str = "Oban",
        defaults: JobOptions | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        unique: bool | str | None = None,
        unique_for: timedelta | float | None = None,
        on_conflict: OnConflict | None = None,
        max_queued: int | None = None,
        store: str | None = None,
    ) -> None:
        super().__init__(
            id,
            name,
            check_deps,
            ignore_cancelled,
            ignore_discarded,
            deadline=deadline,
            defaults=defaults,
            attributes=attributes,
            unique=unique,
            unique_for=unique_for,
            on_conflict=on_conflict,
            max_queued=max_queued,
            store=store,
        )
        self._oban: Place = oban

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

    @classmethod
    def apply_graft(cls, job: Job, sub_workflow: Builder) -> Self:
        """Attach a sub-workflow to the graft point that a running job stands for.

        A grafter that runs again, after a crash or a failed attempt, does not graft twice: the
        first graft stands, and enqueueing returns its jobs, whatever was built the second time. One
        that had completed and is retried by name grafts anew.

        Args:
            job: The grafter, within its ``process``.
            sub_workflow: What to attach. Its jobs run as soon as they are enqueued.

        Returns:
            A workflow to pass to `Oban.enqueue_many`.

        Raises:
            GraftError: If the job is no grafter, or grafts a second workflow in one execution.
            InvalidArgumentError: If ``sub_workflow`` is not a workflow.

        Example:
            >>> await oban.enqueue_many(Workflow.apply_graft(job, sub_workflow))
        """
        if not isinstance(sub_workflow, Builder):
            raise InvalidArgumentError(f"sub_workflow must be a Workflow, got {sub_workflow!r}")

        refuse_attributes("a graft", sub_workflow._attributes)
        refuse_reuse("a graft", sub_workflow._reuse)

        if sub_workflow._unique is not None:
            raise InvalidArgumentError("sub_workflow must not be unique; only a root can be")

        grafting.note_graft(job, sub_workflow.id)
        graft = cls(id=sub_workflow.id, name=sub_workflow.name)
        graft._flags = sub_workflow._flags
        graft._members = dict(sub_workflow._members)
        graft._context = sub_workflow._context
        graft._clocks = sub_workflow._clocks
        graft._defaults = sub_workflow._defaults
        graft._store_url = sub_workflow._store_url
        graft._grafter = job

        return graft

    async def reuse_plan(self, workflow_id: str, rerun: Iterable[str] = ()) -> dict[str, str]:
        """Tell what `reuse` would do with the jobs of this workflow. Nothing is enqueued.

        Args:
            workflow_id: The id of a root workflow.
            rerun: Names or paths of jobs and groups that run in any case.

        Returns:
            By path ``"reused"``, or why the job runs.

        Raises:
            UnknownWorkflowError: If there is no root workflow with that id.
            UnknownNameError: If there is nothing of one of the names in this one.

        Example:
            >>> await nightly().reuse_plan("nightly-2026-11-26")
            {'extract': 'reused', 'clean': 'its args differ', 'load': "'clean' runs"}
        """
        reuse = check_reuse(self.id, workflow_id, rerun)
        plan = compile_plan(self._spec("workflow", self.id))

        return await session_for(self._oban).read(
            lambda store: reusing.tell_plan(store, plan, reuse)
        )

    # Drawing

    def to_graph(self) -> Graph:
        """Turn what was built here into a graph; `fetch_graph` is for what is stored.

        Nothing is checked: a cycle shows as it is, and a dependency that was not added as a vertex
        without a worker.

        Returns:
            The graph. Sub-workflows, fan-outs and grafts are graphs among its vertices.

        Example:
            >>> Workflow().add("a", job).add("b", job, deps="a").to_graph().edges
            [('a', 'b')]
        """
        return graph_of(self._spec("workflow", self.id), self.name)

    def to_dot(self) -> str:
        """Draw what was built here in Graphviz DOT.

        Example:
            >>> Path("workflow.dot").write_text(workflow.to_dot())
        """
        return self.to_graph().to_dot()

    def to_mermaid(self) -> str:
        """Draw what was built here as a mermaid flowchart.

        Example:
            >>> print(workflow.to_mermaid())
        """
        return self.to_graph().to_mermaid()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        drawing = self.to_graph()._repr_mimebundle_() if self._members else {}

        return {**drawing, "text/plain": repr(self)}
