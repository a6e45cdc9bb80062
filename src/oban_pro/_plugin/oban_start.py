"""The end of the process of `oban start`: after the grace period at the latest, or at once.

oban asks its jobs to end and waits for them. Then Python waits for every thread: for ever, if one
never ends. oban also sees signals on its event loop only, which a job may block. Here a separate
thread watches for the end, so that SIGTERM ends a node in time.

The first SIGTERM or SIGINT shuts down: jobs have the grace period, the jobs left then are given
back, and the process ends with 0. A second one, or a shutdown that hangs, gives back what can be
given back in a moment, and ends the process with 1; so does a shutdown that does not reach the
database.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Never

from oban import Oban

from oban_pro import _host

from . import lost_jobs, shutdown
from .shutdown import Left

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from oban_pro._host import Config, Producer, Query

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

MARGIN = 10.0
"""Seconds that a shutdown may take beyond the grace period."""

HANGS = 7.0
"""Seconds beyond the grace period after which a shutdown counts as hanging."""

AT_ONCE = 1.0
"""Seconds to give jobs back when the process is to end at once."""

TWICE = 1.0
"""Seconds within which signals count as one: a parent may pass on what the node got too."""

TEARDOWN = 2.0
"""Seconds within which Python has to exit when nothing is left to give back."""

SWITCH = 1e-4
"""The switch interval of threads at the end, in seconds; Python's default is 0.005."""

DEFAULT_GRACE: float = inspect.signature(Oban).parameters["shutdown_grace_period"].default


