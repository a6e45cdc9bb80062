"""Operations over all workflows: searching, and doing one thing to each that is found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, Unpack

from . import searching
from .searching import FAILED, OPEN, SETTLED, check_filters, narrow
from .steering import check_told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime, timedelta

    from oban_pro.engine.session import Place

    from .searching import FilterOptions


class Keeping:
    """How long a stored workflow is kept: a part of `Handle`."""

    id: str
    _oban: Place

    async def delete(self) -> None:
        """Remove this workflow and its jobs, once it has settled.

        Its id can be used again then.

        Raises:
            UnknownWorkflowError: If there is no such workflow.
            OpenWorkflowError: If it is open, or an execution of it has not ended.
            InvalidArgumentError: If it is nested in another one.

        Example:
            >>> await Workflow(id="nightly-2026-11-26").delete()
        """
        await searching.delete(self._oban, self.id)

    async def keep(self, until: datetime | timedelta | float | None) -> None:
        """Let the pruner pass over this workflow.

        Args:
            until: A moment with a timezone; a timedelta or seconds from now; None for no longer.

        Raises:
            UnknownWorkflowError: If there is no such root workflow.
            InvalidArgumentError: If it is none of these.

        Example:
            >>> await Workflow(id="audit-7").keep(timedelta(days=365))
        """
        await searching.keep(self._oban, self.id, until)


class Searching:
    """Finding workflows: a part of `Workflow`."""

    @classmethod
    async def search(
        cls, *, oban: str = "Oban", **filters: Unpack[FilterOptions]
    ) -> AsyncIterator[Self]:
        """Find root workflows, newest first.

        It reads page by page, so the loop may take any time, and may be left at any time. Workflows
        that are inserted after it has begun are not found.

        Args:
            oban: The name of an Oban instance.
            filters: ``name``, the whole of it; ``state``; ``attributes``: all of them must be
                there, true to their type: 1, True and "1" differ; ``since``, inclusive, and
                ``until``, exclusive: moments of insertion, with a timezone.

        Yields:
            Handles.

        Raises:
            InvalidArgumentError: If a filter has the wrong type.
            InvalidOptionError: If there is no such state.

        Example:
            >>> async for workflow in Workflow.search(attributes={"tenant": "acme"}):
            ...     print(workflow.id)
        """
        async for id in searching.search(oban, check_filters(**filters)):
            yield cls._at(id, oban)

    @classmethod
    async def cancel_all(
        cls,
        *,
        reason: str | None = None,
        by: str | None = None,
        everything: bool = False,
        dry_run: bool = False,
        oban: str = "Oban",
        **filters: Unpack[FilterOptions],
    ) -> AsyncIterator[Self]:
        """Cancel all open workflows that are found, each in a transaction of its own.

        If the loop is left or fails on the way, what has been cancelled stays cancelled; call it
        again to go on.

        Args:
            reason: Why. The errors of the jobs say so.
            by: Who cancels them.
            everything: Must be true where no filter is given.
            dry_run: Only yield what would be cancelled.
            oban: The name of an Oban instance.
            filters: As for `search`.

        Yields:
            Handles to the workflows that were changed.

        Raises:
            InvalidArgumentError: If there is no filter, and not everything is meant.
            InvalidNameError: If ``reason`` or ``by`` is no text.

        Example:
            >>> async for workflow in Workflow.cancel_all(name="nightly", reason="no disk"):
            ...     print("cancelled", workflow.id)
        """
        check_told(reason, by)
        narrowed = narrow(check_filters(**filters), OPEN, everything=everything)
        act = partial(searching.cancel, reason=reason, by=by)

        async for id in searching.each(oban, narrowed, act, dry_run=dry_run):
            yield cls._at(id, oban)

    @classmethod
    async def retry_all(
        cls,
        *,
        everything: bool = False,
        dry_run: bool = False,
        oban: str = "Oban",
        **filters: Unpack[FilterOptions],
    ) -> AsyncIterator[Self]:
        """Retry all cancelled and discarded workflows that are found, as `cancel_all` cancels.

        Args:
            everything: Must be true where no filter is given.
            dry_run: Only yield what would be retried.
            oban: The name of an Oban instance.
            filters: As for `search`.

        Yields:
            Handles to the workflows that were changed.

        Raises:
            InvalidArgumentError: If there is no filter, and not everything is meant.

        Example:
            >>> async for workflow in Workflow.retry_all(state="discarded"):
            ...     print("retried", workflow.id)
        """
        narrowed = narrow(check_filters(**filters), FAILED, everything=everything)

        async for id in searching.each(oban, narrowed, searching.retry, dry_run=dry_run):
            yield cls._at(id, oban)

    @classmethod
    async def pause_all(
        cls,
        *,
        by: str | None = None,
        everything: bool = False,
        dry_run: bool = False,
        oban: str = "Oban",
        **filters: Unpack[FilterOptions],
    ) -> AsyncIterator[Self]:
        """Pause all open workflows that are found, as `cancel_all` cancels.

        Args:
            by: Who pauses them.
            everything: Must be true where no filter is given.
            dry_run: Only yield what would be paused.
            oban: The name of an Oban instance.
            filters: As for `search`.

        Yields:
            Handles to the workflows that were changed.

        Raises:
            InvalidArgumentError: If there is no filter, and not everything is meant.

        Example:
            >>> async for workflow in Workflow.pause_all(attributes={"tenant": "acme"}):
            ...     print("paused", workflow.id)
        """
        narrowed = narrow(check_filters(**filters), OPEN, everything=everything)
        act = partial(searching.pause, by=by)

        async for id in searching.each(oban, narrowed, act, dry_run=dry_run):
            yield cls._at(id, oban)

    @classmethod
    async def delete_all(
        cls,
        *,
        everything: bool = False,
        dry_run: bool = False,
        oban: str = "Oban",
        **filters: Unpack[FilterOptions],
    ) -> AsyncIterator[Self]:
        """Remove all settled workflows that are found, as `cancel_all` cancels.

        Args:
            everything: Must be true where no filter is given.
            dry_run: Only yield what would be removed.
            oban: The name of an Oban instance.
            filters: As for `search`.

        Yields:
            Handles to the workflows that were removed.

        Raises:
            InvalidArgumentError: If there is no filter, and not everything is meant.

        Example:
            >>> async for workflow in Workflow.delete_all(until=last_year):
            ...     print("removed", workflow.id)
        """
        narrowed = narrow(check_filters(**filters), SETTLED, everything=everything)

        async for id in searching.each(oban, narrowed, searching.try_delete, dry_run=dry_run):
            yield cls._at(id, oban)

    @classmethod
    def _at(cls, id: str, oban: str) -> Self:
        return cls(id=id, oban=oban)  # type: ignore[call-arg]
