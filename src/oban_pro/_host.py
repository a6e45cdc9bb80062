"""Everything this package uses of the private parts of oban and its pool, in one place.

A test pins each name and signature, so a release of oban that changes one is noticed there.
"""

from __future__ import annotations

import asyncio
import traceback
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import oban._executor
import oban.testing
from oban import Oban
from oban._backoff import jittery_clamped as default_backoff
from oban._config import Config
from oban._executor import AckAction, Executor
from oban._extensions import _extensions, get_ext, put_ext
from oban._lifeline import _rescue as default_rescue
from oban._notifier import PostgresNotifier
from oban._notifier import build_notifier as default_build_notifier
from oban._producer import Producer
from oban._producer import _get_jobs as default_get_jobs
from oban._producer import _init as default_producer_meta
from oban._producer import _scale as default_scale
from oban._producer import _validate as default_validate
from oban._pruner import Pruner
from oban._pruner import _prune as default_prune
from oban._pruner import build_pruner as default_build_pruner
from oban._query import Query, unwrap_connection
from oban._query import _ack_jobs as default_ack_jobs
from oban._query import _insert_jobs as default_insert_jobs
from oban._refresher import Refresher
from oban._refresher import build_refresher as default_build_refresher
from oban.oban import _instances
from oban.worker import WorkerResolutionError
from psycopg import AsyncConnection, AsyncCursor, Error
from psycopg.rows import tuple_row

from oban_pro import settings
from oban_pro.blocking import is_blocking
from oban_pro.errors import ForbiddenCodeError
from oban_pro.model import job_notes
from oban_pro.model.absence import is_absent, mark_absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from oban import Job
    from psycopg_pool import AsyncConnectionPool

# Names of oban's that other modules import from here; names defined here need no mention.
__all__ = [
    "AckAction",
    "Config",
    "Executor",
    "PostgresNotifier",
    "Producer",
    "Pruner",
    "Query",
    "Refresher",
    "default_ack_jobs",
    "default_backoff",
    "default_build_notifier",
    "default_build_pruner",
    "default_build_refresher",
    "default_get_jobs",
    "default_insert_jobs",
    "default_producer_meta",
    "default_prune",
    "default_rescue",
    "default_scale",
    "default_validate",
    "get_ext",
    "put_ext",
]


def drop_ext(name: str) -> None:
    """Empty an extension slot."""
    _extensions.pop(name, None)


def failed_ack(
    job: Job, error: BaseException, before: Mapping[str, Any] | None = None
) -> AckAction:
    """Build the ack of a job whose result could not be stored, as oban does for an exception.

    Args:
        job: The job.
        error: Why it could not.
        before: The entry for ``errors`` that could not be stored, whose text is kept.
    """
    text = describe(error)

    return ack_failing_with(job, text if before is None else f"{before.get('error')}\n\n{text}")


def ack_failing_with(job: Job, text: str) -> AckAction:
    entry = {"attempt": job.attempt, "at": datetime.now(UTC).isoformat(), "error": text}

    if job.attempt >= job.max_attempts:
        return AckAction(job, "discarded", error=entry)

    delay = default_backoff(job.attempt, job.max_attempts)

    return AckAction(job, "retryable", error=entry, schedule_in=delay)


def describe(error: BaseException) -> str:
    """Spell an error as Python does, and one of PostgreSQL without the statements it came from."""
    diagnosis = error.diag if isinstance(error, Error) else None

    if diagnosis is None or diagnosis.message_primary is None:
        # Unlike its repr, this cannot raise, and does not repeat a text that cannot be encoded.
        return "".join(traceback.format_exception_only(error)).rstrip("\n")

    where = (diagnosis.context or "").partition("\n")[0]
    lines = (diagnosis.message_detail, diagnosis.message_hint, where)

    return "\n".join([f"{type(error).__name__}: {diagnosis.message_primary}", *filter(None, lines)])


def prefix_of(query: Query) -> str:
    """Return the schema that an Oban instance works in."""
    return query._prefix


def pool_of(query: Query) -> AsyncConnectionPool[Any]:
    """Return the pool of an Oban instance."""
    return query._pool


def is_home(query: Query) -> bool:
    """Tell whether the pool of an instance can be used here: on the loop that opened it."""
    workers = query._pool._workers

    if is_blocking():
        return False

    return not workers or workers[0].get_loop() is asyncio.get_running_loop()


async def open_beside_pool(
    query: Query,
    timeout: float | None = None,  # noqa: ASYNC109
    stand_in: Callable[[Any], Any] | None = None,
) -> AsyncConnection[Any]:
    """Open a connection with all settings of an instance's pool, for the caller to close.

    Waits that many seconds for the server, or as long as the pool waits for a connection. What
    ``stand_in`` makes of the pool may have connections of another class.
    """
    pool: Any = query._pool
    asked = stand_in(pool) if stand_in else pool
    conn: AsyncConnection[Any] = await type(pool)._connect(asked, timeout or pool.timeout)
    conn._pool = None

    return conn


async def connection_of(conn: Any) -> AsyncConnection[Any] | None:
    """Return the psycopg connection behind whatever was passed as ``conn=``, or None."""
    if hasattr(conn, "get_raw_connection") and not conn.in_transaction():
        # SQLAlchemy must know that there is something to commit.
        await conn.begin()

    # Its annotation is narrower than what it really returns.
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


def may_prune(pruner: Pruner) -> bool:
    """Tell whether a pruner goes on: its node leads the cluster and has not been told to stop.

    One that was never started is called by hand, and goes on.
    """
    # oban annotates it as if it were never None
    task: object = pruner._loop_task

    return task is None or (pruner._leader.is_leader and not pruner._stopping.is_set())


