"""Graft points: where a running job may add a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro.errors import GraftError
from oban_pro.model import job_notes, meta

if TYPE_CHECKING:
    from oban import Job

    from oban_pro.building.plan import Plan

    from .results import GraftPoint
    from .store import Store


def keep_returned(grafter: Job, plan: Plan) -> None:
    """Keep what a grafter returned, to be grafted in the transaction that settles it."""
    grafter.extra[job_notes.RETURNED] = plan


def returned_by(grafter: Job) -> Plan | None:
    """Return what a grafter returned, if anything."""
    plan: Plan | None = grafter.extra.get(job_notes.RETURNED)

    return plan


def note_graft(grafter: Job, workflow_id: str) -> None:
    """Note which workflow a running grafter grafts.

    Raises:
        GraftError: If the job is no grafter, or grafts another workflow in the same execution.
    """
    name = grafter.meta.get(meta.NAME)

    if not grafter.meta.get(meta.GRAFT):
        raise GraftError(f"job {name!r} must be a grafter to graft, add it with add_graft()")

    if grafter.extra.setdefault(job_notes.GRAFTED, workflow_id) != workflow_id:
        raise GraftError(f"grafter {name!r} must graft one workflow, got a second one")


async def open_graft(store: Store, grafter: Job) -> GraftPoint:
    """Lock the workflow of a running grafter, and find its graft point.

    A grafter that runs again finds the graft of its first run.

    Raises:
        GraftError: If the job is no grafter, or no longer the one that executes.
    """
    name = grafter.meta.get(meta.NAME)
    await store.lock_root(meta.workflow_id(grafter) or "")
    found = await store.graft(grafter.id or 0)

    if found is None:
        raise GraftError(f"job {name!r} must be a grafter to graft, add it with add_graft()")

    if found.state != "executing" or found.attempted_at != grafter.attempted_at:
        again = " again" if found.state == "executing" else ""
        raise GraftError(
            f"grafter {name!r} must be executing to graft, it is {found.state}{again} now"
        )

    return found
