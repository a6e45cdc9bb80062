"""Turn Python values into plain ones and back, by tagging values that are not plain.

Plain is what JSON and Erlang terms both hold: None, bool, int, float, str, list, and dict with
string keys. Anything else becomes a dict that names its type, such as
`{"__python__": "decimal", "value": "9.90"}`. A dict that holds the tag's own key is tagged too, so
nothing that users store reads as a tag.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from math import copysign, isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Final

from oban_pro.values.context import Context
from oban_pro.values.placeholder import Placeholder, Wire, wire_of

from .formats import COLLECTIONS, OBJECTS, SCALARS
from .objects import fields_of, take_apart

TAG: Final = "__python__"

PLACEHOLDER: Final = "placeholder"
"""The tag of placeholders among the arguments of a call."""

MAX_DEPTH: Final = 200
"""The most levels of nesting, including those that tags add: oban's encoders fail beyond 254."""

type Fits = Mapping[type, Callable[[Any], bool]]
"""By plain type, whether a format can hold a scalar as it is."""

type Resolve = Callable[[Wire], Any]
"""Returns the value that a placeholder stands for."""

_FORMATS: Final = {
    kind.__name__.lower(): how for kind, how in (SCALARS | COLLECTIONS).items()
} | OBJECTS

_CONCRETE_PATH: Final = type(Path())
"""The class of a `Path` on this system."""


class RefusedError(Exception):
    """Raised for one part of a value; `explain` adds the path to that part."""

    def __init__(self, culprit: object, demand: str) -> None:
        super().__init__(demand)
        self.culprit = culprit
        self.demand = demand


class TooDeepError(RefusedError):
    """Raised for a value that nests too deeply, or contains itself."""


def _always(_: object) -> bool:
    return True


def _is_64_bit(number: int) -> bool:
    return -(2**63) <= number < 2**64


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_jsonb_text(text: str) -> bool:
    return "\0" not in text and _is_utf8(text)


def _is_jsonb_float(number: float) -> bool:
    # jsonb keeps numerics: -0.0 would lose its sign, and 1e16 come back as an int.
    return abs(number) < 1e15 and (number != 0 or copysign(1, number) > 0)


FITS_TERM: Final[Fits] = {
    NoneType: _always,
    bool: _always,
    int: _is_64_bit,
    float: isfinite,
    str: _is_utf8,
}
FITS_JSON: Final[Fits] = {**FITS_TERM, float: _is_jsonb_float, str: _is_jsonb_text}


def lower(value: Any, fits: Fits, room: int = MAX_DEPTH) -> Any:
    """Return a value in plain form.

    Args:
        value: What to write.
        fits: The scalars that the format can hold as they are.
        room: Levels of nesting that are left.

    Raises:
        RefusedError: When a part of it can not be written.
    """
    kind = type(value)
    fit = fits.get(kind)
    if fit is not None and fit(value):
        return value
    if room < 0:
        raise TooDeepError(value, f"nest at most {MAX_DEPTH} levels deep and not contain itself")
    if kind is list:
        return [lower(item, fits, room - 1) for item in value]
    if kind is dict or kind is Context:
        return _lower_dict(value, fits, room)
    if kind in COLLECTIONS:
        return _tagged(kind, [lower(item, fits, room - 2) for item in value])
    scalar = _scalar_kind(value)
    return _lower_object(value, fits, room) if scalar is None else _lower_scalar(scalar, value)


def _lower_dict(value: dict[Any, Any], fits: Fits, room: int) -> dict[str, Any]:
    key_fits = fits[str]
    if TAG not in value and all(type(key) is str and key_fits(key) for key in value):
        return {key: lower(item, fits, room - 1) for key, item in value.items()}
    return _tagged(dict, [[lower(part, fits, room - 3) for part in pair] for pair in value.items()])


def _scalar_kind(value: object) -> type | None:
    kind = type(value)
    if kind is _CONCRETE_PATH:
        return Path
    if isinstance(value, Enum):
        return Enum
    return kind if kind in SCALARS else None


def _lower_scalar(kind: type, value: Any) -> dict[str, Any]:
    try:
        return _tagged(kind, SCALARS[kind].write(value))
    except ValueError as error:
        raise RefusedError(value, str(error)) from None


