"""Graft points: where a running job may add a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import meta
from .errors import GraftError

if TYPE_CHECKING:
    from oban import Job

    from .plan import Plan
    from .store import Store

# Where a running grafter remembers what it grafted; not persisted.
_GRAFTED = "oban_workflows_grafted"


# Where a grafter that returned a workflow keeps it until it is settled; not persisted.
_RETURNED = "oban_workflows_returned"


class Graft(NamedTuple):
    """A graft point, locked: its group, and the id of the workflow that was grafted to it.

    ``satisfied`` is whether all that it depends on still is.
    """

    key: int
    root: int
    grafted: str | None
    satisfied: bool


def return_graft(grafter: Job, plan: Plan) -> None:
    """Keep what a grafter returned, to be grafted in the transaction that settles it."""
    grafter.extra[_RETURNED] = plan


def graft_of(grafter: Job) -> Plan | None:
    """Return what a grafter returned, if anything."""
    plan: Plan | None = grafter.extra.get(_RETURNED)

    return plan


def claim(grafter: Job, workflow_id: str) -> None:
    """Note that a running grafter grafts a workflow.

    Raises:
        GraftError: If the job is no grafter, or grafts another workflow in the same execution.
    """
    name = grafter.meta.get(meta.NAME)

    if not grafter.meta.get(meta.GRAFT):
        raise GraftError(f"job {name!r} must be a grafter to graft, add it with add_graft()")

    if grafter.extra.setdefault(_GRAFTED, workflow_id) != workflow_id:
        raise GraftError(f"grafter {name!r} must graft one workflow, got a second one")


async def open_graft(store: Store, grafter: Job) -> Graft:
    """Lock the workflow of a running grafter, and find its graft point.

    A grafter that is run again finds what it grafted the first time.

    Raises:
        GraftError: If the job is no grafter, or no longer the one that executes.
    """
    name = grafter.meta.get(meta.NAME)
    await store.lock(meta.workflow_id(grafter) or "")
    found = await store.graft(grafter.id or 0)

    if found is None:
        raise GraftError(f"job {name!r} must be a grafter to graft, add it with add_graft()")

    *point, state, attempted_at = found

    if state != "executing" or attempted_at != grafter.attempted_at:
        again = " again" if state == "executing" else ""
        raise GraftError(f"grafter {name!r} must be executing to graft, it is {state}{again} now")

    return Graft(*point)
