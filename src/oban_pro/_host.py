"""Everything this package uses of oban's private modules, in one place.

A test pins each name and signature, so a release of oban that changes one is noticed there.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oban import Oban
from oban._backoff import jittery_clamped
from oban._config import Config
from oban._executor import AckAction, Executor
from oban._extensions import _extensions, get_ext, put_ext
from oban._lifeline import _rescue as default_rescue
from oban._producer import Producer
from oban._producer import _get_jobs as default_get_jobs
from oban._producer import _init as default_producer_meta
from oban._pruner import _prune as default_prune
from oban._query import Query, unwrap_connection
from oban._query import _ack_jobs as default_ack_jobs
from oban._query import _insert_jobs as default_insert_jobs
from oban._refresher import build_refresher as default_build_refresher
from oban.oban import _instances
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oban import Job

__all__ = [
    "AckAction",
    "Config",
    "Producer",
    "Query",
    "asks_for_jobs",
    "attempted_by",
    "autocommit",
    "connection_of",
    "cursor_on",
    "default_ack_jobs",
    "default_build_refresher",
    "default_get_jobs",
    "default_insert_jobs",
    "default_producer_meta",
    "default_prune",
    "default_rescue",
    "demand_of",
    "drop_ext",
    "execute",
    "failed_ack",
    "get_ext",
    "has_acks",
    "is_stopping",
    "jobs_of",
    "note_unreadable",
    "prefix_of",
    "put_ext",
    "query_named",
    "query_of",
    "query_of_instance",
    "query_running",
    "queue_of",
    "remember_query",
    "unhook_fetch",
    "why_unreadable",
]

# Where a job remembers the query of the instance that it came from; not persisted.
_QUERY = "oban_workflows_query"
# And why its row cannot be read.
_UNREADABLE = "oban_workflows_unreadable"


def drop_ext(name: str) -> None:
    """Empty an extension slot."""
    _extensions.pop(name, None)


def failed_ack(job: Job, error: Exception) -> AckAction:
    """Build the ack of a job whose result could not be stored, as oban does for an exception."""
    entry = {"attempt": job.attempt, "at": datetime.now(UTC).isoformat(), "error": repr(error)}

    if job.attempt >= job.max_attempts:
        return AckAction(job, "discarded", error=entry)

    delay = jittery_clamped(job.attempt, job.max_attempts)

    return AckAction(job, "retryable", error=entry, schedule_in=delay)


def prefix_of(query: Query) -> str:
    """Return the schema that an Oban instance works in."""
    return query._prefix


async def connection_of(conn: Any) -> AsyncConnection[Any] | None:
    """Return the psycopg connection behind whatever was passed as ``conn=``, or None."""
    if hasattr(conn, "get_raw_connection") and not conn.in_transaction():
        # SQLAlchemy must know that there is something to commit.
        await conn.begin()

    # What it returns is annotated more narrowly than it is.
    unwrapped: Any = await unwrap_connection(conn)

    if isinstance(unwrapped, AsyncCursor):
        return unwrapped.connection

    return unwrapped if isinstance(unwrapped, AsyncConnection) else None


@asynccontextmanager
async def autocommit(conn: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Let each statement on an idle connection commit by itself."""
    before = conn.autocommit
    await conn.set_autocommit(True)

    try:
        yield
    finally:
        if not conn.closed:
            await conn.set_autocommit(before)


def cursor_on(conn: AsyncConnection[Any]) -> AsyncCursor[tuple[Any, ...]]:
    """Open a cursor that returns tuples, whatever rows the caller's connection makes."""
    return conn.cursor(row_factory=tuple_row)


def demand_of(producer: Producer) -> int:
    """Return how many more jobs a producer may run."""
    return producer._limit - len(producer._running_jobs)


def asks_for_jobs(producer: Producer) -> bool:
    """Tell whether a producer asks for jobs once its acks are done."""
    return not producer._paused and demand_of(producer) > 0


def is_stopping(producer: Producer) -> bool:
    """Tell whether a producer has been told to stop: its last acks are not followed by a fetch."""
    return producer._stopping.is_set()


def query_of(producer: Producer) -> Query:
    """Return the query of the Oban instance that a producer works for."""
    return producer._query


def queue_of(producer: Producer) -> str:
    """Return the queue that a producer serves."""
    return producer._queue


def attempted_by(producer: Producer) -> list[str]:
    """Return what a producer signs the jobs with that it takes."""
    return [producer._node, producer._uuid]


def jobs_of(producer: Producer) -> set[int]:
    """Return the ids of the jobs that a producer runs, or has run and not acknowledged yet."""
    return {*producer._running_jobs, *(ack.id for ack in producer._pending_acks)}


def has_acks(producer: Producer) -> bool:
    """Tell whether a producer has run jobs that are not acknowledged yet."""
    return bool(producer._pending_acks)


def note_unreadable(job: Job, error: Exception) -> None:
    """Note on a job that was taken that it cannot be run."""
    job.extra[_UNREADABLE] = error


def why_unreadable(job: Job) -> Exception | None:
    """Return why a job that was taken cannot be run, or None."""
    return job.extra.get(_UNREADABLE)


def remember_query(job: Job, query: Query) -> None:
    """Note on a job which Oban instance it came from: where it was inserted, read or fetched."""
    job.extra[_QUERY] = query


_fetch_jobs = Query.fetch_jobs


async def _fetch_and_remember(query: Query, *args: Any, **kwargs: Any) -> list[Job]:
    jobs = await _fetch_jobs(query, *args, **kwargs)

    for job in jobs:
        remember_query(job, query)

    return jobs


def hook_fetch() -> None:
    """Note on the jobs that oban's `drain_queue` fetches whose they are: it has no slot for it."""
    Query.fetch_jobs = _fetch_and_remember  # type: ignore[method-assign, assignment]


def unhook_fetch() -> None:
    """Undo `hook_fetch`."""
    if Query.fetch_jobs is _fetch_and_remember:
        Query.fetch_jobs = _fetch_jobs  # type: ignore[method-assign]


def query_running(job: Job) -> Query | None:
    """Return the query of the Oban instance that a job came from, or None where that is unknown."""
    query = job.extra.get(_QUERY)

    return query if isinstance(query, Query) else None


async def execute(job: Job, query: Query) -> tuple[AckAction, Exception | None]:
    """Run a fetched job as a producer does.

    Returns:
        How to acknowledge it, and what it raised.
    """
    remember_query(job, query)
    job._cancellation = asyncio.Event()
    executor: Any = await Executor(job=job, safe=True).execute()
    raised = executor.result if isinstance(executor.result, Exception) else None

    return executor.action, raised


def query_of_instance(oban: Oban) -> Query:
    """Return the query of an Oban instance."""
    return oban._query


def query_named(name: str) -> Query:
    """Return the query of a registered Oban instance.

    Raises:
        RuntimeError: If there is no instance of that name.
    """
    if name == "Oban" and name not in _instances and len(_instances) == 1:
        # Only one instance, under a name of its own: nothing else can be meant.
        (instance,) = _instances.values()

        return instance._query

    return Oban.get_instance(name)._query
