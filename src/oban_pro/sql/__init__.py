"""The SQL of this package: one file for each migration, view, function and statement."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA = "/* TEMPLATE: schema */"


LONGEST_CHANNEL = "oban_workflow"
"""The longest name of a channel within a schema."""

MAX_PREFIX = 63 - len(f".{LONGEST_CHANNEL}")
"""The most characters of a schema's name. PostgreSQL cuts off what is behind the 63rd."""


def check_prefix(prefix: str) -> str:
    """Return the name of a schema that needs no quotes, as oban itself does not quote it.

    Raises:
        ValueError: If it is anything else, or too long for the names of channels in it.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", prefix):
        raise ValueError(
            f"prefix must be a schema name of lower-case letters, digits and _, got {prefix!r}"
        )

    if len(prefix) > MAX_PREFIX:
        raise ValueError(
            f"prefix must be a schema name of at most {MAX_PREFIX} characters, as the names of"
            f" channels begin with it, got {len(prefix)}: {prefix!r}"
        )

    return prefix


@cache
def read(path: str) -> str:
    """Read one file below this folder."""
    return files(__name__).joinpath(path).read_text(encoding="utf-8")


def read_all(folder: str) -> list[str]:
    """Read all SQL files below a folder, in the order of their paths."""
    return [read(path) for path in sorted(_paths(folder))]


def read_named(folder: str) -> Iterator[tuple[str, str]]:
    """Read all SQL files below a folder, each with its name."""
    for path in sorted(_paths(folder)):
        yield PurePosixPath(path).stem, read(path)


def _paths(folder: str) -> Iterator[str]:
    for entry in files(__name__).joinpath(folder).iterdir():
        path = f"{folder}/{entry.name}"

        if entry.is_dir():
            yield from _paths(path)
        elif entry.name.endswith(".sql"):
            yield path


@cache
def statement(path: str, prefix: str) -> str:
    """Read one statement, such as ``queries/ack``, with its relations in the given schema."""
    return read(f"{path}.sql").replace(_SCHEMA, f"{check_prefix(prefix)}.")
