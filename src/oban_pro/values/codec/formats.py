"""Writing and reading values of types that neither JSON nor Erlang terms have."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from functools import partial, reduce
from operator import or_
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from .classes import find_class, lineage, path_of
from .objects import put_together, take_apart

_ZONE_KEY: Final = re.compile(r"[\w+-]+(/[\w+-]+)*", re.ASCII)


class Format(NamedTuple):
    """The format of one type: how to write a value, and how to check and read it.

    Both functions raise a builtin exception when they are given something else.
    """

    write: Callable[[Any], Any]
    shape: type | tuple[type, ...]
    read: Callable[[Any], Any]


def _to_base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _write_text(text: str) -> str:
    return _to_base64(text.encode("utf-8", "surrogatepass"))


def _read_text(text: str) -> str:
    return _from_base64(text).decode("utf-8", "surrogatepass")


def _write_moment(moment: datetime | time) -> str | list[Any]:
    zone = moment.tzinfo
    key = zone.key if type(zone) is ZoneInfo else None
    if key is None and zone is not None and not _is_fixed(zone):
        raise ValueError("have a tzinfo that is a datetime.timezone or a ZoneInfo with a key")
    offset = moment.utcoffset()
    if offset is not None and offset.microseconds:
        # CPython reads an offset of less than a second as UTC.
        raise ValueError("have a UTC offset of whole seconds")
    iso = moment.isoformat()
    return iso if key is None and not moment.fold else [iso, key, moment.fold]


def _is_fixed(zone: tzinfo) -> bool:
    """Tell whether a tzinfo is no more than its UTC offset; pydantic has one of its own."""
    return type(zone) is timezone or type(zone).__module__.partition(".")[0] == "pydantic_core"


def _read_moment[M: (datetime, time)](cls: type[M], written: str | list[Any]) -> M:
    iso, key, fold = (written, None, 0) if isinstance(written, str) else written
    moment = cls.fromisoformat(iso)
    return moment.replace(tzinfo=moment.tzinfo if key is None else _zone(key), fold=fold)


def _zone(key: str) -> ZoneInfo:
    # If the system has no time zones, ZoneInfo imports a package whose name is part of the key.
    if not _ZONE_KEY.fullmatch(key):
        raise ValueError("no time zone has such a key")
    return ZoneInfo(key)


def _write_timedelta(delta: timedelta) -> list[int]:
    return [delta.days, delta.seconds, delta.microseconds]


def _write_enum(member: Enum) -> list[str]:
    cls = type(member)
    written = [path_of(cls), member._name_ or ""]
    try:
        found = _read_enum(written)
    except (LookupError, ValueError):
        found = None
    if found is not member:
        raise ValueError("be a member of an Enum that can be found by its module and name")
    return written


def _read_enum(written: list[str]) -> Enum:
    path, name = written
    cls = _enum_class(path)
    if not issubclass(cls, Flag):
        return cls.__members__[name]
    names = name.split("|") if name else []
    return reduce(or_, (cls.__members__[part] for part in names), cls(0))


def _enum_class(path: str) -> type[Enum]:
    cls = find_class(path, "Enum")
    if Enum not in lineage(cls):
        raise LookupError(f"{path} is no Enum")
    return cls


def _write_path(path: PurePath) -> str | list[str]:
    text = str(path)
    # File names are bytes, and may hold what neither JSON nor Erlang terms can.
    return text if text.isprintable() else [_write_text(text)]


def _read_path[P: PurePath](cls: type[P], written: str | list[str]) -> P:
    return cls(written if isinstance(written, str) else _read_text(*written))


def _put_together(kind: str, parts: list[Any]) -> Any:
    return put_together(kind, *parts)


SCALARS: Final[dict[type, Format]] = {
    int: Format(hex, str, lambda text: int(text, 16)),
    float: Format(repr, str, float),
    str: Format(_write_text, str, _read_text),
    bytes: Format(_to_base64, str, _from_base64),
    date: Format(date.isoformat, str, date.fromisoformat),
    datetime: Format(_write_moment, (str, list), lambda written: _read_moment(datetime, written)),
    time: Format(_write_moment, (str, list), lambda written: _read_moment(time, written)),
    timedelta: Format(_write_timedelta, list, lambda parts: timedelta(*parts)),
    Decimal: Format(str, str, Decimal),
    UUID: Format(str, str, UUID),
    Path: Format(_write_path, (str, list), lambda written: _read_path(Path, written)),
    PurePosixPath: Format(
        _write_path, (str, list), lambda written: _read_path(PurePosixPath, written)
    ),
    PureWindowsPath: Format(
        _write_path, (str, list), lambda written: _read_path(PureWindowsPath, written)
    ),
    Enum: Format(_write_enum, list, _read_enum),
}

COLLECTIONS: Final[dict[type, Format]] = {
    tuple: Format(list, list, tuple),
    set: Format(list, list, set),
    frozenset: Format(list, list, frozenset),
    dict: Format(list, list, dict),
}

OBJECTS: Final[dict[str, Format]] = {
    kind: Format(take_apart, list, partial(_put_together, kind))
    for kind in ("namedtuple", "dataclass", "pydantic")
}
"""By their tags: they are found by what their class is."""
