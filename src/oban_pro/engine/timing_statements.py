"""Statements that tell how long jobs took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro.model.timing import JobTimes

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence


class TimingStatements(Statements):
    """Statements about times: a part of `Store`."""

    async def timings(self, keys: Sequence[int], after: str, limit: int) -> list[JobTimes]:
        """Read the next jobs of some groups by name, those of the first one after a given name."""
        params = {"keys": [*keys], "after": after, "limit": limit}

        return await self.made(JobTimes, "timings", params)
