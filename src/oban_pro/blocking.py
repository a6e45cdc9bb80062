"""Running our coroutines to their end in the calling thread, without an event loop.

A coroutine suspends where something that it awaits is not there yet. Over a connection that blocks
instead (`BlockingConnection`), and with the pauses of this module, ours never do. So blocking code
and asynchronous code share every statement, and the order of them.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

_blocks: ContextVar[bool] = ContextVar("blocks", default=False)
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def is_blocking() -> bool:
    """Tell whether the coroutine that asks was started by `run` or `iterate`."""
    return _blocks.get()


def seconds_left() -> float:
    """Return how long a blocking call may still take; infinity where nobody set a limit."""
    return _deadline.get() - time.monotonic()


def run[Result](coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in this thread.

    Raises:
        RuntimeError: If it suspends, which only an event loop can deal with.
    """
    token = _blocks.set(True)

    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value

        return result
    finally:
        _blocks.reset(token)
        coroutine.close()

    raise RuntimeError(
        "a blocking call must not wait for an event loop; in what makes or configures the"
        " connections of a pool, await nothing but the connection"
    )


def iterate[Item](items: AsyncIterator[Item]) -> Iterator[Item]:
    """Iterate over what an asynchronous generator yields, in this thread."""

    async def end() -> None:
        if close := getattr(items, "aclose", None):
            await close()

    async def following() -> Item:
        return await anext(items)

    try:
        while True:
            try:
                item = run(following())
            except StopAsyncIteration:
                return

            yield item
    finally:
        run(end())


async def sleep(seconds: float) -> None:
    """Pause.

    Raises:
        TimeoutError: If a `timeout` around it is over before that.
    """
    if not is_blocking():
        await asyncio.sleep(seconds)
        return

    left = seconds_left()
    time.sleep(max(0.0, min(seconds, left)))  # noqa: ASYNC251

    if left < seconds:
        raise TimeoutError


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or for some seconds.

    A blocking call has nobody who could set the event.

    Raises:
        TimeoutError: If a `timeout` around it is over.
    """
    if is_blocking():
        await sleep(seconds)
        return

    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


@asynccontextmanager
async def timeout(seconds: float | None) -> AsyncIterator[None]:
    """Limit how long a block may take, statements included; None for no limit.

    Raises:
        TimeoutError: If it takes longer.
    """
    if not is_blocking():
        async with asyncio.timeout(seconds):
            yield

        return

    end = math.inf if seconds is None else time.monotonic() + seconds
    token = _deadline.set(min(end, _deadline.get()))

    try:
        yield
    finally:
        _deadline.reset(token)
