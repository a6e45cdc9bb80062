"""oban-workflows: cascades, which record their results and receive recorded results.

One node in the process that submits runs 50 jobs at once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from oban import Job, Oban, Worker, worker

from benchmarks.measurement import Settled
from oban_pro import Workflow, schema

from .work import CONCURRENCY, Shapes, Work, url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

_ends: list[int] = []
_settled = Settled()


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(url(), autocommit=True) as conn:
        await conn.execute(schema.install_sql())

    pool = await Oban.create_pool(url())

    async with Oban(pool=pool, queues={"default": CONCURRENCY}) as node:
        # the node is ready when it receives notifications of inserts; before that it polls
        await node._notifier.listen("insert", lambda *_: None)
        yield

    await pool.close()


async def hop(context: dict[str, int]) -> int:
    return 1 + sum(context.values())


async def last_hop(context: dict[str, int]) -> int:
    _ends.append(await hop(context))

    return _ends[-1]


async def item(n: int, context: dict[str, int]) -> int:
    return context["first"] + n


async def total(context: dict[str, Any]) -> int:
    _ends.append(sum(context["items"].values()))

    return _ends[-1]


async def join(context: dict[str, int]) -> int:
    _ends.append(context["left"] + context["right"])

    return _ends[-1]


@worker()
class Count(Worker):
    async def process(self, job: Job) -> None:
        _ends.append(1)


async def fan_out(count: int) -> int:
    return await _run(
        Work("fan_out", count),
        Workflow()
        .add_cascade("first", hop)
        .add_cascade("items", (range(count), item), deps="first")
        .add_cascade("total", total, deps="items"),
    )


async def chain(count: int) -> int:
    workflow = Workflow().add_cascade("0", hop)

    for n in range(1, count):
        workflow.add_cascade(str(n), last_hop if n == count - 1 else hop, deps=str(n - 1))

    return await _run(Work("chain", count), workflow)


async def diamonds(count: int) -> int:
    return await _run(Work("diamonds", count), [job for _ in range(count) for job in _diamond()])


async def independent(count: int) -> int:
    return await _run(Work("independent", count), [Count.new({"n": n}) for n in range(count)])


def _diamond() -> Workflow:
    return (
        Workflow()
        .add_cascade("top", hop)
        .add_cascade("left", hop, deps="top")
        .add_cascade("right", hop, deps="top")
        .add_cascade("bottom", join, deps=["left", "right"])
    )


async def _run(work: Work, jobs: Iterable[Job]) -> int:
    _ends.clear()
    await Oban.get_instance().enqueue_many(jobs)
    await _settled.wait(work.jobs)

    return sum(_ends)


SHAPES: Shapes = {
    "fan_out": fan_out,
    "chain": chain,
    "diamonds": diamonds,
    "independent": independent,
}
