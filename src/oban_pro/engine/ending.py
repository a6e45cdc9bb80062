"""What final jobs are called with: everything that was recorded, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro.building.calls import members_in
from oban_pro.building.cascades import CALL
from oban_pro.model import meta
from oban_pro.values.context import Context
from oban_pro.values.recorded import lists_among, nest, read_sources

from . import context_loader, inline
from .session import session_for

if TYPE_CHECKING:
    from oban import Job

    from oban_pro.model.outcome import Outcome
    from oban_pro.values.recorded import Source

    from .store import Store


async def what_ended(job: Job) -> tuple[Context, Outcome]:
    """Return the context of a final job, and the outcome of its workflow.

    Args:
        job: A job that was fetched from the database, or that comes from a builder.

    Raises:
        CodecError: If a stored value cannot be decoded, naming the job that recorded it.
    """
    if inline.is_bound(job):
        return inline.what_ended(job)

    workflow_id = meta.workflow_id(job) or ""
    around = await context_loader.context_of(job)
    # a call reads no more than its placeholders stand for
    wired = members_in(job.args[CALL]) if CALL in job.args else None

    async def body(store: Store) -> tuple[Outcome, list[Source], list[str]]:
        outcome = await store.outcome(workflow_id)
        recorded = await store.recorded(workflow_id, wired)

        return outcome, recorded, await store.member_names(workflow_id)

    outcome, recorded, names = await session_for(job).read(body)
    found = await read_sources(recorded)
    name = job.meta.get(meta.NAME, "")

    return Context(dict(around), nest(found), name, names, lists_among(found)), outcome
