"""``producer.get_jobs``: take jobs by a plan that holds, and remember who runs them.

oban's own statement is fine until the table has grown since its plan was made; see
docs/explanation/performance.md. Remembering lets a handle inside a job find its database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import _host, schema
from oban_pro.store import Store

from . import limbo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban import Job

type GetJobs = Callable[[_host.Producer], Awaitable[list[Job]]]


def build(fallback: GetJobs) -> GetJobs:
    """Build the hook in front of another one; one that is not oban's own goes on taking jobs."""

    async def get_jobs(producer: _host.Producer) -> list[Job]:
        take = _take if fallback is _host.default_get_jobs else fallback

        with limbo.taking(producer):
            jobs = await take(producer)

        for job in jobs:
            _host.remember_query(job, _host.query_of(producer))

        return jobs

    return get_jobs


async def _take(producer: _host.Producer) -> list[Job]:
    query, demand = _host.query_of(producer), _host.demand_of(producer)

    if demand <= 0:
        return []

    async with query.connection() as conn:
        if await schema.is_installed(conn, query):
            store = Store(conn, _host.prefix_of(query))

            return await store.fetch(_host.queue_of(producer), demand, _host.attempted_by(producer))

    return await _host.default_get_jobs(producer)
