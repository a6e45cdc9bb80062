"""Statements of the engine about final jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro.model.outcome import Failure, Outcome
from oban_pro.model.paths import join_path

from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.model.status import WorkflowState


class EndStatements(Statements):
    """Statements about final jobs: a part of `Store`."""

    async def insert_finals(self, root: int, finals: bytes) -> None:
        """Insert the final jobs of workflows of one root."""
        await self.execute("insert_finals", {"root": root, "finals": finals.decode()})

    async def finals_among(self, key: int, names: Sequence[str]) -> list[str]:
        """Tell which of some members of a workflow are final jobs."""
        return await self.made(str, "finals_among", {"key": key, "names": list(names)})

    async def outcome(self, workflow_id: str) -> Outcome:
        """Read how everything but the final jobs of a workflow has ended."""
        found = await self.first(_outcome, "outcome", {"id": workflow_id})

        if found is None or not found.failed_total:
            return found or Outcome()

        found.failed.extend(await self.made(_failure, "failures", {"id": workflow_id}))

        return found

    async def member_names(self, workflow_id: str) -> list[str]:
        """Read the names of some members of a workflow that are no final jobs."""
        return await self.made(str, "member_names", {"id": workflow_id})


def _outcome(state: WorkflowState, failed: int) -> Outcome:
    return Outcome(state, failed_total=failed)


def _failure(path: list[str], state: str, error: str | None) -> Failure:
    return Failure(join_path(path), state, error)
