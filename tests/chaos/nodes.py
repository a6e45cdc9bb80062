"""The nodes of a run: processes, each behind a line of its own that can be cut."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from psycopg.conninfo import make_conninfo

from tests.support.paths import ROOT
from tests.support.processes import freeze, thaw

if TYPE_CHECKING:
    from tests.chaos.record import Span
    from tests.support.proxy import Proxy


class Node:
    """A node, which is started anew when it has ended.

    Attributes:
        silent: When its current process could not be heard: frozen, or its line stalled.
        ended: When processes of it ended, by their ids.
    """

    def __init__(self, name: str, folder: Path, proxy: Proxy) -> None:
        self.name = name
        self.proxy = proxy
        self.silent: dict[int, list[Span]] = {}
        self.ended: dict[int, float] = {}
        self.is_troubled = False
        self._folder = folder
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.proxy.__aenter__()

        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await self.kill()

        await self.proxy.__aexit__()

    @property
    def pid(self) -> int:
        assert self._process is not None

        return self._process.pid

    async def start(self) -> None:
        """Start a process; returns when it takes jobs."""
        name = f"{self.name}.{next(self._numbers)}"
        dsn = make_conninfo(self.proxy.dsn, application_name=name)

        with (self._folder / f"{name}.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.node", dsn, name),
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "CHAOS_JOURNAL": str(self._folder / f"{name}.jsonl"),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

        self.silent[self.pid] = []
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    async def revive(self) -> None:
        """Start a process where none is left."""
        if self._process is None or self._process.returncode is not None:
            await self.start()

    async def kill(self) -> None:
        """Kill it without a warning."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> None:
        """Ask it to end; it has a while to finish its jobs."""
        await self._end(signal.SIGTERM)

    async def freeze(self, seconds: float) -> None:
        """Stop it where it is, for a while."""
        frozen = freeze([self.pid])

        await self._be_silent(seconds)
        thaw(frozen)

    async def stall(self, seconds: float) -> None:
        """Let nothing through its line for a while, then cut it."""
        self.proxy.stall()
        await self._be_silent(seconds)
        self.proxy.cut()
        self.proxy.flow()

    async def _be_silent(self, seconds: float) -> None:
        began, spans = time.monotonic(), self.silent[self.pid]
        spans.append((began, began + seconds))
        await asyncio.sleep(seconds)
        spans[-1] = (began, time.monotonic())

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        assert process is not None

        with suppress(ProcessLookupError):
            process.send_signal(number)

        await process.wait()
        self.ended[process.pid] = time.monotonic()
