"""How values of each type that neither JSON nor Erlang terms can hold are written and read."""

from __future__ import annotations

import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import reduce
from operator import or_
from types import ModuleType
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

_ZONE_KEY: Final = re.compile(r"[\w+-]+(/[\w+-]+)*", re.ASCII)


class Kind(NamedTuple):
    """How values of one type are written, what must be found on reading, and how it is read.

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
    if key is None and zone is not None and type(zone) is not timezone:
        raise ValueError("have a tzinfo that is a datetime.timezone or a ZoneInfo with a key")
    offset = moment.utcoffset()
    if offset is not None and offset.microseconds:
        # CPython reads an offset of less than a second as UTC.
        raise ValueError("have a UTC offset of whole seconds")
    iso = moment.isoformat()
    return iso if key is None and not moment.fold else [iso, key, moment.fold]


def _read_moment[M: (datetime, time)](cls: type[M], written: str | list[Any]) -> M:
    iso, key, fold = (written, None, 0) if isinstance(written, str) else written
    moment = cls.fromisoformat(iso)
    return moment.replace(tzinfo=moment.tzinfo if key is None else _zone(key), fold=fold)


def _zone(key: str) -> ZoneInfo:
    # Where the system has no time zones, ZoneInfo imports packages by what the key says.
    if not _ZONE_KEY.fullmatch(key):
        raise ValueError("no time zone has such a key")
    return ZoneInfo(key)


def _write_timedelta(delta: timedelta) -> list[int]:
    return [delta.days, delta.seconds, delta.microseconds]


def _write_enum(member: Enum) -> list[str]:
    cls = type(member)
    written = [f"{cls.__module__}:{cls.__qualname__}", member._name_ or ""]
    try:
        found = _read_enum(written)
    except (LookupError, ValueError):
        found = None
    if found is not member:
        raise ValueError("be a member of an Enum that can be found by its module and name")
    return written


def _read_enum(written: list[str]) -> Enum:
    path, name = written
    cls = _enum_class(*path.split(":"))
    if not issubclass(cls, Flag):
        return cls.__members__[name]
    names = name.split("|") if name else []
    return reduce(or_, (cls.__members__[part] for part in names), cls(0))


def _enum_class(module: str, qualname: str) -> type[Enum]:
    # Walks dictionaries: an attribute could run code, and one of a lazy module would import.
    found: Any = sys.modules.get(module)
    if not isinstance(found, ModuleType):
        raise LookupError(f"module {module} is not imported")
    for name in qualname.split("."):
        if not isinstance(found, ModuleType | type):
            break
        found = object.__getattribute__(found, "__dict__").get(name)
    if not (isinstance(found, type) and issubclass(found, Enum)):
        raise LookupError(f"module {module} has no Enum {qualname}")
    return found


SCALARS: Final[dict[type, Kind]] = {
    int: Kind(hex, str, lambda text: int(text, 16)),
    float: Kind(repr, str, float),
    str: Kind(_write_text, str, _read_text),
    bytes: Kind(_to_base64, str, _from_base64),
    date: Kind(date.isoformat, str, date.fromisoformat),
    datetime: Kind(_write_moment, (str, list), lambda written: _read_moment(datetime, written)),
    time: Kind(_write_moment, (str, list), lambda written: _read_moment(time, written)),
    timedelta: Kind(_write_timedelta, list, lambda parts: timedelta(*parts)),
    Decimal: Kind(str, str, Decimal),
    UUID: Kind(str, str, UUID),
    Enum: Kind(_write_enum, list, _read_enum),
}

COLLECTIONS: Final[dict[type, Kind]] = {
    tuple: Kind(list, list, tuple),
    set: Kind(list, list, set),
    frozenset: Kind(list, list, frozenset),
    dict: Kind(list, list, dict),
}
