"""Clients that freeze at the worst moment: nobody waits for them for long."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support import freezing
from tests.support.paths import ROOT
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a client does, and after which of its statements it freezes.
MOMENTS = [
    ("enqueue", "insert_roots"),
    ("enqueue", "insert_edges"),
    ("enqueue many", "insert_jobs"),
    ("enqueue many", "insert_edges"),
    ("append", "lock_root"),
    ("append", "add_to_group"),
    ("apply a graft", "add_to_group"),
    ("return a graft", "add_to_group"),
    ("run", "ack"),
    ("cancel", "cancel"),
    ("retry", "retry"),
    ("repair", "repair"),
    ("prune", "prune"),
]


def freeze(dsn: str, doing: str, statement: str) -> Iterator[None]:
    """Start a client, and wait until it has frozen; afterwards, kill it."""
    command = [sys.executable, "-m", "tests.support.freezing", dsn, doing, statement]

    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"{doing} must freeze after {statement}"

            yield
        finally:
            process.kill()


@pytest.mark.parametrize(("doing", "statement"), MOMENTS)
class TestFrozenClient:
    async def test_a_frozen_client_keeps_nobody_waiting(
        self, dsn: str, oban: Oban, conn: AsyncConnection, doing: str, statement: str
    ) -> None:
        if "enqueue" not in doing:
            await oban.enqueue_many(freezing.build())

        if doing == "retry":
            await Workflow(id=freezing.WORKFLOW).cancel_jobs()

        if doing == "repair":
            await conn.execute("UPDATE oban_workflow_groups SET total = total + 1")

        if doing == "prune":
            await Workflow(id=freezing.WORKFLOW).cancel_jobs()
            await conn.execute(
                "UPDATE oban_workflow_groups SET inserted_at = inserted_at - interval '1 day',"
                " stopped_at = stopped_at - interval '1 day'"
            )

        for _ in freeze(dsn, doing, statement):
            # Whoever wants the same: another one that enqueues it, one that cancels it.
            async with asyncio.timeout(30):
                await oban.enqueue_many(freezing.build())
                await Workflow(id=freezing.WORKFLOW).cancel_jobs()

                # and whoever wants the rows of all its jobs
                await conn.execute("UPDATE oban_jobs SET priority = 1")

            assert (await Workflow(id=freezing.WORKFLOW).status()).state == "cancelled"
            await assert_consistent(conn)
