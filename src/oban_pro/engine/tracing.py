"""Let the jobs of a workflow carry its trace, if somebody traces workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import telemetry
from oban_pro.model import meta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oban_pro.building.plan import Plan

    from .store import Store


async def carry(store: Store, plan: Plan, root: int) -> None:
    """Write the trace of a workflow into the meta of the jobs that are about to be inserted.

    Grafts and appended jobs carry the trace of the workflow that they join.

    Args:
        store: Statements within the transaction that inserts the jobs.
        plan: The jobs.
        root: The key of the root workflow that they belong to.
    """
    tracing = telemetry.tracing()

    if tracing is None:
        return

    carried: Mapping[str, str] = {}

    if plan.grafter is not None:
        carried = meta.trace_of(plan.grafter)
    elif plan.attachment is not None:
        carried = await store.carried_trace(root)

    carried = carried or tracing.enqueue(plan.id, plan.groups[0].spec.name, len(plan.jobs))

    for planned in plan.jobs:
        planned.job.meta |= carried
