"""Workers that do nothing, so that only the cost of the engine is measured, or that run a loop."""

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
    """A job of a chain without workflows, in which each job enqueues the next."""

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
