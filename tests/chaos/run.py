"""A run of chaos: nodes, users and faults for a while, then quiet, then the judgement."""

from __future__ import annotations

import asyncio
import io
import pickle
import random
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import doctor, schema
from tests.chaos import journal
from tests.chaos.faults import KINDS as FAULT_KINDS
from tests.chaos.faults import Faults
from tests.chaos.nodes import Node
from tests.chaos.oracle import Oracle, read_executions, read_rows
from tests.chaos.record import Record
from tests.chaos.server import Server
from tests.chaos.users import GONE, TRIGGERS, Users
from tests.chaos.users import KINDS as USER_KINDS
from tests.support.recount import recount

if TYPE_CHECKING:
    from pathlib import Path

KINDS = (*FAULT_KINDS, *USER_KINDS)

NODES = 3
USERS = 4
FAULTS = 3

# How long the last jobs may take when nothing goes wrong any more.
DUST = 120

# How many looks in a row find nothing that moves when all has settled.
QUIET = 8

UNSETTLED = """
SELECT count(*) FROM oban_jobs
WHERE state NOT IN ('completed', 'cancelled', 'discarded', 'suspended')
"""

# Nobody waits for the clock in the end.
HURRY = """
UPDATE oban_jobs SET scheduled_at = timezone('UTC', now())
WHERE state IN ('scheduled', 'retryable') AND scheduled_at > timezone('UTC', now())
"""


class Run:
    """One run, in a folder that keeps what everybody wrote.

    Args:
        folder: An empty folder.
        kinds: What may go wrong, and what users do, out of `KINDS`.
        seed: Draws what happens; not when, which no seed can.
        seconds: How long it takes, without the quiet at the end.
    """

    def __init__(self, folder: Path, kinds: list[str], seed: int, seconds: float) -> None:
        self.folder = folder
        self.kinds = kinds
        self.seed = seed
        self.seconds = seconds
        self.record = Record()
        self.journal = journal.Journal(folder / "run.jsonl")

    async def __call__(self) -> list[str]:
        """Run, and return what was wrong."""
        (self.folder / "data").mkdir()

        async with AsyncExitStack() as stack:
            self.server = stack.enter_context(Server(self.folder / "data"))
            await self._install()
            self.users = await stack.enter_async_context(
                Users(self.kinds, self.server, self.record, self.journal, self._rng("users"))
            )
            self.nodes = [
                await stack.enter_async_context(Node(f"node{n}", self.folder, self.server.proxy()))
                for n in range(NODES)
            ]
            await asyncio.gather(*(node.start() for node in self.nodes))
            wrong = await self._happen()

            return [*wrong, *await self._judge()]

    def _rng(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    async def _install(self) -> None:
        async with AsyncConnectionPool(self.server.dsn, min_size=1, open=False) as pool:
            await schema.install(pool)

            async with pool.connection() as conn:
                await conn.execute(TRIGGERS)

    async def _happen(self) -> list[str]:
        """Let things happen, then wait until nothing moves; returns what does not end."""
        faults = Faults(
            [kind for kind in self.kinds if kind in FAULT_KINDS],
            self.server,
            self.nodes,
            self.users,
            self.record,
            self.journal,
            self._rng("faults"),
        )
        until = time.monotonic() + self.seconds
        streams = [
            *(self.users.act(until) for _ in range(USERS)),
            *(faults.happen(until) for _ in range(FAULTS)),
            self.users.probe(until),
        ]
        wrong = []

        tasks = [asyncio.create_task(stream) for stream in streams]
        _, late = await asyncio.wait(tasks, timeout=self.seconds + DUST)

        for task in late:
            stack = io.StringIO()
            task.print_stack(file=stack)
            wrong.append(f"a user or a fault has not ended: {stack.getvalue()}")
            task.cancel()

        await asyncio.gather(*tasks, return_exceptions=bool(late))

        await faults.end()
        self.journal.write("quiet")

        try:
            async with asyncio.timeout(DUST):
                await self._settle()
        except TimeoutError:
            wrong.append(f"jobs still move after {DUST} s of quiet")

        self.journal.write("settled")

        return wrong

    async def _settle(self) -> None:
        quiet = 0

        # What waits for the next period, or for its turn, is released by a tick.
        while quiet < QUIET:
            await asyncio.sleep(0.5)

            with suppress(*GONE):
                async with await AsyncConnection.connect(self.server.dsn) as conn:
                    await conn.execute(HURRY)
                    left = await (await conn.execute(UNSETTLED)).fetchone()
                    quiet = quiet + 1 if left == (0,) else 0

    async def _judge(self) -> list[str]:
        async with AsyncConnectionPool(self.server.dsn, min_size=1, open=False) as pool:
            wrong = [f"doctor: {one}" for one in await doctor.audit(Oban(pool=pool)._name)]

            async with pool.connection() as conn:
                wrong += [f"recount: {difference}" for difference in await recount(conn)]
                rows = await read_rows(conn)

        evidence = (
            self.record,
            read_executions(journal.read(self.folder)),
            rows,
            {pid: spans for node in self.nodes for pid, spans in node.silent.items()},
            {pid: at for node in self.nodes for pid, at in node.ended.items()},
            self.server.outages,
        )
        # Whoever looks for the cause judges it again.
        (self.folder / "evidence.pickle").write_bytes(pickle.dumps(evidence))
        oracle = Oracle(*evidence)
        self.summary = oracle.summary()

        return [*oracle.judge(), *wrong]
