"""Naming what a command steers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from oban_pro import introspection
from oban_pro.explain import locate

from .client import CLIENT

if TYPE_CHECKING:
    from collections.abc import Sequence


async def locate_all(id: str, paths: Sequence[str]) -> dict[str, list[str] | None]:
    """Sort paths by the id of the workflow that holds what they name; no paths mean all of it.

    Raises:
        UnknownNameError: If one names nothing.
    """
    if not paths:
        return {id: None}

    names: defaultdict[str, list[str] | None] = defaultdict(list)

    async with introspection.connect(CLIENT) as store:
        for path in paths:
            owner, name = await locate(store, id, path)
            names[owner] = [*(names[owner] or []), name]

    return names


def count_jobs(count: int) -> str:
    """Write a number of jobs."""
    return "1 job" if count == 1 else f"{count} jobs"
