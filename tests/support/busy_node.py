"""A node that enqueues workflows for itself: ``python -m tests.support.busy_node DSN NAME``.

It runs with any version of the package, so it uses only functions that all versions have. SIGTERM
ends it.
"""

import asyncio
import signal
import sys

from oban import Job, Oban, Worker, worker
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import Workflow


@worker()
class Link(Worker):
    """Does nothing."""

    async def process(self, _job: Job) -> None:
        return None


async def first(_context: dict[str, int]) -> int:
    return 1


async def second(context: dict[str, int]) -> int:
    return context["first"] + 1


def make_workflow() -> Workflow:
    return (
        Workflow(name="busy")
        .add_cascade("first", first)
        .add_cascade("second", second, deps="first")
        .add_many("many", [Link.new({}) for _ in range(5)], deps="second")
        .add("last", Link.new({}), deps="many")
    )


async def main(dsn: str, name: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sys.stdout.write(f"{oban_pro.__file__}\n")
    sys.stdout.flush()

    async with (
        AsyncConnectionPool(dsn, min_size=1, max_size=6, open=False) as pool,
        Oban(pool=pool, queues={"default": 2}, node=name, stager={"interval": 0.05}) as oban,
    ):
        while not stopping.is_set():
            await oban.enqueue_many(make_workflow())
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
