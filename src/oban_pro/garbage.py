"""Where many objects are made at once."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: the more objects there are, the longer each look takes.

    Decorates functions that call nobody else's code and do not wait for anything.
    """
    was_enabled = gc.isenabled()

    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()
