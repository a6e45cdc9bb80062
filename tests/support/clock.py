"""A PostgreSQL server whose clock a test moves while the server runs.

Every process of the server loads the library of Debian's package `faketime`. The library reads from
a file how far the clock is off.
"""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self
from unittest import mock

import pytest

from oban_pro.embedded import Postgres, binaries
from oban_pro.embedded.account import server_account

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACES = ("lib/*", "lib", "lib64", "local/lib")


def _libraries() -> Iterator[Path]:
    for place in _PLACES:
        yield from Path("/usr").glob(f"{place}/faketime/libfaketime.so.1")


LIBRARY = next(_libraries(), None)

needs_faketime = pytest.mark.skipif(
    LIBRARY is None, reason="Debian's package `faketime` is not installed"
)

# The library breaks sleeps in Python, so only the server's processes load it.
POSTGRES = """#!/bin/sh
export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={offset}
export FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
exec {program} "$@"
"""


class Clock:
    """The clock of the servers that `start` has started.

    `move` moves only the time of day, as an administrator does who sets a clock. Time-outs of locks
    and sleeps are not affected.

    Example:
        >>> with Clock() as clock, clock.start(Postgres()) as postgres:
        ...     clock.move(3600)
    """

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="clock-", dir="/tmp")
        # If root runs the tests, another user runs the server and has to read the folder.
        self._path("").chmod(0o755)
        self.move(0)
        self._write_programs()

        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def start(self, postgres: Postgres) -> Postgres:
        """Start a server with this clock. A server that runs already keeps its own clock."""
        with mock.patch.object(binaries, "find", return_value=self._path("bin")):
            return postgres.start()

    def move(self, seconds: float) -> None:
        """Set the clock this many seconds ahead of the machine's, or behind it if negative."""
        draft = self._path("draft")
        draft.write_text(f"{seconds:+}\n")
        draft.chmod(0o644)
        # Replacing the file is atomic: a process reads either the old or the new one.
        draft.rename(self._path("offset"))

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, name)

    def _write_programs(self) -> None:
        bindir = binaries.find()

        if server_account():
            bindir = binaries.readable_by_others(bindir)

        self._path("bin").mkdir()
        self._path("bin").chmod(0o755)
        self._path("bin/initdb").symlink_to(bindir / "initdb")
        postgres = self._path("bin/postgres")
        program = POSTGRES.format(
            library=shlex.quote(str(LIBRARY)),
            offset=shlex.quote(str(self._path("offset"))),
            program=shlex.quote(str(bindir / "postgres")),
        )
        postgres.write_text(program)
        postgres.chmod(0o755)
