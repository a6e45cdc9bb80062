"""What really happened: lines that each process appends to a file of its own.

A line is in the file as soon as it is written, so that a kill loses none. The database under test
has no part in it. All processes of a machine have the same monotonic clock.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

type Line = dict[str, Any]


class Journal:
    """A file that one process appends to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, event: str, **values: Any) -> float:
        """Append a line; returns its time."""
        at = time.monotonic()
        line = json.dumps({"at": at, "event": event, **values})
        os.write(self._file, line.encode() + b"\n")

        return at


def read(folder: Path) -> list[Line]:
    """Return the lines of all files in a folder, in the order of their time."""
    return sorted(_lines(folder), key=lambda line: float(line["at"]))


def _lines(folder: Path) -> Iterator[Line]:
    for path in folder.glob("*.jsonl"):
        for text in path.read_text().splitlines(keepends=True):
            # A killed process may leave half a line.
            if text.endswith("\n"):
                yield json.loads(text)
