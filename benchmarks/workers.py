"""Workers that do nothing, so that what remains is the cost of the engine."""

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
