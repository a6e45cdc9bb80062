"""Cascade functions with large results, and functions that look into a store."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from oban import Record, Worker, current_job, worker

from oban_pro import Again, Workflow, await_signal
from oban_pro._plugin import stored_results
from oban_pro.values.recorded import keep_at

LARGE = 2_000
"""The length of a text that goes to the store if `store_above` is 1,000."""


def text(letter: str, size: int = LARGE) -> str:
    return letter * size


def objects(folder: Path) -> list[str]:
    """Return the objects in a store on the file system, without the workflow's part of the path."""
    return sorted("/".join(one.parts[-2:]) for one in folder.rglob("*") if one.is_file())


def workflows(folder: Path) -> list[str]:
    """Return the names of the workflows' folders in a store on the file system."""
    return sorted(one.name for one in folder.iterdir())


def stand_in_the_way(folder: Path) -> None:
    """Put a file at the place where a store needs its folder."""
    folder.write_text("in the way")


def large(context: dict[str, Any]) -> str:
    return text("a")


def make_way(context: dict[str, Any]) -> str:
    """Record a large result; in the first attempt, a file is in its way."""
    way = Path(context["way"])
    job = current_job()

    if job is not None and job.attempt > 1 and way.is_file():
        way.unlink()

    return text("a")


def refuse_access(*_: object, **__: object) -> None:
    raise PermissionError("told to")


def small(context: dict[str, Any]) -> str:
    return "small"


def large_item(item: int, context: dict[str, Any]) -> str:
    return text(str(item))


def large_item_slowly(item: int, context: dict[str, Any]) -> str:
    time.sleep(0.05)

    return text(str(item)[-1])


def large_batch(items: list[int], context: dict[str, Any]) -> list[str]:
    return [text(str(item)) for item in items]


async def sizes_read(context: dict[str, Any]) -> dict[str, Any]:
    found = dict(context)

    return {key: _size(value) for key, value in found.items()}


async def sizes_read_lazily(context: dict[str, Any]) -> dict[str, int]:
    items = {name: len(value) async for name, value in context["call"].items()}

    return {**items, "fetched": len(await context["call"].fetch("1"))}


def _size(value: Any) -> Any:
    return (
        {key: _size(one) for key, one in value.items()} if isinstance(value, dict) else len(value)
    )


def pages(context: dict[str, Any]) -> Any:
    found = context.get("pages", "")

    return Again(found + text("p")) if len(found) < 3 * LARGE else found


def dies_before_its_ack(context: dict[str, Any]) -> str:
    """In the first attempt, kill the process as soon as the object is written."""
    job = current_job()

    if job is not None and job.attempt == 1:

        def write_and_die(url: str, encoded: str) -> str:
            keep_at(url, encoded)
            os.kill(os.getpid(), signal.SIGKILL)

            return ""

        vars(stored_results)["keep_at"] = write_and_die

    return text("d")


def grow(context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("grown", large)


async def ask(context: dict[str, Any]) -> int:
    return len(await await_signal(block_for=0))


def undo(context: dict[str, Any]) -> str:
    return text("u", len(context["booked"]))


def refuse(context: dict[str, Any]) -> None:
    raise ValueError("told to fail")


def ended(context: dict[str, Any], outcome: Any) -> int:
    return len(context["booked"])


@worker()
class Plain(Worker):
    async def process(self, job: Any) -> Record:
        return Record(text("w"))


def on_loop() -> bool:
    """Tell whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False

    return threading.current_thread() is not None
