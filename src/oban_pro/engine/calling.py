"""Calling functions of users, in the event loop or in threads."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from oban.worker import JobTimeoutError

from oban_pro import _host
from oban_pro.errors import CascadeError
from oban_pro.model import meta
from oban_pro.model.parking import find_parked
from oban_pro.model.wording import spell_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from oban import Job

# Blocking functions get their own threads, because the loop's default pool is small and serves
# others. There are at most as many as running jobs, whose number the queues limit.
_threads = ThreadPoolExecutor(max_workers=1024, thread_name_prefix="oban-cascade")

# The executions in these threads. A thread goes on after the task that awaits it is cancelled.
_in_threads: set[tuple[int | None, datetime | None]] = set()


def executions_in_threads() -> set[tuple[int | None, datetime | None]]:
    """Return the executions whose functions run in threads, by job and by when they began."""
    return _in_threads.copy()


async def call_in_time(job: Job, longest: timedelta | None, function: Callable[[], Any]) -> Any:
    """Call the function of a job.

    Args:
        job: The job that runs.
        longest: How long the function may take; None for as long as it likes.
        function: Takes nothing; it may be ``async def``. What is not runs in a thread.

    Raises:
        JobTimeoutError: If it takes longer.
        CascadeError: If it raises something else than an Exception.
    """
    if longest is None:
        return await call_function(job, function)

    try:
        async with asyncio.timeout(longest.total_seconds()) as clock:
            return await call_function(job, function)
    except TimeoutError as error:
        if not clock.expired():
            raise

        # A function whose execution was given up can ask current_job() whether it was.
        _host.tell_cancelled(job)

        raise JobTimeoutError(
            f"{meta.label_of(job)} timed out after {spell_duration(longest)}"
        ) from error


async def call_function(job: Job, function: Callable[[], Any]) -> Any:
    """Call the function of a job, however long it takes.

    Raises:
        CascadeError: If it raises something else than an Exception.
    """
    try:
        if inspect.iscoroutinefunction(function):
            return await function()

        result = await _call_in_thread(job, function)

        return await result if inspect.isawaitable(result) else result
    except Exception:
        raise
    except BaseException as error:
        if _is_stopped(error) or find_parked(error):
            raise

        # oban handles Exceptions alone: after anything else the job would stay executing.
        raise CascadeError(
            f"{meta.label_of(job)} must return or raise an Exception, got {error!r}"
        ) from error


def _is_stopped(error: BaseException) -> bool:
    """Tell whether oban stops this job, rather than its function having raised the error."""
    task = asyncio.current_task()

    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


async def _call_in_thread(job: Job, function: Callable[[], Any]) -> Any:
    execution = job.id, job.attempted_at

    def call() -> tuple[Any, BaseException | None]:
        _in_threads.add(execution)

        # Whatever is raised crosses over as a value: a future refuses some exceptions.
        try:
            return function(), None
        except BaseException as error:
            return None, error
        finally:
            _in_threads.discard(execution)

    loop = asyncio.get_running_loop()
    result, error = await loop.run_in_executor(_threads, copy_context().run, call)

    if error is not None:
        raise error

    return result
