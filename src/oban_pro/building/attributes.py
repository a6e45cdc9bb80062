"""Attributes, by which root workflows are found."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from oban_pro.errors import InvalidArgumentError, InvalidOptionError

from .names import check_text

type Attribute = str | int | float | bool | None


def check_attributes(attributes: object) -> dict[str, Attribute] | None:
    """Return attributes as a dict of scalars by name.

    Raises:
        InvalidArgumentError: If they are no mapping, or one of them is no scalar.
        InvalidOptionError: If a number is not finite.
        InvalidNameError: If a name or a text cannot be stored.
    """
    if attributes is None:
        return None

    if not isinstance(attributes, Mapping):
        raise InvalidArgumentError(f"attributes must be a dict, got {attributes!r}")

    for name, value in attributes.items():
        check_text(name, "name of an attribute")

        if isinstance(value, str):
            if value:
                check_text(value, f"attribute {name!r}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidOptionError(f"attribute {name!r} must be finite, got {value!r}")
        elif value is not None and not isinstance(value, bool | int | float):
            raise InvalidArgumentError(
                f"attribute {name!r} must be a str, number, bool or None, got {value!r}"
            )
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidOptionError(f"attribute {name!r} must have 64 bits, got {value!r}")

    return dict(attributes) or None


def refuse_attributes(what: str, attributes: object) -> None:
    """Refuse attributes of a nested workflow.

    Raises:
        InvalidArgumentError: If there are some.
    """
    if attributes is not None:
        raise InvalidArgumentError(
            f"{what} must have no attributes, as only the root workflow is found by them;"
            f" got {attributes!r}"
        )


def attributes_json(attributes: Mapping[str, Attribute]) -> str:
    """Write attributes as JSON."""
    return orjson.dumps(attributes).decode()
