"""Run one workflow to its end, for programs that are not services."""

from __future__ import annotations

import asyncio
from typing import Any

from oban import Oban

from oban_pro import Workflow, schema
from oban_pro.embedded import server_dsn


def run(workflow: Workflow) -> dict[str, Any]:
    """Run a workflow in this process, and return the results of its jobs.

    Args:
        workflow: Its jobs are in the queue ``default``.

    Raises:
        RuntimeError: If not all jobs complete.
    """
    with server_dsn() as dsn:
        return asyncio.run(_run(workflow, dsn))


async def _run(workflow: Workflow, dsn: str) -> dict[str, Any]:
    async with await Oban.create_pool(dsn) as pool:
        await schema.install(pool)

        async with Oban(pool=pool, queues={"default": 10}) as oban:
            await oban.enqueue_many(workflow)
            status = await workflow.wait()

            if status.state != "completed":
                raise RuntimeError(f"workflow must complete, got {dict(status.counts)}")

            return await workflow.all_recorded()
