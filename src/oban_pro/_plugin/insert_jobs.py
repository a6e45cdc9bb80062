"""``query.insert_jobs``: insert whole workflows and many jobs at once, in one transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from oban import Job
from psycopg.pq import TransactionStatus

from oban_pro import _host, schema
from oban_pro.errors import InvalidJobError, PartialWorkflowError
from oban_pro.insertion import Batch, insert
from oban_pro.plan import Plan, plan_of
from oban_pro.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from oban_pro._host import Query

type InsertJobs = Callable[[Query, list[Job], Any], Awaitable[list[Job]]]


def build(fallback: InsertJobs) -> InsertJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def insert_jobs(query: Query, jobs: list[Job], conn: Any = None) -> list[Job]:
        plans = _check(jobs)

        # A single plain job gains nothing from a batch.
        if not plans and len(jobs) < 2:
            return await fallback(query, jobs, conn)

        async with _transaction(query, conn) as own:
            if not plans and not await schema.is_installed(own, query):
                return await fallback(query, jobs, conn)

            await schema.ensure(own, query)

            return await insert(Store(own, _host.prefix_of(query)), Batch(jobs, plans))

    return insert_jobs


def _check(jobs: Sequence[object]) -> list[Plan]:
    """Return the workflows among the jobs, each of which must be there as a whole."""
    seen: dict[int, tuple[Plan, set[int]]] = {}

    for job in jobs:
        if not isinstance(job, Job):
            hint = "; use [*workflow, …] to mix workflows and jobs" if _is_workflow(job) else ""
            raise InvalidJobError(f"jobs to enqueue must be Jobs, got {job!r}{hint}")

        if (plan := plan_of(job)) is not None:
            seen.setdefault(id(plan), (plan, set()))[1].add(id(job))

    for plan, present in seen.values():
        if len(present) < len(plan.jobs):
            missing = next(one for one in plan.jobs if id(one.job) not in present)
            raise PartialWorkflowError(
                f"workflow {plan.id!r} must be enqueued as a whole, got {len(present)} of"
                f" {len(plan.jobs)} jobs; {missing.name!r} is missing"
            )

    return [plan for plan, _ in seen.values()]


def _is_workflow(value: object) -> bool:
    return hasattr(value, "add_workflow")


@asynccontextmanager
async def _transaction(query: Query, conn: Any) -> AsyncIterator[Any]:
    """Open a transaction of our own, or go on in the caller's."""
    if conn is None:
        async with query.connection() as own, own.transaction():
            yield own

        return

    own = await _host.connection_of(conn)

    if own.autocommit and own.info.transaction_status == TransactionStatus.IDLE:
        async with own.transaction():
            yield own
    else:
        yield own
