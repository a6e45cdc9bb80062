"""DBOS: workflows whose jobs are steps; steps that run at the same time are gathered.

One process runs as many steps at once as a workflow gathers, because steps have no limit.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dbos import DBOS

from .work import Shapes, url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    DBOS(config={"name": "bench", "system_database_url": url(), "log_level": "ERROR"})
    await asyncio.to_thread(DBOS.launch)
    yield
    await asyncio.to_thread(DBOS.destroy)


@DBOS.step()
async def hop(value: int) -> int:
    return value + 1


@DBOS.step()
async def item(first: int, n: int) -> int:
    return first + n


@DBOS.step()
async def total(values: list[int]) -> int:
    return sum(values)


@DBOS.workflow()
async def fan_out(count: int) -> int:
    first = await hop(0)

    result: int = await total(await asyncio.gather(*(item(first, n) for n in range(count))))

    return result


@DBOS.workflow()
async def chain(count: int) -> int:
    value = 0

    for _ in range(count):
        value = await hop(value)

    return value


@DBOS.workflow()
async def diamond() -> int:
    top = await hop(0)

    result: int = await total(await asyncio.gather(hop(top), hop(top)))

    return result


async def diamonds(count: int) -> int:
    return sum(await asyncio.gather(*(diamond() for _ in range(count))))


SHAPES: Shapes = {"fan_out": fan_out, "chain": chain, "diamonds": diamonds}
