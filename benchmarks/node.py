"""A node in a separate process: it runs the jobs of a database until its stdin closes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvloop
from oban import Oban

from .measurement import peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def start(nodes: int, dsn: str, limit: int) -> Iterator[list[float]]:
    """Start nodes, and stop them at the end. Then the list has the peak memory of each, in MB."""
    command = [sys.executable, "-m", "benchmarks.node", dsn, str(limit)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(nodes)
    ]
    memory: list[float] = []

    try:
        for process in processes:
            assert process.stdout
            process.stdout.readline()

        yield memory
    finally:
        memory += [float(process.communicate()[0] or 0) for process in processes]


async def _run(dsn: str, limit: int) -> None:
    pool = await Oban.create_pool(dsn)

    async with Oban(pool=pool, queues={"default": limit}) as oban:
        # the node is ready when it receives notifications of inserts
        await oban._notifier.listen("insert", lambda *_: None)
        print("up", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    await pool.close()


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], int(sys.argv[2])))
    print(peak_memory())
