"""Jobs that an ack has taken for its producer, until the producer asks for them.

A producer settles jobs and takes the next ones right after, without a pause in between. Done in one
go that is one commit instead of two, and a job that a settled one has released starts at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from oban_pro import _host, transactions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from oban_pro._host import AckAction, Producer, Query

logger = logging.getLogger(__name__)

# Those that take jobs by our statement, by the id that they sign jobs with.
_producers: WeakValueDictionary[str, Producer] = WeakValueDictionary()
_taken: WeakKeyDictionary[Producer, list[Job]] = WeakKeyDictionary()
_returning: set[asyncio.Task[None]] = set()


def welcome(producer: Producer) -> None:
    """Take jobs ahead for a producer from now on."""
    _, uuid = _host.attempted_by(producer)
    _producers[uuid] = producer


def producer_of(query: Query, acks: Sequence[AckAction]) -> Producer | None:
    """Return the producer that settles jobs and asks for the next ones right after, or None."""
    producer = _producers.get((acks[0].job.attempted_by or [""])[-1])

    if producer is None or _host.query_of(producer) is not query:
        return None

    if _host.is_stopping(producer) or not _host.asks_for_jobs(producer):
        return None

    return producer


def keep(producer: Producer, jobs: list[Job]) -> None:
    """Keep jobs for the producer, which asks for them before anything else happens."""
    wanted = _host.demand_of(producer) if _host.asks_for_jobs(producer) else 0
    kept, spare = jobs[:wanted], jobs[wanted:]

    if wanted:
        _taken[producer] = kept
        asyncio.get_running_loop().call_soon(_expire, producer, kept)

    # It was paused or scaled down meanwhile.
    _return(producer, spare)


def collect(producer: Producer) -> list[Job] | None:
    """Return the jobs that are kept for a producer; None where nobody has looked for any."""
    return _taken.pop(producer, None)


def _expire(producer: Producer, kept: list[Job]) -> None:
    """Return what was not asked for at once: somebody else's hook came in between."""
    if _taken.get(producer) is kept:
        del _taken[producer]
        _return(producer, kept)


def _return(producer: Producer, jobs: list[Job]) -> None:
    if jobs:
        task = asyncio.create_task(_put_back(_host.query_of(producer), jobs))
        _returning.add(task)
        task.add_done_callback(_returning.discard)


async def _put_back(query: Query, jobs: Sequence[Job]) -> None:
    try:
        await transactions.run_single(query, lambda store: store.put_back(jobs))
    except Exception:
        # They are missed in time, as any that were taken and never arrived.
        logger.exception("Failed to put back %d jobs", len(jobs))
