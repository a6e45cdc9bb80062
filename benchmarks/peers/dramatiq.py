"""Dramatiq: pipelines, and groups with a completion callback, on Redis with its results backend.

One worker process has 50 threads. A callback is sent with every message of its group, and gets no
results. It finds them by the ids of the messages, which it derives from its own id.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq import Message, group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as Barriers
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

from .work import CONCURRENCY, Shapes, url
from .workers import worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

broker = RedisBroker(url=url())
# by default redis gives up after five seconds, even if it was told to wait for longer
results = Redis.from_url(url(), socket_timeout=None)
# the middleware that is added last runs first, so results are stored when the callback runs
broker.add_middleware(GroupCallbacks(Barriers(url=url())))
broker.add_middleware(CurrentMessage())
broker.add_middleware(Results(backend=RedisBackend(client=results)))
dramatiq.set_broker(broker)

OPTIONS = ("--processes", "1", "--threads", str(CONCURRENCY), "--skip-logging")
HOUR = 3_600_000


@asynccontextmanager
async def serve() -> AsyncIterator[None]:
    with worker("dramatiq", *OPTIONS, __name__):
        yield


@dramatiq.actor(store_results=True)
def hop(value: int) -> int:
    return value + 1


@dramatiq.actor(store_results=True)
def item(first: int, n: int) -> int:
    return first + n


@dramatiq.actor
def spread(count: int, callback: dict[str, Any]) -> None:
    _spread([item.message(1, n) for n in range(count)], callback)


@dramatiq.actor
def split(callback: dict[str, Any]) -> None:
    _spread([hop.message(1), hop.message(1)], callback)


@dramatiq.actor(store_results=True)
def total(actor: str, count: int) -> int:
    callback = CurrentMessage.get_current_message()
    messages = [_member(broker.get_actor(actor).message(), callback, n) for n in range(count)]

    return sum(message.get_result() for message in messages)


async def fan_out(count: int) -> int:
    callback = total.message("item", count)
    spread.send(count, callback.asdict())
    result: int = callback.get_result(block=True, timeout=HOUR)

    return result


async def chain(count: int) -> int:
    hops = pipeline([hop.message(0), *(hop.message() for _ in range(count - 1))]).run()
    result: int = hops.get_result(block=True, timeout=HOUR)

    return result


async def diamonds(count: int) -> int:
    callbacks = [total.message("hop", 2) for _ in range(count)]

    for callback in callbacks:
        split.send(callback.asdict())

    return sum(callback.get_result(block=True, timeout=HOUR) for callback in callbacks)


def _spread(messages: list[Message], callback: dict[str, Any]) -> None:
    end = Message(**callback)
    members = group(_member(message, end, n) for n, message in enumerate(messages))
    members.add_completion_callback(end)
    members.run()


def _member(message: Message, callback: Message, n: int) -> Message:
    return message.copy(message_id=f"{callback.message_id}-{n}")


SHAPES: Shapes = {"fan_out": fan_out, "chain": chain, "diamonds": diamonds}
