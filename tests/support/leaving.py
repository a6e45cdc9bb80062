"""Jobs that do not end when their node stops. Each writes down when and where it runs."""

import asyncio
import itertools
import os
import signal
import threading
import time
from typing import Any

import psycopg
from oban import Job, Record, Worker, current_job, worker

BEATS = """
CREATE TABLE beats (
  job bigint NOT NULL,
  attempt int NOT NULL,
  pid int NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""

FOR_EVER = 1_000.0
"""Seconds that a job runs: far longer than a test."""


def beat(job: Job, conn: psycopg.Connection) -> None:
    """Write down that an execution is alive at this moment."""
    values = [job.id, job.attempt, os.getpid()]
    conn.execute("INSERT INTO beats (job, attempt, pid) VALUES (%s, %s, %s)", values)


def connect() -> psycopg.Connection:
    """Open a connection that blocks."""
    return psycopg.connect(os.environ["BEATS_DSN"], autocommit=True)


def once(job: Job) -> bool:
    """Beat once, and tell whether this is the first attempt, which has to go on."""
    with connect() as conn:
        beat(job, conn)

    return job.attempt == 1


def go_on(job: Job) -> None:
    """Beat again and again."""
    end = time.monotonic() + FOR_EVER

    with connect() as conn:
        while time.monotonic() < end:
            beat(job, conn)


def this_job() -> Job:
    """Return the job that runs here."""
    job = current_job()
    assert job is not None

    return job


def thread(context: Any) -> str:
    """Run in a thread, as a cascade."""
    if once(this_job()):
        go_on(this_job())

    return "done"


def busy(context: Any) -> str:
    """Run in a thread, while other threads use all of Python's time."""
    if once(this_job()):
        for _ in range(4):
            threading.Thread(target=lambda: [None for _ in itertools.count()], daemon=True).start()

        go_on(this_job())

    return "done"


def brief(context: Any) -> str:
    """Run in a thread for a second and a half."""
    if once(this_job()):
        time.sleep(1.5)

    return "done"


@worker()
class Thread(Worker):
    """Runs in a thread of the event loop, which only Python knows."""

    async def process(self, job: Job) -> None:
        if once(job):
            await asyncio.to_thread(go_on, job)


@worker()
class Waiting(Worker):
    """Waits, as most jobs do."""

    async def process(self, job: Job) -> None:
        if once(job):
            await asyncio.sleep(FOR_EVER)


@worker()
class Stubborn(Worker):
    """Swallows its cancellation."""

    async def process(self, job: Job) -> None:
        if not once(job):
            return

        with connect() as conn:
            while True:
                try:
                    await asyncio.sleep(0.001)
                    beat(job, conn)
                except asyncio.CancelledError:
                    pass


@worker()
class Blocking(Worker):
    """Blocks the event loop."""

    async def process(self, job: Job) -> None:
        if once(job):
            go_on(job)


@worker()
class Late(Worker):
    """When it is cancelled, returns a result after a moment."""

    async def process(self, job: Job) -> Record:
        once(job)

        try:
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)

        return Record("late")


@worker()
class Failing(Worker):
    """When it is cancelled, raises an error."""

    async def process(self, job: Job) -> None:
        try:
            if once(job):
                await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            raise ValueError("cannot be cancelled") from None


@worker()
class Forgotten(Worker):
    """Starts a thread that goes on after the job has ended."""

    async def process(self, job: Job) -> None:
        if once(job):
            await asyncio.to_thread(go_on, job)

    def timeout(self, job: Job) -> float:
        return 0.1


@worker()
class Forking(Worker):
    """Terminates a process that it has forked, and records which signal killed it."""

    async def process(self, job: Job) -> Record:
        pid = os.fork()

        if pid == 0:
            signal.alarm(30)
            signal.pause()
            os._exit(0)

        os.kill(pid, signal.SIGTERM)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)

        return Record(os.WTERMSIG(status))
