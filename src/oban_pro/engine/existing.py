"""Workflows that exist already when somebody enqueues them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from oban_pro.building.plan import plan_of
from oban_pro.errors import IncompleteWorkflowError
from oban_pro.model import meta
from oban_pro.model.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oban import Job

    from oban_pro.building.plan import Plan

    from .store import Store

_log = logging.getLogger("oban_pro")


class Existing(NamedTuple):
    """A workflow that exists already, and the number of its jobs where all must be there."""

    id: str
    jobs: int | None = None


async def result(store: Store, jobs: Sequence[Job], existing: Mapping[int, Existing]) -> list[Job]:
    """Return the jobs of a batch; for a workflow that exists, the jobs that it has in the database.

    Raises:
        IncompleteWorkflowError: If a workflow exists, but only some of its jobs do.
    """
    if not existing:
        return [*jobs]

    result: list[Job] = []
    loaded: set[int] = set()

    for job in jobs:
        plan = plan_of(job)

        if plan is None or id(plan) not in existing:
            result.append(job)
        elif id(plan) not in loaded:
            loaded.add(id(plan))
            there = existing[id(plan)]
            stored = await _load(store, there)
            result.extend(stored)

            if there.id == plan.id:
                _warn_of_difference(plan, stored)

    return result


async def _load(store: Store, workflow: Existing) -> list[Job]:
    jobs = await store.jobs(workflow.id, with_subs=True)

    if workflow.jobs is not None and len(jobs) < workflow.jobs:
        raise IncompleteWorkflowError(
            f"workflow {workflow.id!r} has {len(jobs)} of its {workflow.jobs} jobs left, so it can"
            " be neither returned nor enqueued anew; delete those that are left, or use another id"
        )

    return jobs


def _warn_of_difference(plan: Plan, jobs: Iterable[Job]) -> None:
    """Warn where a workflow that exists already differs from what was enqueued under its id.

    Jobs that were grafted or appended since make no difference.
    """
    stored = {
        (job.meta.get(meta.WORKFLOW_ID), job.meta.get(meta.NAME)): (
            job.worker,
            job.meta.get(meta.DEPS),
        )
        for job in jobs
    }

    for planned in plan.jobs:
        job = planned.job
        key = job.meta.get(meta.WORKFLOW_ID), job.meta.get(meta.NAME)

        if stored.get(key) != (job.worker, job.meta.get(meta.DEPS)):
            what = "depends on something else" if key in stored else "is not there"
            _log.warning(
                "workflow %r exists already, and differs from what was enqueued: %r %s",
                plan.id,
                _path(plan, planned.group, planned.name),
                what,
            )
            return


def _path(plan: Plan, group: int | None, name: str) -> str:
    names = [name]

    while group is not None and plan.groups[group].parent is not None:
        names.append(plan.groups[group].sub_name or "")
        group = plan.groups[group].parent

    return join_path(names[::-1])
