"""The parent of several nodes: it starts them, restarts those that die, and tells them to end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .giving_back import describe_death, give_back

if TYPE_CHECKING:
    from oban_pro.cli.database import Database

    from .shares import Queues

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

STABLE = 10.0
"""Seconds after which a process that dies is restarted at once."""

FIRST, MOST = 0.5, 30.0
"""Seconds until one is restarted that died sooner: at first, and at most."""

MARGIN = 15.0
"""Seconds beside the grace period that a process has to end."""

CODE = "import sys; sys.path[:] = {path!r}; from {module} import main; main({descriptor})"


@dataclass(slots=True)
class Orders:
    """What the processes are to do.

    Args:
        processes: How many there are.
        params: Options of `oban start`.
        node: The name that all have together.
        queues: All queues, with their limits.
        offsets: The first process that has one more, by queue.
        grace: Seconds that jobs have to end.
        max_jobs: Jobs after which a process is replaced; None for any number.
        max_memory: Bytes after which it is; None for any number.
    """

    processes: int
    params: dict[str, Any]
    node: str
    queues: Queues
    offsets: dict[str, int]
    grace: float
    max_jobs: int | None
    max_memory: int | None

    def told(self, number: int) -> bytes:
        """Return the line that tells a process what to do."""
        told = {
            "number": number,
            "processes": self.processes,
            "params": self.params,
            "node": self.node,
            "queues": self.queues,
            "offsets": self.offsets,
            "max_jobs": self.max_jobs,
            "max_memory": self.max_memory,
        }

        return json.dumps(told).encode() + b"\n"


@dataclass(slots=True)
class _Process:
    """A process that was started, and what it has told."""

    number: int
    process: asyncio.subprocess.Process
    began: float = field(default_factory=time.monotonic)
    lived: bool = False
    drained: bool = False


class Parent:
    """Looks after processes.

    Args:
        database: Where jobs of dead processes are given back.
        orders: What the processes are to do.
    """

    def __init__(self, database: Database, orders: Orders) -> None:
        self._database = database
        self._orders = orders
        self._running: dict[int, _Process] = {}
        self._stopping = asyncio.Event()
        self._any_lived = False
        self._died: set[int] = set()
        self._failed = False
        self._giving_back: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Run until a signal comes, or no process can live; returns the exit code."""
        loop = asyncio.get_running_loop()

        for one in SIGNALS:
            loop.add_signal_handler(one, self._stop, one)

        logger.info(
            "Starting %d processes as %s, parent is %d",
            self._orders.processes,
            self._orders.node,
            os.getpid(),
        )

        async with asyncio.TaskGroup() as group:
            for number in range(self._orders.processes):
                group.create_task(self._keep(number))

        await asyncio.gather(*self._giving_back)

        return 1 if self._failed else 0

    def _stop(self, number: int) -> None:
        logger.info(
            "Received %s, handing it on to %d processes",
            signal.Signals(number).name,
            len(self._running),
        )
        self._stopping.set()

        for one in self._running.values():
            _send(one.process, signal.SIGTERM)

    async def _keep(self, number: int) -> None:
        """Keep one process running, one after the other."""
        failures = 0

        while not self._stopping.is_set():
            try:
                one, end = await self._start(number)
            except OSError as error:
                # For example because there are too many processes.
                logger.error("Cannot start a process: %s", error)
                failures += 1
                await self._pause(failures)
                continue

            code = await self._reap(one, end)
            age = time.monotonic() - one.began

            if self._stopping.is_set():
                # One that got the signal before it could handle it ran nothing.
                self._failed |= code != 0 and not (code == -signal.SIGTERM and not one.lived)
                return

            if one.drained:
                failures = 0
                continue

            failures = 0 if one.lived and age > STABLE else failures + 1
            self._note_death(one)
            logger.warning(
                "Process %d ended with %d after %.1f s, starting another",
                one.process.pid,
                code,
                age,
            )
            await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        """Wait before another try, the longer the more have failed, or until all is to end."""
        seconds = min(MOST, FIRST * 2 ** min(failures - 1, 16)) if failures else 0.0

        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _note_death(self, one: _Process) -> None:
        """Stop if none of the processes has ever lived."""
        self._died.add(one.number)

        if not self._any_lived and len(self._died) == self._orders.processes:
            logger.error("None of %d processes could start, ending", self._orders.processes)
            self._failed = True
            self._stop(signal.SIGTERM)

    async def _start(self, number: int) -> tuple[_Process, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        with theirs:
            code = CODE.format(
                path=sys.path, module=f"{__package__}.child", descriptor=theirs.fileno()
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                code,
                # for whoever lists processes
                f"{number + 1}/{self._orders.processes}",
                pass_fds=[theirs.fileno()],
                # Ctrl+C reaches the parent only, which passes it on.
                process_group=0,
            )

        one = _Process(number, process)
        self._running[number] = one

        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(ours, self._orders.told(number))

        if self._stopping.is_set():
            _send(process, signal.SIGTERM)

        return one, ours

    async def _reap(self, one: _Process, end: socket.socket) -> int:
        """Wait for the end of a process, and give back what it leaves; returns its exit code."""
        hearing = asyncio.create_task(self._hear(one, end))
        killing = asyncio.create_task(self._kill_in_time(one))

        try:
            code = await one.process.wait()
        finally:
            killing.cancel()

        # Its last messages are still unread.
        await asyncio.wait([hearing], timeout=1)
        hearing.cancel()
        self._running.pop(one.number, None)

        if code != 0:
            node = f"{self._orders.node}.{one.process.pid}"
            task = asyncio.create_task(
                give_back(self._database, node, describe_death(node, code), self._stopping.is_set)
            )
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

        return code

    async def _kill_in_time(self, one: _Process) -> None:
        """Kill a process that does not end by itself when it is to."""
        await self._stopping.wait()
        await asyncio.sleep(self._orders.grace + MARGIN)
        logger.error("Process %d does not end, killing it", one.process.pid)
        _send(one.process, signal.SIGKILL)

    async def _hear(self, one: _Process, end: socket.socket) -> None:
        """Note what a process tells."""
        reader, writer = await asyncio.open_connection(sock=end)

        try:
            async for line in reader:
                self._note(one, json.loads(line))
        except (OSError, ValueError):
            # The process died while it was writing.
            return
        finally:
            writer.close()

    def _note(self, one: _Process, news: dict[str, Any]) -> None:
        if news.get("started"):
            one.lived = self._any_lived = True
        elif news.get("drained"):
            one.drained = True
        elif (options := news["options"]) is None:
            self._orders.queues.pop(news["queue"], None)
        else:
            self._orders.queues[news["queue"]] = options


def _send(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
