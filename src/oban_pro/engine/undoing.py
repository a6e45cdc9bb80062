"""Undoing a workflow: planning its undos, and loading the context of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from oban import Job

from oban_pro.building.reversal import Reversible, reverse
from oban_pro.building.undos import UNDO_NAME, blocked_job, from_json
from oban_pro.errors import InvalidArgumentError
from oban_pro.model import meta
from oban_pro.values.context import Context
from oban_pro.values.recorded import read

from . import context_loader
from .session import session_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oban_pro.building.plan import GroupSpec

    from .end_statements import StoredUndo
    from .store import Store


async def insert_undos(store: Store, root: int, undos: Iterable[Mapping[str, Any]]) -> None:
    """Insert the undos of jobs.

    Raises:
        InvalidArgumentError: If a workflow around these jobs has a member with the name of the
            graft that would undo it.
    """
    if taken := await store.insert_undos(root, orjson.dumps([*undos])):
        raise InvalidArgumentError(
            f"no member must be called {UNDO_NAME!r} in workflow {taken[0]!r}, which gets jobs with"
            " an undo"
        )


async def plan_of_undo(grafter: Job) -> GroupSpec | None:
    """Return the workflow that undoes the one of a grafter; None if nothing is left to undo."""
    workflow_id = meta.workflow_id(grafter) or ""

    async def read(store: Store) -> GroupSpec | None:
        found = [(undo.id, _undo_of(undo)) for undo in await store.undos(workflow_id)]
        undos = {id: undo for id, undo in found if undo is not None}
        drawn = await store.graph(workflow_id)
        members = (
            Reversible(row.id, row.parent, row.name or "", row.kind, row.upstreams) for row in drawn
        )

        return reverse(members, undos)

    return await session_for(grafter).read(read)


def _undo_of(undo: StoredUndo) -> Job | None:
    if undo.undo_state == "completed":
        return None

    job = from_json(undo.spec, undo.id)

    if undo.undo_state is not None:
        return blocked_job(job, undo.undo_state)

    return job if undo.ran or undo.state == "completed" else None


async def context_of(job: Job) -> Context:
    """Return the context of an undo: that of its job, with the job's own result under its name.

    Raises:
        CodecError: If a stored value cannot be decoded, naming the job that recorded it.
    """
    job_id = job.meta.get(meta.UNDOES, 0)
    undone = await session_for(job).read(lambda store: store.undone_job(job_id))

    if undone is None:
        return (await context_loader.context_of(job)).for_undo({})

    undone.extra |= job.extra
    context = await context_loader.context_of(undone)

    if undone.meta.get(meta.RECORDED) is not True:
        return context.for_undo({})

    return context.for_undo({context.job: await read(context.job, undone.meta[meta.RETURN])})
