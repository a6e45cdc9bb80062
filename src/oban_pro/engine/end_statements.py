"""Statements of the engine about final jobs, and about undoing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.model.outcome import EndLine, Failure, Outcome
from oban_pro.model.paths import join_path

from .results import by_path
from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

    from oban_pro.model.status import WorkflowState


class StoredUndo(NamedTuple):
    """The undo of a job.

    Args:
        id: Of the job.
        spec: The job that undoes it, as the row keeps it.
        state: Of the job; ``"skipped"`` if it never ran.
        ran: Whether it may have done its work although it was cancelled.
        undo_state: Of the job that undid it already, or None.
    """

    id: int
    spec: dict[str, Any]
    state: str | None
    ran: bool
    undo_state: str | None


class EndStatements(Statements):
    """Statements about final jobs and undoing: a part of `Store`."""

    async def insert_finals(self, root: int, finals: bytes) -> None:
        """Insert the final jobs of workflows of one root."""
        await self.execute("insert_finals", {"root": root, "finals": finals.decode()})

    async def ends_among(self, key: int, names: Sequence[str]) -> list[str]:
        """Tell which of some members of a workflow are final jobs, or undo it."""
        return await self.made(str, "ends_among", {"key": key, "names": list(names)})

    async def ends(self, workflow_id: str, limit: int) -> list[EndLine]:
        """Read the final jobs of a workflow and nested ones, and the grafts that undo them."""
        return await self.made(by_path(EndLine), "ends", {"id": workflow_id, "limit": limit})

    async def insert_undos(self, root: int, undos: bytes) -> list[str]:
        """Insert undos of jobs; returns workflows in which another member is called ``undo``."""
        return await self.made(str, "insert_undos", {"root": root, "undos": undos.decode()})

    async def is_undoable(self, key: int) -> bool:
        """Tell whether jobs in a workflow, nested ones included, have an undo."""
        return bool(await self.rows("is_undoable", {"key": key}))

    async def note_undos(self, undos: bytes) -> None:
        """Note which jobs undo others."""
        await self.execute("note_undos", {"undos": undos.decode()})

    async def undos(self, workflow_id: str) -> list[StoredUndo]:
        """Read the undos of the jobs of a workflow and of those nested in it."""
        return await self.made(StoredUndo, "undos", {"id": workflow_id})

    async def undone_job(self, job_id: int) -> Job | None:
        """Read a job that is undone, with what it recorded after it had been cancelled."""
        jobs = await self.jobs_from("undone_job", {"id": job_id})

        return jobs[0] if jobs else None

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
