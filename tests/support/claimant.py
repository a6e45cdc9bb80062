"""A process that enqueues workflows with one key: ``python -m tests.support.claimant DSN N``."""

from __future__ import annotations

import asyncio
import sys

from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.engine import make_job


async def claim(dsn: str, count: int) -> None:
    """Enqueue workflows, each in its own transaction, and print the id that each got."""
    async with AsyncConnectionPool(dsn, min_size=5, max_size=5, open=False) as pool:
        oban = Oban(pool=pool, name="claimant")
        workflows = [Workflow(unique="k").add("a", make_job()) for _ in range(count)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(oban.enqueue_many(workflow) for workflow in workflows))

    for workflow in workflows:
        sys.stdout.write(f"{workflow.id} {workflow.is_duplicate}\n")


if __name__ == "__main__":
    asyncio.run(claim(sys.argv[1], int(sys.argv[2])))
