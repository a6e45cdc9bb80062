"""Nodes that are killed while they hand a key over: the next starts, and never two at once."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from oban_pro import Workflow
from tests.support.nodes import Nodes, drain, rows, wait_for_runs
from tests.support.recount import assert_consistent
from tests.support.workload import Step

if TYPE_CHECKING:
    from oban import Oban
    from psycopg import AsyncConnection

KILLS = 6
WORKFLOWS = 40

# Whoever hands over in the name of "doomed" stands still there for as long as the gate is shut.
GATE = """
CREATE TABLE gate (is_open boolean);
INSERT INTO gate VALUES (false);

CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('application_name') = 'doomed' THEN
    WHILE (SELECT NOT is_open FROM gate) LOOP
      PERFORM pg_sleep(0.01);
    END LOOP;
  END IF;

  RETURN NULL;
END;
$$;
"""

DOOMED = "FROM pg_stat_activity WHERE application_name = 'doomed'"

MOMENTS = {
    "has a new holder": "AFTER UPDATE OF holder ON oban_workflow_keys FOR EACH ROW",
    "left the line": "AFTER UPDATE ON oban_workflow_groups FOR EACH ROW"
    " WHEN (OLD.queued_at IS NOT NULL AND NEW.queued_at IS NULL)",
    "was released": "AFTER UPDATE OF state ON oban_jobs FOR EACH ROW"
    " WHEN (OLD.state = 'suspended' AND NEW.state = 'available')",
    "was taken": "AFTER UPDATE OF state ON oban_jobs FOR EACH ROW"
    " WHEN (OLD.meta ->> 'workflow_id' <> 'w0' AND NEW.state = 'executing')",
}

# Executions in the order of the line, and what another one of the line did in between.
TWO_AT_ONCE = """
WITH told AS (
  SELECT meta ->> 'workflow_id' AS root, started_at, finished_at, job
  FROM runs JOIN oban_jobs ON id = job
)
SELECT a.root, b.root FROM told a JOIN told b ON b.job > a.job AND b.root <> a.root
WHERE b.started_at < a.started_at OR b.started_at < a.finished_at
"""


def line(count: int) -> list[Workflow]:
    """Build workflows of two jobs, one after the other, which wait for each other."""
    return [
        Workflow(id=f"w{n}", unique="k", on_conflict="queue")
        .add("a", Step.new({"seconds": 0.02}))
        .add("b", Step.new({"seconds": 0.02}), deps="a")
        for n in range(count)
    ]


async def enqueue(oban: Oban, count: int) -> None:
    for workflow in line(count):
        await oban.enqueue_many(workflow)


async def assert_one_after_the_other(conn: AsyncConnection, count: int) -> None:
    assert await rows(conn, TWO_AT_ONCE) == []
    counts = await rows(conn, "SELECT state::text, count(*) FROM oban_jobs GROUP BY state")
    assert counts == [("completed", 2 * count)]
    assert await rows(conn, "SELECT FROM oban_workflow_keys") == []
    await assert_consistent(conn)


class TestKilledHolders:
    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("commits", [True, False])
    @pytest.mark.parametrize("moment", MOMENTS)
    async def test_hand_over_once_wherever_they_die(
        self,
        oban: Oban,
        conn: AsyncConnection,
        dsn: str,
        wait_until: Any,
        moment: str,
        *,
        commits: bool,
    ) -> None:
        """What the server does after the node has died: it commits, or its connection is lost."""
        await conn.execute(GATE.encode())
        await conn.execute(
            f"CREATE TRIGGER still {MOMENTS[moment]} EXECUTE FUNCTION stand_still()".encode()
        )
        await enqueue(oban, 3)

        async def stands_still() -> bool:
            return bool(await rows(conn, f"SELECT pid {DOOMED} AND wait_event = 'PgSleep'"))

        async def is_gone() -> bool:
            return not await rows(conn, f"SELECT pid {DOOMED}")

        with (
            Nodes(make_conninfo(dsn, application_name="doomed"), dsn, settings="brief") as doomed,
            Nodes(dsn, settings="brief") as nodes,
        ):
            node = doomed.start()
            await wait_until(stands_still, timeout=30)
            doomed.kill(node)

            if not commits:
                await rows(conn, f"SELECT pg_terminate_backend(pid) {DOOMED}")

            await conn.execute("UPDATE gate SET is_open = true")
            await wait_until(is_gone, timeout=30)
            nodes.start()
            await drain(conn, 60)

        await assert_one_after_the_other(conn, 3)

    @pytest.mark.timeout(300)
    async def test_hand_over_a_long_line_at_whatever_moment_they_die(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        rng = random.Random(3)
        await enqueue(oban, WORKFLOWS)

        with Nodes(dsn, limit=2, settings="brief") as nodes:
            for _ in range(2):
                nodes.start()

            for n in range(1, KILLS + 1):
                await wait_for_runs(conn, n * 2 * WORKFLOWS // (KILLS + 2))
                await asyncio.sleep(rng.random() / 20)
                nodes.kill(rng.choice(nodes.running))
                nodes.start()

            await drain(conn, 200)

        await assert_one_after_the_other(conn, WORKFLOWS)
