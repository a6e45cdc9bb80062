"""The workers behind cascades and grafts of functions.

Rows in the database name them by their paths, so they never move.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from oban import Cancel, Job, Record, Snooze, worker

from . import _host
from .building import tolerance
from .building.arguments import named_items
from .building.batches import ITEMS_IN_BATCH, fan_out_args, items_of, results_by_name
from .building.bounds import BOUNDS, backoff_of, giving_up, require_backoff, timeout_of
from .building.calls import resolve_call
from .building.cascades import (
    BATCH_SIZE,
    CALL,
    FUNCTION,
    ITEM,
    ITEMS,
    LAZY,
    OPTIONS,
    RESULT,
    VALUE,
    cascade_job,
    encode_item,
)
from .building.functions import (
    ANY,
    CONTEXT,
    CONTEXT_AND_OUTCOME,
    ITEM_AND_CONTEXT,
    resolve_function,
)
from .building.plan import JobSpec
from .building.planner import compile_plan
from .building.undos import BLOCKED, UNDO, undo_job
from .engine import calling, context_loader, ending, grafting, inline, undoing
from .engine.lazy_context import lazy_context_of
from .errors import CascadeError, CodecError, MissingContextError, UnsupportedTypeError
from .model import meta
from .model.conditions import Verdict
from .model.turns import Again, NextTurn
from .values import codec
from .values.context import Context
from .values.recorded import MAPPED_OVER_LIST
from .workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from .building.tolerance import Tolerance

logger = logging.getLogger(__name__)

RESULT_LIMIT = 256_000_000
"""Bytes that an encoded result may take: what PostgreSQL holds in one JSON string."""


@worker()
class Cascade:
    """Call a cascade function with its context, and record what it returns."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | Again | NextTurn:
        """Run the job; a loop that comes straight from a builder takes all its turns."""
        while True:
            call = await _prepare(job)

            with giving_up(job):
                result = await call()

                if isinstance(result, Again) and not {ITEM, CALL} & job.args.keys():
                    turn = NextTurn(_record(job, result.value).encoded, result.seconds)
                elif isinstance(result, (Record, Snooze, Cancel, Again)):
                    return result
                else:
                    return _record(job, result)

            if not inline.is_bound(job):
                return turn

            inline.keep_turn(job, turn)

    def backoff(self, job: Job) -> float:
        """Return the seconds until the job is tried again."""
        return _backoff(job)


@worker()
class BatchCascade:
    """Call a cascade function with several items and its context, and record a result for each."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | Again:
        """Run the job."""
        call = await _prepare(job)

        with giving_up(job):
            result = await call()

            if isinstance(result, (Snooze, Cancel, Again)):
                return result

            return _record(job, results_by_name(job, result))

    def backoff(self, job: Job) -> float:
        """Return the seconds until the job is tried again."""
        return _backoff(job)


@worker()
class Grafter:
    """Call a function with its context, and graft the workflow that it returns."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | Again | None:
        """Run the job."""
        call = await _prepare(job)

        with giving_up(job):
            result = await call()

            if isinstance(result, (Record, Snooze, Cancel, Again)):
                return result

            if result is not None:
                await _graft(job, result)

        return None

    def backoff(self, job: Job) -> float:
        """Return the seconds until the job is tried again."""
        return _backoff(job)


@worker()
class Mapper:
    """Graft one cascade for each item of what an upstream job recorded."""

    async def process(self, job: Job) -> Record | None:
        """Run the job."""
        items, is_dict, result = await _items_of(job)

        if items:
            # The mapper has waited for what the workflows around it have as a default.
            options = {"scheduled_at": None, **codec.from_json(job.args[OPTIONS])}
            kept = {key: job.args[key] for key in (CALL, LAZY, *BOUNDS) if key in job.args}
            bounds = {key: kept[key] for key in BOUNDS if key in kept}
            workflow = Workflow()

            encoded = {key: encode_item(_name(job), key, item) for key, item in items.items()}
            size = job.args.get(BATCH_SIZE)
            worker, args_of = fan_out_args(_name(job), encoded, size, is_dict=is_dict)

            for key, args in args_of.items():
                cascade = cascade_job(worker, job.args[FUNCTION], {**args, **kept}, options)
                undo = undo_job(job.args.get(UNDO), args, bounds, options)
                workflow._add(key, JobSpec(cascade, options=options, undo=undo))

            await _graft(job, workflow, tolerance.from_args(job.args))

        return result


