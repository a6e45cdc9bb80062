"""Statements that traces need."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oban_pro.model import meta

from .statements import Statements

if TYPE_CHECKING:
    from datetime import datetime


class TracedExecution(NamedTuple):
    """The last execution of a job, and the trace that the job carries."""

    job_id: int
    attempt: int
    attempted_at: datetime | None
    traceparent: str | None


class TraceStatements(Statements):
    """Statements about traces: a part of `Store`."""

    async def carried_trace(self, root: int) -> dict[str, str]:
        """Read the trace that the jobs of a root workflow carry, as their meta spells it."""
        for row in await self.rows("carried_trace", {"root": root}):
            return {key: value for key, value in zip(meta.TRACE, row, strict=True) if value}

        return {}

    async def upstream_executions(self, job_id: int, limit: int) -> list[TracedExecution]:
        """Read the last executions of what a job depends on."""
        params = {"id": job_id, "limit": limit}

        return await self.made(TracedExecution, "upstream_executions", params)
