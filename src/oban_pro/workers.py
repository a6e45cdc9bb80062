"""The workers behind cascades and grafts of functions.

Rows in the database name them by their paths, so they never move.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from oban import Cancel, Job, Record, Snooze, worker

from . import codec, contexts, grafting, inline
from .cascades import CASCADE, FUNCTION, ITEM, OPTIONS, RESULT, cascade_job, encode_item
from .codec import CodecError, UnsupportedTypeError
from .context import Context
from .errors import CascadeError
from .functions import resolve_function
from .items import named_items
from .planner import compile_plan
from .workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        result = await _call_with_context(job)

        return result if isinstance(result, (Record, Snooze, Cancel)) else _record(job, result)


@worker()
class Grafter:
    """Call a function with its context, and graft the workflow that it returns."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | None:
        """Run the job."""
        result = await _call_with_context(job)

        if isinstance(result, (Record, Snooze, Cancel)):
            return result

        if result is not None:
            await _graft(job, result)

        return None


@worker()
class Mapper:
    """Graft one cascade for each item of what an upstream job recorded."""

    async def process(self, job: Job) -> None:
        """Run the job."""
        items = _find(job, await _context_of(job))

        if items:
            options = codec.from_json(job.args[OPTIONS])
            workflow = Workflow()

            for key, item in items.items():
                args = {ITEM: encode_item(_name(job), key, item)}
                workflow.add(key, cascade_job(CASCADE, job.args[FUNCTION], args, options))

            await _graft(job, workflow)


def _find(job: Job, context: Context) -> dict[str, Any]:
    path = job.args[RESULT]
    found: Any = context[path[0]]

    try:
        for key in path[1:]:
            found = found[key]
    except (LookupError, TypeError) as error:
        raise CascadeError(
            f"job {_name(job)!r} must find what it maps over, got {error!r} at {_at(path)}"
        ) from error

    if isinstance(found, dict | list | tuple | set | frozenset):
        return named_items(_name(job), found)

    raise CascadeError(
        f"job {_name(job)!r} must map over a list or a dict, got {found!r:.80} at {_at(path)}"
    )


def _at(path: Sequence[str | int]) -> str:
    return "context" + "".join(f"[{key!r}]" for key in path)


async def _graft(job: Job, workflow: object) -> None:
    if not isinstance(workflow, Workflow):
        raise CascadeError(
            f"grafter {_name(job)!r} must return a Workflow or None, got {workflow!r:.80}"
        )

    plan = compile_plan(workflow.spec("sub", workflow.id), grafter=job)

    if inline.is_bound(job):
        await inline.run_graft(plan)
    elif plan.jobs:
        grafting.return_graft(job, plan)


async def _call_with_context(job: Job) -> Any:
    function = resolve_function(job.args[FUNCTION])
    context = await _context_of(job)

    if ITEM in job.args:
        return await _call(job, function, codec.from_json(job.args[ITEM]), context)

    return await _call(job, function, context)


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
