"""Worker processes, for systems that do not run jobs in the process that submits."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def worker(*arguments: str) -> Iterator[None]:
    """Run a Python module while the block runs, with its output going to stderr."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=sys.stderr)

    try:
        yield
    finally:
        process.kill()
        process.wait()