def _lower_placeholder(value: Placeholder, fits: Fits, room: int) -> dict[str, Any]:
    if Placeholder not in fits:
        raise RefusedError(value, "be known when it is stored; call() and each() take placeholders")
    path, shape, steps = wire_of(value)
    # A placeholder among the keys of another one would have to be resolved first.
    plain = {kind: fit for kind, fit in fits.items() if kind is not Placeholder}
    payload = [[*path], shape, [[kind, lower(key, plain, room - 4)] for kind, key in steps]]
    return {TAG: PLACEHOLDER, "value": payload}


def _lower_object(value: Any, fits: Fits, room: int) -> dict[str, Any]:
    if type(value) is Placeholder:
        return _lower_placeholder(value, fits, room)
    try:
        parts = take_apart(value)
    except ValueError as error:
        raise RefusedError(value, str(error)) from None
    if parts is None:
        raise RefusedError(value, "be of a type that can be stored")
    kind, payload = parts
    return {TAG: kind, "value": lower(payload, fits, room - 1)}


def _tagged(kind: type, payload: Any) -> dict[str, Any]:
    return {TAG: kind.__name__.lower(), "value": payload}


def lift(value: Any, resolve: Resolve | None = None) -> Any:
    """Return the value whose plain form is given.

    Args:
        value: The plain form.
        resolve: Resolves placeholders, if the value may hold any.

    Raises:
        ValueError: When a tag in it is unknown or damaged.
    """
    kind = type(value)
    if kind is dict:
        return revive({key: lift(item, resolve) for key, item in value.items()}, resolve)
    if kind is list:
        return [lift(item, resolve) for item in value]
    return value


def revive(entries: dict[Any, Any], resolve: Resolve | None = None) -> Any:
    """Return what a tagged dict stands for, and any other dict as it is.

    Args:
        entries: A dict whose values have been revived already.
        resolve: Resolves a placeholder, if it may be one.

    Raises:
        ValueError: When the tag is unknown, or holds what it never would.
    """
    if TAG not in entries:
        return entries
    name = entries[TAG]
    if name == PLACEHOLDER and resolve is not None:
        return resolve(_read_wire(entries))
    how = _FORMATS.get(name) if isinstance(name, str) else None
    if how is None:
        raise ValueError(f"{TAG} must name a known type, got {_brief(name)}")
    payload = entries.get("value")
    if len(entries) != 2 or not isinstance(payload, how.shape):
        raise ValueError(f"a tagged {name} must hold just its value, got {_brief(entries)}")
    try:
        return how.read(payload)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, OSError) as error:
        # The reason may repeat its argument, which may be long.
        got = f"{_brief(payload)}: {str(error)[:200]}"
        raise ValueError(f"a tagged {name} must hold a valid value, got {got}") from None


def _read_wire(entries: dict[Any, Any]) -> Wire:
    try:
        path, shape, steps = entries["value"]
        return Wire(tuple(path), shape, tuple((kind, key) for kind, key in steps))
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"a placeholder must lead somewhere, got {_brief(entries)}") from None


def is_placeholder(stored: object) -> bool:
    """Tell whether a plain value is exactly a placeholder."""
    return isinstance(stored, dict) and stored.get(TAG) == PLACEHOLDER


def explain(value: Any, refusal: RefusedError) -> str:
    """Return a refusal as a sentence that begins with the path to its culprit."""
    path = _find(value, refusal.culprit, "value", MAX_DEPTH) or "value"
    path = path if len(path) <= 200 else f"{path[:200]}…"
    kind = type(refusal.culprit)
    return f"{path} must {refusal.demand}, got {kind.__module__}.{kind.__qualname__}"


def _find(value: Any, culprit: object, path: str, room: int) -> str | None:
    if value is culprit:
        return path
    if room < 0:
        return None
    found = (_find(child, culprit, step, room - 1) for step, child in _children(value, path))
    return next(filter(None, found), None)


def _children(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            yield f"a key of {path}", key
            yield f"{path}[{_brief(key)}]", item
    elif kind is list or kind is tuple:
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif kind is set or kind is frozenset:
        yield from ((f"an element of {path}", item) for item in value)
    elif (fields := fields_of(value)) is not None:
        yield from ((f"{path}.{name}", item) for name, item in fields.items())


def _brief(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # an int with thousands of digits
        return f"a {type(value).__name__} too long to show"
