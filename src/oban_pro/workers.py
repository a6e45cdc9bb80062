"""The worker behind cascades.

Rows in the database name it by its path, so it never moves.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from oban import Cancel, Job, Record, Snooze, worker
from oban.worker import worker_name

from . import codec, contexts, inline
from .codec import CodecError, UnsupportedTypeError
from .context import Context
from .errors import CascadeError
from .functions import resolve_function

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTION = "function"
ITEM = "item"

RECORD_LIMIT = 256_000_000
"""Bytes that an encoded result may take: what PostgreSQL holds in one JSON string."""

# Blocking functions get threads of their own: the loop's default pool has few, and serves others.
# There are never more than jobs in progress, which the limits of the queues bound.
_threads = ThreadPoolExecutor(max_workers=1024, thread_name_prefix="oban-cascade")


@worker()
class Cascade:
    """Call a cascade function with its context, and record what it returns."""

    async def process(self, job: Job) -> Record | Snooze | Cancel:
        """Run the job."""
        function = resolve_function(job.args[FUNCTION])
        context = await _context_of(job)

        if ITEM in job.args:
            result = await _call(job, function, codec.from_json(job.args[ITEM]), context)
        else:
            result = await _call(job, function, context)

        if isinstance(result, (Record, Snooze, Cancel)):
            return result

        return _record(job, result)


CASCADE = worker_name(Cascade)


async def _context_of(job: Job) -> Context:
    if inline.is_bound(job):
        return inline.context_of(job)

    return await contexts.context_of(job)


async def _call(job: Job, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)

        result = await _call_in_thread(function, *arguments)

        return await result if inspect.isawaitable(result) else result
    except Exception:
        raise
    except BaseException as error:
        if _is_stopped(error):
            raise

        # oban acknowledges nothing but an Exception: the job would stay executing.
        raise CascadeError(
            f"job {_name(job)!r} must return or raise an Exception, got {error!r}"
        ) from error


def _is_stopped(error: BaseException) -> bool:
    """Tell whether somebody stops this very job, which oban handles, or the function raised it."""
    task = asyncio.current_task()

    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


async def _call_in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    def call() -> tuple[Any, BaseException | None]:
        # Whatever is raised crosses over as a value: a future refuses some exceptions.
        try:
            return function(*arguments), None
        except BaseException as error:
            return None, error

    loop = asyncio.get_running_loop()
    result, error = await loop.run_in_executor(_threads, copy_context().run, call)

    if error is not None:
        raise error

    return result


def _record(job: Job, result: Any) -> Record:
    try:
        return codec.record(result, RECORD_LIMIT)
    except (UnsupportedTypeError, CodecError) as error:
        raise CascadeError(
            f"job {_name(job)!r} returned what cannot be recorded: {error}"
        ) from error


def _name(job: Job) -> str:
    return str(job.meta.get("name"))
