"""``query.ack_jobs``: settle a batch of jobs in one statement, workflows and plain jobs alike.

The statement settles the jobs, carries that through the workflows, and takes the next jobs. oban
retries a failed ack only when the producer wakes up next, so conflicts are retried here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import DatabaseError, DataError, IntegrityError
from psycopg.errors import ProgramLimitExceeded

from oban_pro import _host, schema, transactions
from oban_pro.errors import GraftError, WorkflowError
from oban_pro.grafting import graft_of
from oban_pro.insertion import Batch, announce, insert

from . import ahead, limbo
from .acks import Encoded, batches_of, encode, join

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oban import Job

    from oban_pro._host import AckAction, Producer, Query
    from oban_pro.store import Store

type AckJobs = Callable[[Query, list[AckAction]], Awaitable[list[int]]]

# What PostgreSQL raises for values that it cannot hold: out of range, too large, not text.
UNSTORABLE = (DataError, IntegrityError, ProgramLimitExceeded)


def build(fallback: AckJobs) -> AckJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def ack_jobs(query: Query, acks: list[AckAction]) -> list[int]:
        if not acks:
            return []

        try:
            await schema.ensure_query(query)

            return await _ack_all(query, acks)
        except schema.MISSING:
            schema.forget(query)

            return await fallback(query, acks)

    return ack_jobs


async def _ack_all(query: Query, acks: Sequence[AckAction]) -> list[int]:
    grafters = [ack for ack in acks if graft_of(ack.job) is not None]
    others = [ack for ack in acks if graft_of(ack.job) is None] if grafters else acks
    batches = [*batches_of(others)]

    if len(batches) == 1 and not grafters and (producer := ahead.producer_of(query, acks)):
        return await _ack_and_take(producer, batches[0])

    acked = [job_id for batch in batches for job_id in await _ack(query, batch)]

    for ack in grafters:
        acked += await _ack_graft(query, ack)

    return acked


async def _ack_and_take(producer: Producer, batch: Sequence[Encoded]) -> list[int]:
    """Settle a batch, and take the jobs that the producer asks for next, in one statement.

    Where that fails, the acks must settle all the same: taking jobs is not theirs to fail by.
    """
    query, demand = _host.query_of(producer), _host.demand_of(producer)
    queue, attempted_by = _host.queue_of(producer), _host.attempted_by(producer)

    with limbo.taking(producer):
        try:
            acked, jobs = await transactions.run_single(
                query, lambda store: store.ack(join(batch), queue, demand, attempted_by)
            )
        except DatabaseError as error:
            if error.sqlstate is None or isinstance(error, schema.MISSING):
                raise

            return await _ack(query, batch)

        ahead.keep(producer, jobs)

    return acked


async def fail(query: Query, failed: Sequence[tuple[Job, Exception]]) -> None:
    """Fail jobs that were taken and cannot be run."""
    await _ack(query, [encode(_host.failed_ack(job, error)) for job, error in failed])


async def _ack(query: Query, batch: Sequence[Encoded]) -> list[int]:
    """Settle a batch; acks that cannot be stored, which would fail it for ever, fail their jobs."""
    try:
        return await _settle(query, batch)
    except UNSTORABLE as error:
        if len(batch) == 1:
            return await _settle(query, [encode(_host.failed_ack(batch[0].ack.job, error))])

        half = len(batch) // 2

        return await _ack(query, batch[:half]) + await _ack(query, batch[half:])


async def _settle(query: Query, batch: Sequence[Encoded]) -> list[int]:
    acked, _ = await transactions.run_single(query, lambda store: store.ack(join(batch)))

    return acked


async def _ack_graft(query: Query, ack: AckAction) -> list[int]:
    """Graft what a grafter returned and settle it, in one transaction."""
    plan = graft_of(ack.job)
    assert plan is not None

    async def graft_and_ack(store: Store) -> list[int]:
        await insert(store, Batch(list(plan), [plan]))
        acked, _ = await store.ack(join([encode(ack)]))

        return acked

    try:
        acked = await transactions.run(query, graft_and_ack)
        announce([plan])

        return acked
    except GraftError:
        # It no longer executes: whoever stopped it has settled it.
        return []
    except (WorkflowError, *UNSTORABLE) as error:
        return await _ack(query, [encode(_host.failed_ack(ack.job, error))])
