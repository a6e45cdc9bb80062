"""The path on which commands find the code of users."""

from __future__ import annotations

import sys
from pathlib import Path


def search_here() -> None:
    """Let modules in the current directory be imported, as `python -m` does.

    The directory of an installed script is on the path instead. A process that was started with
    `-P` or PYTHONSAFEPATH wants neither.
    """
    here = str(Path.cwd())

    if not sys.flags.safe_path and here not in sys.path:
        sys.path.insert(0, here)
