"""Functions that take too long or fail, and functions for their `backoff`."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oban import Job, Snooze, current_job

from oban_pro import Workflow, await_signal

type Context = dict[str, Any]

release = threading.Event()
left_behind = threading.Event()
backoffs: list[int] = []


class DeclinedError(Exception):
    """An error after which a job is not tried again."""


class StolenError(DeclinedError):
    """Another error after which a job is not tried again."""


async def hang(context: Context) -> None:
    await asyncio.Event().wait()


async def hang_item(item: Any, context: Context) -> Any:
    return await hang(context) if item == "slow" else item


async def items(context: Context) -> Any:
    return context["items"]


async def hang_builder(context: Context) -> Workflow:
    await asyncio.Event().wait()

    return Workflow()


def block(context: Context) -> None:
    """Run until the job sees that it was cancelled, or until the test is over."""
    job = current_job()
    assert job is not None

    while not release.wait(0.005):
        if job.cancelled():
            left_behind.set()
            return


async def own_timeout(context: Context) -> None:
    raise TimeoutError("of its own")


async def snooze_in_time(context: Context) -> Any:
    job = current_job()
    assert job is not None
    return "awake" if job.meta.get("snoozed") else Snooze(0)


async def wait_for_signal(context: Context) -> Any:
    return await await_signal(block_for=0)


async def decline(context: Context) -> None:
    raise StolenError("card is stolen")


def decline_blocking(context: Context) -> None:
    raise StolenError("card is stolen")


async def decline_item(item: Any, context: Context) -> Any:
    raise DeclinedError(item) if item == "bad" else ValueError(item)


async def decline_builder(context: Context) -> Workflow:
    raise DeclinedError("nothing to build")


async def fail(context: Context) -> None:
    raise ValueError("try again")


async def unstorable(context: Context) -> Any:
    return object()


# For the backoff


def linear(job: Job) -> float:
    backoffs.append(job.attempt)
    return 100.0 * job.attempt


def as_timedelta(job: Job) -> timedelta:
    return timedelta(minutes=job.attempt)


def negative(job: Job) -> float:
    return -1


def infinite(job: Job) -> float:
    return float("inf")


def too_long(job: Job) -> float:
    return 1e300


def truth(job: Job) -> bool:
    return True


def nothing(job: Job) -> None:
    pass


def raises(job: Job) -> float:
    raise RuntimeError("no idea")


def exits(job: Job) -> float:
    raise SystemExit(3)


async def awaited(job: Job) -> float:
    return 1.0


def of_too_much(job: Job, more: Any) -> float:
    return time.time()


def make_local() -> tuple[type[Exception], Callable[[Job], float]]:
    class LocalError(Exception):
        pass

    def local(job: Job) -> float:
        return 1.0

    return LocalError, local
