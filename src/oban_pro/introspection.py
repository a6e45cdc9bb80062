"""Looking at workflows that are in the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from oban import Job

from . import _host, meta, schema
from .status import WorkflowStatus, build_status
from .store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

type Source = str | Job
"""Where a handle finds its database: the name of an Oban instance, or a job that it runs."""


def query_for(source: Source) -> _host.Query:
    """Return the query of the Oban instance that a handle uses.

    Raises:
        RuntimeError: If no instance has that name.
    """
    if isinstance(source, Job):
        return _host.query_running(source) or _host.query_named("Oban")

    return _host.query_named(source)


@asynccontextmanager
async def connect(source: Source) -> AsyncIterator[Store]:
    """Open a connection of the instance that a handle uses.

    Raises:
        SchemaError: If its schema is not installed.
    """
    query = query_for(source)

    async with query.connection() as conn:
        await schema.ensure(conn, query)

        yield Store(conn, _host.prefix_of(query))


async def status(source: Source, workflow_id: str) -> WorkflowStatus:
    """Return the status of a workflow and of all nested ones."""
    async with connect(source) as store:
        groups = await store.status(workflow_id)

    return build_status(groups) if groups else WorkflowStatus(workflow_id)


async def get_job(source: Source, workflow_id: str, name: str) -> Job | None:
    """Return a job of a workflow by name, or None."""
    jobs = await all_jobs(source, workflow_id, [name])

    return jobs[0] if jobs else None


async def all_jobs(
    source: Source,
    workflow_id: str,
    names: Sequence[str] | None = None,
    deps_of: Job | None = None,
    with_subs: bool = False,
) -> list[Job]:
    """Return the jobs of a workflow, or those that one job depends on."""
    async with connect(source) as store:
        if deps_of is None:
            return await store.jobs(workflow_id, names, with_subs=with_subs)

        if deps_of.id is None or meta.workflow_id(deps_of) is None:
            raise ValueError(f"deps_of must be an enqueued job of a workflow, got {deps_of}")

        return await store.deps(deps_of.id, names)
