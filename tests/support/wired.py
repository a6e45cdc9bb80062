"""Functions for wired calls, with different arguments and results."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from oban import Cancel, Record, Snooze, current_job

from oban_pro import Context, Outcome, Workflow
from oban_pro.errors import message_of


@dataclass
class Row:
    id: int
    tags: list[str] = field(default_factory=list)


class Table(NamedTuple):
    title: str
    rows: list[Row]

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def is_empty(self) -> bool:
        return not self.rows


async def extract(source: str) -> list[Row]:
    await asyncio.sleep(0)

    return [Row(n, [source]) for n in range(3)]


def clean(rows: list[Row], *, strict: bool = False) -> Table:
    return Table("strict" if strict else "clean", rows)


def resize(path: Path, width: int) -> Path:
    return path.with_suffix(f".{width}")


def report(table: Table, thumbs: list[Path]) -> str:
    return f"{table.title}: {len(table.rows)} rows, {' '.join(map(str, thumbs))}"


def odd(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")

    return number


def tell(results: Any, failed: dict[str, str]) -> Any:
    return (results, {name: message_of(error) for name, error in failed.items()})


def first_line(error: str) -> str:
    return message_of(error)


def fail_batch(numbers: list[int]) -> list[int]:
    if len(numbers) > 1:
        raise ValueError("two")

    return numbers


def echo(*args: Any, **kwargs: Any) -> Any:
    return (args, kwargs)


def same(value: Any) -> Any:
    return value


def maybe(value: Any = "default", *, other: Any = "other default") -> Any:
    return (value, other)


def item_of(row: Row, factor: int = 1) -> int:
    return row.id * factor


def multiply(numbers: list[int], by: int = 10) -> list[int]:
    return [number * by for number in numbers]


async def multiply_by_key(numbers: dict[str, int], by: int) -> dict[str, int]:
    return {key: number * by for key, number in numbers.items()}


undone: list[Any] = []


def undo_call(context: Context) -> None:
    undone.append(dict(context))


def take_back(value: Any, reason: str, *, other: Any = None) -> None:
    undone.append((value, reason, other))


def undo_of_each(item: Any, context: Context) -> None:
    undone.append((item, dict(context)))


def skip_odd(number: int) -> int | Cancel:
    return Cancel("odd") if number % 2 else number


def give_up(reason: str) -> Cancel:
    return Cancel(reason)


def fail(reason: str) -> int:
    raise ValueError(reason)


async def later(value: int) -> int | Snooze:
    job = current_job()

    return Snooze(0) if job is not None and job.meta.get("snoozed", 0) == 0 else value


def recorded(value: int) -> Any:
    return Record({"value": value})


def from_context(context: dict[str, Any]) -> Any:
    return dict(context)


def never(context: dict[str, Any]) -> bool:
    return False


async def own_context() -> Any:
    job = current_job()
    assert job is not None

    return await Workflow.for_job(job).get_context()


def traced[**P, R](func: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return func(*args, **kwargs)

    return wrapper


@traced
def wrapped(number: int, *, by: int = 2) -> int:
    return number * by


class Holder:
    @staticmethod
    def double(number: int) -> int:
        return number * 2

    def method(self, number: int) -> int:
        return number


def only(number: int, /, factor: int) -> int:
    return number * factor


def doubled(number: int, by: int = 2) -> int:
    return number * by


def sum_up(outcome: Outcome, value: Any = "nothing", *, other: Any = None) -> Any:
    return (outcome.state, [failure.path for failure in outcome.failed], value, other)
