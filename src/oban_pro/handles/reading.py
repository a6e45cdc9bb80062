"""Looking at workflows that are in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from oban_pro.building.cascades import MAPPER_WORKER
from oban_pro.engine.session import session_for
from oban_pro.errors import UnknownWorkflowError
from oban_pro.model import meta
from oban_pro.model.paths import is_path
from oban_pro.model.status import WorkflowStatus, build_status
from oban_pro.render import stored_graph
from oban_pro.values import codec
from oban_pro.values.recorded import nest, read, read_sources

from . import locating
from .streaming import read_item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from oban_pro.engine.session import Place
    from oban_pro.engine.store import Store
    from oban_pro.model.outcome import Outcome
    from oban_pro.render import Graph
    from oban_pro.values.recorded import Source


async def status(place: Place, workflow_id: str) -> WorkflowStatus:
    """Return the status of a workflow and of all nested ones."""
    # It is called often, and needs no transaction.
    groups = await session_for(place).execute(
        lambda store: store.status(workflow_id), kind="reader"
    )

    return build_status(groups) if groups else WorkflowStatus(workflow_id)


async def outcome(place: Place, workflow_id: str) -> Outcome:
    """Return how everything but the final jobs of a workflow has ended."""
    async with session_for(place).connect() as store:
        return await store.outcome(workflow_id)


async def get_job(place: Place, workflow_id: str, name: str) -> Job | None:
    """Return a job of a workflow by name, or None."""
    jobs = await all_jobs(place, workflow_id, [name])

    return jobs[0] if jobs else None


async def all_jobs(
    place: Place,
    workflow_id: str,
    names: Sequence[str] | None = None,
    deps_of: Job | None = None,
    with_subs: bool = False,
) -> list[Job]:
    """Return the jobs of a workflow, or those that one job depends on."""
    session = session_for(place)

    async with session.connect() as store:
        if deps_of is None:
            jobs = await _find_jobs(store, workflow_id, names, with_subs=with_subs)
        else:
            jobs = await store.deps(_stored(deps_of), names)

    for job in jobs:
        session.remember(job)

    return jobs


async def _find_jobs(
    store: Store, workflow_id: str, names: Sequence[str] | None, *, with_subs: bool
) -> list[Job]:
    beyond = await locating.find_beyond(store, workflow_id, names or ())

    if names is None or not beyond:
        return await store.jobs(workflow_id, names, with_subs=with_subs)

    here = [name for name in names if name not in beyond]
    found = {job.id: job for job in await store.jobs(workflow_id, here, with_subs=with_subs)}

    for owner, owned in locating.by_workflow(beyond.values()).items():
        found |= {job.id: job for job in await store.jobs(owner, owned)}

    return sorted(found.values(), key=lambda job: job.id or 0)


async def get_recorded(place: Place, workflow_id: str, name: str) -> Any:
    """Return what a job of a workflow recorded, or None."""
    job = await get_job(place, workflow_id, name)

    if job is None and is_path(name):
        item = await read_item(session_for(place), workflow_id, name)

        return item and item[1]

    if job is None or job.state != "completed" or not job.meta.get(meta.RECORDED):
        return None

    # The value that a mapper records belongs to the graft, and is read through it.
    if job.worker == MAPPER_WORKER:
        return None

    return await read(name, job.meta.get(meta.RETURN, ""))


async def all_recorded(
    place: Place,
    workflow_id: str,
    names: Sequence[str] | None = None,
    deps_of: Job | None = None,
) -> dict[str, Any]:
    """Return what the jobs of a workflow recorded, nested; or those that one job depends on."""
    async with session_for(place).connect() as store:
        if deps_of is None:
            found = await _find_recorded(store, workflow_id, names)
        else:
            data = await store.contexts([_stored(deps_of)], {})

    if deps_of is None:
        return await _nest_found(found)

    results = nest(await read_sources(data.all_sources()))

    return {name: value for name, value in results.items() if names is None or name in names}


type _Found = list[tuple[Sequence[str], list[Source]]]
"""What was recorded, with the names of the groups on the way to it."""


async def _find_recorded(store: Store, workflow_id: str, names: Sequence[str] | None) -> _Found:
    beyond = await locating.find_beyond(store, workflow_id, names or ())

    if names is None or not beyond:
        return [((), await store.recorded(workflow_id, names))]

    here = [name for name in names if name not in beyond]
    found: _Found = [((), await store.recorded(workflow_id, here))]
    groups = {located.workflow_id: located.groups for located in beyond.values()}

    for owner, owned in locating.by_workflow(beyond.values()).items():
        found.append((groups[owner], await store.recorded(owner, owned)))

    return found


async def _nest_found(found: _Found) -> dict[str, Any]:
    results: dict[str, Any] = {}

    for groups, sources in found:
        if values := nest(await read_sources(sources)):
            inside = results

            for group in groups:
                inside = inside.setdefault(group, {})

            inside |= values

    return results


async def get_context(place: Place, workflow_id: str) -> dict[str, Any] | None:
    """Return the context that was added to a workflow, or None."""
    async with session_for(place).connect() as store:
        text = await store.group_context(workflow_id)

    return None if text is None else codec.from_json(orjson.loads(text))


async def fetch_graph(place: Place, workflow_id: str) -> Graph:
    """Return the graph of a workflow, with the state of each job.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
    """
    async with session_for(place).connect() as store:
        rows = await store.graph(workflow_id)

    if not rows:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to draw")

    return stored_graph(rows)


def _stored(job: Job) -> int:
    if job.id is None or meta.workflow_id(job) is None:
        raise ValueError(f"job must be an enqueued job of a workflow, got {job}")

    return job.id
