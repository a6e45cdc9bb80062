"""``query.ack_jobs``: settle a batch of jobs in one statement, workflows and plain jobs alike.

The statement settles the jobs, releases or cancels what depends on them, and takes the next jobs.
oban retries a failed ack only when its producer wakes up, so this hook retries conflicts itself.

An error of one ack costs at most the job of that ack. A batch that raises is settled in halves. If
the ack of a single job still raises, the job fails with that error. If the database refuses that as
well, the ack is kept aside, and the producer goes on. The acks of a workflow that somebody holds
are kept aside, too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from psycopg.errors import LockNotAvailable

from oban_pro import _host, schema
from oban_pro.engine.failures import is_about_text, is_passing, is_unreachable
from oban_pro.engine.grafting import returned_by
from oban_pro.engine.insertion import Batch, insert, tell_inserted
from oban_pro.engine.session import session_of
from oban_pro.errors import GraftError

from . import deferred_acks, housekeeping, lost_jobs, prefetched, stored_results
from .ack_encoding import Encoded, batches_of, encode, join

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from oban_pro._host import AckAction, Producer, Query
    from oban_pro.engine.results import Acked
    from oban_pro.engine.store import Store

type AckJobs = Callable[[Query, list[AckAction]], Awaitable[list[int]]]

logger = logging.getLogger(__name__)

BRIEFLY = 0.2
"""Seconds for which a producer retries acks that conflict, before it keeps them aside."""


def build(fallback: AckJobs) -> AckJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def ack_jobs(query: Query, acks: list[AckAction]) -> list[int]:
        if not acks:
            return []

        return await session_of(query).or_else(
            lambda: _ack_all(query, acks), lambda: fallback(query, acks)
        )

    return ack_jobs


async def retry_deferred(query: Query, *, all_at_once: bool = False) -> None:
    """Retry the acks that were kept aside."""
    async with housekeeping.mending(query):
        await deferred_acks.retry(query, _settle_again, all_at_once=all_at_once)


async def _settle_again(query: Query, acks: Sequence[AckAction], waits: bool) -> list[int]:
    return await session_of(query).or_else(
        lambda: _ack_each(query, acks, waits=waits),
        lambda: _host.default_ack_jobs(query, [*acks]),
    )


async def _ack_all(query: Query, acks: Sequence[AckAction]) -> list[int]:
    if not (acks := deferred_acks.put_with_others(query, acks)):
        return []

    if producer := prefetched.producer_of(query, acks):
        batches = [*batches_of(acks)]

        if len(batches) == 1 and not any(returned_by(ack.job) for ack in acks):
            return await _ack_and_take(producer, batches[0])

    return await _ack_each(query, acks)


async def _ack_each(query: Query, acks: Sequence[AckAction], *, waits: bool = True) -> list[int]:
    grafters = [ack for ack in acks if returned_by(ack.job) is not None]
    others = [ack for ack in acks if returned_by(ack.job) is None]
    acked = []

    for batch in batches_of(others):
        acked += await _ack(query, batch, waits=waits)

    for ack in grafters:
        acked += await _ack_graft(query, ack, waits=waits)

    return acked


async def _ack_and_take(producer: Producer, batch: Sequence[Encoded]) -> list[int]:
    """Settle a batch, and take the jobs that the producer asks for next, in one statement.

    If taking jobs fails, the acks are settled without it.
    """
    query, demand = _host.query_of(producer), _host.demand_of(producer)
    queue, attempted_by = _host.queue_of(producer), _host.attempted_by(producer)

    with lost_jobs.taking(producer):
        try:
            acked = await _send(query, batch, queue, demand, attempted_by)
        except Exception as error:
            if _is_for_all(error):
                raise

            return await _ack(query, batch)

        prefetched.keep(producer, acked.jobs)

    return acked.acked


async def _ack(query: Query, batch: Sequence[Encoded], *, waits: bool = True) -> list[int]:
    """Settle a batch, in halves if one of its acks keeps the others from settling."""
    try:
        return (await _send(query, batch, waits=waits)).acked
    except Exception as error:
        if _is_for_all(error):
            raise

        if len(batch) == 1:
            return await _ack_otherwise(query, batch[0].ack, error)

    half = len(batch) // 2

    # The whole batch has waited for its locks already.
    first = await _ack(query, batch[:half], waits=False)

    return first + await _ack(query, batch[half:], waits=False)


async def _ack_otherwise(query: Query, ack: AckAction, error: Exception) -> list[int]:
    """Fail a job whose ack raised; if that raises too, keep the ack aside for later."""
    for encoded in _instead_of(ack, error):
        try:
            return (await _send(query, [encoded])).acked
        except Exception as another:
            if _is_for_all(another):
                raise

            error = another

    if not lost_jobs.is_taken(query, ack.job):
        # No producer of ours would retry it.
        raise error

    if (ack.id, ack.attempted_at) not in deferred_acks.held(query):
        logger.warning("Failed to settle job %s; trying again later", ack.id, exc_info=error)

    deferred_acks.keep(query, ack, error)

    return []


def _instead_of(ack: AckAction, error: Exception) -> Iterator[Encoded]:
    """Yield acks to try one after the other in place of one that raised."""
    if is_passing(error):
        return

    if is_about_text(error):
        yield encode(ack, ascii_only=True)

    yield encode(_host.failed_ack(ack.job, error, ack.error), ascii_only=True)


def _is_for_all(error: Exception) -> bool:
    """Tell whether every ack would meet this error: the tables or the connection are missing."""
    return is_unreachable(error) or isinstance(error, schema.MISSING)


async def _send(
    query: Query,
    batch: Sequence[Encoded],
    queue: str = "",
    demand: int = 0,
    attempted_by: Sequence[str] = (),
    *,
    waits: bool = True,
) -> Acked:
    """Settle a batch and take jobs, in one statement; keep acks aside whose workflow is held."""
    acks, session = join(batch), session_of(query)

    async def send(seconds: float | None, *, waits: bool) -> Acked:
        acked = await session.execute(
            lambda store: store.ack(acks, queue, demand, attempted_by, waits=waits), seconds
        )
        stored_results.remove_older((ack for ack, _ in batch), acked.acked)

        return acked

    if not lost_jobs.is_taken(query, batch[0].ack.job):
        return await send(None, waits=True)

    if waits:
        try:
            return await send(BRIEFLY, waits=True)
        except LockNotAvailable:
            pass

    acked = await send(BRIEFLY, waits=False)
    held = {*acked.held}

    for ack, _ in batch:
        if ack.id in held:
            error = LockNotAvailable("somebody holds the job, or its workflow")
            deferred_acks.keep(query, ack, error)

    return acked


async def _ack_graft(query: Query, ack: AckAction, *, waits: bool) -> list[int]:
    """Graft what a grafter returned and settle it, in one transaction."""
    plan = returned_by(ack.job)
    assert plan is not None
    is_taken = lost_jobs.is_taken(query, ack.job)

    async def graft_and_ack(store: Store) -> list[int]:
        if is_taken:
            await store.limit_waits(BRIEFLY if waits else 0.001)

        await insert(store, Batch(list(plan), [plan]))

        return (await store.ack(join([encode(ack)]))).acked

    try:
        acked = await session_of(query).transact(
            graft_and_ack, seconds=BRIEFLY if is_taken else None
        )
    except GraftError:
        # The job no longer executes: whoever stopped it has settled it.
        return []
    except Exception as error:
        if _is_for_all(error):
            raise

        return await _ack_otherwise(query, ack, error)

    tell_inserted([plan])

    return acked
