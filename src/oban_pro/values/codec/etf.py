"""Read Erlang's external term format, strictly.

The format is written by `erlpack`, as oban does. `erlpack.unpack` is not what reads it: deeply
nested terms overflow its C stack, binaries that were cut off pass for whole ones, and compressed
terms inflate without bound. Recorded values may have been edited by hand, so this reader checks
every length, counts the values of compressed terms, and allocates for bytes that are there.

The format: https://www.erlang.org/doc/apps/erts/erl_ext_dist.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

MAX_INFLATED: Final = 64_000_000
"""Bytes that a compressed term may take once inflated: as many as oban records by default."""

MAX_VALUES: Final = 1_000_000
"""Values that a compressed term may hold: a list of one byte takes 64 bytes once it is read.

A term that is not compressed needs no such limit: it holds at most one value for each byte.
"""

type MapHook = Callable[[dict[Any, Any]], Any]
type Reader = Callable[[bytes, int, _Term], tuple[Any, int]]

_VERSION: Final = bytes([131])
_COMPRESSED: Final = 80
_NIL: Final = 106
_ATOMS: Final[dict[bytes, bool | None]] = {b"nil": None, b"true": True, b"false": False}

_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_i32 = struct.Struct(">i").unpack_from
_f64 = struct.Struct(">d").unpack_from


def unpack(data: bytes, map_hook: MapHook) -> Any:
    """Read one term.

    Binaries become str, or bytes where they are not UTF-8. The atoms `nil`, `true` and `false`
    become None, True and False, other atoms str.

    Args:
        data: A whole term, with its version byte.
        map_hook: Called with each map, innermost first. Its result replaces the map.

    Raises:
        ValueError: When the data is not exactly one term, or one that Python has no value for.
    """
    if data[:1] != _VERSION:
        raise ValueError(f"a term must start with byte {_VERSION[0]}, got {data[:1]!r}")
    try:
        if is_compressed := data[1] == _COMPRESSED:
            data = _inflate(data)
        term = _Term(map_hook, MAX_VALUES if is_compressed else len(data), is_compressed)
        value, end = _READERS[data[1]](data, 2, term)
    except (IndexError, struct.error):
        raise ValueError(f"a term must be whole, got one cut off after {len(data)} bytes") from None
    if end != len(data):
        raise ValueError(f"a term must end with the data, got {len(data) - end} bytes more")
    return value


class _Term:
    """The state of reading one term: the hook for maps, and how many values may still come."""

    __slots__ = ("hook", "is_compressed", "left")

    def __init__(self, hook: MapHook, left: int, is_compressed: bool) -> None:
        self.hook = hook
        self.left = left
        self.is_compressed = is_compressed

    def expect(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            if self.is_compressed:
                raise ValueError(f"a compressed term must hold at most {MAX_VALUES} values")
            raise IndexError


def _inflate(data: bytes) -> bytes:
    (size,) = _u32(data, 2)
    if size > MAX_INFLATED:
        raise ValueError(
            f"a compressed term must inflate to at most {MAX_INFLATED} bytes, got {size}"
        )
    inflater = zlib.decompressobj()
    try:
        term = inflater.decompress(data[6:], size + 1)
    except zlib.error as error:
        raise ValueError(f"a compressed term must be zlib data, got {error}") from error
    if len(term) != size or not inflater.eof or inflater.unused_data:
        raise ValueError(f"a compressed term must inflate to the {size} bytes it declares")
    return data[:1] + term


def _cut(data: bytes, start: int, size: int) -> bytes:
    piece = data[start : start + size]
    if len(piece) != size:
        raise IndexError
    return piece


def _small_integer(data: bytes, at: int, _: _Term) -> tuple[int, int]:
    return data[at], at + 1


def _integer(data: bytes, at: int, _: _Term) -> tuple[int, int]:
    return _i32(data, at)[0], at + 4


def _small_big(data: bytes, at: int, _: _Term) -> tuple[int, int]:
    return _big(data, at + 1, data[at])


def _large_big(data: bytes, at: int, _: _Term) -> tuple[int, int]:
    return _big(data, at + 4, _u32(data, at)[0])


def _big(data: bytes, at: int, size: int) -> tuple[int, int]:
    magnitude = int.from_bytes(_cut(data, at + 1, size), "little")
    return (-magnitude if data[at] else magnitude), at + 1 + size


def _float(data: bytes, at: int, _: _Term) -> tuple[float, int]:
    return _f64(data, at)[0], at + 8


def _binary(data: bytes, at: int, _: _Term) -> tuple[str | bytes, int]:
    (size,) = _u32(data, at)
    raw = _cut(data, at + 4, size)
    try:
        return raw.decode(), at + 4 + size
    except UnicodeDecodeError:
        return raw, at + 4 + size


def _small_atom(data: bytes, at: int, _: _Term) -> tuple[str | bool | None, int]:
    return _atom(data, at + 1, data[at], "utf-8")


def _small_latin1_atom(data: bytes, at: int, _: _Term) -> tuple[str | bool | None, int]:
    return _atom(data, at + 1, data[at], "latin-1")


def _large_atom(data: bytes, at: int, _: _Term) -> tuple[str | bool | None, int]:
    return _atom(data, at + 2, _u16(data, at)[0], "utf-8")


def _large_latin1_atom(data: bytes, at: int, _: _Term) -> tuple[str | bool | None, int]:
    return _atom(data, at + 2, _u16(data, at)[0], "latin-1")


def _atom(data: bytes, at: int, size: int, encoding: str) -> tuple[str | bool | None, int]:
    name = _cut(data, at, size)
    return (_ATOMS[name] if name in _ATOMS else name.decode(encoding)), at + size


def _nil(_data: bytes, at: int, _: _Term) -> tuple[list[Any], int]:
    return [], at


def _charlist(data: bytes, at: int, term: _Term) -> tuple[list[int], int]:
    (size,) = _u16(data, at)
    term.expect(size)
    return list(_cut(data, at + 2, size)), at + 2 + size


def _list(data: bytes, at: int, term: _Term) -> tuple[list[Any], int]:
    items, at = _items(data, at + 4, term, _u32(data, at)[0])
    if data[at] != _NIL:
        raise ValueError("a list must be proper, got one with a tail")
    return items, at + 1


def _small_tuple(data: bytes, at: int, term: _Term) -> tuple[tuple[Any, ...], int]:
    items, at = _items(data, at + 1, term, data[at])
    return tuple(items), at


def _large_tuple(data: bytes, at: int, term: _Term) -> tuple[tuple[Any, ...], int]:
    items, at = _items(data, at + 4, term, _u32(data, at)[0])
    return tuple(items), at


def _items(data: bytes, at: int, term: _Term, count: int) -> tuple[list[Any], int]:
    term.expect(count)
    items = []
    for _ in range(count):
        item, at = _READERS[data[at]](data, at + 1, term)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, term: _Term) -> tuple[Any, int]:
    (count,) = _u32(data, at)
    term.expect(2 * count)
    at += 4
    entries = {}
    for _ in range(count):
        key, at = _READERS[data[at]](data, at + 1, term)
        value, at = _READERS[data[at]](data, at + 1, term)
        try:
            entries[key] = value
        except TypeError as error:
            raise ValueError(f"a map key must be hashable in Python, got {error}") from None
    return term.hook(entries), at


def _unreadable(data: bytes, at: int, _: _Term) -> tuple[Any, int]:
    raise ValueError(f"a term must be data that Python can hold, got one with tag {data[at - 1]}")


_BY_TAG: Final[dict[int, Reader]] = {
    70: _float,
    97: _small_integer,
    98: _integer,
    100: _large_latin1_atom,
    104: _small_tuple,
    105: _large_tuple,
    _NIL: _nil,
    107: _charlist,
    108: _list,
    109: _binary,
    110: _small_big,
    111: _large_big,
    115: _small_latin1_atom,
    116: _map,
    118: _large_atom,
    119: _small_atom,
}
_READERS: Final = [_BY_TAG.get(tag, _unreadable) for tag in range(256)]
