"""The SQL of this package, one file for each migration, function and query."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_SCHEMA = "/* TEMPLATE: schema */"


def check_prefix(prefix: str) -> str:
    """Return the name of a schema that needs no quotes, as oban itself does not quote it.

    Raises:
        ValueError: If it is anything else.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", prefix):
        raise ValueError(
            f"prefix must be a schema name of lower-case letters, digits and _, got {prefix!r}"
        )

    return prefix


@cache
def read(path: str) -> str:
    """Read one file below this folder."""
    return files(__name__).joinpath(path).read_text(encoding="utf-8")


def read_all(folder: str) -> list[str]:
    """Read all SQL files of a folder, in the order of their names."""
    names = sorted(entry.name for entry in files(__name__).joinpath(folder).iterdir())

    return [read(f"{folder}/{name}") for name in names if name.endswith(".sql")]


@cache
def query(name: str, prefix: str) -> str:
    """Read a statement, with its relations in the given schema."""
    return read(f"queries/{name}.sql").replace(_SCHEMA, f"{check_prefix(prefix)}.")
