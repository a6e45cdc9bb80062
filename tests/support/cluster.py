"""Nodes without processes, which start and die when a test says so."""

from typing import Any
from uuid import uuid4

from oban import Job, telemetry
from oban._extensions import use_ext
from oban._lifeline import _rescue as plain_rescue

from tests.support.engine import Engine
from tests.support.silence import rescue

PATIENCE = 60.0
RESCUE_AFTER = 300.0

AGES_AGO = (
    "UPDATE oban_producers SET updated_at = updated_at - make_interval(secs => %s)",
    "UPDATE oban_workflow_producers SET left_at = left_at - make_interval(secs => %s)",
    "UPDATE oban_jobs SET attempted_at = attempted_at - make_interval(secs => %s)",
    "UPDATE oban_workflow_hearing SET heard_until = heard_until - make_interval(secs => %s)",
    "UPDATE oban_workflow_hearing SET heard_from = heard_from - make_interval(secs => %s)",
)


class Cluster(Engine):
    """Nodes that are only rows: they beat, take jobs and fall silent when a test says so."""

    async def join(self, meta: dict[str, Any] | None = None) -> str:
        uuid = str(uuid4())
        await self.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta=meta or {}
        )

        return uuid

    async def take(self, uuid: str, node: str = "node", demand: int = 100) -> list[Job]:
        jobs = await self.query.fetch_jobs(demand, "default", node, uuid)
        self.running |= {job.id: job for job in jobs if job.id is not None}

        return jobs

    async def silence(self, uuid: str, seconds: float) -> None:
        """Move the last heartbeat of a node into the past."""
        await self.rows(
            "UPDATE oban_producers SET updated_at = updated_at - make_interval(secs => %s)"
            " WHERE uuid = %s",
            (seconds, uuid),
        )

    async def work_for(self, seconds: float) -> None:
        """Move the start of every executing job into the past."""
        await self.rows(
            "UPDATE oban_jobs SET attempted_at = attempted_at - make_interval(secs => %s)"
            " WHERE state = 'executing'",
            (seconds,),
        )

    async def pass_unheard(self, seconds: float) -> None:
        """Let time pass in which no node reaches the database, or in which its clock is set."""
        for statement in AGES_AGO:
            await self.rows(statement, (seconds,))

    async def pass_silently(self, seconds: float) -> None:
        """Let time pass in which nodes look for heartbeats, and none arrives."""
        await self.pass_unheard(seconds)
        await self.rows(
            "UPDATE oban_workflow_hearing SET heard_until = timezone('UTC', now())"
            " WHERE heard_until = (SELECT max(heard_until) FROM oban_workflow_hearing)"
        )

    async def sweep(self) -> int:
        """Look for silent nodes, as every node does every few seconds."""
        rescued = await rescue(self.query, PATIENCE)
        await self.check()

        return rescued

    async def lifeline(self) -> int:
        """Run the lifeline, as the leader does, and return how many jobs it rescued."""
        events: list[dict[str, Any]] = []
        names = ["oban.lifeline.rescue.stop"]
        telemetry.attach("rescue", names, lambda _, meta: events.append(meta))

        try:
            await use_ext("lifeline.rescue", plain_rescue, self.query, RESCUE_AFTER)
        finally:
            telemetry.detach("rescue")

        await self.check()
        (event,) = events

        return int(event["rescued_count"])

    async def job_states(self) -> list[str]:
        return [state for (state,) in await self.rows("SELECT state FROM oban_jobs ORDER BY id")]
