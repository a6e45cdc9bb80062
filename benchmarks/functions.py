"""Cascade functions that do nothing, so that what remains is the cost of cascades."""

from __future__ import annotations

from typing import Any


async def start(context: dict[str, Any]) -> int:
    return 0


async def item(n: int, context: dict[str, Any]) -> int:
    return n


def item_in_thread(n: int, context: dict[str, Any]) -> int:
    return n


async def total(context: dict[str, Any]) -> int:
    return sum(context["all"].values())
