"""What is set for functions that take many values at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sizes(NamedTuple):
    """How a function takes many values.

    Args:
        lazy: Whether results of groups are read while it looks at them.
    """

    lazy: bool = False


NO_SIZES = Sizes()


def check_sizes(name: str, options: Mapping[str, Any]) -> tuple[Sizes, dict[str, Any]]:
    """Return what is set among some options, and the other options.

    Raises:
        InvalidArgumentError: If one of them has the wrong type.
    """
    others = {option: options[option] for option in options if option not in Sizes._fields}
    lazy = options.get("lazy", False)

    if not isinstance(lazy, bool):
        raise InvalidArgumentError(f"lazy of {name!r} must be a bool, got {lazy!r}")

    return Sizes(lazy), others
