"""The worker processes of a demo: started, watched, replaced when killed, stopped gracefully."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from itertools import count
from typing import TYPE_CHECKING, Self

from oban_pro.cli.failures import CommandFailure

if TYPE_CHECKING:
    from pathlib import Path

    from oban_pro.cli.database import Database

    from .claim import Claim

JOBS_AT_ONCE = 4
"""Jobs that one process runs at the same time; they hash in threads."""

GRACE_PERIOD = 60
"""Seconds that running jobs get to finish when a process is asked to stop."""

MAX_REPLACEMENTS = 10


class Nodes:
    """Processes that run the jobs of one queue.

    Args:
        database: Where the jobs are.
        claim: The right to run them.
        queue: The queue.
        number: How many processes.
        logs: The folder for their logs.
    """

    def __init__(
        self, database: Database, claim: Claim, queue: str, number: int, logs: Path
    ) -> None:
        self._claim = claim
        self._queue = queue
        self._number = number
        self._logs = logs
        self._serial = count(1)
        self._running: dict[str, Process] = {}
        self._environment = {
            **os.environ,
            "OBAN_DSN": database.dsn,
            "OBAN_PREFIX": database.prefix,
            "OBAN_QUEUES": f"{queue}:{JOBS_AT_ONCE}",
            "OBAN_SHUTDOWN_GRACE_PERIOD": str(GRACE_PERIOD),
        }

    async def __aenter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        await self._claim.rescue(alive=())

        for _ in range(self._number):
            await self._start()

        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(*(_stop(process) for process in self._running.values()))
        finally:
            for process in self._running.values():
                if process.returncode is None:
                    process.kill()

    async def tend(self) -> None:
        """Replace processes that were killed, and give their jobs to the others.

        Raises:
            CommandFailure: If a process ended by itself, or too many were killed.
        """
        ended = {name: one for name, one in self._running.items() if one.returncode is not None}

        for name, process in ended.items():
            del self._running[name]
            self._check_killed(name, process)

        if ended:
            await self._claim.rescue(alive=self._running)

            for _ in ended:
                await self._start()

    async def _start(self) -> None:
        serial = next(self._serial)
        name = f"{self._queue}.{serial}.{os.getpid()}"

        with self._log(name).open("wb") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"{__package__}.node",
                stdin=PIPE,
                stdout=log,
                stderr=log,
                env={**self._environment, "OBAN_NODE": name},
            )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _check_killed(self, name: str, process: Process) -> None:
        if process.returncode is None or process.returncode >= 0:
            raise CommandFailure(
                f"worker process must not end by itself, got {self._last_words(name)}"
            )

        if next(self._serial) > self._number + MAX_REPLACEMENTS:
            raise CommandFailure(f"worker processes must stay alive, got {MAX_REPLACEMENTS} killed")

    def _last_words(self, name: str) -> str:
        log = self._log(name)
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "no output")

        return f"{last!r}; see {log}"


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
