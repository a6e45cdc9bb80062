"""``producer.get_jobs``: remember who runs a job, so a handle inside it finds its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import _host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban import Job

type GetJobs = Callable[[_host.Producer], Awaitable[list[Job]]]


def build(fallback: GetJobs) -> GetJobs:
    """Build the hook in front of another one."""

    async def get_jobs(producer: _host.Producer) -> list[Job]:
        jobs = await fallback(producer)

        for job in jobs:
            _host.remember_producer(job, producer)

        return jobs

    return get_jobs
