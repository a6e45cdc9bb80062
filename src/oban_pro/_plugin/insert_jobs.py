"""``query.insert_jobs``: insert whole workflows and many jobs at once, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban import Job
from psycopg.errors import UndefinedTable

from oban_pro import _host, schema
from oban_pro.errors import InvalidJobError, PartialWorkflowError
from oban_pro.insertion import Batch, announce, insert
from oban_pro.plan import Plan, plan_of
from oban_pro.store import Store
from oban_pro.transactions import repeat, transaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from psycopg import AsyncConnection

    from oban_pro._host import Query

type InsertJobs = Callable[[Query, list[Job], Any], Awaitable[list[Job]]]


def build(fallback: InsertJobs) -> InsertJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def insert_jobs(query: Query, jobs: list[Job], conn: Any = None) -> list[Job]:
        plans = _check(jobs)
        caller = None if conn is None else await _host.connection_of(conn)

        if plans and caller is None and conn is not None:
            raise TypeError(f"conn must lead to a psycopg connection, got {conn!r}")

        # A single plain job gains nothing from a batch.
        if not plans and (len(jobs) < 2 or (caller is None and conn is not None)):
            return await fallback(query, jobs, conn)

        inserted = await _insert(query, Batch(jobs, plans), caller)
        announce(plans)

        if inserted is None:
            return await fallback(query, jobs, conn)

        for job in inserted:
            _host.remember_query(job, query)

        return inserted

    return insert_jobs


async def _insert(
    query: Query, batch: Batch, caller: AsyncConnection[Any] | None
) -> list[Job] | None:
    """Insert a batch, or return None where there are only plain jobs and no tables of ours."""

    async def attempt() -> list[Job] | None:
        async with transaction(query, caller) as conn:
            if not batch.plans and not await schema.is_installed(conn, query):
                return None

            await schema.ensure(conn, query)

            return await insert(Store(conn, _host.prefix_of(query)), batch)

    for is_last in (False, True):
        try:
            return await attempt() if caller is not None else await repeat(attempt)
        except UndefinedTable:
            # The tables may have been removed since they were found good.
            schema.forget(query)

            if is_last or caller is not None:
                raise

    raise AssertionError("unreachable")


def _check(jobs: Sequence[object]) -> list[Plan]:
    """Return the workflows among the jobs, each of which must be there as a whole."""
    plans: dict[int, Plan] = {}
    present: set[int] = set()

    for job in jobs:
        if not isinstance(job, Job):
            hint = "; use [*workflow, …] to mix workflows and jobs" if _is_workflow(job) else ""
            raise InvalidJobError(f"jobs to enqueue must be Jobs, got {job!r}{hint}")

        if (plan := plan_of(job)) is not None:
            plans[id(plan)] = plan
            present.add(id(job))

    for plan in plans.values():
        missing = [one.name for one in plan.jobs if id(one.job) not in present]

        if missing:
            raise PartialWorkflowError(
                f"workflow {plan.id!r} must be enqueued as a whole, got"
                f" {len(plan.jobs) - len(missing)} of {len(plan.jobs)} jobs;"
                f" {missing[0]!r} is missing"
            )

    return [*plans.values()]


def _is_workflow(value: object) -> bool:
    return hasattr(value, "add_workflow")
