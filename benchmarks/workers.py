"""Workers that do nothing, so that what remains is the cost of the engine, or turn in a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban import Worker, worker

if TYPE_CHECKING:
    from oban import Job


@worker()
class Noop(Worker):
    async def process(self, job: Job) -> None:
        pass


@worker()
class Hop(Worker):
    """A chain without workflows: each job enqueues the next."""

    async def process(self, job: Job) -> None:
        if left := job.args["left"]:
            await Hop.enqueue({"left": left - 1})


@worker()
class Spin(Worker):
    async def process(self, job: Job) -> None:
        spin(job.args["turns"])


def spin(turns: int) -> None:
    """Keep a core busy with a loop that has the given number of turns."""
    for _ in range(turns):
        pass
