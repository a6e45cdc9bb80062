"""Write planned workflows and plain jobs to the database."""

from __future__ import annotations

from itertools import batched, chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg.errors import UniqueViolation

from . import telemetry
from .errors import DuplicateIdError
from .garbage import uncollected
from .grafting import open_graft
from .plan import EXTERNAL, GRAFTED, Plan, plan_of
from .rows import Entry, array, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from oban import Job

    from .store import Store

# While the server inserts some, the next are encoded.
JOBS_PER_STATEMENT = 2_000


class Batch(NamedTuple):
    """Jobs in the order given, and the workflows that some of them make up."""

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
        InvalidJobError: If the args or meta of a job cannot be stored.
    """
    groups = sum(len(plan.groups) for plan in batch.plans)
    ids, keys, now = await store.reserve(len(batch.jobs), groups)
    placed, existing = await _place(store, batch.plans, keys)
    await _insert_groups(store, placed)

    async with store.pipeline():
        await _insert_jobs(store, _distinct(batch.jobs, existing), ids, now)
        await _insert_members(store, placed)

    await _extend(store, placed)

    for plan in batch.plans:
        plan.is_inserted = id(plan) not in existing

    return await _result(store, batch.jobs, existing)


def announce(plans: Iterable[Plan]) -> None:
    """Tell telemetry of the workflows that were inserted, once that is committed."""
    for plan in plans:
        if not plan.is_inserted:
            continue

        metadata: dict[str, Any] = {"workflow_id": plan.id, "count": len(plan.jobs)}

        if plan.grafter is None:
            metadata["name"] = plan.groups[0].spec.name
            telemetry.execute("oban.workflow.inserted", metadata)
        else:
            telemetry.execute("oban.workflow.grafted", {**metadata, "job": plan.grafter})


class _Placed(NamedTuple):
    """A plan with the keys of its groups, and where in the database it goes."""

    plan: Plan
    keys: list[int]
    root: int
    # the group that holds the first one, and that is extended by it
    parent: int | None = None
    # whether it shares what its parent depends on, all of it satisfied
    gated: bool = False


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
) -> tuple[list[_Placed], dict[int, str]]:
    """Insert the roots, and find where everything else goes.

    Returns:
        What is to be inserted, and for each plan that exists already the id of its workflow.
    """
    remaining = iter(keys)
    placed: list[_Placed] = []
    roots: list[_Placed] = []
    existing: dict[int, str] = {}

    for plan in plans:
        own = [next(remaining) for _ in plan.groups]

        if plan.grafter is not None:
            graft = await open_graft(store, plan.grafter)

            if graft.grafted is None:
                placed.append(_Placed(plan, own, graft.root, graft.key, graft.satisfied))
            else:
                existing[id(plan)] = graft.grafted
        elif plan.attachment is not None:
            attached = [plan.attachment.key, *own[1:]]
            placed.append(_Placed(plan, attached, plan.attachment.root))
        else:
            roots.append(_Placed(plan, own, own[0]))

    if roots:
        rows = [_group_row(root, 0) for root in roots]
        created = await store.insert_roots(orjson.dumps(rows))

        for root in roots:
            if root.root in created:
                placed.append(root)
            else:
                existing[id(root.plan)] = root.plan.id

    return placed, existing


async def _insert_groups(store: Store, placed: Iterable[_Placed]) -> None:
    rows = [
        _group_row(one, index)
        for one in placed
        for index in range(0 if one.parent is not None else 1, len(one.plan.groups))
    ]

    if not rows:
        return

    try:
        await store.insert_groups(orjson.dumps(rows))
    except UniqueViolation as error:
        raise DuplicateIdError(
            f"id of a nested workflow is taken: {error.diag.message_detail}"
        ) from error


def _group_row(placed: _Placed, index: int) -> dict[str, Any]:
    group = placed.plan.groups[index]

    return {
        "key": placed.keys[index],
        "id": group.id,
        "root": placed.root,
        "parent": placed.parent if group.parent is None else placed.keys[group.parent],
        "kind": group.spec.kind,
        "name": group.spec.name,
        "context": group.spec.context,
        "empty_state": group.empty_state,
        "total": group.total,
        "suspended": group.suspended,
        "subs": group.subs,
        "subs_completed": group.subs_completed,
        "subs_cancelled": group.subs_cancelled,
    }


async def _insert_jobs(
    store: Store, entries: Iterable[Entry], ids: Iterable[int], now: datetime
) -> None:
    remaining = iter(ids)

    for some in batched(entries, JOBS_PER_STATEMENT):
        own = [*islice(remaining, len(some))]
        rows = encode(some)
        rows.number(own, now)
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


@uncollected()
def _columns(rows: Iterable[Iterable[tuple[Any, ...]]], width: int) -> Sequence[Sequence[Any]]:
    """Turn rows into columns of which there are so many."""
    return [*zip(*chain.from_iterable(rows), strict=True)] or [()] * width


def _members(placed: _Placed) -> Iterable[tuple[int, int, str, int, int]]:
    plan, keys = placed.plan, placed.keys

    if placed.parent is not None:
        yield keys[0], placed.parent, GRAFTED, 0, _flags(placed.gated, *plan.groups[0].flags)

    # What a graft depends on is what the first jobs grafted to it depend on, at any depth.
    depending = {down for _, down in plan.edges} if placed.gated else set()
    gated = {0} if placed.gated else set()

    for index, group in enumerate(plan.groups):
        if group.parent is not None:
            if group.parent in gated and ~index not in depending:
                gated.add(index)

            flags = _flags(group.gated or index in gated, *group.flags)
            yield keys[index], keys[group.parent], group.sub_name or "", group.pending, flags

    for index, one in enumerate(plan.jobs):
        assert one.job.id is not None
        is_gated = one.gated or (one.group in gated and index not in depending)
        # what its group waits for is counted there
        pending = 0 if one.gated else one.pending
        yield one.job.id, keys[one.group], one.name, pending, _flags(is_gated, *one.flags)


def _flags(gated: bool, ignore_cancelled: bool, ignore_discarded: bool) -> int:
    # Flags are whatever truth the caller gave.
    return bool(gated) | bool(ignore_cancelled) << 1 | bool(ignore_discarded) << 2


def _edges(placed: _Placed) -> Iterable[tuple[int, int]]:
    plan, keys = placed.plan, placed.keys

    def resolve(pointer: int) -> int:
        if pointer >= EXTERNAL:
            return plan.externals[pointer - EXTERNAL].id

        return keys[~pointer] if pointer < 0 else plan.jobs[pointer].job.id or 0

    return ((resolve(up), resolve(down)) for up, down in plan.edges)


async def _extend(store: Store, placed: Iterable[_Placed]) -> None:
    """Count what was added to groups that were there, and break what cannot run any more."""
    for plan, _, _, parent, _ in placed:
        group = plan.groups[0]

        if parent is not None:
            await store.extend(parent, subs=1, subs_completed=int(group.state == "completed"))
        elif plan.attachment is not None:
            await store.extend(
                plan.attachment.key,
                total=group.total,
                suspended=group.suspended,
                subs=group.subs,
                subs_completed=group.subs_completed,
                subs_cancelled=group.subs_cancelled,
            )

        broken = {one.job.id: one.cause for one in plan.jobs if one.cause is not None}

        if broken:
            await store.break_jobs(broken)


async def _result(store: Store, jobs: Sequence[Job], existing: dict[int, str]) -> list[Job]:
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
            result.extend(await store.jobs(existing[id(plan)], with_subs=True))

    return result
