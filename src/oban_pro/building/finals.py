"""Final jobs as members of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from .ends import final_spec
from .members import Members
from .specs import check_given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oban import Job

    from oban_pro.model.outcome import Outcome

    from .arguments import FunctionOptions
    from .ends import RunsOn


class Finals(Members):
    """The part of `Workflow` that adds final jobs."""

    @overload
    def add_final(
        self,
        name: str,
        job_or_function: Job,
        *,
        on: RunsOn = "always",
        deps: str | Iterable[str] = (),
    ) -> Self: ...

    @overload
    def add_final(
        self,
        name: str,
        job_or_function: Callable[[dict[str, Any], Outcome], object],
        *,
        on: RunsOn = "always",
        deps: str | Iterable[str] = (),
        **job_opts: Unpack[FunctionOptions],
    ) -> Self: ...

    def add_final(
        self,
        name: str,
        job_or_function: Any,
        *,
        on: RunsOn = "always",
        deps: str | Iterable[str] = (),
        **job_opts: Unpack[FunctionOptions],
    ) -> Self:
        """Add a job that starts when everything else of this workflow has settled, however it did.

        For what has to be done at the end in any case: clean up, report, release a lock. A final
        job heals nothing: the workflow is as bad as its worst job. What depends on the workflow
        waits for its final jobs. `cancel_jobs` does not cancel them, unless told so. When something
        else of the workflow runs again, by a retry or because it was appended, so do they.

        Args:
            name: Unique within this workflow, among jobs and groups.
            job_or_function: A job, whose worker may ask `outcome`; or a function ``(context,
                outcome)`` of a module. Its context has what all jobs and groups of the workflow
                recorded, by name.
            on: After which outcomes it runs: ``"always"``; ``"completed"``; or ``"failed"``, when
                anything was cancelled or discarded. Otherwise it is skipped: it completes, and
                ``meta.skipped`` says why.
            deps: Names of other final jobs that it waits for.
            job_opts: Options of the job that a function becomes, as for `add_cascade`.

        Returns:
            This workflow, for chaining.

        Raises:
            InvalidArgumentError: If there is no such ``on``, a dependency is no final job, or
                options are given for a job.
            InvalidJobError: If it is neither a job nor a function.
            InvalidFunctionError: If another process could not import the function, or if it cannot
                take the arguments.

        Example:
            >>> workflow.add_final("report", report).add_final("alert", alert, on="failed")
        """
        given = check_given(
            name,
            deps,
            self._flags,
            job_opts,
            own_flags=(None, None),
            clocks=(None, None),
            need=None,
        )

        return self._add(name, final_spec(given, job_or_function, on))
