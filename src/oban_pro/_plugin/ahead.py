"""Jobs that an ack has taken for its producer, until the producer asks for them.

A producer settles jobs and takes the next ones right after, without a pause in between. Done in one
go that is one commit instead of two, and a job that a settled one has released starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from oban_pro import _host, transactions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from oban_pro._host import AckAction, Producer, Query

# Those that take jobs by our statement, by the id that they sign jobs with.
_producers: WeakValueDictionary[str, Producer] = WeakValueDictionary()
_taken: WeakKeyDictionary[Producer, list[Job]] = WeakKeyDictionary()


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


async def keep(producer: Producer, jobs: list[Job]) -> None:
    """Keep jobs for the producer, which asks for them before anything else happens."""
    if _host.asks_for_jobs(producer):
        _taken[producer] = jobs
    elif jobs:
        # It was paused or scaled down meanwhile.
        query = _host.query_of(producer)
        await transactions.run_single(query, lambda store: store.put_back(jobs))


def collect(producer: Producer) -> list[Job] | None:
    """Return the jobs that are kept for a producer; None where nobody has looked for any."""
    return _taken.pop(producer, None)
