"""A client that freezes half-way: ``python -m tests.support.freezing DSN DOING STATEMENT``.

It stops itself, as a SIGSTOP from outside would. It does so right after the statement, and before
it sends anything else, such as a COMMIT.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from oban import Job, Oban, Worker, worker
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor
from oban_pro.engine.insertion import JOBS_PER_STATEMENT
from oban_pro.engine.statements import Statements

WORKFLOW = "frozen"


@worker()
class Noop(Worker):
    async def process(self, job: Job) -> None: ...


@worker()
class Grafting(Worker):
    async def process(self, job: Job) -> None:
        grafted = Workflow.apply_graft(job, Workflow().add("grafted", Noop.new({})))
        await Oban.get_instance("applied").enqueue_many(grafted)


def graft(_context: dict[str, Any]) -> Workflow:
    return Workflow().add("grafted", Noop.new({}))


def build() -> Workflow:
    """Build a workflow whose jobs are in a queue that only this test runs."""
    workflow = Workflow(id=WORKFLOW).add("a", Noop.new({})).add("b", Noop.new({}), deps="a")
    workflow.add_graft("applied", Grafting.new({}, queue="applied"))

    return workflow.add_graft("returned", graft, queue="returned")


async def run(oban: Oban, queue: str) -> None:
    pool = oban._query._pool

    async with Oban(pool=pool, queues={queue: 1}, name=queue, stager={"interval": 0.05}):
        await asyncio.Event().wait()


DOINGS: dict[str, Callable[[Oban], Awaitable[Any]]] = {
    "enqueue": lambda oban: oban.enqueue_many(build()),
    "enqueue many": lambda oban: oban.enqueue_many(
        build().add_many("many", [Noop.new({}) for _ in range(JOBS_PER_STATEMENT)])
    ),
    "append": lambda _: Workflow(id=WORKFLOW).append(Workflow().add("more", Noop.new({}))),
    "cancel": lambda _: Workflow(id=WORKFLOW).cancel_jobs(),
    "retry": lambda _: Workflow(id=WORKFLOW).retry_jobs(),
    "repair": lambda _: doctor.repair(),
    "apply a graft": lambda oban: run(oban, "applied"),
    "return a graft": lambda oban: run(oban, "returned"),
    "run": lambda oban: run(oban, "default"),
    "prune": lambda oban: use_ext("pruner.prune", plain_prune, oban._query, 1, 100),
}


def freeze_after(statement: str, method: str) -> None:
    """Let a method that runs statements stop this process after it has run the given statement."""
    before = getattr(Statements, method)

    async def run_and_freeze(store: Statements, *args: Any) -> Any:
        result = await before(store, *args)

        if statement in args:
            os.kill(os.getpid(), signal.SIGSTOP)

        return result

    setattr(Statements, method, run_and_freeze)


async def main(dsn: str, doing: str, statement: str) -> None:
    freeze_after(statement, "execute")
    freeze_after(statement, "fetch_all")

    async with AsyncConnectionPool(dsn, min_size=1, max_size=10, open=False) as pool:
        await DOINGS[doing](Oban(pool=pool))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
