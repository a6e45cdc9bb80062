"""Write planned workflows and plain jobs to the database."""

from __future__ import annotations

from functools import partial
from itertools import batched, chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg.errors import UniqueViolation

from oban_pro import telemetry
from oban_pro.building import defaults
from oban_pro.building.plan import EXTERNAL, GRAFTED_NAME, Flags, Plan, plan_of
from oban_pro.building.undos import UNDOER_WORKER
from oban_pro.building.uniqueness import KEYS
from oban_pro.building.waits import JOINS, TOLERANCES
from oban_pro.errors import DuplicateIdError
from oban_pro.gc_pause import uncollected
from oban_pro.model import meta

from . import reusing, rule_rows
from .claiming import insert_unique
from .encoding import Entry, array, encode
from .existing import Existing, result
from .grafting import open_graft
from .tracing import carry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from oban import Job

    from .store import Store

# Jobs are encoded while the server inserts the ones before.
JOBS_PER_STATEMENT = 2_000
GROUPS_PER_STATEMENT = 20_000


class Batch(NamedTuple):
    """Jobs in the order given, and the workflows that some of them belong to."""

    jobs: list[Job]
    plans: list[Plan]


async def insert(store: Store, batch: Batch) -> list[Job]:
    """Insert all jobs of a batch, except those of workflows that exist already.

    Args:
        store: Statements within a transaction.
        batch: The jobs, with every workflow whole.

    Returns:
        The jobs with their ids and states, in the order given; for a workflow that exists, the
        jobs it has in the database instead.

    Raises:
        DuplicateIdError: If the id given to a nested workflow is taken.
        IncompleteWorkflowError: If a workflow exists, but only some of its jobs do.
        InvalidJobError: If the args or meta of a job cannot be stored.
    """
    groups = sum(len(plan.groups) for plan in batch.plans)
    ids, keys, now = await store.reserve(len(batch.jobs), groups)
    await reusing.note_reused(store, batch.plans)
    placed, existing = await _place(store, batch.plans, keys)
    await _insert_groups(store, placed)

    for one in placed:
        await carry(store, one.plan, one.root)

    is_small = len(batch.jobs) <= JOBS_PER_STATEMENT

    async with store.at_once() if is_small else store.one_by_one():
        await _insert_jobs(store, _distinct(batch.jobs, existing), ids, now)
        await _insert_members(store, placed)

    for one in placed:
        if one.plan.rules:
            await rule_rows.insert(store, one.plan, one.keys, one.root)

            if one.plan.attachment is not None or one.parent is not None:
                await store.admit(one.root, one.plan.rules, [], None)

    await _count_added(store, placed)

    for one in placed:
        if one.plan.rules or one.holds_back:
            await _admit(store, one)

    for one in placed:
        await _break_jobs(store, one)

    for plan in batch.plans:
        plan.is_inserted = id(plan) not in existing

        if plan.learn is not None and plan.grafter is None:
            there = existing.get(id(plan))
            plan.learn(there.id if there else plan.id, there is not None)

    return await result(store, batch.jobs, existing)


def tell_inserted(plans: Iterable[Plan]) -> None:
    """Tell telemetry of the workflows that were inserted, once that is committed."""
    for plan in plans:
        if not plan.is_inserted:
            continue

        metadata: dict[str, Any] = {"workflow_id": plan.id, "count": len(plan.jobs)}

        if plan.grafter is None:
            metadata["name"] = plan.groups[0].spec.name
            telemetry.execute("oban.workflow.inserted", metadata)

            if plan.replaced is not None:
                replaced, count = plan.replaced
                names = {"workflow_id": replaced, "names": None, "count": count}
                telemetry.execute("oban.workflow.cancelled", names)
        elif plan.grafter.worker == UNDOER_WORKER:
            metadata["workflow_id"] = meta.workflow_id(plan.grafter)
            telemetry.execute("oban.workflow.undoing", {**metadata, "job": plan.grafter})
        else:
            telemetry.execute("oban.workflow.grafted", {**metadata, "job": plan.grafter})


class _Placed(NamedTuple):
    """A plan with the keys of its groups, and where in the database it goes."""

    plan: Plan
    keys: list[int]
    root: int
    # the group that holds the plan's first group; the plan is added to it
    parent: int | None = None
    # whether the plan has the dependencies of its parent, and all of them are satisfied
    gated: bool = False
    # bits of the rare rules that the root uses, once the plan is in it
    rules: int = 0

    @property
    def holds_back(self) -> bool:
        """Whether other things than dependencies decide which jobs of this root start."""
        return bool(self.rules & ~(JOINS | TOLERANCES))

    def resolve(self, pointer: int) -> int:
        """Return the id of the job, or the key of the group, that a pointer stands for."""
        if pointer >= EXTERNAL:
            return self.plan.externals[pointer - EXTERNAL].id

        return self.keys[~pointer] if pointer < 0 else self.plan.jobs[pointer].job.id or 0


