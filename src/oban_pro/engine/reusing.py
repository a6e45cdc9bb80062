"""Find out for which jobs of a plan the results of another workflow stand."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import batched
from typing import TYPE_CHECKING, Any

import orjson

from oban_pro import stores
from oban_pro.building.cascades import CASCADE_WORKER
from oban_pro.building.conditions import JUDGE_WORKER
from oban_pro.building.plan import GRAFTER_NAME
from oban_pro.building.spread import Spread, Verdict
from oban_pro.errors import UnknownNameError, UnknownWorkflowError
from oban_pro.gc_pause import uncollected
from oban_pro.model import meta
from oban_pro.model.paths import join_path, split_path
from oban_pro.values.recorded import copy_to

from .encoding import array, dump_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oban_pro.building.plan import Plan, PlannedJob
    from oban_pro.building.reuse import Reuse

    from .encoding import Entry
    from .reuse_statements import OldGroup
    from .store import Store

type Path = tuple[str, ...]

JOBS_PER_STATEMENT = 2_000

ABSENT = "it is not there"
REASONS = {
    "absent": ABSENT,
    "worker": "its worker differs",
    "function": "its function differs",
    "args": "its args differ",
    "condition": "its condition differs",
    "deps": "its deps differ",
}
"""Why a result cannot be reused; else the job did not complete."""


async def note_reused(store: Store, plans: Iterable[Plan]) -> None:
    """Note in plans, before they are inserted, which of their jobs reuse the result of another.

    The reused workflows are locked first, so that their results stay as they are. No other lock
    comes before these, because a transaction that holds a key never waits for a root.

    Raises:
        UnknownWorkflowError: If there is no such root workflow, nor one with the id of the plan.
        UnknownNameError: If something is to run again that is not in the plan.
    """
    reusing = [(plan, plan.reuse) for plan in plans if plan.reuse is not None]

    for old in sorted({reuse.workflow_id for _, reuse in reusing}):
        await store.lock_root(old)

    for plan, reuse in reusing:
        try:
            verdicts = await decide(store, plan, reuse)
        except UnknownWorkflowError:
            # a plan that exists already is not inserted, so it needs no results
            if await store.group(plan.id) is None:
                raise
        else:
            Spread(plan, verdicts).note()


async def decide(store: Store, plan: Plan, reuse: Reuse) -> list[Verdict]:
    """Tell of each job of a plan whose result stands for its own, or why it runs.

    Raises:
        UnknownWorkflowError: If there is no such root workflow.
        UnknownNameError: If something is to run again that is not in the plan.
    """
    groups = await _find_groups(store, plan, reuse.workflow_id)
    plan.copies_objects = any(group.store is not None for group in groups.values())
    verdicts = _first_look(plan, reuse, groups)
    wanted = [n for n, verdict in enumerate(verdicts) if not verdict]

    for some in batched(wanted, JOBS_PER_STATEMENT):
        for n, source, reason in await store.reusable_jobs(_wanted(plan, groups, some)):
            if reason is None and source is not None:
                verdicts[n] = source
            else:
                verdicts[n] = REASONS.get(reason or "", f"it was {reason}")

    Spread(plan, verdicts).spread()

    return verdicts


async def tell_plan(store: Store, plan: Plan, reuse: Reuse) -> dict[str, str]:
    """Tell by path what becomes of the jobs of a plan.

    Raises:
        UnknownWorkflowError: If there is no such root workflow.
        UnknownNameError: If something is to run again that is not in the plan.
    """
    verdicts = await decide(store, plan, reuse)
    _, paths = paths_in(plan)

    return {
        join_path(path): verdict if isinstance(verdict, str) else meta.REUSED
        for path, verdict in zip(paths, verdicts, strict=True)
    }


async def copy_objects(store: Store, entries: Iterable[Entry]) -> dict[int, str]:
    """Copy the objects that reused results refer to, so that each job has its own.

    Args:
        store: Statements within a transaction that holds the reused workflow.
        entries: Jobs that are to be inserted, with their ids.

    Returns:
        What jobs record that refers to copies, encoded, by id.

    Raises:
        CodecError: Naming a job whose object is missing.
        Exception: Whatever the file system raises.
    """
    reused = {
        planned.source: (job, plan.groups[planned.group])
        for job, planned, plan in entries
        if planned is not None
        and planned.source is not None
        and plan is not None
        and plan.copies_objects
    }
    copied = {}

    for source, encoded in await store.reused_values([*reused]) if reused else []:
        job, group = reused[source]
        url = f"{stores.folder(group.store or '', group.id, job.id)}/{stores.COPIED}"
        copied[job.id or 0] = await stores.in_thread(copy_to, url, job.meta[meta.NAME], encoded)

    return copied


def paths_in(plan: Plan) -> tuple[list[Path], list[Path]]:
    """Return the paths of the groups of a plan, and those of its jobs."""
    groups: list[Path] = []

    for group in plan.groups:
        around = () if group.parent is None else (*groups[group.parent], group.sub_name or "")
        groups.append(around)

    jobs = [
        # a grafter goes by the name of its graft
        groups[one.group]
        if one.name == GRAFTER_NAME and _is_graft(plan, one.group)
        else (*groups[one.group], one.name)
        for one in plan.jobs
    ]

    return groups, jobs


def _is_graft(plan: Plan, group: int) -> bool:
    return plan.groups[group].spec.kind == "graft"


async def _find_groups(store: Store, plan: Plan, workflow_id: str) -> dict[int, OldGroup]:
    rows = [
        {
            "n": n,
            "parent": group.parent,
            "name": group.sub_name,
            "kind": group.spec.kind,
            "context": group.spec.context,
        }
        for n, group in enumerate(plan.groups)
    ]
    found = await store.reusable_groups(workflow_id, orjson.dumps(rows))

    if not found:
        raise UnknownWorkflowError(f"there is no root workflow {workflow_id!r} to reuse")

    return {group.n: group for group in found}


def _first_look(plan: Plan, reuse: Reuse, groups: dict[int, OldGroup]) -> list[Verdict]:
    """Tell why jobs run, where that needs no look at the other ones; 0 elsewhere."""
    named = _find_named(plan, reuse)

    def look(n: int) -> Verdict:
        job = plan.jobs[n]

        if job.runs_on is not None:
            return "final jobs always run"

        if _is_graft(plan, job.group):
            return "grafts always run"

        if n in named:
            return "it is named in rerun"

        if job.group not in groups:
            return ABSENT

        if groups[job.group].store is not None and plan.groups[job.group].store is None:
            return "its workflow had a store, and this one has none"

        return 0 if groups[job.group].is_alike else "its context differs"

    return [look(n) for n in range(len(plan.jobs))]


def _find_named(plan: Plan, reuse: Reuse) -> set[int]:
    """Return the numbers of the jobs that are to run again, by their paths or those of groups."""
    if not reuse.rerun:
        return set()

    groups, jobs = paths_in(plan)
    known = {*groups, *jobs}
    named: set[Path] = set()

    for name in reuse.rerun:
        path = (name,) if name in plan.groups[0].spec.members else split_path(name)

        if path not in known:
            close = get_close_matches(name, map(join_path, known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(
                f"there is nothing named {name!r} in workflow {plan.id!r} to run again{hint}"
            )

        named.add(path)

    return {
        n
        for n, path in enumerate(jobs)
        if any(path[:end] in named for end in range(1, len(path) + 1))
    }


@uncollected()
def _wanted(plan: Plan, groups: dict[int, OldGroup], numbers: Sequence[int]) -> dict[str, Any]:
    """Return what jobs must have in common with those that are looked for, as parameters."""
    old_ids = {plan.groups[n].id: group.id for n, group in groups.items()}
    shapes: dict[tuple[int, str, bytes], int] = {}
    # many jobs share a list
    deps: dict[int, bytes] = {}
    jobs = [plan.jobs[n] for n in numbers]

    def shape(planned: PlannedJob) -> int:
        condition = orjson.dumps(planned.job.meta.get(meta.WHEN))
        key = groups[planned.group].key, planned.job.worker, condition

        return shapes.setdefault(key, len(shapes))

    def deps_of(planned: PlannedJob) -> bytes:
        own = planned.job.meta[meta.DEPS]

        if id(own) not in deps:
            deps[id(own)] = orjson.dumps([_in_old(dep, old_ids) for dep in own])

        return deps[id(own)]

    shape_numbers = [shape(planned) for planned in jobs]
    rows = [
        {
            "n": n,
            "key": key,
            "worker": worker,
            "is_function": worker in (CASCADE_WORKER, JUDGE_WORKER),
            "condition": orjson.Fragment(condition),
        }
        for (key, worker, condition), n in shapes.items()
    ]

    return {
        "numbers": array(numbers),
        "shape_numbers": array(shape_numbers),
        "names": orjson.dumps([planned.name for planned in jobs]).decode(),
        "args": dump_args([planned.job for planned in jobs]),
        "deps": f"[{b','.join(map(deps_of, jobs)).decode()}]",
        "shapes": orjson.dumps(rows).decode(),
    }


def _in_old(dep: meta.Dep, old_ids: dict[str, str]) -> meta.Dep:
    """Spell a dependency as it would be in the other workflow."""
    return dep if isinstance(dep, str) else [old_ids.get(dep[0], dep[0]), *dep[1:]]
