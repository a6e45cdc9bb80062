"""Statements that read results a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

type Range = tuple[int, int]
"""Ids of jobs: the first and the last, and all in between."""


class RecordedRow(NamedTuple):
    """A completed job on a page of results.

    Args:
        id: Of the job.
        path: The names that lead to it from its root.
        value: What it recorded, encoded; None where it recorded nothing.
        is_batch: Whether that is a dict of results by the names of its items.
        more: Whether there are others that had no room on the page.
    """

    id: int
    path: list[str]
    value: str | None
    is_batch: bool
    more: bool


class Member(NamedTuple):
    """A job or a group in a group: a group by its key, which is negative."""

    id: int
    name: str


class StreamStatements(Statements):
    """Statements that read results a page at a time: a part of `Store`."""

    async def recorded_ranges(
        self, part: int, after: int, limit: int, *, deep: bool
    ) -> list[Range]:
        """Read which jobs a part of a workflow holds, as ranges of ids in order.

        Args:
            part: A job, or a group by its key.
            after: Only ids behind this one.
            limit: How many ranges, at most.
            deep: Whether jobs of nested workflows are among them.
        """
        params = {"part": part, "after": after, "limit": limit, "deep": deep}

        return await self.made(_range, "recorded_ranges", params)

    async def recorded_page(self, ranges: Sequence[Range], size: int) -> list[RecordedRow]:
        """Read what the first jobs in ranges of ids recorded.

        Args:
            ranges: In order.
            size: Bytes that they take where they are stored, about.
        """
        firsts, lasts = [first for first, _ in ranges], [last for _, last in ranges]
        params = {"firsts": firsts, "lasts": lasts, "bytes": size}

        return await self.made(RecordedRow, "recorded_page", params)

    async def batch_of(self, part: int, item: str) -> int | None:
        """Read which job took an item of a fan-out in batches.

        Args:
            part: The fan-out, by its key.
            item: The name of the item.
        """
        return await self.first(int, "batch_of", {"part": part, "item": item})

    async def part_members(
        self, part: int, name: str | None, before: int, limit: int
    ) -> list[Member]:
        """Read the next groups in a group, or any one member of it by name.

        Args:
            part: The group, by its key.
            name: Of the member.
            before: Only groups with lower keys.
            limit: How many groups, at most.
        """
        params = {"part": part, "name": name, "before": before, "limit": limit}

        return await self.made(Member, "part_members", params)


def _range(first: int, last: int) -> Range:
    return first, last
