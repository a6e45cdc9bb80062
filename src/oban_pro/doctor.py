"""Checking the bookkeeping against the states of the jobs, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import introspection, schema, telemetry, transactions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .introspection import Place
    from .store import Store


class Difference(NamedTuple):
    """One thing in the bookkeeping that the states of the jobs do not bear out.

    ``name`` is that of the job or nested workflow within its workflow, None for a root.
    """

    root_id: str
    workflow_id: str
    name: str | None
    field: str
    stored: str | None
    actual: str | None

    def __str__(self) -> str:
        where = self.workflow_id if self.name is None else f"{self.workflow_id}/{self.name}"

        return f"{self.field} of {where} must be {self.actual}, got {self.stored}"


async def audit(place: Place = "Oban", workflow_id: str | None = None) -> list[Difference]:
    """Recompute every counter from the states of the jobs.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all.

    Returns:
        What is wrong; nothing, unless somebody switched triggers off or wrote to our tables.

    Example:
        >>> assert not await oban_pro.doctor.audit()
    """
    async with introspection.connect(place) as store:
        return [Difference(*row) for row in await store.audit(workflow_id)]


def _repairing(root_id: str) -> Callable[[Store], Awaitable[int]]:
    return lambda store: store.repair(root_id)


async def repair(place: Place = "Oban", workflow_id: str | None = None) -> int:
    """Mend the bookkeeping, release jobs that wait for nothing, cancel those that wait in vain.

    Args:
        place: The name of an Oban instance.
        workflow_id: Only of the root that this workflow belongs to; by default of all.

    Returns:
        How many rows were wrong.

    Example:
        >>> await oban_pro.doctor.repair()
    """
    query = introspection.query_for(place)
    await schema.ensure_query(query)
    mended = 0

    for root_id in {difference.root_id for difference in await audit(place, workflow_id)}:
        count = await transactions.run(query, _repairing(root_id))
        telemetry.execute("oban.workflow.repaired", {"workflow_id": root_id, "count": count})
        mended += count

    return mended
