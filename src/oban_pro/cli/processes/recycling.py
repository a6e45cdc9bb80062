"""Deciding when to replace a process: after some jobs, or once it uses too much memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import click

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

STATM = Path("/proc/self/statm")


class Bytes(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has no generic one
    """A number of bytes, as in 512M or 1.5G."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what was typed."""
        if isinstance(value, int):
            return value

        text = value.strip().upper().removesuffix("B").removesuffix("I")
        number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS else (text, "")

        try:
            size = int(float(number) * UNITS[unit])
        except (ValueError, OverflowError):
            size = 0

        if size <= 0:
            self.fail(f"{value!r} is no size: write 512M or 1.5G", param, ctx)

        return size


def resident_bytes() -> int:
    """Return how much memory this process uses now; the most it ever did outside of Linux."""
    try:
        return int(STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        return peak if sys.platform == "darwin" else peak * 1024


class Worn:
    """Counts jobs, and tells when their process is to be replaced.

    Args:
        max_jobs: Jobs that may run in it; None for any number.
        max_memory: Bytes that it may use after a job; None for any number.
    """

    def __init__(self, max_jobs: int | None, max_memory: int | None) -> None:
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._jobs = 0

    def after_job(self) -> str | None:
        """Count a job; returns why the process is to be replaced, or None."""
        self._jobs += 1

        if self._max_jobs is not None and self._jobs >= self._max_jobs:
            return f"it has run {self._jobs} jobs"

        if self._max_memory is not None and (used := resident_bytes()) > self._max_memory:
            return f"it uses {used // UNITS['M']} MB of memory"

        return None
