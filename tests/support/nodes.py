"""Real worker processes, and checks of their work."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from tests.support.databases import deadlocks
from tests.support.paths import ROOT
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from psycopg import AsyncConnection

UNSETTLED = """
SELECT count(*) FROM oban_jobs WHERE state NOT IN ('completed', 'cancelled', 'discarded')
"""

# Finds jobs that started before a dependency had finished. A group means all jobs in it.
TOO_EARLY = """
WITH RECURSIVE jobs_of AS (
  SELECT id AS member, id FROM oban_workflow_members
  UNION ALL
  SELECT jobs_of.member, m.id
  FROM jobs_of JOIN oban_workflow_members m ON m.group_key = jobs_of.id
),
gates AS (
  SELECT downstream AS member, upstream FROM oban_workflow_edges
  UNION ALL
  SELECT m.id, gates.upstream
  FROM gates JOIN oban_workflow_members m ON m.group_key = gates.member AND m.gated
),
finished AS (
  SELECT job, min(finished_at) AS finished_at FROM runs GROUP BY job
),
started AS (
  SELECT job, min(started_at) AS started_at FROM runs GROUP BY job
)
SELECT d.job, u.job
FROM gates
  JOIN started d ON d.job = gates.member
  JOIN jobs_of ON jobs_of.member = gates.upstream AND jobs_of.id > 0
  JOIN finished u ON u.job = jobs_of.id
WHERE u.finished_at IS NULL OR d.started_at < u.finished_at
"""

# Finds jobs that ran more than once although no earlier run was cut short or lost its ack.
REPEATED = """
SELECT job, count(*) FROM runs GROUP BY job HAVING count(*) > 1
"""


class Nodes:
    """Worker processes on one database. The end of the block kills them.

    Args:
        dsn: The DSN that the nodes use.
        runs_dsn: The DSN that their jobs use to write down when they run.
        limit: The number of jobs that each node runs at a time.
        settings: ``fast`` and ``brief`` find dead nodes soon; ``default`` is oban's settings.
        notes_acks: Whether the nodes write down which acks were confirmed.
    """

    def __init__(
        self,
        dsn: str,
        runs_dsn: str | None = None,
        limit: int = 10,
        settings: str = "fast",
        *,
        notes_acks: bool = False,
    ) -> None:
        self._dsn = dsn
        self._runs_dsn = runs_dsn or dsn
        self._limit = limit
        self._settings = settings
        self._notes = {"NOTE_ACKS": "1"} if notes_acks else {}
        self._stack = ExitStack()
        self._count = 0
        self.running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in list(self.running):
            self.kill(process)

    def start(self) -> subprocess.Popen[str]:
        """Start a node, and return when it takes jobs."""
        self._count += 1
        environment = {
            **os.environ,
            "NODE": f"node-{self._count}",
            "RUNS_DSN": self._runs_dsn,
            "SETTINGS": self._settings,
            "PYTHONPATH": str(ROOT),
            **self._notes,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.workload", self._dsn, str(self._limit)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a node without a warning."""
        process.kill()
        self._forget(process)

    def stop(self, process: subprocess.Popen[str]) -> int:
        """Tell a node to end, wait for its end, and return its exit code."""
        process.terminate()

        return self._forget(process)

    def _forget(self, process: subprocess.Popen[str]) -> int:
        self.running.remove(process)
        code = process.wait(30)

        if process.stdout is not None:
            process.stdout.close()

        return code


def wait_until_gone(pid: int) -> None:
    """Wait until a stopping server has gone, because until then a test could still join it."""
    deadline = time.monotonic() + 30

    with suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            assert time.monotonic() < deadline, "the server must be gone"
            time.sleep(0.01)


async def rows(conn: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return await (await conn.execute(statement.encode())).fetchall()


async def drain(conn: AsyncConnection, timeout: float) -> None:  # noqa: ASYNC109
    """Wait until every job has settled."""
    deadline = time.monotonic() + timeout

    while (left := await rows(conn, UNSETTLED)) != [(0,)]:
        assert time.monotonic() < deadline, f"all jobs must settle, {left} are left"
        await asyncio.sleep(0.1)


async def wait_for_runs(conn: AsyncConnection, count: int) -> None:
    """Wait until that many jobs have started."""
    deadline = time.monotonic() + 120

    while (await rows(conn, "SELECT count(*) FROM runs"))[0][0] < count:
        assert time.monotonic() < deadline, f"{count} jobs must have started"
        await asyncio.sleep(0.05)


async def assert_all_well(conn: AsyncConnection, interrupted: int = 0) -> None:
    """Fail unless all jobs settled in order, and each ran once, except those that were cut off.

    Args:
        conn: A connection in autocommit mode.
        interrupted: How many jobs may have been running when nodes were killed or connections cut.
    """
    assert await rows(conn, UNSETTLED) == [(0,)]
    await assert_consistent(conn)
    assert await rows(conn, TOO_EARLY) == []
    assert await deadlocks(conn) == 0
    repeated = await rows(conn, REPEATED)
    assert len(repeated) <= interrupted, f"at most {interrupted} jobs may run twice: {repeated}"
