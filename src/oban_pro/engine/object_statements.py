"""Statements about recorded values that are kept in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oban_pro.stores import Stored
from oban_pro.values.codec import BEGINNINGS, MARK

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence


class Keeper(NamedTuple):
    """A job that may have objects in a store.

    Args:
        id: Of the job.
        is_open: Whether it may still write some.
        values: What it recorded, encoded.
    """

    id: int
    is_open: bool
    values: list[str | None]


class JobStore(NamedTuple):
    """The store of a job, and the id of the workflow that the job is in."""

    id: int
    store: str
    workflow_id: str


class ObjectStatements(Statements):
    """Statements about values that are kept in a store: a part of `Store`."""

    async def all_stores(self) -> list[str]:
        """Read which stores workflows name."""
        return await self.made(str, "stores", {})

    async def stored_workflows(self, workflow_id: str) -> list[Stored]:
        """Read which workflows of a root may have objects."""
        return await self.one(Stored.each_of, "stored_workflows", {"id": workflow_id})

    async def keepers(self, job_ids: Sequence[int]) -> list[Keeper]:
        """Read what jobs have recorded, of those that are there."""
        return await self.made(Keeper, "keepers", {"ids": list(job_ids)})

    async def signal_references(self) -> list[str]:
        """Read the payloads of signals that are references, encoded."""
        return await self.made(str, "signal_references", {"mark": MARK})

    async def job_stores(self, job_ids: Sequence[int]) -> list[JobStore]:
        """Read the stores of jobs, of those that have one."""
        return await self.made(JobStore, "job_stores", {"ids": list(job_ids)})

    async def reused_values(self, job_ids: Sequence[int]) -> list[tuple[int, str]]:
        """Read what jobs have recorded that may refer to objects, encoded."""
        whole, of_list = BEGINNINGS
        params = {"ids": list(job_ids), "whole": whole, "list": of_list}

        return [(id, encoded) for id, encoded in await self.rows("reused_values", params)]
