"""``query.insert_jobs``: insert whole workflows and many jobs at once, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban import Job
from psycopg.errors import UndefinedFunction, UndefinedTable

from oban_pro import _host, schema
from oban_pro.building.plan import Plan, plan_of
from oban_pro.engine.callers import find_caller, unwrap
from oban_pro.engine.insertion import Batch, insert, tell_inserted
from oban_pro.engine.repeating import changing
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidJobError, PartialWorkflowError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from psycopg import AsyncConnection

    from oban_pro._host import Query
    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store

type InsertJobs = Callable[[Query, list[Job], Any], Awaitable[list[Job]]]


def build(fallback: InsertJobs) -> InsertJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def insert_jobs(query: Query, jobs: list[Job], conn: Any = None) -> list[Job]:
        return await insert_through(session_of(query), jobs, conn, fallback)

    return insert_jobs


async def insert_through(
    session: Session[Store],
    jobs: list[Job],
    conn: Any = None,
    fallback: InsertJobs = _host.default_insert_jobs,
) -> list[Job]:
    """Insert whole workflows and plain jobs.

    Args:
        session: How to reach the database.
        jobs: The jobs, with every workflow whole.
        conn: A connection whose transaction to use.
        fallback: What inserts a single plain job, and all where there are no tables of ours.
    """
    plans = _check(jobs)
    caller = await (unwrap(conn) if plans else find_caller(conn))

    # For a single plain job a batch saves nothing.
    if not plans and (len(jobs) < 2 or (caller is None and conn is not None)):
        return await _fall_back(fallback, session, jobs, conn)

    inserted = await _insert(session, Batch(jobs, plans), caller)
    tell_inserted(plans)

    if inserted is None:
        return await _fall_back(fallback, session, jobs, conn)

    for job in inserted:
        session.remember(job)

    return inserted


async def _fall_back(
    fallback: InsertJobs, session: Session[Store], jobs: list[Job], conn: Any
) -> list[Job]:
    """Call another hook, which takes a connection from the pool unless it is given one."""
    query = session.query

    async with changing(), session.explaining("enqueuer"):
        if conn is not None or _host.is_home(query):
            return await fallback(query, jobs, conn)

        async with session.transaction() as own:
            return await fallback(query, jobs, own)


async def _insert(
    session: Session[Store], batch: Batch, caller: AsyncConnection[Any] | None
) -> list[Job] | None:
    """Insert a batch, or return None where there are only plain jobs and no tables of ours."""
    for is_last in (False, True):
        try:
            return await session.transact(
                lambda store: insert(store, batch), caller, kind="enqueuer"
            )
        except SchemaError:
            if batch.plans:
                raise

            return None
        except (UndefinedFunction, UndefinedTable):
            # The tables may have been removed since they were found good.
            schema.forget(session.query)

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
