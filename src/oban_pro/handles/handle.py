"""Operations on a workflow that is in the database: the other half of `Workflow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro.building.builder import Builder
from oban_pro.engine.session import session_for
from oban_pro.errors import InvalidArgumentError

from . import explaining, reading, signalling, steering, timing, waiting
from .locating import check_names
from .results import Results

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oban import Job

    from oban_pro.building.waits import Moment
    from oban_pro.model.explanation import Explanation
    from oban_pro.model.status import WorkflowStatus
    from oban_pro.model.timing import Timing
    from oban_pro.render import Graph

    from .signalling import Signal


class Handle(Results):
    """The half of `Workflow` that reads and changes what is stored."""

    # Looking

    async def status(self) -> WorkflowStatus:
        """Count the jobs of this workflow and of all nested ones, by state.

        Returns:
            The status; its state is ``"unknown"`` where there is no such workflow.

        Example:
            >>> status = await Workflow(id="nightly").status()
            >>> print(status.state, status.counts["completed"], "of", status.total)
        """
        return await reading.status(self._oban, self.id)

    async def get_job(self, name: str) -> Job | None:
        """Fetch a job of this workflow by name.

        Args:
            name: The name it was added under; or a path to a nested one, as in
                ``"notify/email"``.

        Returns:
            The job, or None if no job has that name; a sub-workflow or a fan-out is no job.

        Example:
            >>> job = await Workflow.for_job(job).get_job("extract")
        """
        return await reading.get_job(self._oban, self.id, name)

    async def all_jobs(
        self,
        *,
        names: Iterable[str] | None = None,
        deps_of: Job | None = None,
        with_subs: bool = False,
    ) -> list[Job]:
        """Fetch the jobs of this workflow, upstream first.

        Args:
            names: Only jobs with these names, or at these paths.
            deps_of: Only what this job directly depends on; of a group, all its jobs.
            with_subs: Whether jobs of nested workflows are included.

        Returns:
            The jobs, ordered by id.

        Example:
            >>> upstream = await Workflow.for_job(job).all_jobs(deps_of=job)
        """
        return await reading.all_jobs(self._oban, self.id, check_names(names), deps_of, with_subs)

    async def wait(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        progress: bool = False,
    ) -> WorkflowStatus:
        """Wait until this workflow has settled.

        A notification of the database wakes the call; it also polls once a second, in case one is
        missed.

        Args:
            timeout: Seconds to wait at most; by default without end.
            progress: Whether to show a bar of the jobs that have settled: in the cell of a
                notebook, elsewhere on stderr.

        Returns:
            The final status.

        Raises:
            UnknownWorkflowError: If there is no such workflow.
            TimeoutError: If it has not settled in time.

        Example:
            >>> status = await workflow.wait(timeout=60)
        """
        return await waiting.wait(self._oban, self.id, timeout, progress=progress)

    async def fetch_graph(self) -> Graph:
        """Fetch the graph of this workflow as it is stored, with the state of each job.

        Returns:
            The graph, with methods ``to_dot()`` and ``to_mermaid()``. Jobs that were grafted or
            appended since are in it.

        Raises:
            UnknownWorkflowError: If there is no such workflow.

        Example:
            >>> graph = await Workflow(id="nightly").fetch_graph()
            >>> print(graph.to_mermaid())
        """
        return await reading.fetch_graph(self._oban, self.id)

    async def explain(self, name: str) -> Explanation:
        r"""Explain why a job or nested workflow is in the state that it is in.

        The explanation says what it waits for, or which upstream broke it, down to the first cause.

        Args:
            name: The name it was added under; or a path to a nested one, as in
                ``"notify/email"``. A ``/`` within a name is written ``\/``, a ``\`` twice.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.

        Example:
            >>> explanation = await Workflow(id="nightly").explain("load")
            >>> print(explanation.summary)
            job 'load' waits for its dependency; job 'extract' is scheduled to run in 5m 12s
        """
        return await explaining.explain(self._oban, self.id, name)

    async def timings(self, *, compare: str | None = None) -> dict[str, Timing]:
        """Tell of each job, nested ones too, how long it waited, was queued and ran.

        Args:
            compare: The id of another workflow, whose jobs of the same paths stand beside: in
                ``other``. Jobs that only that one has come last, as ``"absent"``.

        Returns:
            By path, what is known of the last attempt of each job.

        Raises:
            UnknownWorkflowError: If one of the workflows is not in the database.

        Example:
            >>> timings = await Workflow(id="nightly-2").timings(compare="nightly-1")
            >>> load = timings["load"]
            >>> print(load.ran, "instead of", load.other.ran)
            0:02:10 instead of 0:00:45
        """
        return await timing.timings(self._oban, self.id, compare)

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

        session = session_for(self._oban)

        return await steering.append(session, self.id, given._spec("workflow", None), conn)

    async def cancel_jobs(
        self,
        *,
        names: Iterable[str] | None = None,
        finals: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Cancel the open jobs of this workflow, nested ones included.

        Executing jobs are marked at once, and ``job.cancelled()`` turns true in their workers. Jobs
        that depend on them are cancelled too, unless they ignore it. Final jobs are not cancelled:
        they start once everything else has ended.

        Args:
            names: Only these jobs, sub-workflows, fan-outs and grafts, by name or path. None of
                them is cancelled if one is not there. A final job that is named is cancelled.
            finals: Whether final jobs are cancelled as well.
            reason: Why. The error of each job that this call cancels says so.
            by: Who cancels them, for the same error.

        Returns:
            The number of jobs that this call cancelled directly.

        Raises:
            InvalidNameError: If ``reason`` or ``by`` is no text.
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of one of the names in it.

        Example:
            >>> count = await Workflow(id="nightly").cancel_jobs(names=["load"], by="ada")
        """
        session, checked = session_for(self._oban), check_names(names)

        return await steering.cancel_jobs(
            session, self.id, checked, finals=finals, reason=reason, by=by
        )

    async def retry_jobs(
        self,
        *,
        names: Iterable[str] | None = None,
        deadline: Moment | None = None,
        downstream: bool = False,
    ) -> int:
        """Run jobs of this workflow again, nested ones included: cancelled, discarded, retryable.

        A job whose dependencies are all satisfied becomes available, any other waits for them. A
        grafter that had completed and is named grafts anew: what it had grafted is removed.

        Args:
            names: Only these jobs, sub-workflows, fan-outs and grafts, by name or path; their
                completed jobs too. None of them runs again if one is not there.
            deadline: A new one, from now: of the workflow, or of each of the names.
            downstream: Whether everything that depends on the names runs again too, at any
                distance and in order. Executing jobs are told to stop, and run again once they
                have; grafters that it reaches graft anew.

        Returns:
            The number of jobs that run again; final jobs do not count where ``downstream`` is set.

        Raises:
            InvalidArgumentError: If ``downstream`` is set without names.
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of one of the names in it.

        Example:
            >>> count = await Workflow(id="nightly").retry_jobs(names=["load"], downstream=True)
        """
        return await steering.retry_jobs(
            session_for(self._oban), self.id, check_names(names), deadline, downstream=downstream
        )

    async def set_deadline(self, deadline: Moment | None, path: str | None = None) -> None:
        """Set, move or take away a deadline.

        Args:
            deadline: A timedelta or seconds from now, a datetime with a timezone, or None.
            path: Of a job or group of the workflow; by default the workflow itself.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidOptionError: If a duration is not finite and positive.

        Example:
            >>> await Workflow(id="nightly").set_deadline(timedelta(hours=6))
        """
        await steering.set_deadline(session_for(self._oban), self.id, deadline, path)

    async def set_limit(self, path: str, limit: int | None) -> None:
        """Set how many members of a fan-out may be open at once, on all nodes together.

        If the new limit frees slots, waiting members are released at once. A lower limit takes no
        open member back.

        Args:
            path: Of any fan-out: its name, or a path to a nested one, as in ``"load/rows"``.
            limit: The number of members: jobs, or grafts over items; 0 stops the fan-out, None
                takes the limit away.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidArgumentError: If the limit is no int.
            InvalidOptionError: If it is negative, or if there is no fan-out at the path.

        Example:
            >>> await Workflow(id="nightly").set_limit("call", 20)
        """
        await steering.set_limit(session_for(self._oban), self.id, path, limit)

    async def pause(
        self, path: str | None = None, *, by: str | None = None, until: Moment | None = None
    ) -> int:
        """Pause this workflow, or a part of it: nothing of it starts until it is resumed.

        Jobs that could start are suspended and keep their time. What runs ends and counts, but what
        follows it waits, and so does what is grafted, appended or retried. Waits take signals,
        clocks go on, and cancelling works. A pause of a group and one of the workflow around it add
        up.

        Args:
            path: The name of a job or group, or a path to a nested one; by default the workflow.
            by: Who pauses.
            until: When the pause ends by itself: a timedelta or seconds from now, or a datetime
                with a timezone. By default it has no end.

        Returns:
            How many jobs this holds back; 0 if the target has settled, or is paused already, and
            then its pause stays as it is.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidOptionError: If a duration is not finite and positive.

        Example:
            >>> await Workflow(id="nightly").pause("load", by="ada", until=timedelta(hours=2))
            3
        """
        return await steering.pause(session_for(self._oban), self.id, path, by, until)

    async def resume(self, path: str | None = None) -> int:
        """Resume this workflow, or a part of it, that was paused.

        Args:
            path: What was paused: the name of a job or group, or a path to a nested one; by default
                the workflow.

        Returns:
            How many jobs that brings back. 0 where it was not paused.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.

        Example:
            >>> await Workflow(id="nightly").resume("load")
            3
        """
        return await steering.resume(session_for(self._oban), self.id, path)

    # Signals

    async def signal(
        self,
        path: str,
        payload: object = None,
        *,
        name: str | None = None,
        by: str | None = None,
        conn: Any = None,
    ) -> int:
        """Send a signal to a wait: an approval, or the payload of a webhook.

        A wait that listens settles in the same transaction, and what depends on it may start when
        that commits. A wait that does not listen yet keeps the signal.

        Args:
            path: The name of the wait, or a path to a nested one, as in ``"reviews/legal"``. Of a
                group: all waits in it. Of a job that has called `await_signal`: that job.
            payload: What the wait records; anything that a cascade may return.
            name: Of the calls of `await_signal` that it is for; never for a wait.
            by: Who sends it. Needed where a wait has a count.
            conn: A connection whose transaction to use, as for `Oban.enqueue_many`.

        Returns:
            How many waits took it. One that has settled, or has what it needs, takes none.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidSignalError: If the payload is none of the choices, or the job takes no signals.

        Example:
            >>> await Workflow(id="order-17").signal("approval", {"choice": "approve"}, by="ada")
            1
        """
        return await signalling.send(
            self._oban, self.id, path, payload, name=name, by=by, conn=conn
        )

    async def reject(
        self, path: str, reason: str | None = None, *, by: str | None = None, conn: Any = None
    ) -> int:
        """Refuse a wait: it is cancelled at once, whether it listens or not.

        Args:
            path: The name of the wait, or a path to it. Of a group: all waits in it, but no timers.
            reason: What its error says.
            by: Who refuses.
            conn: A connection whose transaction to use, as for `Oban.enqueue_many`.

        Returns:
            How many waits it cancelled.

        Raises:
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidSignalError: If it is the path of a job that is no wait.

        Example:
            >>> await Workflow(id="order-17").reject("approval", "too expensive", by="ada")
            1
        """
        return await signalling.reject(self._oban, self.id, path, reason, by=by, conn=conn)

    async def signals(self, path: str) -> list[Signal]:
        """List the signals that came for a wait, or for a job that called `await_signal`.

        Args:
            path: The name of the job, or a path to it.

        Returns:
            The signals in the order of their arrival; those from before a retry as well.

        Example:
            >>> [(signal.by, signal.payload) for signal in await order.signals("approval")]
            [('ada', {'choice': 'approve'})]
        """
        return await signalling.signals(self._oban, self.id, path)
