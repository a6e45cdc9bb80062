"""Changing workflows that are in the database: append, cancel, retry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import _host, introspection, schema, telemetry, transactions
from .errors import DuplicateNameError, InvalidArgumentError, UnknownWorkflowError
from .graph import check_known
from .insertion import Batch, insert
from .plan import Attachment, External, Flags
from .planner import compile_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from .introspection import Place
    from .plan import GroupSpec
    from .store import Store


async def append(place: Place, workflow_id: str, spec: GroupSpec, conn: Any = None) -> list[Job]:
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

    query = introspection.query_for(place)
    caller = await transactions.unwrap(conn)

    async def body(store: Store) -> list[Job]:
        attachment = await _attach(store, workflow_id, spec)
        plan = compile_plan(replace(spec, id=workflow_id), attachment=attachment)

        return await insert(store, Batch(list(plan), [plan]))

    if caller is None:
        await schema.ensure_query(query)
    else:
        # The caller may hold the last connection of the pool.
        await schema.ensure(caller, query)

    jobs = await transactions.run(query, body, caller)

    for job in jobs:
        _host.remember_query(job, query)

    metadata = {"workflow_id": workflow_id, "count": len(jobs)}
    telemetry.execute("oban.workflow.appended", metadata)

    return jobs


async def _attach(store: Store, workflow_id: str, spec: GroupSpec) -> Attachment:
    """Lock a workflow, and read all of it that the addition refers to."""
    await store.lock(workflow_id)
    group = await store.group(workflow_id)

    if group is None:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to append to")

    key, root, _, name, kind, parent_id, sub_name, ignore_cancelled, ignore_discarded = group

    if kind == "graft":
        raise InvalidArgumentError(
            f"workflow {workflow_id!r} is the graft {sub_name!r}; append to what was grafted"
        )

    return Attachment(
        key=key,
        root=root,
        id=workflow_id,
        name=name,
        sup_workflow_id=parent_id,
        sub_name=sub_name,
        flags=Flags(ignore_cancelled, ignore_discarded),
        members=await _find_members(store, key, workflow_id, spec),
        gate=[External(*row) for row in await store.gate(key)],
    )


async def _find_members(
    store: Store, key: int, workflow_id: str, spec: GroupSpec
) -> dict[str, External]:
    deps = {dep for member in spec.members.values() for dep in member.deps}
    rows = await store.members(key, [*spec.members, *deps])
    found = {
        name: External(member_id, name, state, kind, nested_id or workflow_id)
        for member_id, name, state, kind, nested_id in rows
    }

    if taken := found.keys() & spec.members.keys():
        raise DuplicateNameError(f"name {min(taken)!r} is already taken in this workflow")

    if deps - found.keys() - spec.members.keys():
        known = {name for _, name, *_ in await store.members(key)} | spec.members.keys()

        for name, member in spec.members.items():
            check_known(name, member.deps, known)

    return found


async def cancel_jobs(place: Place, workflow_id: str, names: Sequence[str] | None) -> int:
    """Cancel open jobs of a workflow, nested ones included; returns how many."""
    query = introspection.query_for(place)
    await schema.ensure_query(query)

    count = await transactions.run(query, lambda store: store.cancel(workflow_id, names))
    metadata = {"workflow_id": workflow_id, "names": names, "count": count}
    telemetry.execute("oban.workflow.cancelled", metadata)

    return count


async def retry_jobs(place: Place, workflow_id: str, names: Sequence[str] | None) -> int:
    """Run jobs of a workflow again, nested ones included; returns how many."""
    query = introspection.query_for(place)
    await schema.ensure_query(query)

    count = await transactions.run(query, lambda store: store.retry(workflow_id, names))
    metadata = {"workflow_id": workflow_id, "names": names, "count": count}
    telemetry.execute("oban.workflow.retried", metadata)

    return count
