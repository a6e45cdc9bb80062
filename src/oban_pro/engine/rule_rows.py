"""Columns and rows for the rare rules of a plan: limits, joins, waits, final jobs.

``keys`` are those of the plan's groups, ``root`` is the key of the root that they are in.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from oban_pro.building import undos as undoing
from oban_pro.building.waits import Clock
from oban_pro.model import meta

from .undoing import insert_undos

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oban_pro.building.plan import Plan, PlannedGroup
    from oban_pro.building.tolerance import Tolerance

    from .store import Store


def tolerance(
    tolerance: Tolerance, *, is_broken: bool, judged: int | None = None
) -> dict[str, Any]:
    """Return the columns of a group about failures; a broken group tolerates none.

    A share counts the members of the group. Its judge is no member: ``judged`` counts the others.
    """
    is_share = judged is not None and 0 < tolerance.limit < 1
    limit = tolerance.limit * (judged or 0) // 1 if is_share else tolerance.limit

    return {
        "tolerates": str(limit),
        "fail_fast": tolerance.fail_fast or None,
        "voided": is_broken or None,
    }


def limits(plan: Plan, group: PlannedGroup) -> dict[str, Any]:
    """Return the limits of a group as columns, and whether it holds a slot itself."""
    columns: dict[str, Any] = {}

    if group.spec.limits is not None:
        columns["max_open"] = group.spec.limits.limit
        columns["rate_allowed"] = group.spec.limits.allowed
        columns["rate_period"] = group.spec.limits.period

    if group.spec.kind == "graft" and group.parent is not None:
        around = plan.groups[group.parent].spec
        attached = group.parent == 0 and plan.attachment is not None and plan.attachment.is_limited

        if attached or (around.kind == "fan_out" and around.limits is not None):
            columns["has_begun"] = False

    return columns


def joins(plan: Plan, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the members that need only some of their dependencies."""
    members = chain(
        ((one.job.id, one.join) for one in plan.jobs),
        ((key, one.join) for key, one in zip(keys, plan.groups, strict=True)),
    )

    for member, join in members:
        if join is not None:
            yield {"id": member, **join._asdict()}


def waits(plan: Plan, keys: Sequence[int], root: int) -> Iterator[dict[str, Any]]:
    """Yield what jobs wait for that nobody runs."""
    for planned in plan.jobs:
        if (wait := planned.wait) is not None:
            yield {
                "id": planned.job.id,
                "root": root,
                "group_key": keys[planned.group],
                "kind": wait.kind,
                "wanted": wait.wanted,
                "choices": wait.choices,
                "on_timeout": wait.on_timeout,
                "fallback": wait.fallback,
            }


def timers(plan: Plan, keys: Sequence[int], root: int) -> Iterator[dict[str, Any]]:
    """Yield the clocks of jobs and groups; delays of one job add up."""
    owners = chain(
        ((one.job.id, one.clocks) for one in plan.jobs if one.clocks),
        ((keys[i], one.spec.clocks) for i, one in enumerate(plan.groups) if one.spec.clocks),
    )

    for target, clocks in owners:
        delays = [clock.seconds or 0 for clock in clocks if clock.kind == "delay"]
        rows = [Clock("delay", sum(delays), None)] if delays else []

        for clock in chain(rows, (clock for clock in clocks if clock.kind != "delay")):
            yield {"target": target, "root": root, **asdict(clock)}


def finals(plan: Plan, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the final jobs."""
    for planned in plan.jobs:
        if planned.runs_on is not None:
            group_key = keys[planned.group]
            yield {"id": planned.job.id, "group_key": group_key, "runs_on": planned.runs_on}


def undos(plan: Plan, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the undos of jobs."""
    for planned in plan.jobs:
        if planned.undo is not None:
            spec = undoing.to_json(planned.undo)
            yield {"id": planned.job.id, "group_key": keys[planned.group], "spec": spec}


def undone(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield the jobs that undo others, and what they undo."""
    if plan.grafter is not None and plan.grafter.worker == undoing.UNDOER_WORKER:
        for planned in plan.jobs:
            if (id := planned.job.meta.get(meta.UNDOES)) is not None:
                yield {"id": id, "undo_id": planned.job.id}


async def insert(store: Store, plan: Plan, keys: Sequence[int], root: int) -> None:
    """Insert the rows of rare rules, before any added member can break its dependents.

    Raises:
        InvalidArgumentError: If a workflow around jobs with an undo has a member with the name of
            the graft that would undo it.
    """
    if found := [*joins(plan, keys)]:
        await store.insert_joins(orjson.dumps(found))

    if found := [*waits(plan, keys, root)]:
        await store.insert_waits(orjson.dumps(found))

    if found := [*timers(plan, keys, root)]:
        await store.insert_timers(orjson.dumps(found))

    if found := [*finals(plan, keys)]:
        await store.insert_finals(root, orjson.dumps(found))

    if found := [*undos(plan, keys)]:
        await insert_undos(store, root, found)

    if found := [*undone(plan)]:
        await store.note_undos(orjson.dumps(found))
