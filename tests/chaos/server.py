"""A PostgreSQL server that can be stopped, crashed and paused, and whose clock moves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from oban_pro.embedded import Postgres
from tests.support.clock import LIBRARY, Clock
from tests.support.processes import children, freeze, thaw
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from tests.chaos.record import Span

# A crash of the server alone loses nothing that was not synchronized.
SETTINGS = {"fsync": "off", "full_page_writes": "off"}

# The clock is never ahead of that of the machine. The library that moves it shows the true time
# to signal handlers while a process waits: time-outs of a clock that is ahead are late by as much.
BEHIND = 86_400.0


class Server:
    """The server of a run.

    Args:
        data: A folder for its data.
    """

    def __init__(self, data: Path) -> None:
        self._postgres = Postgres(data, settings=SETTINGS)
        self._stack = ExitStack()
        # When nobody could reach it.
        self.outages: list[Span] = []
        self._clock: Clock | None = None
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        if LIBRARY is not None:
            self._clock = self._stack.enter_context(Clock())
            self.move_clock(0)

        self._stack.callback(self._postgres.stop)
        self._stack.callback(self.go_on)
        self.start()

        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def dsn(self) -> str:
        return self._postgres.dsn()

    def proxy(self) -> Proxy:
        """Make a line to the server, which leads to it wherever it is after a restart."""
        self._proxies.append(Proxy(self.dsn))

        return self._proxies[-1]

    @property
    def has_clock(self) -> bool:
        """Whether its clock can be moved."""
        return self._clock is not None

    def start(self) -> None:
        """Start it, whether it was stopped or crashed."""
        if self._clock is None:
            self._postgres.start()
        else:
            self._clock.start(self._postgres)

    async def restart(self, seconds: float) -> None:
        """Stop it politely, and start it again after a while."""
        await self._down(signal.SIGINT, seconds)

    async def crash(self) -> None:
        """Stop it rudely, and start it again at once."""
        await self._down(signal.SIGQUIT, 0)

    async def pause(self, seconds: float) -> None:
        """Freeze all its processes for a while: lines stay open, and nothing answers."""
        began = time.monotonic()
        pid = self._postgres.pid
        # The first process first, which starts no others then.
        frozen = freeze([pid]) + freeze(children(pid))

        try:
            await asyncio.sleep(seconds)
        finally:
            thaw(frozen)
            self.outages.append((began, time.monotonic()))

    def move_clock(self, seconds: float) -> None:
        """Set how far its clock is ahead of where it began."""
        assert self._clock is not None
        self._clock.move(seconds - BEHIND)

    def go_on(self) -> None:
        """Let all its processes go on."""
        pid = self._postgres.pid
        thaw([*children(pid), pid])

    async def _down(self, number: signal.Signals, seconds: float) -> None:
        began = time.monotonic()
        pid = self._postgres.pid
        os.kill(pid, number)

        await asyncio.to_thread(_wait_until_gone, pid)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.start)

        for proxy in self._proxies:
            proxy.target = self.dsn

        self.outages.append((began, time.monotonic()))


def _wait_until_gone(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
