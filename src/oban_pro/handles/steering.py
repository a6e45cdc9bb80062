"""Changing workflows that are in the database: append, cancel, retry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from oban_pro import stores, telemetry
from oban_pro.building.attributes import refuse_attributes
from oban_pro.building.defaults import from_json
from oban_pro.building.ends import ENDS, is_final_spec
from oban_pro.building.limits import check_limit
from oban_pro.building.names import check_known, check_text
from oban_pro.building.plan import Attachment, External, Flags
from oban_pro.building.planner import compile_plan
from oban_pro.building.reuse import refuse_reuse
from oban_pro.building.undos import UNDO_NAME
from oban_pro.building.uniqueness import KEYS
from oban_pro.building.waits import check_clock, check_deadline
from oban_pro.engine.callers import unwrap
from oban_pro.engine.insertion import Batch, insert
from oban_pro.errors import DuplicateNameError, InvalidArgumentError, UnknownWorkflowError

from . import locating
from .refusals import naming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oban import Job

    from oban_pro.building.plan import GroupSpec
    from oban_pro.building.waits import Moment
    from oban_pro.engine.results import StoredGroup
    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store
    from oban_pro.stores import Stored


async def append(
    session: Session[Store], workflow_id: str, spec: GroupSpec, conn: Any = None
) -> list[Job]:
    """Add the members of a builder to a workflow; returns their jobs.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        DuplicateNameError: If a name is taken.
        UnknownDependencyError: If a dependency is neither added nor there.
    """
    if spec.context is not None:
        raise InvalidArgumentError(
            "an addition must not have a context, as the workflow has its own; use add_workflow()"
        )

    if spec.clocks:
        raise InvalidArgumentError(
            "an addition must not have a deadline, as the workflow may have its own; use"
            " set_deadline(), or add_workflow(…, deadline=…)"
        )

    refuse_attributes("an addition", spec.attributes)
    refuse_reuse("an addition", spec.reuse)

    if finals := [name for name, member in spec.members.items() if is_final_spec(member)]:
        raise InvalidArgumentError(
            f"an addition must not have final jobs, got {finals[0]!r}; use add_workflow() for a"
            " part with final jobs of its own"
        )

    caller = await unwrap(conn)

    async def body(store: Store) -> list[Job]:
        attachment = await _attach(store, workflow_id, spec)
        plan = compile_plan(replace(spec, id=workflow_id), attachment=attachment)

        added = await insert(store, Batch(list(plan), [plan]))

        if plan.attachment is not None and plan.attachment.rules & KEYS:
            await store.retake(workflow_id)

        return added

    async with naming(session, workflow_id):
        jobs = await session.transact(body, caller, kind="enqueuer")

    for job in jobs:
        session.remember(job)

    metadata = {"workflow_id": workflow_id, "count": len(jobs)}
    telemetry.execute("oban.workflow.appended", metadata)

    return jobs


async def _attach(store: Store, workflow_id: str, spec: GroupSpec) -> Attachment:
    """Lock a workflow, and read everything that the addition refers to."""
    await store.lock_root(workflow_id)
    group = await store.group(workflow_id)

    if group is None:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to append to")

    if spec.store is not None and spec.store != group.store:
        raise InvalidArgumentError(
            "an addition must not have a store of its own, as it is kept where the workflow is; use"
            f" add_workflow(), got {spec.store!r}"
        )

    if group.kind == "graft":
        raise InvalidArgumentError(
            f"workflow {workflow_id!r} is the graft {group.sub_name!r}; append to what was grafted"
        )

    return Attachment(
        key=group.key,
        root=group.root,
        id=workflow_id,
        name=group.name,
        sup_workflow_id=group.parent_id,
        sub_name=group.sub_name,
        flags=Flags(group.ignore_cancelled, group.ignore_discarded),
        members=await _find_members(store, group, spec),
        gate=await store.gate(group.key),
        rules=group.rules,
        defaults=None if group.defaults is None else from_json(orjson.loads(group.defaults)),
        gate_need=group.gate_need,
        is_limited=group.is_limited,
        is_judged=group.is_judged,
        store=group.store,
    )


async def _find_members(store: Store, group: StoredGroup, spec: GroupSpec) -> dict[str, External]:
    key, workflow_id = group.key, group.id
    deps = {dep for member in spec.members.values() for dep in member.deps}
    found = {
        member.name: External(*member[:4], member.workflow_id or workflow_id)
        for member in await store.members(key, [*spec.members, *deps])
    }

    if taken := found.keys() & spec.members.keys():
        raise DuplicateNameError(f"name {min(taken)!r} is already taken in this workflow")

    if deps - found.keys() - spec.members.keys():
        known = {member.name for member in await store.members(key)} | spec.members.keys()

        for name, member in spec.members.items():
            check_known(name, member.deps, known)

    if group.rules & ENDS and UNDO_NAME in spec.members and await store.is_undoable(key):
        raise InvalidArgumentError(
            f"an addition must not have a member {UNDO_NAME!r} where jobs have an undo: the graft"
            " that undoes the workflow has this name"
        )

    if group.rules & ENDS and (ends := await store.ends_among(key, [*deps])):
        raise InvalidArgumentError(
            f"an addition must not depend on {ends[0]!r}, which starts after everything else"
        )

    return found


async def cancel_jobs[S: Store](
    session: Session[S],
    workflow_id: str,
    names: Sequence[str] | None = None,
    *,
    finals: bool = False,
    reason: str | None = None,
    by: str | None = None,
) -> int:
    """Cancel open jobs of a workflow, nested ones included; returns how many.

    Final jobs are spared, unless they are named or ``finals`` is set.

    Raises:
        InvalidNameError: If the reason, or who cancels, is no text.
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If one of the names is not there; nothing is cancelled then.
    """
    check_told(reason, by)

    async def cancel(store: S, owner: str, owned: Sequence[str] | None) -> int:
        return await store.cancel(owner, owned, finals=finals, reason=reason, by=by)

    async def body(store: S) -> int:
        await store.lock_root(workflow_id)
        parts = await locating.require(store, workflow_id, names)
        # Cancelling one part may break jobs that the next part names, or let final ones be skipped.
        listed = [{"workflow_id": owner, "names": owned} for owner, owned in parts.items()]
        ids = await store.cancelling(listed, finals=finals) if len(parts) > 1 else None
        counts = [await cancel(store, owner, owned) for owner, owned in parts.items()]

        return sum(counts) if ids is None else await store.count_cancelled(ids)

    if names is None:
        count = await session.execute(lambda store: cancel(store, workflow_id, None))

        if not count:
            await session.read(lambda store: locating.require_workflow(store, workflow_id))
    else:
        count = await session.transact(body)

    tell_steered("cancelled", workflow_id, names, count, reason=reason, by=by)

    return count


async def retry_jobs[S: Store](
    session: Session[S],
    workflow_id: str,
    names: Sequence[str] | None = None,
    deadline: Moment | None = None,
    *,
    downstream: bool = False,
) -> int:
    """Run jobs of a workflow again, nested ones included; returns how many.

    Raises:
        InvalidArgumentError: If what is downstream shall run again, and no names are given.
        InvalidOptionError: If the deadline is not finite and positive.
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If one of the names is not there; nothing runs again then.
    """
    clocks = check_deadline("the retry", deadline)

    if downstream and names is None:
        raise InvalidArgumentError(
            "downstream=True must come with names: those of the jobs to start from"
        )

    async def body(store: S) -> tuple[int, list[Stored]]:
        await store.lock_root(workflow_id)
        parts = await locating.require(store, workflow_id, names)
        retried = await retry_parts(store, workflow_id, parts, downstream=downstream)

        for clock in clocks:
            for path in [None] if names is None else names:
                await store.set_deadline(workflow_id, path, clock)

        return retried

    commits = session.commits_alone()

    async with naming(session, workflow_id):
        count, removed = await session.transact(body)

    if removed and commits:
        await stores.in_thread(stores.delete_workflows, removed)

    tell_steered("retried", workflow_id, names, count, downstream=downstream)

    return count


async def set_deadline[S: Store](
    session: Session[S], workflow_id: str, deadline: Moment | None, path: str | None
) -> None:
    """Set, move or take away the deadline of a workflow, or of a member of it.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is nothing at that path.
        InvalidOptionError: If a duration is not finite and positive.
    """
    owner = repr(workflow_id if path is None else path)
    clock = next(iter(check_deadline(owner, deadline)), None)

    async with naming(session, workflow_id, path):
        await session.execute(lambda store: store.set_deadline(workflow_id, path, clock))


async def set_limit[S: Store](
    session: Session[S], workflow_id: str, path: str, limit: int | None
) -> None:
    """Set how many members of a fan-out may be open at once.

    Raises:
        InvalidArgumentError: If the limit is no int.
        InvalidOptionError: If it is negative, or what is at that path is no fan-out.
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is nothing at that path.
    """
    checked = check_limit(repr(path), limit)
    check_text(path, "path")

    async with naming(session, workflow_id, path):
        await session.execute(lambda store: store.set_limit(workflow_id, path, checked))

    metadata = {"workflow_id": workflow_id, "path": path, "limit": checked}
    telemetry.execute("oban.workflow.limited", metadata)


async def pause[S: Store](
    session: Session[S], workflow_id: str, path: str | None, by: str | None, until: Moment | None
) -> int:
    """Pause a workflow, or a member of it; returns how many jobs that holds back.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is nothing at that path.
        InvalidArgumentError: If ``until`` is neither a duration nor a moment.
        InvalidOptionError: If a duration is not finite and positive.
    """
    if by is not None:
        check_text(by, "by")

    clock = None if until is None else check_clock("pause", "until", until)

    async with naming(session, workflow_id, path):
        count = await session.execute(lambda store: store.pause(workflow_id, path, by, clock))

    tell_paused("paused", workflow_id, path, by, count)

    return count


async def resume[S: Store](session: Session[S], workflow_id: str, path: str | None) -> int:
    """Resume a workflow, or a member of it; returns how many jobs that brings back.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is nothing at that path.
    """
    async with naming(session, workflow_id, path):
        count = await session.execute(lambda store: store.resume(workflow_id, path))

    tell_paused("resumed", workflow_id, path, None, count)

    return count


async def retry_parts(
    store: Store,
    workflow_id: str,
    parts: Mapping[str, Sequence[str] | None],
    *,
    downstream: bool = False,
) -> tuple[int, list[Stored]]:
    """Run jobs of some workflows of one root again.

    Args:
        store: Statements within a transaction that has locked the root.
        workflow_id: One of the workflows of the root.
        parts: Names of members by the id of their workflow, None for all of it.
        downstream: Whether everything that depends on these members runs again as well.

    Returns:
        How many jobs run again; and the grafted workflows that this removes, if they have a store.
    """
    settled, is_unique, is_stored = await store.settled_groups(workflow_id)
    stored = await store.stored_workflows(workflow_id) if is_stored else []

    if downstream:
        members = [(owner, name) for owner, owned in parts.items() for name in owned or ()]
        count = await store.rerun(members) if members else 0
    else:
        count = sum([await store.retry(owner, owned) for owner, owned in parts.items()])

    if count and settled:
        await store.note_retried(settled)

    if count and is_unique:
        await store.retake(workflow_id)

    left = await store.stored_workflows(workflow_id) if stored else []
    ids = {one.workflow_id for one in left}

    return count, [one for one in stored if one.workflow_id not in ids]


def check_told(reason: str | None, by: str | None) -> None:
    """Check what a caller tells about who does something, and why.

    Raises:
        InvalidNameError: If one of them is no text.
    """
    for text, what in ((reason, "reason"), (by, "by")):
        if text is not None:
            check_text(text, what)


def tell_steered(
    what: str, workflow_id: str, names: Sequence[str] | None, count: int, **more: object
) -> None:
    """Tell telemetry what was done to a workflow: ``"cancelled"`` or ``"retried"``."""
    metadata = {"workflow_id": workflow_id, "names": names, "count": count, **more}
    telemetry.execute(f"oban.workflow.{what}", metadata)


def tell_paused(what: str, workflow_id: str, path: str | None, by: str | None, count: int) -> None:
    """Tell telemetry that a workflow, or a member of it, was ``"paused"`` or ``"resumed"``."""
    metadata = {"workflow_id": workflow_id, "path": path, "by": by, "count": count}
    telemetry.execute(f"oban.workflow.{what}", metadata)
