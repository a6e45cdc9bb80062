"""Statements of the engine about ids and keys of workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.building.uniqueness import Unique


class KeyClaim(NamedTuple):
    """The result of claiming a key, and the other workflow that it concerns."""

    verdict: str
    workflow_id: str | None


class KeyStatements(Statements):
    """Statements about ids and keys of workflows: a part of `Store`."""

    async def claim(self, root: int, unique: Unique) -> KeyClaim:
        """Claim a key for a root that is about to be inserted."""
        params = {
            "root": root,
            "key": unique.key,
            "mode": unique.mode,
            "max": unique.max_queued,
        }

        return await self.one(KeyClaim, "claim", params)

    async def take_place(self, root: int, unique: Unique, verdict: str) -> int:
        """Give a root that was inserted the place that its claim got: the key, or one in line.

        Returns:
            How many jobs that cancelled, of the workflow that it replaces.
        """
        params = {
            "root": root,
            "key": unique.key,
            "verdict": verdict,
            "seconds": unique.seconds,
        }

        return await self.one(int, "take_place", params)

    async def retake(self, workflow_id: str) -> None:
        """Let a root that was opened again take its key back."""
        await self.execute("retake", {"id": workflow_id})

    async def free_ids(self, workflow_ids: Sequence[str]) -> dict[str, int | None]:
        """Free the ids of workflows without any job left; returns the ids that stay taken.

        Returns:
            By id the number of jobs that a root was inserted with, None for a nested workflow.
        """
        return dict(await self.rows("free_ids", {"ids": list(workflow_ids)}))

    async def note_retried(self, keys: Sequence[int]) -> None:
        """Note that workflows were retried now: those that had settled and are open again."""
        await self.execute("note_retried", {"keys": list(keys)})
