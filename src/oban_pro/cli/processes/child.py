"""A process of `oban start` under a parent: its part of each limit, and an end with its parent."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from typing import Any

import oban.cli
import oban.telemetry
from oban import Oban

from oban_pro import _host

from .dividing import POLL, Division
from .recycling import Worn
from .shares import Shares

logger = logging.getLogger(__name__)

PATIENT = 20.0
"""Seconds after the death of the parent in which jobs may end, at most."""

LAST = 8.0
"""Seconds after that in which they may be given back."""

FORMAT = "%(asctime)s [%(levelname)s] %(process)d %(name)s: %(message)s"


def main(descriptor: int) -> None:
    """Run a node, as the parent at the other end of a socket says."""
    # Processes that jobs start must not keep the socket open.
    os.set_inheritable(descriptor, False)
    parent = socket.socket(fileno=descriptor)
    told = parent.makefile("rb").readline()

    if told:
        _Child(parent, json.loads(told)).run()


class _Child:
    """This process.

    Args:
        parent: The socket that leads to the parent.
        told: What the parent has sent.
    """

    def __init__(self, parent: socket.socket, told: dict[str, Any]) -> None:
        self._parent = parent
        self._params: dict[str, Any] = told["params"]
        self._node: str = told["node"]
        self._worn = Worn(told["max_jobs"], told["max_memory"])
        self._draining: asyncio.Task[None] | None = None
        self._oban: Any = None
        shares = Shares(told["number"], told["processes"], told["offsets"])
        self._division = Division(shares, told["queues"], self._node, self._note)

    def run(self) -> None:
        """Run `oban start`; the process ends with it."""
        logging.basicConfig(format=FORMAT, datefmt="%Y-%m-%d %H:%M:%S", force=True)
        threading.Thread(target=self._watch, name="oban-workflows-parent", daemon=True).start()
        self._hook()
        self._division.hook()
        events = ["oban.job.stop", "oban.job.exception"]
        oban.telemetry.attach("oban-workflows-child", events, self._after_job)
        start: Any = oban.cli.start.callback
        start(**self._params)

    def _note(self, queue: str, options: dict[str, Any] | None) -> None:
        self._tell(queue=queue, options=options)

    def _tell(self, **news: Any) -> None:
        try:
            self._parent.sendall(json.dumps(news).encode() + b"\n")
        except OSError:
            # The parent is gone; see `_watch`.
            return

    def _watch(self) -> None:
        """End this process soon after the parent, whatever its jobs do."""
        try:
            while self._parent.recv(1024):
                pass
        except OSError:
            logger.debug("The socket to the parent is broken")

        logger.warning("The parent is gone, shutting down")

        for seconds in (PATIENT, LAST):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(seconds)

        os.kill(os.getpid(), signal.SIGKILL)

    def _hook(self) -> None:
        """Let `oban start` run the queues of this process, under a name of its own."""
        load, start = _host.Config.load, Oban.start

        def load_own(path: str | None = None, **overrides: Any) -> Any:
            config: Any = load(path, **overrides)
            config.queues = self._division.own
            config.node = f"{self._node}.{os.getpid()}"

            return config

        async def start_and_tell(instance: Oban) -> Oban:
            self._oban = instance
            await start(instance)
            self._tell(started=True)

            return instance

        _host.Config.load = load_own  # type: ignore[method-assign]
        Oban.start = start_and_tell  # type: ignore[method-assign, assignment]
        # The parent prints the greeting for all processes.
        vars(oban.cli)["print_banner"] = lambda _version: None

    def _after_job(self, _event: str, _metadata: dict[str, Any]) -> None:
        if (reason := self._worn.after_job()) is not None and self._draining is None:
            logger.info("This process is to be replaced: %s", reason)
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Take no more jobs, and end when the last one has ended."""
        while True:
            producers: list[Any] = [*self._oban._producers.values()]

            for producer in producers:
                # Paused in this process only: the queue goes on in others.
                producer._paused = True

            if not any(map(_host.held_jobs, producers)):
                break

            await asyncio.sleep(POLL)

        self._tell(drained=True)
        os.kill(os.getpid(), signal.SIGTERM)
