"""A node with this package that is only a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.support.engine import Engine

if TYPE_CHECKING:
    from oban import Job


class Node(Engine):
    """A node with this package that is only a row, and acts when a test says so."""

    uuid: str

    async def join(self, meta: dict[str, Any]) -> None:
        self.uuid = str(uuid4())
        await self.query.insert_producer(
            uuid=self.uuid, name="Oban", node="node", queue="default", meta=meta
        )

    async def fetch(self, queue: str = "default", demand: int = 1_000_000) -> list[Job]:
        jobs = await self.query.fetch_jobs(demand, queue, "node", self.uuid)
        self.running |= {job.id: job for job in jobs if job.id is not None}
        await self.check()

        return jobs

    async def unended(self) -> list[str]:
        """Return the paths of jobs whose executions have not ended."""
        paths = {job_id: path for path, job_id in self.ids.items()}
        rows = await self.rows("SELECT id FROM oban_workflow_unended ORDER BY id")

        return [paths.get(job_id, "plain") for (job_id,) in rows]

    async def job_state(self) -> str:
        """Return the state of the only job."""
        ((state,),) = await self.rows("SELECT state::text FROM oban_jobs")

        return str(state)
