"""Errors by which a node does not have the code that a row names; other nodes may have it."""

from __future__ import annotations


def mark_absent(error: Exception, path: str) -> None:
    """Note on an error that the code at a path is not there, rather than broken or forbidden."""
    vars(error)["absent_code"] = path


def absent_code(error: object) -> str | None:
    """Return the path of the code that is not there; None where an error says something else."""
    path = getattr(error, "absent_code", None)

    return path if isinstance(path, str) else None


def is_absent(error: ImportError, module: str) -> bool:
    """Tell whether an import failed because the module, or a package of it, is not there.

    A module that is there, and fails to import another one, is broken.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None

    return bool(missing) and f"{module}.".startswith(f"{missing}.")
