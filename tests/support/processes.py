"""Freezing processes of this machine, and letting them go on."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    found = []

    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()

            if int(fields[1]) == pid:
                found.append(int(path.parent.name))

    return found


def freeze(pids: list[int]) -> list[int]:
    """Freeze processes, and return those that existed."""
    return [pid for pid in pids if _send(pid, signal.SIGSTOP)]


def thaw(pids: list[int]) -> None:
    """Let frozen processes go on."""
    for pid in pids:
        _send(pid, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False

    return True
