"""Measures systems one after the other, each in its own process and with its own service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from benchmarks.databases import Databases

from . import services
from .work import URL, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from . import Peer

type Found = float | str
"""Seconds, or the reason why the work was not done."""

STARTING = 30.0
"""Seconds to start and stop a system, in addition to the time for its work."""

PATIENCE = 300.0
"""Seconds that a round waits for a quiet machine."""


def measure(
    peers: Iterable[Peer],
    works: Iterable[Work],
    rounds: int,
    measure_one: Callable[[Peer, Work], Found],
    before_round: Callable[[], object] = lambda: None,
) -> dict[tuple[Peer, Work], list[Found]]:
    """Measure in interleaved rounds. Work that a system could not do once is not measured again."""
    found: dict[tuple[Peer, Work], list[Found]] = {
        (peer, work): [] for work in works for peer in peers
    }

    for _ in range(rounds):
        before_round()

        for (peer, work), outcomes in found.items():
            if not any(isinstance(outcome, str) for outcome in outcomes):
                outcomes.append(measure_one(peer, work))

    return found


def wait_until_quiet(load: float) -> float:
    """Wait until the load of the last minute is below ``load``, and return it.

    Raises:
        TimeoutError: The machine has not been quiet for five minutes.
    """
    deadline = time.monotonic() + PATIENCE

    while (found := os.getloadavg()[0]) >= load:
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the load must fall below {load:g}, got {found:g} for five minutes")

        time.sleep(1)

    return found


def ratios(ours: list[Found], theirs: list[Found]) -> list[float] | str:
    """Return the sorted ratios of all rounds, or the reason why the work was not done."""
    reasons = [outcome for outcome in (*theirs, *ours) if isinstance(outcome, str)]

    if reasons:
        return reasons[0]

    return sorted(
        their / our
        for our, their in zip(ours, theirs, strict=True)
        if not isinstance(our, str) and not isinstance(their, str)
    )


class Bench:
    """Starts the service of a system, measures the system, and leaves nothing behind.

    Args:
        dsn: A server on which databases may be created.
        limit: Seconds that a system has for its work.
    """

    def __init__(self, dsn: str, limit: float) -> None:
        self._databases = Databases(dsn)
        self._limit = limit

    def measure(self, peer: Peer, work: Work) -> Found:
        """Measure once."""
        with self._service(peer) as url:
            return self._in_own_session(peer, work, url)

    @contextmanager
    def _service(self, peer: Peer) -> Iterator[str]:
        if peer.needs == "redis":
            with services.redis() as url:
                yield url
        else:
            with self._databases.database(f"bench_{os.getpid()}_{peer.module}") as dsn:
                yield services.database_url(dsn)

    def _in_own_session(self, peer: Peer, work: Work, url: str) -> Found:
        # files, because a pipe stays open while a process lives that the system leaves behind
        with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            measured = (peer.module, work.shape, str(work.count), str(self._limit))
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.peers.run", *measured],
                env={**os.environ, URL: url},
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

            try:
                process.wait(self._limit + STARTING)
            except subprocess.TimeoutExpired:
                return f"stuck for {self._limit + STARTING:g} s"
            finally:
                _kill_session(process)

            if process.returncode == -signal.SIGALRM:
                return f"over {self._limit:g} s"

            if process.returncode:
                print(f"{peer.name}, {work.label}:\n{_read(errors)[-2000:]}", file=sys.stderr)
                return "failed"

            found: Found = json.loads(_read(output).splitlines()[-1])

            return found


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

    process.wait()


def _read(file: IO[str]) -> str:
    file.seek(0)

    return file.read()
