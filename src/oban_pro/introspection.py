"""Looking at workflows that are in the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from oban import Job

from . import _host, codec, meta, schema, transactions
from .errors import UnknownWorkflowError
from .recorded import decode, decode_nodes, nest
from .render import stored_graph
from .status import WorkflowStatus, build_status
from .store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .render import Graph

type Place = str | Job
"""Where a handle finds its database: the name of an Oban instance, or a job that came from it."""


def query_for(place: Place) -> _host.Query:
    """Return the query of the Oban instance that a handle uses.

    Raises:
        RuntimeError: If no instance has that name.
    """
    if isinstance(place, Job):
        return _host.query_running(place) or _host.query_named("Oban")

    return _host.query_named(place)


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Store]:
    """Open a connection of the instance that a handle uses.

    Raises:
        SchemaError: If its schema is not installed.
    """
    query = query_for(place)

    async with query.connection() as conn:
        await schema.ensure(conn, query)

        yield Store(conn, _host.prefix_of(query))


async def status(place: Place, workflow_id: str) -> WorkflowStatus:
    """Return the status of a workflow and of all nested ones."""
    query = query_for(place)
    await schema.ensure_query(query)
    # It is asked often, and needs no transaction.
    groups = await transactions.run_single(query, lambda store: store.status(workflow_id))

    return build_status(groups) if groups else WorkflowStatus(workflow_id)


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
    query = query_for(place)

    async with connect(place) as store:
        if deps_of is None:
            jobs = await store.jobs(workflow_id, names, with_subs=with_subs)
        else:
            jobs = await store.deps(_stored(deps_of), names)

    for job in jobs:
        _host.remember_query(job, query)

    return jobs


async def get_recorded(place: Place, workflow_id: str, name: str) -> Any:
    """Return what a job of a workflow recorded, or None."""
    job = await get_job(place, workflow_id, name)

    if job is None or job.state != "completed" or not job.meta.get(meta.RECORDED):
        return None

    return decode(name, job.meta.get(meta.RETURN, ""))


async def all_recorded(
    place: Place,
    workflow_id: str,
    names: Sequence[str] | None = None,
    deps_of: Job | None = None,
) -> dict[str, Any]:
    """Return what the jobs of a workflow recorded, nested; or those that one job depends on."""
    async with connect(place) as store:
        if deps_of is None:
            return nest(await store.recorded(workflow_id, names))

        sources = await store.contexts([_stored(deps_of)], {})

    results = nest(decode_nodes(sources))

    return {name: value for name, value in results.items() if names is None or name in names}


async def get_context(place: Place, workflow_id: str) -> dict[str, Any] | None:
    """Return the context that was added to a workflow, or None."""
    async with connect(place) as store:
        text = await store.group_context(workflow_id)

    return None if text is None else codec.from_json(orjson.loads(text))


async def fetch_graph(place: Place, workflow_id: str) -> Graph:
    """Return the graph of a workflow, with the state of each job.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
    """
    async with connect(place) as store:
        rows = await store.graph(workflow_id)

    if not rows:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r} to draw")

    return stored_graph(rows)


def _stored(job: Job) -> int:
    if job.id is None or meta.workflow_id(job) is None:
        raise ValueError(f"job must be an enqueued job of a workflow, got {job}")

    return job.id
