"""Somebody else's program, as a process: ``python -m tests.chaos.client DSN SEED``.

It enqueues, appends to, steers and repairs workflows of its own, in transactions of its own and
without. The run freezes it, or kills it, at any moment.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from oban import Oban
from psycopg import AsyncConnection, Error
from psycopg_pool import PoolTimeout

from oban_pro import Workflow, doctor
from oban_pro.errors import WorkflowError
from tests.chaos.work import Step

if TYPE_CHECKING:
    from oban import Job

MARK = "client"


def _step(key: str, seconds: float = 0) -> Job:
    return Step.new({}, meta={"key": key, "do": {"seconds": seconds}})


class Client:
    """Does one thing after another to a new workflow each time."""

    def __init__(self, oban: Oban, conn: AsyncConnection, rng: random.Random) -> None:
        self.oban = oban
        self.conn = conn
        self.rng = rng

    async def act(self) -> None:
        id = f"{MARK}-{self.rng.getrandbits(64)}"
        workflow = Workflow(id=id).add("a", _step(f"{id}/a", seconds=0.5))
        workflow.add("b", _step(f"{id}/b"), deps="a")

        async with self.conn.transaction():
            await self.oban.enqueue_many(workflow, conn=self.conn)

        for action in (self._append, self._cancel, self._retry, self._repair):
            if self.rng.random() < 0.7:
                with suppress(WorkflowError):
                    await action(Workflow(id=id))

    async def _append(self, handle: Workflow) -> None:
        addition = Workflow(check_deps=False).add("c", _step(f"{handle.id}/c"), deps="b")

        async with self.conn.transaction(force_rollback=self.rng.random() < 0.5):
            await handle.append(addition, conn=self.conn)

    async def _cancel(self, handle: Workflow) -> None:
        await handle.cancel_jobs()

    async def _retry(self, handle: Workflow) -> None:
        await handle.retry_jobs()

    async def _repair(self, _handle: Workflow) -> None:
        await doctor.repair()


async def main(dsn: str, seed: str) -> None:
    rng = random.Random(seed)
    pool = await Oban.create_pool(dsn, min_size=1, max_size=2)

    while True:
        with suppress(Error, PoolTimeout, OSError):
            async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
                client = Client(Oban(pool=pool), conn, rng)

                while True:
                    await client.act()
                    await asyncio.sleep(0.2)

        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
