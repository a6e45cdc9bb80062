"""Jobs that execute for the database alone: the line was cut in between.

Some were taken for a producer and never reached it; some have run and their ack failed. Their
producer is alive, so no heartbeat is missed. Only the producer can tell, by what it runs.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from oban_pro import _host, transactions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oban_pro._host import Producer, Query

# How many times each producer is taking jobs at this moment.
_producers: WeakKeyDictionary[Producer, Counter[str]] = WeakKeyDictionary()


@contextmanager
def taking(producer: Producer) -> Iterator[None]:
    """Note that a producer takes jobs, so that those on their way to it are not missed."""
    calls = _producers.setdefault(producer, Counter())
    calls["taking"] += 1

    try:
        yield
    finally:
        calls["taking"] -= 1


async def wake(query: Query) -> None:
    """Let producers settle what their acks have left, which oban does when a next job comes."""
    for producer in _producers:
        if _host.query_of(producer) is query and _host.has_acks(producer):
            producer.notify()


async def give_back(query: Query) -> int:
    """Make jobs available again that were taken for producers that do not have them.

    Args:
        query: Of the Oban instance whose producers are meant.

    Returns:
        How many there were.
    """
    producers = {
        _host.attempted_by(producer)[1]: producer
        for producer, calls in _producers.items()
        if _host.query_of(producer) is query and not calls["taking"]
    }

    if not producers:
        return 0

    held = {uuid: _host.jobs_of(producer) for uuid, producer in producers.items()}
    taken = await transactions.run(query, lambda store: store.taken([*producers]))
    # A job may have come or gone while we asked.
    lost = [
        (job_id, attempted_at)
        for job_id, attempted_at, uuid in taken
        if job_id not in held[uuid] | _host.jobs_of(producers[uuid])
    ]

    return await transactions.run(query, lambda store: store.give_back(lost)) if lost else 0
