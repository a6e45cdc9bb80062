"""The workflow that people build, and the handle to one that is in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from . import explain, grafting, introspection, meta, operations, waiting
from .builder import Builder
from .errors import InvalidArgumentError, NotInWorkflowError
from .render import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oban import Job

    from .explanation import Explanation
    from .render import Graph
    from .status import WorkflowStatus


class Workflow(Builder):
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
        super().__init__(id, name, check_deps, ignore_cancelled, ignore_discarded)
        self._oban: introspection.Place = oban

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

        A grafter that runs again, after a crash or a retry, does not graft twice: the first graft
        stands, and enqueueing returns its jobs, whatever was built the second time.

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

        grafting.claim(job, sub_workflow.id)
        graft = cls(id=sub_workflow.id, name=sub_workflow.name)
        graft.flags = sub_workflow.flags
        graft._members = dict(sub_workflow._members)
        graft._context = sub_workflow._context
        graft._grafter = job

        return graft

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
        return await introspection.all_jobs(self._oban, self.id, _listed(names), deps_of, with_subs)

    async def wait(self, *, timeout: float | None = None) -> WorkflowStatus:  # noqa: ASYNC109
        """Wait until this workflow has settled.

        The database tells when it has; nothing is asked in between but once in a while.

        Args:
            timeout: Seconds to wait at most; by default without end.

        Returns:
            The final status, or ``"unknown"`` at once where there is no such workflow.

        Raises:
            TimeoutError: If it has not settled in time.

        Example:
            >>> status = await workflow.wait(timeout=60)
        """
        return await waiting.wait(self._oban, self.id, timeout)

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
        return graph_of(self.spec("workflow", self.id), self.name)

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

    async def fetch_graph(self) -> Graph:
        """Fetch the graph of this workflow as it is stored, with the state of each job.

        Returns:
            The graph, with methods ``to_dot()`` and ``to_mermaid()``. What was grafted or appended
            since is in it.

        Raises:
            UnknownWorkflowError: If there is no such workflow.

        Example:
            >>> graph = await Workflow(id="nightly").fetch_graph()
            >>> print(graph.to_mermaid())
        """
        return await introspection.fetch_graph(self._oban, self.id)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        drawing = self.to_graph()._repr_mimebundle_() if self._members else {}

        return {**drawing, "text/plain": repr(self)}

    async def explain(self, name: str) -> Explanation:
        """Explain why a job or nested workflow is in the state that it is in.

        Says what it waits for, or which upstream broke it, down to the first cause.

        Args:
            name: The name it was added under; or a path to a nested one, as in
                ``"notify/email"``.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.

        Example:
            >>> explanation = await Workflow(id="nightly").explain("load")
            >>> print(explanation.summary)
            job 'load' waits for its dependency; job 'extract' is scheduled to run in 5m 12s
        """
        return await explain.explain(self._oban, self.id, name)

    # Steering

    async def append(self, addition: Builder, conn: Any = None) -> list[Job]:
        """Add the jobs and groups of another builder to this workflow, which may be running.

        Their deps may name what is already there; one that is satisfied already counts at once. A
        workflow that had settled opens again.

        Args:
            addition: Built with ``check_deps=False`` where it depends on what is already there.
            conn: A connection whose transaction to use, as for `Oban.enqueue_many`.

        Returns:
            The jobs that were added.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            DuplicateNameError: If a name is taken.
            UnknownDependencyError: If a dependency is neither added nor there.

        Example:
            >>> more = Workflow(check_deps=False).add("audit", Audit.new({}), deps="load")
            >>> await Workflow(id="nightly").append(more)
        """
        given: object = addition

        if not isinstance(given, Builder):
            raise InvalidArgumentError(f"addition must be a Workflow, got {given!r}")

        return await operations.append(self._oban, self.id, given.spec("workflow", None), conn)

    async def cancel_jobs(self, *, names: Iterable[str] | None = None) -> int:
        """Cancel the open jobs of this workflow, nested ones included.

        Executing jobs are marked at once, and ``job.cancelled()`` turns true in their workers. Jobs
        that depend on them are cancelled too, unless they ignore it.

        Args:
            names: Only these jobs, sub-workflows, fan-outs and grafts.

        Returns:
            The number of jobs that this call cancelled directly.

        Example:
            >>> count = await Workflow(id="nightly").cancel_jobs(names=["load"])
        """
        return await operations.cancel_jobs(self._oban, self.id, _listed(names))

    async def retry_jobs(self, *, names: Iterable[str] | None = None) -> int:
        """Run jobs of this workflow again, nested ones included: cancelled, discarded, retryable.

        A job whose dependencies are all satisfied becomes available, any other waits for them.

        Args:
            names: Only these jobs, sub-workflows, fan-outs and grafts; their completed jobs too.

        Returns:
            The number of jobs that run again.

        Example:
            >>> count = await Workflow(id="nightly").retry_jobs()
        """
        return await operations.retry_jobs(self._oban, self.id, _listed(names))

    # Results

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
        return await introspection.all_recorded(self._oban, self.id, _listed(names), deps_of)

    async def get_context(self) -> dict[str, Any] | None:
        """Fetch the context that was added to this workflow.

        Returns:
            The dict, or None where none was added. What surrounding workflows add is not in it.

        Example:
            >>> context = await Workflow.for_job(job).get_context()
        """
        return await introspection.get_context(self._oban, self.id)


def _listed(names: Iterable[str] | None) -> list[str] | None:
    if isinstance(names, str):
        return [names]

    return None if names is None else list(names)
