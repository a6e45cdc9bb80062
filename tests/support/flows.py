"""Cascade functions that tests share: a row names each by its import path."""

import asyncio
import functools
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from oban import Cancel, Job, Record, Snooze, Worker, current_job, worker

from oban_pro import SignalTimeout, await_signal

type Context = dict[str, Any]

# Examples of the published API on cascades, completed where it leaves out code.

saved: list[Any] = []


async def fetch_data(source: str) -> list[str]:
    return [f"{source} {n}" for n in range(3)]


def process(record: str) -> str:
    return record.upper()


async def save_to_database(records: list[str]) -> None:
    saved.extend(records)


async def extract(context):
    source = context["source"]
    return {"records": await fetch_data(source), "extracted_at": datetime.now()}


async def transform(context):
    records = context["extract"]["records"]
    return {"transformed": [process(rec) for rec in records]}


async def load(context):
    records = context["transform"]["transformed"]
    await save_to_database(records)
    return {"loaded": len(records)}


async def step_1_func(context):
    return context["user_id"] + 1


async def step_2_func(context):
    return context["step_1"] * context["batch_size"], context["environment"]


async def process_user(user_id, context):
    batch_id = context["batch_id"]
    return {"user_id": user_id, "processed": True, "batch_id": batch_id}


async def summarize(context):
    results = context["process"]
    return sum(1 for res in results.values() if res["processed"])


async def fetch_from_source(url, context):
    return f"fetched {url}"


async def merge_results(context):
    return [context["fetch"]["wiki"], context["fetch"]["docs"]]


# Small ones


async def see(context: Context) -> Any:
    """Return the whole context."""
    return context


def see_blocking(context: Context) -> Any:
    return context


async def see_item(item: Any, context: Context) -> Any:
    return [item, context]


async def keep_item(item: Any, context: Context) -> Any:
    return item


def keep_item_blocking(item: Any, context: Context) -> Any:
    return item


async def nothing(context: Context) -> None:
    """Record None."""


async def one(context: Context) -> int:
    return 1


async def order(context: Context) -> list[str]:
    return [*context["many"]]


async def total(context: Context) -> int:
    return sum(context["many"].values())


async def count(context: Context) -> int:
    return len(context["many"])


async def size(context: Context) -> int:
    return len(context["big"])


async def big(context: Context) -> bytes:
    return b"\xff" * int(context["bytes"])


async def ask_for_silent(context: Context) -> Any:
    return context["silent"]


async def ask_for_silent_item(item: Any, context: Context) -> Any:
    return context["silent"]


async def ask_for_typo(context: Context) -> Any:
    return context["exract"]


async def mutate(item: Any, context: Context) -> Any:
    """Return the context, and change it."""
    before = [len(context["shared"]["list"]), len(context["up"]["list"])]
    context["shared"]["list"].append(item)
    context["up"]["list"].append(item)
    context["mark"] = item
    return [*before, sorted(context)]


async def lists(context: Context) -> Any:
    return {"list": [0]}


async def attempt(context: Context) -> int:
    """Record the job's id and attempt, which differ each time the job is retried."""
    job = current_job()
    assert job is not None
    return job.attempt


async def attempt_of_up(item: Any, context: Context) -> Any:
    return context["up"]


# Functions that return what oban's workers may return


async def record(context: Context) -> Record:
    return Record({"by": "hand"})


async def snooze_once(context: Context) -> Any:
    job = current_job()
    assert job is not None
    return "awake" if job.meta.get("snoozed") else Snooze(0)


async def cancel(context: Context) -> Cancel:
    return Cancel("enough")


def cancel_blocking(context: Context) -> Cancel:
    return Cancel("enough")


@worker()
class Recorder(Worker):
    async def process(self, job: Job) -> Any:
        return Record(job.args["value"])


@worker()
class Silent(Worker):
    async def process(self, job: Job) -> Any:
        return "not recorded"


# Functions whose results cannot be recorded, or that end in an unusual way


class Thing:
    pass


async def thing(context: Context) -> Any:
    return {"inside": [Thing()]}


async def endless(context: Context) -> Any:
    value: list[Any] = []
    value.append(value)
    return value


class Odd(BaseException):
    pass


ENDINGS: dict[str, Callable[[], BaseException]] = {
    "system exit": lambda: SystemExit(3),
    "keyboard interrupt": KeyboardInterrupt,
    "cancelled error": asyncio.CancelledError,
    "stop iteration": lambda: StopIteration("early"),
    "stop async iteration": StopAsyncIteration,
    "generator exit": GeneratorExit,
    "own base exception": Odd,
    "group of base exceptions": lambda: BaseExceptionGroup("several", [SystemExit(3), Odd()]),
}


async def end(how: str, context: Context) -> Any:
    raise ENDINGS[how]()


def end_blocking(how: str, context: Context) -> Any:
    raise ENDINGS[how]()


async def exit_program(context: Context) -> Any:
    sys.exit("bye")


# Threads and loops

gate = threading.Event()
passed: list[Any] = []


def wait_for_gate(item: Any, context: Context) -> Any:
    """Block a thread until another cascade opens the gate."""
    opened = gate.wait(timeout=20)
    passed.append(item)
    return opened


async def open_gate(context: Context) -> Any:
    """Open the gate, and return who passed it before."""
    before = list(passed)
    gate.set()
    return before


def thread_and_job(context: Context) -> Any:
    job = current_job()
    assert job is not None
    return [threading.current_thread() is threading.main_thread(), job.meta["name"]]


async def main_thread(context: Context) -> bool:
    return threading.current_thread() is threading.main_thread()


# Decorated


def shout(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> str:
        return str(await function(*args, **kwargs)).upper()

    return wrapper


def plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(context: Any) -> Any:
        return function(context)

    return wrapper


@shout
async def shouted(context: Context) -> str:
    return "loud"


@plainly
async def wrapped_async(context: Context) -> str:
    return "quiet"


@plainly
def wrapped_two(item: Any, context: Context) -> str:
    return "quiet"


@hidden
def unnamed(context: Context) -> None:
    pass


class Toolbox:
    @staticmethod
    async def tool(context: Context) -> str:
        return "tool"

    def method(self, context: Context) -> None:
        pass

    def close(self) -> None:
        pass

    @classmethod
    def factory(cls, context: Context) -> None:
        pass

    def __call__(self, context: Context) -> None:
        pass


# Refused

nameless = lambda context: None  # noqa: E731


async def no_arguments() -> None:
    pass


async def three_arguments(item: Any, context: Context, more: Any) -> None:
    pass


async def needs_keyword(context: Context, *, key: Any) -> None:
    pass


async def generates(context: Context) -> Any:
    yield 1


def make_nested() -> Callable[..., Any]:
    async def nested(context: Context) -> None:
        pass

    return nested


async def replaced(context: Context) -> int:
    return 1


original = replaced


async def replaced(context: Context) -> int:  # type: ignore[no-redef]
    return 2


async def nothing_item(item: Any, context: Context) -> None:
    """Record None."""


async def big_text(context: Context) -> str:
    return "x" * int(context["bytes"])


async def count_item(item: Any, context: Context) -> int:
    return len(context["many"])


async def ask(context: Context) -> Any:
    try:
        return await await_signal(wait_for=60)
    except SignalTimeout:
        return None
