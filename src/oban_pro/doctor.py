"""Checking the bookkeeping against the states of the jobs, and correcting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import telemetry
from .engine.results import Difference
from .engine.session import session_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .engine.session import Place
    from .engine.store import Store


__all__ = ["Difference", "audit", "repair"]


async def audit(place: Place = "Oban", workflow_id: str | None = None) -> list[Difference]:
    """Recompute every counter from the states of the jobs.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all, and the
            sequences as well.

    Returns:
        What is wrong; nothing, unless somebody switched triggers off, wrote to our tables, or
        restored them in part.

    Example:
        >>> assert not await oban_pro.doctor.audit()
    """
    # No timeout of the role may stop it, because it takes the longer the more workflows there are.
    session = session_for(place)
    found = await session.execute(lambda store: store.audit(workflow_id), kind="reader")

    if workflow_id is not None:
        return found

    return [*await session.execute(lambda store: store.sequences(), kind="reader"), *found]


def _repairing(root_id: str) -> Callable[[Store], Awaitable[int]]:
    return lambda store: store.repair(root_id)


async def repair(place: Place = "Oban", workflow_id: str | None = None) -> int:
    """Mend the bookkeeping, release jobs that wait for nothing, cancel those that wait in vain.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all, and the
            sequences as well.

    Returns:
        How many rows were wrong.

    Example:
        >>> await oban_pro.doctor.repair()
    """
    session = session_for(place)
    mended = 0
    roots = {difference.root_id for difference in await audit(place, workflow_id)}

    if None in roots:
        mended += await session.execute(lambda store: store.repair_sequences())

    for root_id in filter(None, roots):
        count = await session.execute(_repairing(root_id))
        telemetry.execute("oban.workflow.repaired", {"workflow_id": root_id, "count": count})
        mended += count

    return mended
