"""Statements about the runs of a name: a part of `PageStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oban_pro.engine.statements import Statements

if TYPE_CHECKING:
    from datetime import datetime


class RunRow(NamedTuple):
    """A root workflow as the history of its name shows it, with all that is nested in it."""

    id: str
    state: str
    inserted_at: datetime
    total: int
    completed: int
    discarded: int
    started_at: datetime | None
    stopped_at: datetime | None


class Siblings(NamedTuple):
    """Ids of the runs of the same name before and after a workflow."""

    previous: str | None
    next: str | None


class HistoryStatements(Statements):
    """Statements about the runs of a name."""

    async def runs(self, name: str, limit: int, offset: int) -> list[RunRow]:
        """Read a page of the root workflows of a name, newest first."""
        params = {"name": name, "limit": limit, "offset": offset}

        return await self.made(RunRow, "history", params)

    async def siblings(self, root_id: str) -> Siblings:
        """Read which runs of the same name came before and after a root workflow."""
        found = await self.first(Siblings, "siblings", {"id": root_id})

        return found or Siblings(None, None)
