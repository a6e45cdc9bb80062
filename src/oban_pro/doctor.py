"""Checking the bookkeeping against the states of the jobs, and correcting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import stores, telemetry
from .engine.differences import LOST_OBJECT, Difference
from .engine.lost_objects import lost_objects
from .engine.session import session_for
from .stores import check_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .engine.session import Place
    from .engine.store import Store


__all__ = ["Difference", "audit", "repair"]


async def audit(
    place: Place = "Oban", workflow_id: str | None = None, *, store: str | None = None
) -> list[Difference]:
    """Recompute every counter from the states of the jobs, and look for objects without a job.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all, and the
            sequences as well.
        store: The URL of a store to look at beside those that workflows name.

    Returns:
        What is wrong; nothing, unless somebody switched triggers off, wrote to our tables, restored
        them in part, or a process was killed between writing to a store and to the database.

    Example:
        >>> assert not await oban_pro.doctor.audit()
    """
    # No timeout of the role may stop it, because it takes the longer the more workflows there are.
    session = session_for(place)
    url = check_store(store)
    found = await session.execute(lambda store: store.audit(workflow_id), kind="reader")
    objects = await lost_objects(session, workflow_id, url)

    if workflow_id is not None:
        return [*found, *objects]

    sequences = await session.execute(lambda store: store.sequences(), kind="reader")

    return [*sequences, *found, *objects]


def _repairing(root_id: str) -> Callable[[Store], Awaitable[int]]:
    return lambda store: store.repair(root_id)


async def repair(
    place: Place = "Oban", workflow_id: str | None = None, *, store: str | None = None
) -> int:
    """Mend the bookkeeping, release jobs that wait for nothing, cancel those that wait in vain.

    Objects that nothing refers to are deleted.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all, and the
            sequences as well.
        store: The URL of a store to look at beside those that workflows name.

    Returns:
        How many rows were wrong, and how many objects were deleted.

    Example:
        >>> await oban_pro.doctor.repair()
    """
    session = session_for(place)
    found = await audit(place, workflow_id, store=store)
    lost = [one.name for one in found if one.field == LOST_OBJECT and one.name is not None]
    roots = {one.root_id for one in found}
    mended = await stores.in_thread(stores.delete, lost) if lost else 0

    if any(one.field == "sequence" for one in found):
        mended += await session.execute(lambda store: store.repair_sequences())

    for root_id in filter(None, roots):
        count = await session.execute(_repairing(root_id))
        telemetry.execute("oban.workflow.repaired", {"workflow_id": root_id, "count": count})
        mended += count

    return mended
