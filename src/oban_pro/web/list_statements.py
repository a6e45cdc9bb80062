"""Statements of the list of workflows: a part of `PageStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.engine.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Spot(NamedTuple):
    """Where a root workflow stands in the order of a list: its moment, and its key."""

    moment: datetime
    key: int


class ListRow(NamedTuple):
    """A root workflow that a list has looked at; ``number`` counts these."""

    id: str
    name: str | None
    state: str
    inserted_at: datetime
    is_queued: bool
    is_paused: bool
    moment: datetime
    key: int
    number: int
    is_found: bool

    @property
    def place(self) -> Spot:
        """Where it stands in the order of the list."""
        return Spot(self.moment, self.key)


class ListFilters(NamedTuple):
    """Filters of a list of root workflows; None for no filter.

    Args:
        state: Their state, found by an index.
        states: One of these, asked of those that are looked at.
        search: In the name or the id, in any case.
        attributes: At least these, as JSON.
        since: The first moment of insertion that counts.
        until: The first that does not.
    """

    state: str | None = None
    states: list[str] | None = None
    search: str | None = None
    attributes: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Urgent(NamedTuple):
    """A root workflow that may need somebody, and its deadline if that is near."""

    row: ListRow
    deadline: datetime | None


class FirstError(NamedTuple):
    """The first error in a root workflow: the id and path of the failed job, and the text."""

    workflow_id: str
    job_id: int
    path: list[str]
    error: str


class ListStatements(Statements):
    """Statements of the list of workflows."""

    async def look(
        self,
        filters: ListFilters,
        after: Spot | None,
        *,
        ended: bool,
        ascending: bool,
        looked_at: int,
        limit: int,
    ) -> list[ListRow]:
        """Read the next root workflows of a list, and the last that was looked at, found or not.

        Args:
            filters: What is asked of each.
            after: Where the page before ended; None for the first page.
            ended: Whether those that ended come in the order of their end, and no others.
            ascending: Whether the oldest comes first.
            looked_at: How many are looked at.
            limit: How many are read.
        """
        params: dict[str, Any] = {
            **filters._asdict(),
            "after": after and after.moment,
            "key": after and after.key,
            "ended": ended,
            "ascending": ascending,
            "looked_at": looked_at,
            "limit": limit,
        }

        return await self.made(ListRow, "list", params)

    async def count(self, limit: int) -> dict[str, int]:
        """Count root workflows in states that have an index, each up to a limit."""
        return dict(await self.rows("list_counts", {"limit": limit}))

    async def urgent(self, workflow_ids: Sequence[str], limit: int) -> list[Urgent]:
        """Read executing root workflows that may need somebody.

        Args:
            workflow_ids: Some that are read in any case.
            limit: How many of those whose deadline is near, and of the oldest.
        """
        params = {"ids": list(workflow_ids), "limit": limit}

        return await self.made(
            lambda deadline, *row: Urgent(ListRow(*row), deadline), "attention", params
        )

    async def first_errors(self, states: Mapping[str, str], most: int) -> dict[str, FirstError]:
        """Read the first error of some root workflows, by id.

        Args:
            states: By id of the workflow, in which state its jobs are looked for: "discarded",
                "retryable" or "cancelled".
            most: How many characters of an error are read.
        """
        params = {"ids": list(states), "states": list(states.values()), "most": most}
        found = await self.made(FirstError, "first_errors", params)

        return {one.workflow_id: one for one in found}
