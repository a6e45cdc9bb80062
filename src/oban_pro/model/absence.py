"""Telling that a node does not have the code that a row names; other nodes may have it."""

from __future__ import annotations


def mark_absent(error: Exception, path: str) -> None:
    """Note on an error that the code at a path is missing, rather than broken or forbidden."""
    vars(error)["absent_code"] = path


def absent_code(error: object) -> str | None:
    """Return the path of the missing code; None if an error has another cause."""
    path = getattr(error, "absent_code", None)

    return path if isinstance(path, str) else None


def is_absent(error: ImportError, module: str) -> bool:
    """Tell whether an import failed because the module, or a package around it, is missing.

    A module that exists but fails to import another one is broken, not missing.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None

    return bool(missing) and f"{module}.".startswith(f"{missing}.")
