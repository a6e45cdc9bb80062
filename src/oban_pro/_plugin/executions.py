"""``Executor.execute`` and two of its steps: every execution ends with an ack, or is parked.

oban has no slot for these methods, so they are wrapped. oban loses the ack of an execution if its
worker raises a BaseException, or if its ``backoff`` or the ``str`` of its exception raises; here
such an execution fails. A job that waits for a signal is parked by an exception that no ``except
Exception`` catches. A turn of a loop has an ack that oban does not know. A job whose code is not on
this node is left to other nodes.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oban import Snooze

from oban_pro import _host, workers
from oban_pro.building.conditions import spell_condition
from oban_pro.engine import inline
from oban_pro.errors import CascadeError
from oban_pro.model import job_notes, meta
from oban_pro.model.conditions import Skipped, Verdict
from oban_pro.model.parking import RunningJob, execution, find_parked
from oban_pro.model.turns import AGAIN, TURN, Again, NextTurn, turns_of

from . import stored_results, unknown_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from oban import Job

_execute = _host.Executor.execute

type Observe = Callable[[_host.Executor], AbstractAsyncContextManager[None]]
"""Begins before an execution, in its task, and ends when its ack is known."""

_observe: Observe | None = None


def observe(around: Observe | None) -> None:
    """Let every execution run within a context manager; None lets them run without."""
    global _observe  # noqa: PLW0603
    _observe = around


async def _execute_observed(executor: _host.Executor) -> _host.Executor:
    if _observe is None:
        return await _execute_and_ack(executor)

    async with _observe(executor):
        return await _execute_and_ack(executor)


async def _execute_and_ack(executor: _host.Executor) -> _host.Executor:
    try:
        await _execute(executor)
    except BaseException as error:
        if not executor.safe or _is_stopped(error):
            raise

        _fail(executor, error)

    unknown_code.forget(executor)

    return executor


def _is_stopped(error: BaseException) -> bool:
    """Tell whether a task was cancelled from outside, rather than by its worker."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # The event loop is gone.
        return True

    is_cancelled = task is None or task.cancelling() > 0

    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, asyncio.CancelledError) and is_cancelled
    )


def _fail(executor: _host.Executor, error: BaseException) -> None:
    """Give an execution that ended without one an ack, and tell telemetry what oban could not."""
    parts: Any = executor
    raised = "".join(traceback.format_exception(error))

    if parts.action is None:
        parts._traceback = f"{parts._traceback or ''}Execution ended without an ack:\n{raised}"
        parts.action = _host.ack_failing_with(executor.job, parts._traceback)

    # `str` of the original exception raises, that of this one does not.
    parts.result = RuntimeError(f"execution ended without an ack: {_host.describe(error)}")

    with suppress(Exception):
        parts._report_stopped()


_process = _host.Executor._process


async def _process_or_park(executor: _host.Executor) -> None:
    running = RunningJob(executor.job, asyncio.current_task(), asyncio.get_running_loop())
    token = execution.set(running)

    try:
        if await _may_run(executor):
            await _process(executor)
    except BaseException as error:
        parked = find_parked(error)

        if parked is None:
            raise

        parts: Any = executor
        parts.result = Snooze(math.ceil(parked.seconds), meta=parked.meta)
    finally:
        execution.reset(token)

    _refuse_again(executor)
    unknown_code.defer(executor)
    await stored_results.keep(executor)


async def _may_run(parts: Any) -> bool:
    """Tell whether a job runs: its condition is met, and some dependency was not skipped."""
    job: Job = parts.job
    is_bound = inline.is_bound(job)

    if is_bound and inline.is_skipped(job):
        parts.result = Skipped("all that it depends on was skipped")
    elif meta.WHEN not in job.meta or meta.JUDGED in job.meta:
        return True
    else:
        await _ask(parts, job)

    if is_bound and isinstance(parts.result, Skipped):
        inline.keep_skipped(job)

    return parts.result is None


async def _ask(parts: Any, job: Job) -> None:
    """Call the condition of a job. If it raises, the attempt fails."""
    condition = job.meta[meta.WHEN]

    try:
        if await workers.is_met(job, condition):
            job.extra[job_notes.JUDGED] = True
        else:
            parts.result = Skipped(f"its condition {spell_condition(condition)} was not met")
    except Exception as error:
        parts.result, parts._traceback = error, traceback.format_exc()


def _refuse_again(parts: Any) -> None:
    """Fail an execution that returned Again although its job is no loop."""
    executor: _host.Executor = parts

    if not isinstance(parts.result, Again):
        return

    name = executor.job.meta.get(meta.NAME, executor.job.worker)
    parts.result = CascadeError(
        f"job {name!r} cannot return Again: only a cascade of one function runs in turns"
    )


_record_stopped = _host.Executor._record_stopped


def _record_outcome(executor: _host.Executor) -> None:
    _record_stopped(executor)
    parts: Any = executor
    job, result = executor.job, parts.result

    if isinstance(result, Skipped):
        parts.action = _host.AckAction(
            job, "completed", attempt_change=-job.attempt, meta={meta.SKIPPED: result.reason}
        )
    elif isinstance(result, Verdict):
        parts.action = _host.AckAction(job, "completed", meta={meta.JUDGED: result.is_met})
    elif isinstance(result, NextTurn):
        parts.action = _host.AckAction(
            job,
            "scheduled",
            attempt_change=-job.attempt,
            meta={TURN: turns_of(job.meta) + 1, AGAIN: result.encoded},
            schedule_in=result.seconds,  # type: ignore[arg-type]
        )
    elif AGAIN in job.meta and parts.action.state == "completed":
        kept = {**(parts.action.meta or {}), TURN: turns_of(job.meta) + 1}
        parts.action = replace(parts.action, meta=kept)

    if job_notes.JUDGED in job.extra and parts.action.state != "completed":
        kept = {**(parts.action.meta or {}), meta.JUDGED: True}
        parts.action = replace(parts.action, meta=kept)


def hook() -> None:
    """Wrap oban's own methods."""
    _host.Executor.execute = _execute_observed  # type: ignore[method-assign, assignment]
    _host.Executor._process = _process_or_park  # type: ignore[method-assign, assignment]
    _host.Executor._record_stopped = _record_outcome  # type: ignore[method-assign, assignment]


def unhook() -> None:
    """Put oban's own methods back, unless somebody else has replaced ours."""
    if _host.Executor.execute is _execute_observed:
        _host.Executor.execute = _execute  # type: ignore[method-assign]

    if _host.Executor._process is _process_or_park:
        _host.Executor._process = _process  # type: ignore[method-assign]

    if _host.Executor._record_stopped is _record_outcome:
        _host.Executor._record_stopped = _record_stopped  # type: ignore[method-assign]
