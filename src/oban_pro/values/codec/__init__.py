"""Encode Python values for where oban and PostgreSQL keep them, and decode them as they were.

Two formats share one scheme. Recorded values are written as oban writes them, unpadded base64 of
Erlang terms in `meta.return`; fan-out items and context are JSON. In both, None, bool, int, float,
str, list and dict with string keys are written plainly, and the types below as a tagged dict that
other readers can still make sense of, `{"__python__": "decimal", "value": "9.90"}`:

- bytes, tuple, set, frozenset, dict with other keys, int beyond 64 bits, nan and the infinities
- date, timedelta, datetime and time; of a tzinfo the UTC offset is kept, of a ZoneInfo its key
- Decimal, UUID, paths, members of an Enum
- named tuples, dataclasses and pydantic models, as the path of their class and their fields

Instances of other subclasses (Counter, OrderedDict, defaultdict, ...) and all other objects are
refused, because they would come back as something else. Two things are not kept: the name of a
`datetime.timezone`, and the order of a dict's keys in JSON, because `jsonb` sorts them.

What others recorded is read too: atoms as str, tuples as tuple, charlists as lists of int. Decoding
runs no code from the data and imports nothing: the module of a class must have been imported
before.
"""

from __future__ import annotations

import sys
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final

from oban import Record

from oban_pro.errors import CodecError, UnsupportedTypeError
from oban_pro.values.placeholder import Placeholder

from . import etf, tags
from .objects import copy_of, fields_of
from .references import BEGINNINGS, MARK, Reference, encode_reference, may_refer, reviving
from .tags import is_placeholder

__all__ = [
    "BEGINNINGS",
    "MARK",
    "Reference",
    "copy_of",
    "decode",
    "encode",
    "encode_reference",
    "fields_of",
    "from_json",
    "is_placeholder",
    "may_refer",
    "record",
    "to_bytes",
    "to_json",
    "unpack",
]

RECORD_LIMIT: Final = 64_000_000
"""Bytes that an encoded value may take by default, as in oban."""


def encode(value: Any) -> str:
    """Encode a value in oban's format for recorded values.

    Args:
        value: Plain data, of the types that this module lists, nested in any way.

    Returns:
        Unpadded base64 of an Erlang term.

    Raises:
        UnsupportedTypeError: When a part of it is of another type.
        CodecError: When it nests too deeply, or contains itself.

    Example:
        >>> decode(encode({"total": Decimal("9.90"), "at": datetime.now(UTC)}))
    """
    return record(value, limit=sys.maxsize).encoded


def decode(text: str, load: Callable[[Reference], Any] | None = None) -> Any:
    """Decode a recorded value, written by `encode`, by oban, or by Oban for Elixir.

    Args:
        text: Base64 of an Erlang term, padded or not.
        load: Returns the value of a reference to one that is kept elsewhere. Without it those are
            refused.

    Returns:
        The value as it was encoded.

    Raises:
        CodecError: When the text is damaged, or means something that Python can not hold.

    Example:
        >>> decode("g3QAAAABbQAAAAJpZGEB")
        {'id': 1}
    """
    if not isinstance(text, str):
        raise CodecError(f"a recorded value must be base64 text, got {type(text).__name__}")
    try:
        return etf.unpack(to_bytes(text), tags.revive if load is None else reviving(load))
    except CodecError:
        raise
    except (ValueError, RecursionError) as error:
        raise CodecError(f"cannot decode a recorded value: {error}") from error


def unpack(term: bytes) -> Any:
    """Decode the bytes of an Erlang term, as an object in a store holds them.

    Raises:
        CodecError: When they are damaged, or mean something that Python can not hold.
    """
    try:
        return etf.unpack(term, tags.revive)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"cannot decode a recorded value: {error}") from error


def to_bytes(text: str) -> bytes:
    """Return the bytes of the Erlang term that a recorded value is.

    Raises:
        ValueError: When the text is not base64.
    """
    return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


def to_json(value: Any, wire: Callable[[Placeholder], object] | None = None) -> Any:
    """Turn a value into one that survives JSON and a `jsonb` column.

    Args:
        value: Plain data, of the types that this module lists, nested in any way.
        wire: Called with each placeholder in it. Without it placeholders are refused.

    Returns:
        None, bool, int, float, str, list and dict with string keys only.

    Raises:
        UnsupportedTypeError: When a part of it is of another type.
        CodecError: When it nests too deeply, or contains itself.

    Example:
        >>> to_json({"price": Decimal("9.90")})
        {'price': {'__python__': 'decimal', 'value': '9.90'}}
    """
    if wire is None:
        return _lower(value, tags.FITS_JSON)

    def note(placeholder: Placeholder) -> bool:
        wire(placeholder)
        # It does not fit as it is.
        return False

    return _lower(value, {**tags.FITS_JSON, Placeholder: note})


def from_json(value: Any, resolve: tags.Resolve | None = None) -> Any:
    """Turn parsed JSON back into the value that `to_json` was given.

    Args:
        value: What a JSON parser returned.
        resolve: Returns the values that placeholders in it stand for. Without it they are
            refused.

    Returns:
        The value as it was, but for the order of keys where `jsonb` kept it.

    Raises:
        CodecError: When a tag in it is unknown or damaged.

    Example:
        >>> from_json({"price": {"__python__": "decimal", "value": "9.90"}})
        {'price': Decimal('9.90')}
    """
    try:
        return tags.lift(value, resolve)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"cannot decode a stored value: {error}") from error


def record(value: Any, limit: int = RECORD_LIMIT) -> Record:
    """Build an `oban.Record` of a value that oban's own encoder might not hold.

    Args:
        value: Plain data, as for `encode`.
        limit: Bytes that the encoded value may take.

    Returns:
        What a worker returns to record the value.

    Raises:
        UnsupportedTypeError: When a part of it can not be encoded.
        CodecError: When it is too large or nests too deeply.

    Example:
        >>> async def process(self, job):
        ...     return record({"finished_at": datetime.now(UTC)})
    """
    try:
        recorded = Record(_lower(value, tags.FITS_TERM), limit)
    except ValueError as error:
        raise CodecError(str(error)) from None
    recorded.value = value
    return recorded


def _lower(value: Any, fits: tags.Fits) -> Any:
    try:
        return tags.lower(value, fits)
    except tags.TooDeepError as refusal:
        raise CodecError(tags.explain(value, refusal)) from None
    except tags.RefusedError as refusal:
        raise UnsupportedTypeError(tags.explain(value, refusal)) from None
    except RecursionError:
        raise CodecError("value must nest less deeply than the stack still has room for") from None