def _at(
    plan: Plan, keys: list[int], root: int, rules: int, parent: int | None = None, **options: bool
) -> _Placed:
    """Place a plan; in a root with rare rules the database decides which of its jobs start."""
    placed = _Placed(plan, keys, root, parent, rules=rules, **options)

    if placed.holds_back:
        plan.suspend_all()

    return placed


def _distinct(jobs: Sequence[Job], existing: Iterable[int]) -> Iterator[Entry]:
    """Put each workflow in its own order, once; a plain job listed twice is meant twice."""
    seen = {*existing}

    for job in jobs:
        if (plan := plan_of(job)) is None:
            yield Entry(job)
        elif id(plan) not in seen:
            seen.add(id(plan))

            for planned in plan.jobs:
                yield Entry(planned.job, planned, plan)


async def _place(
    store: Store, plans: Iterable[Plan], keys: Sequence[int]
) -> tuple[list[_Placed], dict[int, Existing]]:
    """Insert the roots, and find where everything else goes.

    Returns:
        What is to be inserted, and for each plan that exists already its workflow.
    """
    remaining = iter(keys)
    placed: list[_Placed] = []
    roots: list[_Placed] = []
    existing: dict[int, Existing] = {}

    for plan in plans:
        own = [next(remaining) for _ in plan.groups]

        if plan.grafter is not None:
            graft = await open_graft(store, plan.grafter)

            if graft.grafted is None:
                rules = plan.rules | graft.rules
                gated = graft.satisfied
                placed.append(_at(plan, own, graft.root, rules, graft.key, gated=gated))
            else:
                existing[id(plan)] = Existing(graft.grafted)
        elif plan.attachment is not None:
            attached = [plan.attachment.key, *own[1:]]
            rules = plan.rules | plan.attachment.rules
            placed.append(_at(plan, attached, plan.attachment.root, rules))
        else:
            roots.append(_at(plan, own, own[0], plan.rules))

    if roots:
        taken = await _insert_roots(store, [one for one in roots if not one.plan.rules & KEYS])
        # always in the same order, as they wait for each other at their keys
        wanting = [(one.plan.groups[0].spec.unique, one) for one in roots]

        for unique, root in sorted(wanting, key=lambda one: one[0].key if one[0] else ""):
            if unique is not None:
                insert = partial(_is_inserted, store, root)
                there = await insert_unique(store, root.plan, unique, root.root, insert)
                taken |= {} if there is None else {root.root: there}

        for root in roots:
            if root.root in taken:
                existing[id(root.plan)] = taken[root.root]
            else:
                placed.append(root)

    return placed, existing


async def _is_inserted(store: Store, root: _Placed) -> bool:
    return not await _insert_roots(store, [root])


async def _insert_roots(store: Store, roots: Sequence[_Placed]) -> dict[int, Existing]:
    """Insert the roots whose id is free, or can be made free; returns the others, by key."""
    left = {root.root: root for root in roots}
    inserted: set[str] = set()

    while True:
        rows = [_group_row(root, 0) for root in left.values()]
        inserted |= {left.pop(key).plan.id for key in await store.insert_roots(orjson.dumps(rows))}

        # A root that is in the batch twice was inserted just now, and has no jobs yet.
        taken = {root.plan.id for root in left.values()} - inserted
        jobs = await store.free_ids([*taken]) if taken else {}

        if taken <= jobs.keys():
            return {
                key: Existing(root.plan.id, jobs.get(root.plan.id)) for key, root in left.items()
            }


async def _insert_groups(store: Store, placed: Sequence[_Placed]) -> None:
    given = [
        group.id for one in placed for group in one.plan.groups[1:] if group.spec.id is not None
    ]

    if given:
        await store.free_ids(given)

    rows = (
        _group_row(one, index)
        for one in placed
        for index in range(0 if one.parent is not None else 1, len(one.plan.groups))
    )

    try:
        # Encoding all jobs first would keep the transaction idle for long.
        for some in batched(rows, GROUPS_PER_STATEMENT):
            await store.insert_groups(orjson.dumps(some))
    except UniqueViolation as error:
        raise DuplicateIdError(
            f"id of a nested workflow is taken: {error.diag.message_detail}"
        ) from error


def _group_row(placed: _Placed, index: int) -> dict[str, Any]:
    group = placed.plan.groups[index]
    own: dict[str, Any] = {"defaults": defaults.to_json(group.defaults)} if group.defaults else {}

    if group.store is not None:
        own["store"] = group.store

    if (tolerance := group.spec.tolerance) is not None:
        others = None if group.spec.judge is None else group.total - 1 + group.subs
        own |= rule_rows.tolerance(tolerance, is_broken=group.cause is not None, judged=others)

    return {
        **own,
        **rule_rows.limits(placed.plan, group),
        "key": placed.keys[index],
        "id": group.id,
        "root": placed.root,
        "parent": placed.parent if group.parent is None else placed.keys[group.parent],
        "kind": group.spec.kind,
        "name": group.spec.name,
        "context": group.spec.context,
        "attributes": group.spec.attributes,
        "empty_state": group.empty_state,
        "total": group.total,
        "suspended": group.suspended,
        "completed": group.completed,
        "subs": group.subs,
        "subs_completed": group.subs_completed,
        "subs_cancelled": group.subs_cancelled,
        "judged": None if group.spec.judge is None else _flags(False, *group.flags) >> 1,
    }


