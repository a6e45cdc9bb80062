"""What enqueueing asks of the database about results of another workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.building.bounds import BOUNDS

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Mapping


class OldGroup(NamedTuple):
    """A stored group at the path of a new one; ``n`` is the number of the new one."""

    n: int
    key: int
    id: str
    # whether it and all around it have the same context
    is_alike: bool
    # where it keeps large values, if anywhere
    store: str | None


class OldJob(NamedTuple):
    """A stored job at the path of a new one, and why its result cannot be reused."""

    n: int
    id: int | None
    reason: str | None


class ReuseStatements(Statements):
    """Statements about results of other workflows: a part of `Store`."""

    async def reusable_groups(self, workflow_id: str, groups: bytes) -> list[OldGroup]:
        """Read the groups of a root workflow at the paths of new ones."""
        params = {"id": workflow_id, "groups": groups.decode()}

        return await self.made(OldGroup, "reusable_groups", params)

    async def reusable_jobs(self, params: Mapping[str, Any]) -> list[OldJob]:
        """Read the stored jobs at the paths of new ones."""
        return await self.made(OldJob, "reusable_jobs", {**params, "bounds": [*BOUNDS]})

    async def insert_reused(self, params: Mapping[str, Any]) -> None:
        """Insert jobs, those with a source as completed, with what that recorded."""
        channel = f"{self._prefix}.oban_insert"
        await self.execute("insert_reused", {**params, "channel": channel})
