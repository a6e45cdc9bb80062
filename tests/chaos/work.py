"""What the jobs of the chaos run do: what their meta says, and a line for each start and end.

``meta["key"]`` names the job for the run, ``meta["do"]`` says how it behaves:

- ``seconds``: how long it takes;
- ``deaf``: whether it goes on when it is cancelled;
- ``fail``: how many attempts fail, ``snooze``: how many times it snoozes before;
- ``jobs``: how many jobs it grafts, or how many items it returns.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from oban import Job, Oban, Snooze, Worker, current_job, worker
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from oban_pro import Workflow
from tests.chaos.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

type Context = dict[str, Any]

MOMENT = 0.05


@cache
def journal() -> Journal:
    """Return the journal of this process."""
    return Journal(Path(os.environ["CHAOS_JOURNAL"]))


def key_of(meta: dict[str, Any]) -> str:
    """Return how the run calls a job: jobs of a fan-out are told apart by their names."""
    return f"{meta['key']}/{meta['name']}" if meta.get("many") else str(meta["key"])


class ToldToFailError(Exception):
    """A job that fails as it was told."""


class Execution:
    """One execution of a job; its id is in what it returns, so that results can be traced."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.do = job.meta.get("do", {})
        self.id = uuid4().hex

    @property
    def result(self) -> str:
        return f"{key_of(self.job.meta)}#{self.id}"

    @contextmanager
    def written(self, received: Context | None = None) -> Iterator[None]:
        """Write the start and the end of the block."""
        journal().write(
            "start",
            id=self.id,
            job=self.job.id,
            key=key_of(self.job.meta),
            attempt=self.job.attempt,
            pid=os.getpid(),
            received=received,
        )
        outcome = "ok"

        try:
            yield
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            journal().write("end", id=self.id, outcome=outcome)

    def stop_if_told(self) -> None:
        if self.job.attempt <= self.do.get("fail", 0):
            raise ToldToFailError(self.result)

    def snooze(self) -> Snooze | None:
        snoozed = self.job.meta.get("snoozed", 0)

        return Snooze(1) if snoozed < self.do.get("snooze", 0) else None

    async def run(self) -> None:
        """Take as long as told, or until cancelled."""
        until = time.monotonic() + self.do.get("seconds", 0)

        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, MOMENT))

            if self.job.cancelled() and not self.do.get("deaf"):
                raise ToldToFailError("cancelled")

        self.stop_if_told()


class _SnoozedError(Exception):
    """Not an end: the job comes again."""


async def _perform(job: Job, received: Context | None = None) -> Execution | Snooze:
    execution = Execution(job)

    try:
        with execution.written(received):
            if execution.snooze():
                raise _SnoozedError

            await execution.run()
    except _SnoozedError:
        return Snooze(1)

    return execution


@worker()
class Step(Worker):
    """Takes its time."""

    async def process(self, job: Job) -> Snooze | None:
        done = await _perform(job)

        return done if isinstance(done, Snooze) else None

    def backoff(self, job: Job) -> int:
        return 1


@worker()
class Grafting(Worker):
    """Grafts by the connections of its node."""

    async def process(self, job: Job) -> None:
        execution = Execution(job)

        with execution.written():
            await execution.run()
            await _persist(Workflow.apply_graft(job, graft_of(execution)))

    def backoff(self, job: Job) -> int:
        return 1


async def _persist(graft: Workflow) -> None:
    for attempt in range(10):
        try:
            await Oban.get_instance().enqueue_many(graft)

            return
        except (OperationalError, PoolTimeout):
            if attempt == 9:
                raise

            await asyncio.sleep(0.2)


def graft_of(execution: Execution) -> Workflow:
    """Build what a grafter grafts: a few jobs in a row, which say who built them."""
    graft = Workflow()
    before: list[str] = []

    for n in range(execution.do["jobs"]):
        meta = {"key": f"{execution.job.meta['key']}/{n}", "by": execution.id}
        graft.add(str(n), Step.new({}, meta=meta), deps=before)
        before = [str(n)]

    return graft


def _job() -> Job:
    job = current_job()
    assert job is not None

    return job


async def gather(context: Context) -> str | Snooze:
    done = await _perform(_job(), dict(context))

    return done if isinstance(done, Snooze) else done.result


async def gather_item(item: str, context: Context) -> str | Snooze:
    return await gather(context)


def gather_blocking(context: Context) -> str:
    """Take as long as told, in a thread that nobody can stop."""
    execution = Execution(_job())

    with execution.written(dict(context)):
        time.sleep(execution.do.get("seconds", 0))
        execution.stop_if_told()

    return execution.result


async def grow(context: Context) -> Workflow:
    execution = Execution(_job())

    with execution.written(dict(context)):
        await execution.run()

    return graft_of(execution)


async def items(context: Context) -> list[str]:
    execution = Execution(_job())

    with execution.written(dict(context)):
        await execution.run()

    return [f"{execution.result}:{n}" for n in range(execution.do["jobs"])]
