"""Writing and reading instances of classes: named tuples, dataclasses, pydantic models.

An instance is written as the path of its class and its fields by name. It is read by filling in a
new one, which calls nothing that the class defines: no `__new__`, `__init__`, `__post_init__`,
`__setattr__`, property, descriptor, validator or factory.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MemberDescriptorType, NoneType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from .classes import MISSING, attribute, find_class, lineage, path_of

_UNCHANGING: Final = frozenset({NoneType, bool, int, float, str, bytes})


class Structure(NamedTuple):
    """What the instances of one class hold.

    Args:
        kind: The tag that they are written with.
        defaults: The plain default of each field, or MISSING.
    """

    kind: str
    defaults: Mapping[str, Any]


_structures: WeakKeyDictionary[type, Structure | None] = WeakKeyDictionary()


def take_apart(value: object) -> tuple[str, list[Any]] | None:
    """Return the tag of an instance and its stored parts; None for any other object.

    Raises:
        ValueError: If it cannot be found again, or holds more than its fields.
    """
    cls = type(value)
    structure = structure_of(cls)

    if structure is None:
        return None

    try:
        found = find_class(path_of(cls))
    except (LookupError, ValueError):
        found = None

    if found is not cls:
        raise ValueError("be of a class that can be found by its module and name")

    return structure.kind, [path_of(cls), *_WRITERS[structure.kind](value, structure)]


def put_together(kind: str, path: str, fields: dict[str, Any], *more: Any) -> Any:
    """Return the instance that `take_apart` was given.

    A field that the class no longer has is dropped; a new field gets its plain default.

    Raises:
        LookupError: If the class is not imported, or lacks a field's value.
        ValueError: If the class is of another kind.
    """
    cls = find_class(path)
    structure = structure_of(cls)

    if structure is None or structure.kind != kind:
        raise ValueError(f"{path} is no {kind}")

    return _READERS[kind](cls, _fill(path, structure.defaults, fields), *more)


def copy_of(value: Any) -> Any:
    """Copy all mutable parts of a decoded value; much faster than decoding it again."""
    kind = type(value)

    if kind is dict:
        return {key: copy_of(item) for key, item in value.items()}

    if kind is list:
        return [copy_of(item) for item in value]

    if kind is tuple:
        return tuple(copy_of(item) for item in value)

    # A hashable value is immutable, and the elements of a set are hashable.
    if kind is set:
        return set(value)

    if kind in _UNCHANGING or (structure := structure_of(kind)) is None:
        return value

    return _READERS[structure.kind](kind, *copy_of(_WRITERS[structure.kind](value, structure)))


def fields_of(value: object) -> dict[str, Any] | None:
    """Return the fields of an instance by name, or None for one of another kind."""
    structure = structure_of(type(value))

    if structure is None:
        return None

    fields: dict[str, Any] = _WRITERS[structure.kind](value, structure)[0]

    return fields


def structure_of(cls: type) -> Structure | None:
    """Return the structure of a class, or None if its instances cannot be stored."""
    if cls not in _structures:
        _structures[cls] = _named_tuple(cls) or _model(cls) or _dataclass(cls)

    return _structures[cls]


def _fill(path: str, defaults: Mapping[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    for name in defaults:
        if name not in stored and defaults[name] is MISSING:
            raise LookupError(f"{path} has a new field {name!r} without a plain default")

    return {
        name: stored[name] if name in stored else copy_of(default)
        for name, default in defaults.items()
    }


def _check_extras(cls: type, held: Iterable[str], fields: Mapping[str, Any]) -> None:
    for name in held:
        is_derived = isinstance(attribute(cls, name), cached_property)

        if name not in fields and not is_derived and name != "__orig_class__":
            raise ValueError(f"hold its fields alone, without the attribute {name!r}")


# Named tuples


def _named_tuple(cls: type) -> Structure | None:
    names = attribute(cls, "_fields")

    if tuple not in lineage(cls) or not isinstance(names, tuple):
        return None

    defaults = attribute(cls, "_field_defaults")
    plain = defaults if isinstance(defaults, dict) else {}

    return Structure("namedtuple", {name: plain.get(name, MISSING) for name in names})


def _write_named_tuple(value: Any, structure: Structure) -> list[Any]:
    _check_extras(type(value), getattr(value, "__dict__", ()), {})

    return [dict(zip(structure.defaults, tuple.__iter__(value), strict=True))]


def _read_named_tuple(cls: type[Any], fields: dict[str, Any]) -> Any:
    return tuple.__new__(cls, fields.values())


# Dataclasses


def _dataclass(cls: type[Any]) -> Structure | None:
    fields = attribute(cls, "__dataclass_fields__")

    if not isinstance(fields, dict) or _is_builtin(cls):
        return None

    # dataclasses.fields() would ask the class, and with it its metaclass.
    return Structure(
        "dataclass",
        {
            name: MISSING if field.default is dataclasses.MISSING else field.default
            for name, field in fields.items()
            if field._field_type.name == "_FIELD"
        },
    )


def _is_builtin(cls: type[Any]) -> bool:
    """Tell whether a class is an exception, a dict, …, whose instances hold more than fields."""
    try:
        object.__new__(cls)
    except TypeError:
        return True

    return False


def _write_dataclass(value: Any, structure: Structure) -> list[Any]:
    cls = type(value)
    _check_extras(cls, getattr(value, "__dict__", ()), structure.defaults)

    for name in structure.defaults:
        if _is_described(attribute(cls, name)):
            raise ValueError(f"have plain fields, not a descriptor as {name!r}")

        if not hasattr(value, name):
            raise ValueError(f"have a value in its field {name!r}")

    return [{name: getattr(value, name) for name in structure.defaults}]


def _read_dataclass(cls: type[Any], fields: dict[str, Any]) -> Any:
    instance = object.__new__(cls)

    for name, value in fields.items():
        descriptor = attribute(cls, name)

        if type(descriptor) is MemberDescriptorType:
            descriptor.__set__(instance, value)
        elif _is_described(descriptor):
            raise ValueError(f"{path_of(cls)} has a descriptor as its field {name!r}")
        else:
            object.__getattribute__(instance, "__dict__")[name] = value

    return instance


def _is_described(found: object) -> bool:
    """Tell whether reading or setting a field would run code of the class."""
    if type(found) is MemberDescriptorType:
        return False

    return any(attribute(type(found), name) is not MISSING for name in ("__set__", "__delete__"))


# Models of pydantic


def _model(cls: type[Any]) -> Structure | None:
    pydantic = sys.modules.get("pydantic.main")

    if pydantic is None or pydantic.BaseModel not in lineage(cls):
        return None

    fields = attribute(cls, "__pydantic_fields__")
    fields = attribute(cls, "model_fields") if fields is MISSING else fields

    return Structure("pydantic", {name: _plain_default(field) for name, field in fields.items()})


def _plain_default(field: Any) -> Any:
    """Return the default of a field of a model or of a private attribute, or MISSING."""
    undefined = sys.modules["pydantic_core"].PydanticUndefined

    return MISSING if field.default is undefined or field.default_factory else field.default


def _write_model(value: Any, structure: Structure) -> list[Any]:
    held = object.__getattribute__(value, "__dict__")
    fields = {name: held[name] for name in structure.defaults if name in held}
    beside = {
        "set": sorted(value.__pydantic_fields_set__),
        "extra": value.__pydantic_extra__,
        "private": value.__pydantic_private__,
    }

    return [fields, beside]


def _read_model(cls: type[Any], fields: dict[str, Any], beside: dict[str, Any]) -> Any:
    instance = object.__new__(cls)
    extra, private = beside["extra"], beside["private"]
    declared = attribute(cls, "__private_attributes__") or {}
    takes_extra = attribute(cls, "model_config").get("extra") == "allow"

    if declared:
        plain = {name: _plain_default(one) for name, one in declared.items()}
        filled = {**{name: copy_of(one) for name, one in plain.items()}, **(private or {})}
        private = {name: filled[name] for name in plain if filled[name] is not MISSING}

    held = {
        "__dict__": fields,
        "__pydantic_fields_set__": {name for name in beside["set"] if name in fields}
        | (set(extra or ()) if takes_extra else set()),
        "__pydantic_extra__": dict(extra or {}) if takes_extra else None,
        "__pydantic_private__": private if declared else None,
    }

    for name, value in held.items():
        object.__setattr__(instance, name, value)

    return instance


_WRITERS: Final[dict[str, Callable[[Any, Structure], list[Any]]]] = {
    "namedtuple": _write_named_tuple,
    "dataclass": _write_dataclass,
    "pydantic": _write_model,
}

_READERS: Final[dict[str, Callable[..., Any]]] = {
    "namedtuple": _read_named_tuple,
    "dataclass": _read_dataclass,
    "pydantic": _read_model,
}
