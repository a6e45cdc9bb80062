"""Write planned workflows and plain jobs to the database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg.errors import UniqueViolation

from .errors import DuplicateIdError, InvalidJobError
from .plan import Plan, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oban import Job

    from .store import Store

JOBS_PER_STATEMENT = 5_000


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
    jobs = _distinct(batch.jobs)
    encoded = _encode(jobs)
    groups = sum(len(plan.groups) for plan in batch.plans)
    ids, keys, now = await store.reserve(len(jobs), groups)
    key_of = _assign_keys(batch.plans, keys)
    created = await _insert_roots(store, batch.plans, key_of)
    existing = {id(plan) for plan in batch.plans if key_of[id(plan)][0] not in created}
    new = [plan for plan in batch.plans if id(plan) not in existing]
    rows = [
        _Row(job_id, job, args, job_meta)
        for job_id, job, (args, job_meta) in zip(ids, jobs, encoded, strict=True)
        if id(plan_of(job)) not in existing
    ]

    await _insert_groups(store, new, key_of)
    _number(rows, now)
    await _insert_jobs(store, rows)
    await _insert_members(store, new, key_of)

    return await _result(store, batch.jobs, existing)


class _Row(NamedTuple):
    id: int
    job: Job
    args: bytes
    meta: bytes


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    """Put each workflow in its own order, once; a plain job listed twice is meant twice."""
    seen: set[int] = set()
    distinct: list[Job] = []

    for job in jobs:
        if (plan := plan_of(job)) is None:
            distinct.append(job)
        elif id(plan) not in seen:
            seen.add(id(plan))
            distinct.extend(plan)

    return distinct


def _encode(jobs: Iterable[Job]) -> list[tuple[bytes, bytes]]:
    """Encode before anything is written, so that what cannot be stored changes nothing."""
    return [(_dump(job, "args", job.args), _dump(job, "meta", job.meta)) for job in jobs]


def _dump(job: Job, what: str, value: object) -> bytes:
    try:
        dumped = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJobError(f"{what} of {_call(job)} must be JSON, got {error}") from error

    if rb"\u0000" in dumped and _holds_nul(value):
        raise InvalidJobError(f"{what} of {_call(job)} must not hold NUL characters")

    return dumped


def _to_json(value: object) -> bytes:
    try:
        dumped = orjson.dumps(
            value, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
        )
    except orjson.JSONEncodeError:
        dumped = b"null"

    # What orjson refuses can be JSON all the same, as integers beyond 64 bits and keys that are
    # numbers; what it writes as null may be NaN.
    if b"null" in dumped:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()

    return dumped


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_holds_nul(item) for pair in value.items() for item in pair)
        case list() | tuple():
            return any(_holds_nul(item) for item in value)
        case _:
            return False


def _call(job: Job) -> str:
    name = job.meta.get("name")

    return f"job {name!r}" if plan_of(job) else f"job of {job.worker}"


def _assign_keys(plans: Iterable[Plan], keys: Sequence[int]) -> dict[int, list[int]]:
    remaining = iter(keys)

    return {id(plan): [next(remaining) for _ in plan.groups] for plan in plans}


async def _insert_roots(
    store: Store, plans: Iterable[Plan], key_of: dict[int, list[int]]
) -> set[int]:
    rows = [_group_row(plan, 0, key_of[id(plan)]) for plan in plans]

    return await store.insert_roots(orjson.dumps(rows)) if rows else set()


async def _insert_groups(store: Store, plans: Iterable[Plan], key_of: dict[int, list[int]]) -> None:
    rows = [
        _group_row(plan, index, key_of[id(plan)])
        for plan in plans
        for index in range(1, len(plan.groups))
    ]

    if not rows:
        return

    try:
        await store.insert_groups(orjson.dumps(rows))
    except UniqueViolation as error:
        raise DuplicateIdError(
            f"id of a nested workflow is taken: {error.diag.message_detail}"
        ) from error


def _group_row(plan: Plan, index: int, keys: Sequence[int]) -> dict[str, Any]:
    group = plan.groups[index]

    return {
        "key": keys[index],
        "id": group.id,
        "root": keys[0],
        "parent": None if group.parent is None else keys[group.parent],
        "kind": group.spec.kind,
        "name": group.spec.name,
        "context": group.spec.context,
        "empty_state": "completed" if group.is_completed else "executing",
        "total": group.total,
        "suspended": group.suspended,
        "subs": group.subs,
        "subs_completed": group.subs_completed,
    }


def _number(rows: Iterable[_Row], now: datetime) -> None:
    for row in rows:
        job = row.job
        job.id = row.id
        job.state = _state(job, now)
        job.inserted_at = job.inserted_at or now
        job.scheduled_at = job.scheduled_at or now


def _state(job: Job, now: datetime) -> Any:
    plan = plan_of(job)

    # A job keeps what an earlier attempt to enqueue it left behind, so its place decides.
    if plan is not None:
        if plan.is_waiting(job):
            return "suspended"

        at = job.scheduled_at

        return "available" if at is None or at.astimezone(UTC) <= now else "scheduled"

    if job.state == "available" and job.scheduled_at is not None:
        return "scheduled"

    return job.state


async def _insert_jobs(store: Store, rows: Sequence[_Row]) -> None:
    for some in batched(rows, JOBS_PER_STATEMENT):
        shapes: dict[tuple[Any, ...], int] = {}
        numbers = [shapes.setdefault(_shape(row.job), len(shapes)) for row in some]

        await store.insert_jobs(
            {
                "ids": [row.id for row in some],
                "shapes": numbers,
                "args": _array(row.args for row in some),
                "metas": _array(row.meta for row in some),
                "shape_rows": orjson.dumps(
                    [_shape_row(n, shape) for shape, n in shapes.items()]
                ).decode(),
            }
        )


def _array(dumped: Iterable[bytes]) -> str:
    return (b"[" + b",".join(dumped) + b"]").decode()


_SHAPE = ("inserted_at", "max_attempts", "priority", "queue", "scheduled_at", "state", "worker")


def _shape(job: Job) -> tuple[Any, ...]:
    return (*(getattr(job, field) for field in _SHAPE), tuple(job.tags))


def _shape_row(n: int, shape: Sequence[Any]) -> dict[str, Any]:
    *fields, tags = shape
    row = dict(zip(_SHAPE, fields, strict=True))

    for field, value in row.items():
        if isinstance(value, datetime):
            row[field] = value.astimezone(UTC).replace(tzinfo=None)

    return {**row, "n": n, "tags": tags}


async def _insert_members(
    store: Store, plans: Sequence[Plan], key_of: dict[int, list[int]]
) -> None:
    members = [member for plan in plans for member in _members(plan, key_of[id(plan)])]

    if members:
        ids, group_keys, names, pendings, flags = zip(*members, strict=True)
        await store.insert_members(
            {
                "ids": list(ids),
                "group_keys": list(group_keys),
                "names": orjson.dumps(names).decode(),
                "pendings": list(pendings),
                "flags": list(flags),
            }
        )

    edges = [edge for plan in plans for edge in _edges(plan, key_of[id(plan)])]

    if edges:
        upstreams, downstreams = zip(*edges, strict=True)
        await store.insert_edges(list(upstreams), list(downstreams))


def _members(plan: Plan, keys: Sequence[int]) -> Iterable[tuple[int, int, str, int, int]]:
    for index, group in enumerate(plan.groups):
        if group.parent is not None:
            flags = _flags(group.gated, *group.spec.flags)
            yield keys[index], keys[group.parent], group.sub_name or "", group.pending, flags

    for one in plan.jobs:
        assert one.job.id is not None
        yield one.job.id, keys[one.group], one.name, one.pending, _flags(one.gated, *one.flags)


def _flags(gated: bool, ignore_cancelled: bool, ignore_discarded: bool) -> int:
    return gated | ignore_cancelled << 1 | ignore_discarded << 2


def _edges(plan: Plan, keys: Sequence[int]) -> Iterable[tuple[int, int]]:
    def resolve(pointer: int) -> int:
        return keys[~pointer] if pointer < 0 else plan.jobs[pointer].job.id or 0

    return ((resolve(up), resolve(down)) for up, down in plan.edges)


async def _result(store: Store, jobs: Sequence[Job], existing: set[int]) -> list[Job]:
    result: list[Job] = []
    loaded: set[int] = set()

    for job in jobs:
        plan = plan_of(job)

        if plan is None or id(plan) not in existing:
            result.append(job)
        elif id(plan) not in loaded:
            loaded.add(id(plan))
            result.extend(await store.jobs(plan.id, with_subs=True))

    return result
