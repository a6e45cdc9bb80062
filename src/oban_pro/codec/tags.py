"""Turn Python values into plain ones and back, by tagging what is not plain.

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
from types import NoneType
from typing import Any, Final

from oban_pro.codec.kinds import COLLECTIONS, SCALARS
from oban_pro.context import Context

TAG: Final = "__python__"

MAX_DEPTH: Final = 200
"""Levels of nesting, those that tags add included: oban's encoders end at 254."""

type Fits = Mapping[type, Callable[[Any], bool]]
"""By plain type, whether a format can hold a scalar as it is."""

_KINDS: Final = {kind.__name__.lower(): how for kind, how in (SCALARS | COLLECTIONS).items()}


class RefusedError(Exception):
    """Say what is wrong with one part of a value; `explain` adds where it is."""

    def __init__(self, culprit: object, demand: str) -> None:
        super().__init__(demand)
        self.culprit = culprit
        self.demand = demand


class TooDeepError(RefusedError):
    """Say that a value nests too deeply, or contains itself."""


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
        fits: What the format can hold as it is.
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
    return _lower_scalar(value)


def _lower_dict(value: dict[Any, Any], fits: Fits, room: int) -> dict[str, Any]:
    key_fits = fits[str]
    if TAG not in value and all(type(key) is str and key_fits(key) for key in value):
        return {key: lower(item, fits, room - 1) for key, item in value.items()}
    return _tagged(dict, [[lower(part, fits, room - 3) for part in pair] for pair in value.items()])


def _lower_scalar(value: Any) -> dict[str, Any]:
    kind = Enum if isinstance(value, Enum) else type(value)
    if kind not in SCALARS:
        raise RefusedError(value, "be of a type that can be stored")
    try:
        return _tagged(kind, SCALARS[kind].write(value))
    except ValueError as error:
        raise RefusedError(value, str(error)) from None


def _tagged(kind: type, payload: Any) -> dict[str, Any]:
    return {TAG: kind.__name__.lower(), "value": payload}


def lift(value: Any) -> Any:
    """Return the value whose plain form is given.

    Raises:
        ValueError: When a tag in it is unknown or damaged.
    """
    kind = type(value)
    if kind is dict:
        return revive({key: lift(item) for key, item in value.items()})
    if kind is list:
        return [lift(item) for item in value]
    return value


def revive(entries: dict[Any, Any]) -> Any:
    """Return what a tagged dict stands for, and any other dict as it is.

    Args:
        entries: A dict whose values have been revived already.

    Raises:
        ValueError: When the tag is unknown, or holds what it never would.
    """
    if TAG not in entries:
        return entries
    name = entries[TAG]
    how = _KINDS.get(name) if isinstance(name, str) else None
    if how is None:
        raise ValueError(f"{TAG} must name a known type, got {_brief(name)}")
    payload = entries.get("value")
    if len(entries) != 2 or not isinstance(payload, how.shape):
        raise ValueError(f"a tagged {name} must hold just its value, got {_brief(entries)}")
    try:
        return how.read(payload)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, OSError) as error:
        # The reason may repeat what it was given, of whatever length.
        got = f"{_brief(payload)}: {str(error)[:200]}"
        raise ValueError(f"a tagged {name} must hold a valid value, got {got}") from None


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


def _brief(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # an int with thousands of digits
        return f"a {type(value).__name__} too long to show"
