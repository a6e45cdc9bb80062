"""The part of a handle that reads what the jobs of a workflow recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from . import following, reading, receiving, streaming
from .locating import check_names
from .over_all import Keeping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from oban import Job

    from oban_pro.model.outcome import Outcome


class Results(Keeping):
    """The part of `Workflow` that reads results and context."""

    @overload
    async def result[T](
        self,
        of: str,
        /,
        *,
        as_: type[T],
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T: ...

    @overload
    async def result[R](
        self,
        of: R,
        /,
        *,
        as_: None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> R: ...

    async def result(
        self,
        of: Any,
        /,
        *,
        as_: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Wait for one job, and return what it recorded.

        Args:
            of: The placeholder that `Workflow.call` or `Workflow.each` returned, or one for an item
                or an attribute; or a name or path.
            as_: For a name or a path: the type that a type checker gives the result, str by
                default. Nothing checks it at run time.
            timeout: Seconds to wait at most; by default without end.

        Returns:
            What the job recorded, or None if it recorded nothing. For a group, a nested dict of
            what its members recorded; for `Workflow.each` over a list, a list.

        Raises:
            JobFailedError: If it was cancelled or discarded; with ``path``, ``state`` and
                ``error``.
            TimeoutError: If it has not settled in time.
            UnknownWorkflowError: If this workflow is not in the database.
            UnknownNameError: If there is nothing of that name in it.
            InvalidArgumentError: If the placeholder is of another workflow, or made by `failures`.

        Example:
            >>> total = workflow.call(add_up, prices)
            >>> await oban.enqueue_many(workflow)
            >>> await workflow.result(total, timeout=60)
            1290
        """
        return await receiving.result(self._oban, self.id, of, timeout)

    async def outcome(self) -> Outcome:
        """Return how everything except the final jobs of this workflow has ended.

        For final jobs that are workers; a function receives it as its second argument.

        Returns:
            The outcome; its state is ``"executing"`` while something is open, ``"unknown"`` where
            there is no such workflow.

        Example:
            >>> outcome = await Workflow.for_job(job).outcome()
            >>> outcome.state, [failure.path for failure in outcome.failed]
            ('discarded', ['charge'])
        """
        return await reading.outcome(self._oban, self.id)

    async def get_recorded(self, name: str) -> Any:
        """Fetch what a job of this workflow recorded.

        Args:
            name: The name it was added under, or a path to a nested one.

        Returns:
            The value, or None where there is no such job, or it recorded nothing.

        Raises:
            CodecError: If what is stored cannot be decoded.

        Example:
            >>> total = await Workflow.for_job(job).get_recorded("sum")
        """
        return await reading.get_recorded(self._oban, self.id, name)

    async def all_recorded(
        self, *, names: Iterable[str] | None = None, deps_of: Job | None = None
    ) -> dict[str, Any]:
        """Fetch what the jobs of this workflow recorded.

        Args:
            names: Only of jobs and groups with these names, or at these paths.
            deps_of: Only of what this job directly depends on.

        Returns:
            Values by name. Each sub-workflow, fan-out and graft is a dict of its own, empty where
            nothing was recorded in it; jobs that recorded nothing are absent.

        Raises:
            CodecError: If what is stored cannot be decoded.

        Example:
            >>> results = await Workflow.for_job(job).all_recorded(deps_of=job)
        """
        return await reading.all_recorded(self._oban, self.id, check_names(names), deps_of)

    async def stream_recorded(
        self, path: str | None = None, *, follow: bool = False
    ) -> AsyncIterator[tuple[str, Any]]:
        """Iterate over what the jobs of this workflow have recorded, nested ones too.

        Only one page is in memory at a time, and no transaction stays open. So the loop may take
        any time, and may be left at any time. Jobs that are added after it has begun may be left
        out, unless it follows.

        Args:
            path: Only of this job or group: its name, or a path to a nested one, as in
                ``"load/rows"``; by default of everything.
            follow: Go on with what is recorded from now on, until the workflow, or what is at the
                path, has settled. It looks once a second, or as soon as a workflow in it settles.
                It yields the result of each job once, even if the job runs a second time.

        Yields:
            The path of each completed job that recorded something, from its root workflow down, and
            what it recorded; in order of id, upstream first. Nothing, where nothing is there. If
            it follows, results come in the order in which they are found.

        Raises:
            InvalidArgumentError: If the path is no string.
            CodecError: If what is stored cannot be decoded.
            UnknownWorkflowError: If it follows, and this workflow is not in the database.
            UnknownNameError: If it follows, and there is nothing at the path.

        Example:
            >>> async for path, value in Workflow(id="nightly").stream_recorded("process"):
            ...     print(path, value)
            process/0 {'rows': 17}
        """
        check_names(None if path is None else [path])
        read = following.follow_recorded if follow else streaming.stream_recorded

        async for found in read(self._oban, self.id, path):
            yield found

    async def get_context(self) -> dict[str, Any] | None:
        """Fetch the context that was added to this workflow.

        Returns:
            The dict, or None where none was added. The contexts of the workflows around it are not
            in it.

        Example:
            >>> context = await Workflow.for_job(job).get_context()
        """
        return await reading.get_context(self._oban, self.id)