async def _insert_jobs(
    store: Store, entries: Iterable[Entry], ids: Iterable[int], now: datetime
) -> None:
    remaining = iter(ids)

    for some in batched(entries, JOBS_PER_STATEMENT):
        own = [*islice(remaining, len(some))]
        rows = encode(some)
        rows.number(own, now)

        if any(shape.reused for shape in rows.shapes):
            rows.copied = await reusing.copy_objects(store, some)

        await store.insert_jobs(rows.params(own))


async def _insert_members(store: Store, placed: Sequence[_Placed]) -> None:
    ids, group_keys, names, pendings, flags = _columns(map(_members, placed), 5)

    if ids:
        await store.insert_members(
            {
                "ids": array(ids),
                "group_keys": array(group_keys),
                "names": orjson.dumps(names).decode(),
                "pendings": array(pendings),
                "flags": array(flags),
            }
        )

    upstreams, downstreams = _columns(map(_edges, placed), 2)

    if upstreams:
        await store.insert_edges(array(upstreams), array(downstreams))

    if any(one.plan.judges for one in placed):
        upstreams, downstreams = _columns((_edges(one, of_judges=True) for one in placed), 2)
        await store.insert_judge_edges(array(upstreams), array(downstreams))


@uncollected()
def _columns(rows: Iterable[Iterable[tuple[Any, ...]]], width: int) -> Sequence[Sequence[Any]]:
    """Turn rows into columns; `width` says how many, for no rows at all."""
    return [*zip(*chain.from_iterable(rows), strict=True)] or [()] * width


def _members(placed: _Placed) -> Iterable[tuple[int, int, str, int, int]]:
    plan, keys = placed.plan, placed.keys

    if placed.parent is not None:
        yield keys[0], placed.parent, GRAFTED_NAME, 0, _flags(placed.gated, *plan.groups[0].flags)

    # What a graft depends on is what the first jobs grafted to it depend on, at any depth.
    depending = {down for _, down in plan.edges} if placed.gated else set()
    gated = {0} if placed.gated else set()

    for index, group in enumerate(plan.groups):
        if group.parent is not None:
            if group.parent in gated and ~index not in depending:
                gated.add(index)

            own = group.flags if group.spec.judge is None else Flags()
            flags = _flags(group.gated or index in gated, *own)
            yield keys[index], keys[group.parent], group.sub_name or "", group.pending, flags

    for index, one in enumerate(plan.jobs):
        assert one.job.id is not None
        is_gated = one.gated or (one.group in gated and index not in depending)
        # what its group waits for is counted in the group
        pending = 0 if one.gated else one.pending
        yield one.job.id, keys[one.group], one.name, pending, _flags(is_gated, *one.flags)


def _flags(gated: bool, ignore_cancelled: bool, ignore_discarded: bool) -> int:
    # The caller may have passed any truthy value.
    return bool(gated) | bool(ignore_cancelled) << 1 | bool(ignore_discarded) << 2


def _edges(placed: _Placed, *, of_judges: bool = False) -> Iterable[tuple[int, int]]:
    """Yield the edges of a plan: those from judges, or the others."""
    plan = placed.plan

    return (
        (placed.resolve(up), placed.resolve(down))
        for up, down in plan.edges
        if (up in plan.judges) is of_judges
    )


async def _count_added(store: Store, placed: Iterable[_Placed]) -> None:
    """Count what was added to groups that were there."""
    for plan, _, _, parent, *_ in placed:
        group = plan.groups[0]

        if parent is not None:
            await store.add_to_group(parent, subs=1, subs_completed=int(group.state == "completed"))
        elif plan.attachment is not None:
            await store.add_to_group(
                plan.attachment.key,
                total=group.total,
                suspended=group.suspended,
                subs=group.subs,
                subs_completed=group.subs_completed,
                subs_cancelled=group.subs_cancelled,
            )


async def _break_jobs(store: Store, placed: _Placed) -> None:
    """Cancel jobs that were just inserted, and that wait for something that broke before."""
    broken = [
        (one.job.id or 0, placed.resolve(one.cause.pointer), one.cause.text)
        for one in placed.plan.jobs
        if one.cause is not None
    ]

    if broken:
        await store.break_jobs(*_columns([broken], 3))


async def _admit(store: Store, placed: _Placed) -> None:
    """Let the database decide which jobs start."""
    plan = placed.plan
    # final jobs of an empty workflow start at once
    ready = {
        one.job.id or 0: one.job
        for one in plan.jobs
        if (one.pending <= 0 or one.runs_on is not None) and one.suspended
    }
    extended = placed.parent if plan.attachment is None else plan.attachment.key
    states = await store.admit(placed.root, plan.rules, [*ready], extended)

    for job_id, state in states.items():
        ready[job_id].state = state
