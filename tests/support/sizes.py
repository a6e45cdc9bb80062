"""Cascade functions of workflows with many results, or with large ones."""

import tracemalloc
from collections.abc import Mapping
from typing import Any

from oban import Snooze, current_job


async def numbers(context: dict[str, Any]) -> list[int]:
    return [*range(1, context.get("count", 3) + 1)]


async def tenfold(item: int, context: dict[str, Any]) -> int:
    return item * 10


async def refuse_odd(item: int, context: dict[str, Any]) -> int:
    if item % 2:
        raise ValueError("odd")

    return item


async def read_lazily(context: dict[str, Any]) -> Any:
    """Read a group in every way that an ``async def`` can."""
    results = context["call"]
    names = [name async for name in results]
    found = {name: value async for name, value in results.items()}
    keys = results.keys()
    assert names == [name async for name in keys] == [*found]
    assert [value async for value in results.values()] == [*found.values()]

    return {name: await results.fetch(name) for name in names}


def read_lazily_in_a_thread(context: dict[str, Any]) -> Any:
    """Read a group in every way that a dict can be read."""
    results = context["call"]
    found = dict(results)
    assert [*results] == [*results.keys()] == [*found]
    assert [*results.values()] == [*found.values()]
    assert [*results.items()] == [*found.items()]
    assert len(results) == len(found)
    assert results == found
    assert "0" in results
    assert results.get("nobody") is None

    return {name: results[name] for name in found}


async def read_lazily_as_a_dict(context: dict[str, Any]) -> Any:
    return dict(context["call"])


async def read_nested_lazily(context: dict[str, Any]) -> Any:
    found: dict[str, Any] = {}

    async for name, value in context["sub"].items():
        is_group = isinstance(value, Mapping)
        found[name] = {k: v async for k, v in value.items()} if is_group else value

    inner = await context["sub"].fetch("inner")

    return found, context["first"], context["shared"], await inner.fetch("1")


async def failed_lazily(context: dict[str, Any]) -> Any:
    failed: Any = context

    return sorted(failed.failed("call")), [name async for name in context["call"]]


async def keep_lazy(context: dict[str, Any]) -> Any:
    return context["call"]


async def peak_of_lazy(context: dict[str, Any]) -> tuple[int, int]:
    """Return how many bytes were read, and how much memory the reading took."""
    tracemalloc.start()
    count = 0

    async for value in context["call"].values():
        count += len(value)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    return count, peak


async def sum_lazily(item: int, context: dict[str, Any]) -> int:
    total: int = sum([value async for value in context["call"].values()])

    return item + total


async def tenfold_all(items: list[int], context: dict[str, Any]) -> list[int]:
    return [item * 10 for item in items]


def tenfold_all_by_key(items: dict[str, int], context: dict[str, Any]) -> dict[str, int]:
    return {key: item * 10 for key, item in reversed(items.items())}


async def wrong_results(items: Any, context: dict[str, Any]) -> Any:
    """Return the wrong results that the context names."""
    return context["returns"]


async def batch_fails_once(items: list[int], context: dict[str, Any]) -> list[int]:
    job = current_job()
    assert job is not None

    if job.attempt == 1 and 2 in items:
        raise ValueError("not yet")

    return [item * 10 + job.attempt for item in items]


async def refuse_three(items: list[int], context: dict[str, Any]) -> list[int]:
    if 3 in items:
        raise ValueError("three")

    return items


async def mapping(context: dict[str, Any]) -> dict[str, int]:
    return {"a": 1, "b": 2, "c": 3}


async def snooze_batch(items: list[int], context: dict[str, Any]) -> list[int] | Snooze:
    job = current_job()
    assert job is not None

    return items if job.meta.get("snoozed") else Snooze(0)
