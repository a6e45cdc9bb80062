"""Jobs that an ack has taken for its producer, until the producer asks for them.

A producer settles jobs and takes the next ones right after. One statement for both saves a commit,
and a job that was just released starts at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from oban_pro import _host
from oban_pro.engine.results import Lost

from . import housekeeping, lost_jobs, queue_limits
from .deferred_acks import execution_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from oban_pro._host import AckAction, Producer, Query

# Producers that take jobs by our statement, by their uuid.
_producers: WeakValueDictionary[str, Producer] = WeakValueDictionary()
_taken: WeakKeyDictionary[Producer, list[Job]] = WeakKeyDictionary()


def prefetch_for(producer: Producer) -> None:
    """Let the acks of a producer take its next jobs from now on."""
    _, uuid = _host.attempted_by(producer)
    _producers[uuid] = producer


def producer_of(query: Query, acks: Sequence[AckAction]) -> Producer | None:
    """Return the producer that settles jobs and asks for the next ones right after, or None."""
    producer = _producers.get((acks[0].job.attempted_by or [""])[-1])

    if producer is None or _host.query_of(producer) is not query:
        return None

    if _host.is_stopping(producer) or not _host.asks_for_jobs(producer):
        return None

    # Taking jobs from a queue with limits waits for a lock, and an ack must not wait.
    if queue_limits.announced_by(producer):
        return None

    return producer


def keep(producer: Producer, jobs: list[Job]) -> None:
    """Keep jobs for the producer, which asks for them next."""
    wanted = _host.demand_of(producer) if _host.asks_for_jobs(producer) else 0
    kept, spare = jobs[:wanted], jobs[wanted:]

    if wanted:
        _taken[producer] = kept
        asyncio.get_running_loop().call_soon(_expire, producer, kept)

    # The queue was paused or scaled down in the meantime.
    _unfetch(producer, spare)


def collect(producer: Producer) -> list[Job] | None:
    """Return the jobs that are kept for a producer; None if no ack has tried to take any."""
    return _taken.pop(producer, None)


def _expire(producer: Producer, kept: list[Job]) -> None:
    """Unfetch jobs that the producer did not ask for at once, because another hook ran first."""
    if _taken.get(producer) is kept:
        del _taken[producer]
        _unfetch(producer, kept)


def _unfetch(producer: Producer, jobs: list[Job]) -> None:
    """Make jobs available again that were taken but have not begun; the attempt does not count."""
    lost = [Lost(*execution_of(job), None) for job in jobs]

    async def unfetch_jobs(query: Query) -> None:
        await lost_jobs.take_back(query, lost)

    # If this fails, `lost_jobs` finds the job, as it finds any that was taken and never arrived.
    if lost:
        housekeeping.start(_host.query_of(producer), unfetch_jobs)
