"""Chancy: its workflows keep the order of jobs but pass no results, so sums are kept in memory.

One worker in the process that submits runs 50 jobs at once with the async executor. It polls
eagerly, and stores settled jobs a hundred times a second instead of once.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chancy import Chancy, Job, Queue, Worker
from chancy.plugins.leadership import Leadership
from chancy.plugins.workflow import Workflow, WorkflowPlugin

from .work import CONCURRENCY, Shapes, Work, url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# it becomes the leader at its first check, which by default comes after a minute
app = Chancy(url(), plugins=[Leadership(poll_interval=1)])
queue = Queue(
    "bench",
    concurrency=CONCURRENCY,
    executor=Chancy.Executor.Async,
    polling_interval=1,
    eager_polling=True,
)

_ran: asyncio.Queue[int] = asyncio.Queue()


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    async with app:
        await app.migrate()
        await app.declare(queue)

        async with Worker(app, register_signal_handlers=False) as worker:
            worker.send_outgoing_interval = 0.01
            await worker.is_leader.wait()
            yield


async def add(value: int) -> None:
    _ran.put_nowait(value)


async def fan_out(count: int) -> int:
    items = {str(n): _job(1 + n) for n in range(count)}
    workflow = (
        Workflow("fan_out")
        .add("first", _job(0))
        .add_group(list(items.items()), ["first"])
        .add("total", _job(0), list(items))
    )

    return await _run(Work("fan_out", count), workflow)


async def chain(count: int) -> int:
    workflow = Workflow("chain").add("0", _job(1))

    for n in range(1, count):
        workflow.add(str(n), _job(1), [str(n - 1)])

    return await _run(Work("chain", count), workflow)


async def diamonds(count: int) -> int:
    return await _run(Work("diamonds", count), *(_diamond() for _ in range(count)))


def _diamond() -> Workflow:
    return (
        Workflow("diamond")
        .add("top", _job(1))
        .add("left", _job(1), ["top"])
        .add("right", _job(1), ["top"])
        .add("bottom", _job(1), ["left", "right"])
    )


def _job(value: int) -> Job:
    return Job.from_func(add, queue=queue.name, kwargs={"value": value})


async def _run(work: Work, *workflows: Workflow) -> int:
    for workflow in workflows:
        await WorkflowPlugin.push(app, workflow)

    return sum([await _ran.get() for _ in range(work.jobs)])


SHAPES: Shapes = {"fan_out": fan_out, "chain": chain, "diamonds": diamonds}
