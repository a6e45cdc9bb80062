"""Cascade functions of workflows with many results, or with large ones."""

from typing import Any


async def numbers(context: dict[str, Any]) -> list[int]:
    return [*range(1, context.get("count", 3) + 1)]
