"""Statements that find workflows, and keep or remove one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.building.attributes import attributes_json
from oban_pro.stores import Stored

from .results import RootLine
from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Filters(NamedTuple):
    """Filters of a search for root workflows; None for any.

    Args:
        name: Their whole name.
        states: One of these.
        attributes: At least these, as JSON.
        since: The first moment of insertion that counts.
        until: The first that does not.
    """

    name: str | None = None
    states: Sequence[str] | None = None
    attributes: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RootFilters(NamedTuple):
    """Filters of a list of root workflows; None for any.

    Args:
        states: One of these.
        search: In the name or the id, in any case.
        name: In the name.
        key: Their key: who holds it, and who waits in line for it.
        attributes: At least these.
        since: The first moment of insertion that counts.
        until: The first that does not.
    """

    states: Sequence[str] | None = None
    search: str | None = None
    name: str | None = None
    key: str | None = None
    attributes: Mapping[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Hit(NamedTuple):
    """A workflow that was found, and where it stands in the order of the search."""

    id: str
    inserted_at: datetime
    key: int


class SearchStatements(Statements):
    """Statements that find workflows: a part of `Store`."""

    async def search(self, filters: Filters, after: Hit | None, limit: int) -> list[Hit]:
        """Read the next root workflows, newest first."""
        states = filters.states
        state = states[0] if states is not None and len(states) == 1 else None
        params = {
            **filters._asdict(),
            "state": state,
            "states": states if state is None else None,
            "after_time": after and after.inserted_at,
            "after_key": after and after.key,
            "limit": limit,
        }

        return await self.made(Hit, "search_roots", params)

    async def list_roots(self, filters: RootFilters, limit: int, offset: int = 0) -> list[RootLine]:
        """Read a page of root workflows with their counters, newest first."""
        given = filters.attributes
        params = {
            **filters._asdict(),
            "attributes": None if given is None else attributes_json(given),
            "limit": limit,
            "offset": offset,
        }

        return await self.made(RootLine, "roots", params)

    async def delete(self, workflow_id: str) -> tuple[str, list[Stored]]:
        """Remove a workflow that has settled; returns ``"deleted"``, or why it is not.

        Also returns which workflows in it may have objects.
        """
        ((done, stored),) = await self.rows("delete", {"id": workflow_id})

        return done, Stored.each_of(stored)

    async def keep(self, workflow_id: str, seconds: float | None, moment: datetime | None) -> bool:
        """Let the pruner pass over a workflow for a time; returns whether there is that root."""
        params = {"id": workflow_id, "seconds": seconds, "moment": moment}

        return bool(await self.rows("keep", params))
