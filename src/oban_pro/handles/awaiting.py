"""Waiting for a signal inside a running job."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from oban_pro import _host
from oban_pro.building.names import check_text
from oban_pro.building.waits import Clock, Moment, check_clock
from oban_pro.engine.repeating import survive
from oban_pro.engine.session import session_for
from oban_pro.errors import NotInJobError, SignalTimeout
from oban_pro.model.durations import check_duration
from oban_pro.model.parking import WAIT, WAIT_UNTIL, Parked, RunningJob, execution, may_block
from oban_pro.values.recorded import read

from .waiting import listener_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from oban_pro.engine.results import Answer
    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store

POLL_INTERVAL = 1.0
"""Seconds after which a blocked call polls without a notification."""

LONGEST_PARKING = 86_400.0
"""Seconds after which a parked job runs again to look for its signal, in any case."""


async def await_signal(
    name: str | None = None, *, wait_for: Moment | None = None, block_for: float = 5.0
) -> Any:
    """Wait inside a job until somebody sends it a signal.

    The job need not be of a workflow. The first call of a name returns the first signal of that
    name that was ever sent to the job, the second call the second one, and so on. A job that runs
    again, after a crash, an error or because it was parked, gets the same answers in the same
    places.

    While there is no signal the call blocks for some seconds. Then the job is parked: it leaves its
    queue, does not use up an attempt, and runs again from its start once the signal comes.

    Args:
        name: Which signals it is for; by default those without a name.
        wait_for: How long to wait: a timedelta or seconds from the first time that the job reaches
            the call, or a datetime with a timezone; by default without end.
        block_for: Seconds until the job is parked; 0 parks it at once.

    Returns:
        What the signal carries.

    Raises:
        SignalTimeout: If none came in time; in every later execution too.
        NotInJobError: If it is called outside of a job, or in another task than the job's own.
        InvalidOptionError: If a duration is negative or not finite.

    Example:
        >>> @worker()
        ... class Charge:
        ...     async def process(self, job):
        ...         code = await await_signal("3ds", wait_for=600)
    """
    running = _running_here()

    return await _await(running, name, wait_for, block_for)


def wait_signal(
    name: str | None = None, *, wait_for: Moment | None = None, block_for: float = 5.0
) -> Any:
    """Wait for a signal inside a plain ``def`` cascade: the blocking twin of `await_signal`.

    Args:
        name: Which signals it is for; by default those without a name.
        wait_for: How long to wait: a timedelta or seconds, or a datetime with a timezone.
        block_for: Seconds until the job is parked; 0 parks it at once.

    Returns:
        What the signal carries.

    Raises:
        SignalTimeout: If none came in time; in every later execution too.
        NotInJobError: If it is called outside of a job's thread.

    Example:
        >>> def charge(context):
        ...     code = wait_signal("3ds", wait_for=600)
    """
    running = execution.get()

    if _is_on_a_loop():
        raise NotInJobError(
            "wait_signal() would block the event loop; use `await await_signal()` here"
        )

    if running is None:
        raise NotInJobError("wait_signal() must be called in the thread of a running job")

    waiting = _await(running, name, wait_for, block_for)

    return asyncio.run_coroutine_threadsafe(waiting, running.loop).result()


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False

    return True


def _running_here() -> RunningJob:
    running = execution.get()

    if running is None:
        raise NotInJobError("await_signal() must be called in a running job")

    if asyncio.current_task() is not running.task:
        raise NotInJobError(
            "await_signal() must be called in the job's own task, got another one: gather() and"
            " create_task() make tasks of their own, which would go on when the job is parked"
        )

    return running


async def _await(
    running: RunningJob, name: str | None, wait_for: Moment | None, block_for: float
) -> Any:
    stream = "" if name is None else check_text(name, "name of a signal")
    clock = Clock("wait", None, None)

    if wait_for is not None:
        clock = check_clock("wait", "wait_for", wait_for)

    block = check_duration("block_for", block_for, zero=True).total_seconds() * may_block.get()
    job = running.job

    if _host.query_running(job) is None or job.id is None:
        raise NotInJobError(f"await_signal() needs a database, and {job} was run without one")

    running.calls[stream] += 1
    call = running.calls[stream]
    session = session_for(job)

    async def ask_once() -> Answer:
        return await session.execute(
            lambda store: store.answer(job.id or 0, stream, call, clock.seconds, clock.moment)
        )

    async def ask() -> Answer:
        # The question can be repeated, so a lost connection costs the job no attempt.
        return await survive(ask_once)

    answer = await ask()

    if answer.answer == "waiting" and block > 0:
        answer = await _block(session, job.id, ask, block)

    if answer.answer == "signal":
        return await read(f"signal for job {job.id}", answer.payload or "")

    label = "a signal" if name is None else f"a signal {name!r}"

    if answer.answer == "timeout":
        raise SignalTimeout(f"job {job.id} must get {label} in time, got none")

    raise _park(stream, call, answer.seconds)


async def _block(session: Session[Store], job_id: int, ask: Any, block: float) -> Answer:
    """Ask again at each notification, for some seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + block

    async with _listen(session, job_id) as told:
        while True:
            answer: Answer = await ask()
            left = min(end - loop.time(), answer.seconds or POLL_INTERVAL, POLL_INTERVAL)

            if answer.answer != "waiting" or end <= loop.time():
                return answer

            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), max(left, 0.001))

            told.clear()


def _listen(session: Session[Store], job_id: int) -> AbstractAsyncContextManager[asyncio.Event]:
    if not _host.is_home(session.query):
        return nullcontext(asyncio.Event())

    listener = listener_of(session.query)

    return listener.listen(session, lambda payload: payload.get("job") == job_id)


def _park(stream: str, call: int, seconds: float | None) -> Parked:
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    meta = {WAIT: {"name": stream, "call": call}, WAIT_UNTIL: until and until.isoformat()}

    return Parked(min(max(seconds or LONGEST_PARKING, 0), LONGEST_PARKING), meta)
