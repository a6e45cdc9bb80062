"""References to recorded values that are kept outside of the database.

A reference is recorded in place of a value, as a tagged dict that other readers can make sense of:
`{"__python__": "stored", "value": ["s3://bucket/prefix/etl/17/1", 3000000]}`. What users record is
never taken for one, because a dict with the key of the tags is tagged itself. References are whole
recorded values, or items of the list that a wait for several signals records.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import erlpack
from oban import Record

from . import tags

STORED: Final = "stored"


class Reference(NamedTuple):
    """Where a recorded value is kept.

    Args:
        url: Of the object.
        size: Bytes that it takes.
    """

    url: str
    size: int


def encode_reference(reference: Reference) -> str:
    """Encode a reference as the recorded value that stands for another one."""
    return Record({tags.TAG: STORED, "value": [*reference]}).encoded


def may_refer(encoded: object) -> bool:
    """Tell whether a recorded value is, or may hold, a reference; without decoding it.

    Somebody may have written anything in its place.
    """
    return isinstance(encoded, str) and (
        encoded.startswith(_WHOLE)
        or (encoded.startswith(_LIST) and any(mark in encoded for mark in _MARKS))
    )


def reviving(load: Callable[[Reference], Any]) -> Callable[[dict[Any, Any]], Any]:
    """Return a hook for maps that puts the values in the place of references.

    Args:
        load: Returns the value of a reference.
    """

    def revive(entries: dict[Any, Any]) -> Any:
        if entries.get(tags.TAG) != STORED:
            return tags.revive(entries)

        match entries.get("value"):
            case [str() as url, int() as size]:
                return load(Reference(url, size))
            case other:
                raise ValueError(f"a reference must be a URL and a size, got {other!r:.80}")

    return revive


def _spell(term: bytes) -> str:
    return b64encode(term).decode()


def _alignments(part: bytes) -> list[str]:
    """Spell the base64 of bytes wherever they begin, without what their neighbours decide."""
    spelled = []

    for before in range(3):
        whole = (before + len(part)) // 3 * 4
        first = 4 if before else 0
        spelled.append(_spell(b"\0" * before + part)[first:whole])

    return spelled


_TERM: Final[bytes] = erlpack.pack({tags.TAG: STORED, "value": []})
_END: Final = _TERM.index(STORED.encode()) + len(STORED)
# whole groups of four characters, for three bytes each
_WHOLE: Final = _spell(_TERM[: _END // 3 * 3])
_MARKS: Final = _alignments(_TERM[1:_END])
# a list of fewer than 16 million items
_LIST: Final = _spell(b"\x83\x6c\x00")

MARK: Final = _TERM[1:_END]
"""How a reference begins as a term without its version byte."""

BEGINNINGS: Final = _WHOLE, _LIST
"""How encoded values begin that may refer: the references themselves, and lists."""
