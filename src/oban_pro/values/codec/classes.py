"""Finding classes by their paths, and inspecting them without running their code.

Anybody may have written the path. So nothing is imported for it, and only dictionaries are read: an
attribute could run code, and an attribute of a lazy module would import.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

MISSING: Final[Any] = object()
"""Means that there is no such attribute or default."""


def path_of(cls: type) -> str:
    """Return how stored values name a class: ``module:qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(path: str, what: str = "class") -> type:
    """Return the class at a path.

    Args:
        path: ``module:qualname``.
        what: What errors call the missing thing.

    Raises:
        LookupError: If its module is not imported, or has no such class.
        ValueError: If it is no path.
    """
    module, qualname = path.split(":")
    found: Any = sys.modules.get(module)

    if not isinstance(found, ModuleType):
        raise LookupError(f"module {module} is not imported")

    # The name of a parametrized model, as Page[Row], may have dots in it.
    whole = _names(found).get(qualname)

    for name in qualname.split(".") if whole is None else ():
        found = _names(found).get(name) if isinstance(found, ModuleType | type) else None

    found = found if whole is None else whole

    if not isinstance(found, type):
        raise LookupError(f"module {module} has no {what} {qualname}")

    return found


def lineage(cls: type) -> tuple[type, ...]:
    """Return a class and all its base classes, without asking its metaclass."""
    bases: tuple[type, ...] = type.__getattribute__(cls, "__mro__")

    return bases


def attribute(cls: type, name: str) -> Any:
    """Return the attribute of a class or of its base classes, or MISSING."""
    for base in lineage(cls):
        if name in (names := type.__getattribute__(base, "__dict__")):
            return names[name]

    return MISSING


def _names(holder: Any) -> Any:
    if isinstance(holder, type):
        return type.__getattribute__(holder, "__dict__")

    return object.__getattribute__(holder, "__dict__")
