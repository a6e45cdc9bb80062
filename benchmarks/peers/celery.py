"""Celery: chains, groups and chords, with Redis as broker and result backend.

One worker process has a pool of 50 threads. Results are stored, because chords need them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from celery import Celery
from celery import chain as in_order
from celery import group as at_once

from .work import CONCURRENCY, Shapes, url
from .workers import worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Celery("bench", broker=url(), backend=url())
OPTIONS = ("--pool", "threads", "--concurrency", str(CONCURRENCY), "--loglevel", "ERROR")


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    with worker("celery", "--app", __name__, "worker", *OPTIONS):
        yield


@app.task
def hop(value: int) -> int:
    return value + 1


@app.task
def item(first: int, n: int) -> int:
    return first + n


@app.task
def total(values: list[int]) -> int:
    return sum(values)


async def fan_out(count: int) -> int:
    items = at_once(item.s(n) for n in range(count))
    result: int = in_order(hop.s(0), items, total.s())().get()

    return result


async def chain(count: int) -> int:
    result: int = in_order(hop.s(0), *(hop.s() for _ in range(count - 1)))().get()

    return result


async def diamonds(count: int) -> int:
    results = [in_order(hop.s(0), at_once(hop.s(), hop.s()), total.s())() for _ in range(count)]

    return sum(result.get() for result in results)


SHAPES: Shapes = {"fan_out": fan_out, "chain": chain, "diamonds": diamonds}
