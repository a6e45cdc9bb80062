"""Statements about the code that jobs name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence


class NamedCode(NamedTuple):
    """Code that open jobs of a queue name.

    Args:
        kind: ``"worker"``, or what a function is called for: ``"cascade"``, ``"item"``,
            ``"call"``, ``"when"`` or ``"backoff"``.
        path: The path that rows have.
        queue: The queue.
        jobs: How many of its open jobs name it.
        job: The id of the first one.
    """

    kind: str
    path: str
    queue: str
    jobs: int
    job: int


class CodeStatements(Statements):
    """Statements about the code that jobs name; they need oban's table alone."""

    async def codes(self, queues: Sequence[str] | None) -> list[NamedCode]:
        """Read the code that open jobs of some queues, or of all, name."""
        return await self.made(NamedCode, "codes", {"queues": queues and list(queues)})