@worker()
class Judge:
    """Ask the condition of a group."""

    async def process(self, job: Job) -> Verdict:
        """Run the job."""
        verdict = Verdict(await is_met(job, job.args.get(VALUE, job.args.get(FUNCTION))))

        if inline.is_bound(job) and not verdict.is_met:
            inline.keep_skipped(job)

        return verdict


@worker()
class Final:
    """Call the function of a final job with its context and with the outcome of its workflow."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | Again:
        """Run the job."""
        is_bound = CALL in job.args
        function = resolve_function(
            job.args.get(FUNCTION), ANY if is_bound else CONTEXT_AND_OUTCOME
        )
        timeout = timeout_of(job)
        require_backoff(job)
        context, outcome = await ending.what_ended(job)

        if is_bound:
            args, kwargs = resolve_call(job.args, function, context, (outcome,))
        else:
            args, kwargs = [context, outcome], {}

        return await _answer(job, timeout, partial(function, *args, **kwargs))

    def backoff(self, job: Job) -> float:
        """Return the seconds until the job is tried again."""
        return _backoff(job)


@worker()
class Undoer:
    """Plan how a workflow is undone, and graft that."""

    async def process(self, job: Job) -> None:
        """Run the job."""
        spec = await undoing.plan_of_undo(job)

        if spec is not None:
            plan = compile_plan(replace(spec, id=Workflow().id), grafter=job)
            grafting.keep_returned(job, plan)


@worker()
class Undo:
    """Call the function that undoes a job, with the context of that."""

    async def process(self, job: Job) -> Record | Snooze | Cancel | Again:
        """Run the job."""
        if BLOCKED in job.args:
            return Cancel(f"it was tried in the workflow nested there: {job.args[BLOCKED]}")

        is_bound = CALL in job.args
        function = resolve_function(job.args.get(FUNCTION), ANY if is_bound else _arguments_of(job))
        timeout = timeout_of(job)
        require_backoff(job)
        context = await undoing.context_of(job)

        if is_bound:
            args, kwargs = resolve_call(job.args, function, context)
        else:
            args, kwargs = [*_given_items(job, context), context], {}

        return await _answer(job, timeout, partial(function, *args, **kwargs))

    def backoff(self, job: Job) -> float:
        """Return the seconds until the job is tried again."""
        return _backoff(job)


@worker()
class SignalWait:
    """Stands for a wait for signals. Nodes never run it; only tests without a database do."""

    async def process(self, job: Job) -> None:
        """Raise, as nobody can send a signal without a database."""
        raise CascadeError(
            f"job {_name(job)!r} waits for a signal, which takes a database; test it with"
            " run_workflow(…, signals={…})"
        )


@worker()
class TimerWait:
    """Stands for a wait for a time. Nodes never run it; only tests without a database do."""

    async def process(self, _job: Job) -> None:
        """Complete at once."""


async def _items_of(job: Job) -> tuple[dict[str, Any], bool, Record | None]:
    """Return what a job maps over, whether it is a dict, and what it records for readers."""
    context = await _context_of(job, is_lazy=False)

    if ITEMS not in job.args:
        found, where = _find(job, context)

        return _named(job, found, where), isinstance(found, dict), None

    found = codec.from_json(job.args[ITEMS], context.resolve)
    is_dict = isinstance(found, dict)
    result = None if is_dict else _record(job, MAPPED_OVER_LIST)

    return _named(job, found, "the items"), is_dict, result


async def is_met(job: Job, condition: object) -> bool:
    """Ask a condition that a row holds, with the context of its job.

    A result that was not recorded is as good as a false one.
    """
    if codec.is_placeholder(condition):
        context = await _context_of(job)

        with suppress(MissingContextError):
            return bool(codec.from_json(condition, context.resolve))

        return False

    function = resolve_function(condition, CONTEXT)

    return bool(await calling.call_function(job, partial(function, await _context_of(job))))


def _find(job: Job, context: Context) -> tuple[Any, str]:
    path = job.args[RESULT]
    found: Any = context[path[0]]

    try:
        for key in path[1:]:
            found = found[key]
    except (LookupError, TypeError) as error:
        raise CascadeError(
            f"job {_name(job)!r} must find what it maps over, got {error!r} at {_at(path)}"
        ) from error

    return found, _at(path)


def _named(job: Job, found: Any, where: str) -> dict[str, Any]:
    if isinstance(found, dict | list | tuple | set | frozenset):
        return named_items(_name(job), found)

    raise CascadeError(
        f"job {_name(job)!r} must map over a list or a dict, got {found!r:.80} at {where}"
    )


def _at(path: Sequence[str | int]) -> str:
    return "context" + "".join(f"[{key!r}]" for key in path)


async def _graft(job: Job, workflow: object, tolerates: Tolerance | None = None) -> None:
    if not isinstance(workflow, Workflow):
        raise CascadeError(
            f"grafter {_name(job)!r} must return a Workflow or None, got {workflow!r:.80}"
        )

    spec = replace(workflow._spec("sub", workflow.id), tolerance=tolerates)
    plan = compile_plan(spec, grafter=job)

    if inline.is_bound(job):
        await inline.run_graft(plan)
    elif plan.jobs:
        grafting.keep_returned(job, plan)


async def _prepare(job: Job) -> Callable[[], Awaitable[Any]]:
    """Find the function of a job and what it is called with; returns what calls it."""
    is_bound = CALL in job.args
    function = resolve_function(job.args.get(FUNCTION), ANY if is_bound else _arguments_of(job))
    timeout = timeout_of(job)
    require_backoff(job)
    context = await _context_of(job)

    if is_bound:
        args, kwargs = resolve_call(job.args, function, context)
    else:
        args, kwargs = [*_given_items(job, context), context], {}

    return partial(calling.call_in_time, job, timeout, partial(function, *args, **kwargs))


async def _answer(
    job: Job, longest: timedelta | None, function: Callable[[], Any]
) -> Record | Snooze | Cancel | Again:
    """Call a function that ends its job; records what it returns, unless that is an answer."""
    with giving_up(job):
        result = await calling.call_in_time(job, longest, function)
        is_answer = isinstance(result, (Record, Snooze, Cancel, Again))

        return result if is_answer else _record(job, result)


def _arguments_of(job: Job) -> tuple[str, ...]:
    """Return what the function of a job that gets its context is called with."""
    return CONTEXT if {ITEM, ITEMS_IN_BATCH}.isdisjoint(job.args) else ITEM_AND_CONTEXT


def _given_items(job: Job, context: Context) -> list[Any]:
    """Return what a function gets before its context: its item, its batch, or nothing."""
    if ITEM in job.args:
        return [codec.from_json(job.args[ITEM], context.resolve)]

    return [items_of(job.args, context.resolve)] if ITEMS_IN_BATCH in job.args else []


async def _context_of(job: Job, *, is_lazy: bool | None = None) -> Context:
    is_lazy = bool(job.args.get(LAZY)) if is_lazy is None else is_lazy

    if inline.is_bound(job):
        return inline.context_of(job, is_lazy=is_lazy)

    return await (lazy_context_of(job) if is_lazy else context_loader.context_of(job))


def _backoff(job: Job) -> float:
    """Return the seconds until a job is tried again: its own, or oban's if they cannot be had.

    What oban calls this from loses the ack of the job if it raises.
    """
    try:
        seconds = backoff_of(job)
    except KeyboardInterrupt:
        raise
    except BaseException:
        logger.warning("Cannot tell the backoff of job %s; using oban's", job.id, exc_info=True)
        seconds = None

    if seconds is None:
        return _host.default_backoff(job.attempt, job.max_attempts)

    return seconds


def _record(job: Job, result: Any) -> Record:
    try:
        return codec.record(result, RESULT_LIMIT)
    except (UnsupportedTypeError, CodecError) as error:
        raise CascadeError(
            f"{meta.label_of(job)} returned what cannot be recorded: {error}"
        ) from error


def _name(job: Job) -> str:
    return str(job.meta.get("name"))
