"""``producer.get_jobs``: take jobs by a plan that holds, and remember who runs them.

oban's own statement reads the whole table once the table has grown since its plan was made; see
docs/explanation/performance.md. Remembering lets a handle inside a job find its database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import _host
from oban_pro.engine.session import session_of
from oban_pro.model import job_notes

from . import housekeeping, lost_jobs, prefetched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban import Job

type GetJobs = Callable[[_host.Producer], Awaitable[list[Job]]]


def build(fallback: GetJobs) -> GetJobs:
    """Build the hook in front of another one; one that is not oban's own goes on taking jobs."""
    take = _take if fallback is _host.default_get_jobs else fallback

    async def get_jobs(producer: _host.Producer) -> list[Job]:
        query = _host.query_of(producer)

        with lost_jobs.taking(producer):
            jobs = await take(producer)

        readable, running = [], []
        own = {job.id: job for job in _host.held_jobs(producer)}

        for job in jobs:
            _host.remember_query(job, query)

            if error := job.extra.get(job_notes.UNREADABLE):
                # Failing the job takes a lock, and the other jobs must not wait for it.
                _host.acknowledge(producer, _host.failed_ack(job, error))
            elif going_on := own.get(job.id):
                running.append((job, going_on))
            else:
                readable.append(job)

        lost_jobs.hand(producer, readable)

        if running:
            _wait_for_end(producer, running)

        return readable

    return get_jobs


def _wait_for_end(producer: _host.Producer, running: list[tuple[Job, Job]]) -> None:
    """Suspend jobs that this producer still runs: its node had counted as dead in between."""
    _, uuid = _host.attempted_by(producer)

    for _, job in running:
        _host.tell_cancelled(job)

    async def let_jobs_wait(query: _host.Query) -> None:
        async with housekeeping.mending(query):
            await session_of(query).execute(lambda store: store.wait_for_end(running, uuid), 0)

    # If that fails, `lost_jobs` finds them, as it finds any job that was taken and never arrived.
    housekeeping.start(_host.query_of(producer), let_jobs_wait)


async def _take(producer: _host.Producer) -> list[Job]:
    if (jobs := prefetched.collect(producer)) is not None:
        return jobs

    query, demand = _host.query_of(producer), _host.demand_of(producer)

    if demand <= 0:
        return []

    queue, attempted_by = _host.queue_of(producer), _host.attempted_by(producer)

    async def fetch() -> list[Job]:
        session = session_of(query)
        jobs = await session.execute(lambda store: store.fetch(queue, demand, attempted_by))
        prefetched.prefetch_for(producer)

        return jobs

    return await session_of(query).or_else(fetch, lambda: _host.default_get_jobs(producer))
