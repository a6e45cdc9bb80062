"""What joins cost: as much as members that wait for all."""

from functools import partial
from typing import Any

import pytest
from oban import Job, Oban
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, sql
from oban_pro._host import AckAction
from oban_pro._plugin.ack_encoding import encode, join
from oban_pro.engine.store import Store
from tests.support.engine import make_job

NODE = ["node", "01890a5d-ac96-774b-bcce-b302099a8057"]
BATCH = 50
SIZE = 1_000

TABLES = (
    "oban_jobs",
    "oban_workflow_members",
    "oban_workflow_groups",
    "oban_workflow_edges",
    "oban_workflow_joins",
)
WRITTEN = """
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int, sum(seq_tup_read)::int
FROM pg_stat_xact_user_tables WHERE relname = ANY(%s)
"""
COMPLETED = partial(AckAction, state="completed", meta={"recorded": True, "return": "x"})
DISCARDED = partial(AckAction, state="discarded", error={"error": "boom"})


def met(_context: dict[str, Any]) -> bool:
    return True


def fan_in(**options: Any) -> Workflow:
    """Build a job that depends on very many."""
    workflow = Workflow()

    for n in range(SIZE):
        workflow.add(f"{n}", make_job())

    return workflow.add("end", make_job(), deps=[f"{n}" for n in range(SIZE)], **options)


async def cost(store: Store, oban: Oban, settle: Any, **options: Any) -> tuple[int, int]:
    """Settle a batch in the middle of a fan-in; returns rows that were written, and buffers."""
    await oban.enqueue_many(fan_in(**options))
    await store._conn.execute("ANALYZE")
    batch = await store.fetch("default", BATCH, NODE)

    for _ in range(3):
        _, _, batch = await store.ack(_acks(batch, settle), "default", BATCH, NODE)

    await store._conn.commit()
    before, _ = await _counts(store._conn)
    statement = sql.statement("queries/ack", "public")
    params = {
        **_acks(batch, settle)._asdict(),
        "queue": "default",
        "demand": 0,
        "attempted_by": NODE,
        "waits": True,
    }
    cursor = await store._conn.execute(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), params
    )
    row = await cursor.fetchone()
    after, scanned = await _counts(store._conn)
    assert row is not None
    assert scanned == 0
    await store._conn.execute("TRUNCATE oban_jobs")
    await store._conn.commit()
    plan = row[0][0]["Plan"]

    return after - before, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _acks(jobs: list[Job], settle: Any) -> Any:
    return join([encode(settle(job)) for job in jobs])


async def _counts(conn: AsyncConnection[Any]) -> tuple[int, int]:
    cursor = await conn.cursor(row_factory=tuple_row).execute(WRITTEN, [[*TABLES]])
    row = await cursor.fetchone()
    assert row is not None

    return row[0] or 0, row[1] or 0


async def rows_of_a_wave(oban: Oban, pool: AsyncConnectionPool, *steps: str) -> int:
    """Settle a job and the thousand jobs behind it; returns rows that were written."""
    workflow = Workflow().add("first", make_job(), when=met)

    for n in range(SIZE):
        workflow.add(f"{n}", make_job(), deps="first")

    await oban.enqueue_many(workflow.add("end", make_job(), deps=[f"{n}" for n in range(SIZE)]))

    async with pool.connection() as conn:
        for step in steps:
            await conn.execute(f"UPDATE oban_jobs SET state = 'completed', {step}".encode())

        written, _ = await _counts(conn)
        await conn.execute("TRUNCATE oban_jobs")

    return written


class TestASkippedWave:
    async def test_writes_no_more_rows_than_one_that_completes(
        self, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        first = "WHERE meta ->> 'name' = 'first'"
        skipped = f'meta = meta || \'{{"skipped": "not met"}}\' {first}'
        completed = [f"attempt = 1 {first}", "attempt = 1 WHERE state = 'available'"]
        rows = await rows_of_a_wave(oban, pool, skipped)
        assert SIZE < rows <= await rows_of_a_wave(oban, pool, *completed)


class TestUpstreamsOfOneJoin:
    @pytest.mark.parametrize("settle", [COMPLETED, DISCARDED], ids=["completed", "discarded"])
    async def test_cost_as_much_as_those_of_a_member_that_waits_for_all(
        self, oban: Oban, pool: AsyncConnectionPool, settle: Any
    ) -> None:
        async with pool.connection() as conn:
            store = Store(conn, "public")
            # A connection plans what is in a function when it calls it for the first time.
            await cost(store, oban, settle, need=1)
            rows, buffers = await cost(store, oban, settle, ignore_discarded=True)
            joined = await cost(store, oban, settle, need=1)

        assert joined[0] == rows
        assert joined[1] <= 1.1 * buffers