def query_of(producer: Producer) -> Query:
    """Return the query of the Oban instance that a producer works for."""
    return producer._query


def queue_of(producer: Producer) -> str:
    """Return the queue that a producer serves."""
    return producer._queue


def options_of(producer: Producer) -> dict[str, Any]:
    """Return the options of a producer that oban does not know; may be changed."""
    options: dict[str, Any] = producer._extra

    return options


def attempted_by(producer: Producer) -> list[str]:
    """Return what a producer signs the jobs with that it takes."""
    return [producer._node, producer._uuid]


def running_jobs(producer: Producer) -> list[Job]:
    """Return the jobs that a producer runs."""
    return [job for job, _ in producer._running_jobs.values()]


def held_jobs(producer: Producer) -> list[Job]:
    """Return the jobs that a producer runs, or has run and not acknowledged yet."""
    return [*running_jobs(producer), *(ack.job for ack in pending_acks(producer))]


def tell_cancelled(job: Job) -> None:
    """Let ``job.cancelled()`` turn true in the worker that runs a job."""
    if job._cancellation is not None:
        job._cancellation.set()


def producer_row(producer: Producer) -> dict[str, Any]:
    """Return the row of a producer, as it is put back after it was lost."""
    return {
        "uuid": producer._uuid,
        "name": producer._name,
        "node": producer._node,
        "queue": producer._queue,
        "meta": get_ext("producer.restore", default_producer_meta)(producer),
    }


def is_draining(producer: Producer) -> bool:
    """Tell whether a producer waits for its last jobs, and is not done with stopping."""
    return producer._stopping.is_set() and producer._init_lock.locked()


async def wait_until_stopped(producer: Producer) -> None:
    """Wait until a producer that was told to stop has stopped."""
    async with producer._init_lock:
        pass


def acknowledge(producer: Producer, ack: AckAction) -> None:
    """Let a producer acknowledge a job that it did not start."""
    producer._pending_acks.append(ack)
    producer.notify()


def pending_acks(producer: Producer) -> list[AckAction]:
    """Return the acks of jobs that a producer has run and not acknowledged yet."""
    return [*producer._pending_acks]


def remember_query(job: Job, query: Query) -> None:
    """Note on a job which Oban instance it came from: where it was inserted, read or fetched."""
    job.extra[job_notes.QUERY] = query


_fetch_jobs = Query.fetch_jobs


async def _fetch_and_remember(query: Query, *args: Any, **kwargs: Any) -> list[Job]:
    jobs = await _fetch_jobs(query, *args, **kwargs)

    for job in jobs:
        remember_query(job, query)

    return jobs


WORKERS = "oban_pro.workers"
"""The module of our own workers, which rows may always name."""

# Annotations leave out the names that the module has merely imported.
_executor: Any = oban._executor
_resolve_worker = _executor.resolve_worker


def resolve_worker(path: str) -> type:
    """Find the worker that a row names, if the settings permit it; `absent_code` says if not here.

    Raises:
        WorkerResolutionError: If it cannot be found.
        ForbiddenCodeError: If the settings do not permit it.
    """
    return settings.find_code(path, _resolve_one)


def _resolve_one(name: str) -> type:
    path = name.replace(":", ".")
    module = path.rpartition(".")[0]
    # Before anything is imported: that would run the top of the module.
    _check_module(path, module)

    try:
        found: type = _resolve_worker(path)
    except WorkerResolutionError as error:
        cause = error.__cause__

        if isinstance(cause, AttributeError) or (
            isinstance(cause, ImportError) and is_absent(cause, module)
        ):
            mark_absent(error, path)

        raise

    _check_module(path, found.__module__)

    return found


def _check_module(path: str, module: str) -> None:
    if module != WORKERS and (reason := settings.why_forbidden(module)):
        raise ForbiddenCodeError(f"worker {path!r} is not run: {reason}")


_read_toml = Config.from_toml


def _read_toml_and_remember(path: str | None = None) -> Config:
    if path is not None:
        settings.look_beside(path)

    return _read_toml(path)


def hook_methods() -> None:
    """Wrap what oban has no slot for.

    Jobs that `drain_queue` fetches note their Oban instance. Workers that the settings forbid are
    refused, and the settings are read beside the ``oban.toml`` in use.
    """
    Query.fetch_jobs = _fetch_and_remember  # type: ignore[method-assign, assignment]
    _executor.resolve_worker = resolve_worker
    Config.from_toml = staticmethod(_read_toml_and_remember)  # type: ignore[method-assign]


def unhook_methods() -> None:
    """Undo `hook_methods`."""
    if Query.fetch_jobs is _fetch_and_remember:
        Query.fetch_jobs = _fetch_jobs  # type: ignore[method-assign]

    if _executor.resolve_worker is resolve_worker:
        _executor.resolve_worker = _resolve_worker

    if Config.from_toml is _read_toml_and_remember:
        Config.from_toml = _read_toml  # type: ignore[method-assign]


def query_running(job: Job) -> Query | None:
    """Return the query of the Oban instance that a job came from, or None where that is unknown."""
    query = job.extra.get(job_notes.QUERY)

    return query if isinstance(query, Query) else None


def runs_inline() -> bool:
    """Tell whether jobs run where they are enqueued, as in a test."""
    return oban.testing._get_mode() == "inline"


def run_inline(jobs: list[Job]) -> list[Job]:
    """Run jobs here and now, on an event loop of their own."""
    # It uses nothing of its instance.
    asyncio.run(Oban._execute_inline(None, jobs))  # type: ignore[arg-type, no-untyped-call]

    return jobs


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


def forget_instance(name: str) -> None:
    """Let nobody find an Oban instance by its name any more."""
    _instances.pop(name, None)


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
