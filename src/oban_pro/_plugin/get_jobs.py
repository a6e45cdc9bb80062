"""``producer.get_jobs``: take jobs by a plan that holds, and remember who runs them.

oban's own statement is fine until the table has grown since its plan was made; see
docs/explanation/performance.md. Remembering lets a handle inside a job find its database.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oban_pro import _host, schema, transactions

from . import ack_jobs, ahead, limbo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban import Job

logger = logging.getLogger(__name__)

type GetJobs = Callable[[_host.Producer], Awaitable[list[Job]]]


def build(fallback: GetJobs) -> GetJobs:
    """Build the hook in front of another one; one that is not oban's own goes on taking jobs."""
    take = _take if fallback is _host.default_get_jobs else fallback

    async def get_jobs(producer: _host.Producer) -> list[Job]:
        query = _host.query_of(producer)

        with limbo.taking(producer):
            jobs = await take(producer)

        readable, failed = [], []

        for job in jobs:
            _host.remember_query(job, query)

            if error := _host.why_unreadable(job):
                failed.append((job, error))
            else:
                readable.append(job)

        if failed:
            await _fail(query, failed)

        return readable

    return get_jobs


async def _fail(query: _host.Query, failed: list[tuple[Job, Exception]]) -> None:
    """Fail jobs that cannot be read. What goes wrong must not keep the others from running."""
    try:
        await ack_jobs.fail(query, failed)
    except Exception:
        logger.exception("Failed to settle jobs that cannot be read")


async def _take(producer: _host.Producer) -> list[Job]:
    if (jobs := ahead.collect(producer)) is not None:
        return jobs

    query, demand = _host.query_of(producer), _host.demand_of(producer)

    if demand <= 0:
        return []

    try:
        await schema.ensure_query(query)
        jobs = await transactions.run_single(
            query,
            lambda store: store.fetch(
                _host.queue_of(producer), demand, _host.attempted_by(producer)
            ),
        )
    except schema.MISSING:
        schema.forget(query)

        return await _host.default_get_jobs(producer)

    ahead.welcome(producer)

    return jobs