class _Ending:
    """Ends this process.

    Args:
        query: Of the Oban instance that `oban start` runs.
        grace: Seconds that jobs have to end.
    """

    def __init__(self, query: Query, grace: float) -> None:
        self.query = query
        self.is_stopping = False
        self._grace = grace
        # Numbers of signals, and 0 once the node has stopped. A SimpleQueue, because a signal
        # handler may put into no other queue.
        self._news: queue.SimpleQueue[int] = queue.SimpleQueue()

    def begin(self, stopping: asyncio.Event) -> None:
        """Handle the signals instead of oban; the first one sets an event, as in oban.

        Must be called in the main thread, on the event loop.
        """
        loop = asyncio.get_running_loop()

        for number in SIGNALS:
            loop.add_signal_handler(number, self._stop, stopping, number)
            # The event loop sees a signal once no job blocks it; Python sees it whenever it runs
            # any code.
            noticed: Any = signal.getsignal(number)
            signal.signal(number, self._make_handler(noticed))
            signal.siginterrupt(number, False)

        _leave_alone_what_is_forked()
        threading.Thread(target=self._watch, name="oban-workflows-end", daemon=True).start()

    def _make_handler(
        self, noticed: Callable[[int, FrameType | None], Any]
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            noticed(number, frame)
            self._news.put(number)

        return handle

    def _stop(self, stopping: asyncio.Event, number: int) -> None:
        if not stopping.is_set():
            name = signal.Signals(number).name
            logger.info(
                "Received %s, shutting down: jobs have %g seconds to end; send it again to end now",
                name,
                self._grace,
            )
            stopping.set()

    async def finish(self) -> None:
        """Give back the jobs that are left and end at once, after the node has stopped.

        Returns only if nothing is left.
        """
        sys.setswitchinterval(SWITCH)
        _flush()

        producers = lost_jobs.producers_of(self.query)
        left = await shutdown.give_back(self.query, producers, ends=True)

        if left is not Left.NOTHING:
            os._exit(0 if left is Left.SOME else 1)

        self._news.put(0)

    def _watch(self) -> None:
        """Wait for the first signal, then for a second one, the node's end or the time limit."""
        number = self._news.get()
        first = time.monotonic()

        while number:
            left = first + self._grace + HANGS - time.monotonic()

            try:
                number = self._news.get(timeout=max(0.0, left))
            except queue.Empty:
                logger.error("Shutdown takes too long, ending now")
                self._end(MARGIN - HANGS)

            if number and time.monotonic() > first + TWICE:
                logger.warning("Received %s again, ending now", signal.Signals(number).name)
                self._end(AT_ONCE)

        # A thread of somebody else may go on.
        time.sleep(TEARDOWN)
        os._exit(0)

    def _end(self, seconds: float) -> Never:
        """Give back the running jobs, on a new event loop, and end the process."""
        sys.setswitchinterval(SWITCH)
        # It may hang where no timeout applies, as in resolving the host name of the database.
        giving = threading.Thread(target=self._give_back, args=[0.9 * seconds], daemon=True)
        giving.start()
        giving.join(seconds)
        os._exit(1)

    def _give_back(self, seconds: float) -> None:
        producers = lost_jobs.producers_of(self.query)
        asyncio.run(shutdown.give_back(self.query, producers, ends=True, seconds=seconds))


def _leave_alone_what_is_forked() -> None:
    """Give a process that a job forks the default handlers, so that its signals end it alone."""

    def change(how: int) -> None:
        signal.pthread_sigmask(how, SIGNALS)

    def begin() -> None:
        signal.set_wakeup_fd(-1)

        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

        change(signal.SIG_UNBLOCK)

    # Block signals until the child has its own handlers.
    os.register_at_fork(
        before=lambda: change(signal.SIG_BLOCK),
        after_in_parent=lambda: change(signal.SIG_UNBLOCK),
        after_in_child=begin,
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


# The ending of the instance that `oban start` runs.
_endings: dict[Query, _Ending] = {}
# The functions of oban that install signal handlers, and their replacements.
_wrapped: dict[Callable[[], asyncio.Event], Callable[[], asyncio.Event]] = {}

_create_oban = _host.Config.create_oban
_stop_oban = Oban.stop
_stop_producer = _host.Producer.stop


async def _create_oban_and_watch(config: Config, *args: Any, **opts: Any) -> Oban:
    created = await _create_oban(config, *args, **opts)
    grace = config.shutdown_grace_period
    _hook_signals(
        _Ending(_host.query_of_instance(created), DEFAULT_GRACE if grace is None else grace)
    )

    return created


def _hook_signals(ending: _Ending) -> None:
    """Let `oban start` hand its signals over, if it is what runs here: it looks for them next."""
    cli: Any = sys.modules.get("oban.cli")

    if cli is None:
        return

    handle_signals = _original(cli)

    def handle() -> asyncio.Event:
        stopping: asyncio.Event = handle_signals()
        ending.begin(stopping)
        _endings[ending.query] = ending

        return stopping

    _wrapped[handle] = handle_signals
    cli.handle_signals = handle


def _original(cli: Any) -> Callable[[], asyncio.Event]:
    found: Callable[[], asyncio.Event] = cli.handle_signals

    return _wrapped.get(found, found)


async def _stop_oban_and_end(oban: Oban) -> None:
    query = _host.query_of_instance(oban)
    ending = _endings.get(query)

    if ending is not None:
        ending.is_stopping = True

    try:
        await _stop_oban(oban)
    except Exception:
        # Jobs get their grace period even if something else failed to stop.
        for producer in lost_jobs.producers_of(query):
            await _host.wait_until_stopped(producer)

        raise
    finally:
        if ending is not None:
            await ending.finish()


async def _stop_producer_and_give_back(producer: Producer) -> None:
    await _stop_producer(producer)

    if not _host.is_stopping(producer):
        # It never began.
        return

    query = _host.query_of(producer)
    await shutdown.let_jobs_end(producer)

    ending = _endings.get(query)

    if ending is None or not ending.is_stopping:
        await shutdown.give_back(query, [producer], ends=False)


def hook() -> None:
    """Wrap how producers, instances and `oban start` end: oban has no slots for that."""
    _host.Config.create_oban = _create_oban_and_watch  # type: ignore[method-assign, assignment]
    _host.Producer.stop = _stop_producer_and_give_back  # type: ignore[method-assign, assignment]
    Oban.stop = _stop_oban_and_end  # type: ignore[method-assign, assignment]


def unhook() -> None:
    """Undo `hook`."""
    if _host.Config.create_oban is _create_oban_and_watch:
        _host.Config.create_oban = _create_oban  # type: ignore[method-assign]

    if _host.Producer.stop is _stop_producer_and_give_back:
        _host.Producer.stop = _stop_producer  # type: ignore[method-assign]

    if Oban.stop is _stop_oban_and_end:
        Oban.stop = _stop_oban  # type: ignore[method-assign]

    if (cli := sys.modules.get("oban.cli")) is not None:
        vars(cli)["handle_signals"] = _original(cli)
