"""Building the jobs of cascade functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from oban import Job

from oban_pro.errors import CodecError, InvalidArgumentError, UnsupportedTypeError
from oban_pro.model import job_notes, meta
from oban_pro.values import codec

from .arguments import named_items
from .functions import ITEM_AND_CONTEXT, check_function
from .sizes import check_batch

# Paths of the workers, as rows name them.
CASCADE_WORKER = "oban_pro.workers.Cascade"
GRAFTER_WORKER = "oban_pro.workers.Grafter"
MAPPER_WORKER = "oban_pro.workers.Mapper"
FINAL_WORKER = "oban_pro.workers.Final"

# Keys of their args.
FUNCTION = "function"
ITEM = "item"
RESULT = "result"
OPTIONS = "options"
CALL = "call"
"""Key of the arguments of a function that `call` or `each` added."""
LAZY = "lazy"
"""Whether results of groups are read while the function looks at them."""
VALUE = "value"
"""Key of the placeholder whose value decides whether a group runs, in the args of its judge."""
BATCH_SIZE = "batch_size"
"""How many items one job takes, of those that are mapped over."""
ITEMS = "items"
"""Key of the placeholder for the items that a fan-out maps over."""


@dataclass(frozen=True, slots=True)
class FromResult:
    """Stands for what an upstream job will have recorded; see `from_result`."""

    path: tuple[str | int, ...]
    batch: int | None = None

    def batches(self, size: int) -> FromResult:
        """Give each job a batch of up to ``size`` items.

        Args:
            size: The number of items.

        Returns:
            A placeholder to pass in place of this one; see ``batch`` of `Workflow.add_cascade`.

        Raises:
            InvalidArgumentError: If it is no int.
            InvalidOptionError: If it is not positive.

        Example:
            >>> items = from_result("list").batches(100)
            >>> workflow.add_cascade("each", (items, resize_all), deps="list")
        """
        return replace(self, batch=check_batch("size of batches", size))


def from_result(name: str, *path: str | int) -> FromResult:
    """Make a placeholder for items that an upstream job records at run time.

    Args:
        name: Of a dependency that records a list or a dict.
        path: Keys that lead further into what it recorded.

    Returns:
        A placeholder to pass as the items of `Workflow.add_cascade`. Its method ``batches(100)``
        lets one job take up to 100 items.

    Example:
        >>> workflow.add_cascade("each", (from_result("list"), resize), deps="list")
    """
    return FromResult((name, *path))


def cascade_job(
    worker: str, function: str | None, args: Mapping[str, Any], options: Mapping[str, Any]
) -> Job:
    """Build the job that calls a function.

    Args:
        worker: Path of the worker.
        function: Import path of the function; None for a job without one.
        args: Further args of the job.
        options: Checked options of the job.
    """
    handler = {} if function is None else {meta.HANDLER: function.replace(":", ".")}
    called = {} if function is None else {FUNCTION: function}
    given = {**options, "meta": {**options.get("meta", {}), **handler}}
    delay = given.pop("scheduled_in", None)
    job = Job(worker, args={**called, **args}, **given)

    if delay is not None:
        # oban would count the delay from now, on the clock of this machine.
        job.extra[job_notes.DELAY] = delay

    return job


def encode_item(name: str, key: str, item: object) -> Any:
    """Encode an item of a fan-out for the args of its job.

    Raises:
        UnsupportedTypeError: Naming the item, if a part of it is of a type that cannot be stored.
        CodecError: Naming the item, if it nests too deeply.
    """
    try:
        return codec.to_json(item)
    except (UnsupportedTypeError, CodecError) as error:
        raise type(error)(f"item {key!r} of {name!r} cannot be stored: {error}") from None


def encode_context(value: object) -> dict[str, Any]:
    """Encode the context of a workflow as it is now, so that later changes have no effect.

    Raises:
        InvalidArgumentError: If it is not a dict with string keys.
        UnsupportedTypeError: If a part of it is of a type that cannot be stored.
        CodecError: If it nests too deeply.
    """
    if not isinstance(value, Mapping) or {type(key) for key in value} - {str}:
        raise InvalidArgumentError(f"context must be a dict with string keys, got {value!r}")

    try:
        encoded: dict[str, Any] = codec.to_json(dict(value))
    except (UnsupportedTypeError, CodecError) as error:
        raise type(error)(f"context cannot be stored: {error}") from None

    return encoded


def check_source(name: str, source: FromResult, deps: tuple[str, ...]) -> None:
    """Raise unless a fan-out depends on the job whose result it maps over.

    Raises:
        InvalidArgumentError: If it is not.
    """
    if source.path[0] not in deps:
        raise InvalidArgumentError(
            f"from_result({source.path[0]!r}) of {name!r} must name one of its deps, got {deps!r}"
        )


def fan_out_jobs(
    name: str,
    items_and_function: tuple[Any, ...],
    worker: str,
    options: Mapping[str, Any],
    bounds: Mapping[str, Any],
) -> dict[str, Job]:
    """Build one job for each item, by name.

    Raises:
        InvalidArgumentError: If it is not a pair of items and a function.
        InvalidFunctionError: If the function cannot be used.
    """
    items, function = split_pair(name, items_and_function)
    path = check_function(name, function, ITEM_AND_CONTEXT)

    return {
        key: cascade_job(worker, path, {ITEM: encode_item(name, key, item), **bounds}, options)
        for key, item in named_items(name, items).items()
    }


def split_pair(name: str, items_and_function: tuple[Any, ...]) -> tuple[Any, Any]:
    """Take apart ``(items, function)``.

    Raises:
        InvalidArgumentError: If it is not a pair.
    """
    if len(items_and_function) != 2:
        raise InvalidArgumentError(
            f"{name!r} must be a function or (items, function), got {items_and_function!r}"
        )

    items, function = items_and_function

    return items, function
