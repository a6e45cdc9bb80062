"""Fan-outs whose jobs take several items each.

The args of such a job hold its items, encoded one by one, and their names: the keys of a dict, or
the number of the first item of a list. It records a dict of results by these names.
"""

from __future__ import annotations

import re
from itertools import batched
from typing import TYPE_CHECKING, Any

from oban_pro.errors import CascadeError, InvalidArgumentError
from oban_pro.values import codec

from .cascades import CASCADE_WORKER, ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oban import Job

    from oban_pro.values.placeholder import Wire

BATCH_WORKER = "oban_pro.workers.BatchCascade"

# Keys of the args.
ITEMS_IN_BATCH = "batch"
FIRST = "first"
KEYS = "keys"

_LIKE_A_BATCH = re.compile(r"batch-\d+")


def batched_args(
    name: str, items: Mapping[str, Any], size: int, *, is_dict: bool
) -> dict[str, dict[str, Any]]:
    """Divide items into batches; returns the args of the job of each, by its name.

    Args:
        name: Of the fan-out, for errors.
        items: Encoded, by name.
        size: How many items a batch has, at most.
        is_dict: Whether the names are those of a dict, rather than numbers.

    Raises:
        InvalidArgumentError: If a key is the name of a batch: a path would mean two things.
    """
    batches: dict[str, dict[str, Any]] = {}

    for number, batch in enumerate(batched(items, size)):
        args: dict[str, Any] = {ITEMS_IN_BATCH: [items[key] for key in batch]}

        if not is_dict:
            batches[f"{batch[0]}-{batch[-1]}"] = args | {FIRST: int(batch[0])}
            continue

        if taken := [key for key in batch if _LIKE_A_BATCH.fullmatch(key)]:
            raise InvalidArgumentError(
                f"key in {name!r} must not be the name of a batch, got {taken[0]!r}"
            )

        batches[f"batch-{number}"] = args | {KEYS: list(batch)}

    return batches


def fan_out_args(
    name: str, items: Mapping[str, Any], size: int | None, *, is_dict: bool
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the worker of the jobs of a fan-out, and what their args hold of the items, by name.

    Raises:
        InvalidArgumentError: If a key is the name of a batch.
    """
    if size is None:
        return CASCADE_WORKER, {key: {ITEM: item} for key, item in items.items()}

    return BATCH_WORKER, batched_args(name, items, size, is_dict=is_dict)


def items_of(
    args: Mapping[str, Any], resolve: Callable[[Wire], Any] | None = None
) -> list[Any] | dict[str, Any]:
    """Return what the function of a batch is called with.

    Args:
        args: Of the job.
        resolve: Returns what a placeholder among the items stands for.

    Raises:
        CodecError: If an item cannot be decoded.
    """
    items = [codec.from_json(item, resolve) for item in args[ITEMS_IN_BATCH]]

    return dict(zip(args[KEYS], items, strict=True)) if KEYS in args else items


def results_by_name(job: Job, result: object) -> dict[str, Any]:
    """Return the results of a batch by the names of its items.

    Raises:
        CascadeError: If they are not of the shape of the items.
    """
    count = len(job.args[ITEMS_IN_BATCH])
    name = job.meta.get("name")

    if (keys := job.args.get(KEYS)) is not None:
        if not isinstance(result, dict):
            raise _wrong(name, f"a dict with the keys of its {count} items", type(result).__name__)

        if result.keys() != {*keys}:
            missing, more = {*keys} - result.keys(), result.keys() - {*keys}
            which = f"none for {min(missing)!r}" if missing else f"one for {more.pop()!r}"
            raise _wrong(name, f"a dict with the keys of its {count} items", which)

        return {key: result[key] for key in keys}

    if not isinstance(result, list):
        raise _wrong(name, f"a list of {count} results", type(result).__name__)

    if len(result) != count:
        raise _wrong(name, f"a list of {count} results", f"{len(result)}")

    return {str(number): value for number, value in enumerate(result, job.args[FIRST])}


def _wrong(name: object, expected: str, got: str) -> CascadeError:
    return CascadeError(f"batch {name!r} must return {expected}, got {got}")
