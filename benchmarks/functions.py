"""Cascade functions that do nothing, so that what remains is the cost of cascades."""

from __future__ import annotations

import time
from typing import Any

# The time at which the last function of a workflow was called.
called: list[float] = []


async def start(context: dict[str, Any]) -> int:
    return 0


async def onward(context: dict[str, Any]) -> int:
    return sum(context.values())


def never(context: dict[str, Any]) -> bool:
    return False


async def item(n: int, context: dict[str, Any]) -> int:
    return n


def item_in_thread(n: int, context: dict[str, Any]) -> int:
    return n


async def total(context: dict[str, Any]) -> int:
    called.append(time.perf_counter())

    return sum(context["all"].values())
