"""One measurement in a separate process: arguments say what to measure, stdout gets the seconds."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

from .work import Work

if TYPE_CHECKING:
    from types import ModuleType

WARM_UP = 2
"""The count for the same work that is done once before, so that the workers are ready."""


async def measure(peer: ModuleType, work: Work, limit: float) -> float | str:
    """Measure once.

    Args:
        peer: Module of the system.
        work: The work that it does.
        limit: Seconds after which SIGALRM ends this process.

    Returns:
        Seconds from submitting until all jobs have settled, or why the system cannot do it.

    Raises:
        RuntimeError: The last job did not receive the results that it depends on.
    """
    shape = peer.SHAPES.get(work.shape, "not measured")

    if isinstance(shape, str):
        return shape

    async with peer.serve():
        await shape(WARM_UP)

        signal.setitimer(signal.ITIMER_REAL, limit)
        started = time.perf_counter()
        result = await shape(work.count)
        seconds = time.perf_counter() - started
        signal.setitimer(signal.ITIMER_REAL, 0)

    if result != work.result:
        raise RuntimeError(f"{work} must result in {work.result}, got {result}")

    return seconds


def main(peer: str, shape: str, count: str, limit: str) -> None:
    """Measure, and print a line of JSON."""
    try:
        module = import_module(f"{__package__}.{peer}")
    except ModuleNotFoundError as error:
        found: float | str = f"{error.name} is not installed"
    else:
        found = asyncio.run(measure(module, Work(shape, int(count)), float(limit)))

    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
