"""The jobs that cascade functions become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oban import Job

from . import codec, meta
from .errors import InvalidArgumentError
from .functions import check_function
from .items import named_items

if TYPE_CHECKING:
    from collections.abc import Mapping

# Paths of the workers, as rows name them.
CASCADE = "oban_pro.workers.Cascade"
GRAFTER = "oban_pro.workers.Grafter"
MAPPER = "oban_pro.workers.Mapper"

# Keys of their args.
FUNCTION = "function"
ITEM = "item"
RESULT = "result"
OPTIONS = "options"


@dataclass(frozen=True, slots=True)
class FromResult:
    """Stands for what an upstream job will have recorded; see `from_result`."""

    path: tuple[str | int, ...]


def from_result(name: str, *path: str | int) -> FromResult:
    """Stand for items that are known only at run time: what an upstream job recorded.

    Args:
        name: Of a dependency that records a list or a dict.
        path: Keys that lead further into what it recorded.

    Returns:
        A placeholder to pass as the items of `Workflow.add_cascade`.

    Example:
        >>> workflow.add_cascade("each", (from_result("list"), resize), deps="list")
    """
    return FromResult((name, *path))


def cascade_job(
    worker: str, function: str, args: Mapping[str, Any], options: Mapping[str, Any]
) -> Job:
    """Build the job that calls a function.

    Args:
        worker: Path of the worker.
        function: Import path of the function.
        args: Further args of the job.
        options: Checked options of the job.
    """
    own = {**options.get("meta", {}), meta.HANDLER: function.replace(":", ".")}

    return Job(worker, args={FUNCTION: function, **args}, **{**options, "meta": own})


def encode_item(name: str, key: str, item: object) -> Any:
    """Encode an item of a fan-out for the args of its job.

    Raises:
        UnsupportedTypeError: Naming the item, if a part of it is of a type that cannot be stored.
        CodecError: Naming the item, if it nests too deeply.
    """
    try:
        return codec.to_json(item)
    except (codec.UnsupportedTypeError, codec.CodecError) as error:
        raise type(error)(f"item {key!r} of {name!r} cannot be stored: {error}") from None


def check_source(name: str, source: FromResult, deps: tuple[str, ...]) -> None:
    """Raise unless what a fan-out maps over is something it depends on.

    Raises:
        InvalidArgumentError: If it is not.
    """
    if source.path[0] not in deps:
        raise InvalidArgumentError(
            f"from_result({source.path[0]!r}) of {name!r} must name one of its deps, got {deps!r}"
        )


def fan_out_jobs(
    name: str, items_and_function: tuple[Any, ...], worker: str, options: dict[str, Any]
) -> dict[str, Job]:
    """Build one job for each item, by name.

    Raises:
        InvalidArgumentError: If it is not a pair of items and a function.
        InvalidFunctionError: If the function cannot be used.
    """
    items, function = split_pair(name, items_and_function)
    path = check_function(name, function, ("item", "context"))

    return {
        key: cascade_job(worker, path, {ITEM: encode_item(name, key, item)}, options)
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
