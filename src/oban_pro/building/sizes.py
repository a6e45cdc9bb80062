"""What is set for functions that take many values at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import InvalidArgumentError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sizes(NamedTuple):
    """How a function takes many values.

    Args:
        lazy: Whether results of groups are read while it looks at them.
        batch: How many items one job of a fan-out takes, at most; None for one job for each item.
    """

    lazy: bool = False
    batch: int | None = None


NO_SIZES = Sizes()


def check_sizes(name: str, options: Mapping[str, Any]) -> tuple[Sizes, dict[str, Any]]:
    """Return what is set among some options, and the other options.

    Raises:
        InvalidArgumentError: If one of them has the wrong type.
        InvalidOptionError: If a batch is not positive.
    """
    others = {option: options[option] for option in options if option not in Sizes._fields}
    lazy = options.get("lazy", False)

    if not isinstance(lazy, bool):
        raise InvalidArgumentError(f"lazy of {name!r} must be a bool, got {lazy!r}")

    return Sizes(lazy, check_batch(f"batch of {name!r}", options.get("batch"))), others


def check_batch(what: str, batch: object) -> int | None:
    """Return how many items a batch has.

    Raises:
        InvalidArgumentError: If it is no int.
        InvalidOptionError: If it is not positive.
    """
    if batch is None:
        return None

    if not isinstance(batch, int) or isinstance(batch, bool):
        raise InvalidArgumentError(f"{what} must be an int, got {batch!r}")

    if batch < 1:
        raise InvalidOptionError(f"{what} must be at least 1, got {batch}")

    return batch


def refuse_batch(name: str, batch: int | None) -> None:
    """Raise if something that has no items has a batch.

    Raises:
        InvalidArgumentError: Naming it.
    """
    if batch is not None:
        raise InvalidArgumentError(
            f"batch of {name!r} is for fan-outs: each(), or (items, function)"
        )
