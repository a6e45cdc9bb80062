"""Acting on workflows: cancel, retry, and retry from one job on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban_pro import telemetry

if TYPE_CHECKING:
    from oban_pro.store import Store

    from .database import Database


async def cancel(database: Database, workflow_id: str, name: str | None = None) -> int:
    """Cancel the open jobs of a workflow, or one of them; returns how many."""
    names = None if name is None else [name]
    count = await database.change(lambda store: store.cancel(workflow_id, names))
    _tell("cancelled", workflow_id, names, count)

    return count


async def retry(database: Database, workflow_id: str, name: str | None = None) -> int:
    """Run jobs of a workflow again, or one of them; returns how many."""
    names = None if name is None else [name]
    count = await database.change(lambda store: store.retry(workflow_id, names))
    _tell("retried", workflow_id, names, count)

    return count


async def retry_from(database: Database, workflow_id: str, job_id: int) -> int:
    """Run a job again and everything that waits for it, at any distance; returns how many."""

    async def body(store: Store) -> int:
        parts = await store.web_downstream(job_id)

        return sum([await store.retry(part_id, names) for part_id, names in parts])

    count = await database.change(body)
    _tell("retried", workflow_id, None, count)

    return count


def _tell(what: str, workflow_id: str, names: list[str] | None, count: int) -> None:
    metadata = {"workflow_id": workflow_id, "names": names, "count": count}
    telemetry.execute(f"oban.workflow.{what}", metadata)
