"""What things cost, as far as it does not vary from run to run: rows, buffers, WAL, memory."""

import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import sub
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, sql
from oban_pro._host import AckAction
from oban_pro._plugin.ack_encoding import encode, join
from oban_pro.engine.results import Acks
from oban_pro.engine.store import Store

NODE = ["node", str(uuid4())]
BATCH = 50

TABLES = ("oban_jobs", "oban_workflow_members", "oban_workflow_groups", "oban_workflow_edges")
READ = """
SELECT relname, seq_tup_read, COALESCE(idx_tup_fetch, 0), n_tup_ins + n_tup_upd + n_tup_del
FROM pg_stat_xact_user_tables WHERE relname = ANY(%s)
"""


type Encode = Callable[[list[Job]], Acks]


class Rows(NamedTuple):
    """Rows that a transaction read by scanning, read by an index, and wrote."""

    scanned: int
    looked_up: int
    written: int


@worker()
class Noop(Worker):
    async def process(self, job: Job) -> None:
        pass


def fan_out(size: int) -> Workflow:
    return (
        Workflow()
        .add("first", Noop.new({}))
        .add_many("all", [Noop.new({"n": n}) for n in range(size)], deps="first")
        .add("last", Noop.new({}), deps="all")
    )


def chains(size: int) -> list[Job]:
    """Many workflows of two jobs, one after the other."""
    jobs: list[Job] = []

    for _ in range(size // 2):
        workflow = Workflow().add("one", Noop.new({})).add("two", Noop.new({}), deps="one")
        jobs.extend(workflow)

    return jobs


def plain(size: int) -> list[Job]:
    return [Noop.new({"n": n}) for n in range(size)]


SHAPES: dict[str, Any] = {"fan-out": fan_out, "chains": chains, "plain jobs": plain}


@asynccontextmanager
async def tables(pool: AsyncConnectionPool, oban: Oban, state: str) -> AsyncIterator[Store]:
    """Bring the tables into a state that PostgreSQL plans by; then yield one connection."""
    async with pool.connection() as conn:
        store = Store(conn, "public")

        if state != "empty":
            await oban.enqueue_many(fan_out(10 if state == "grown" else 300))
            await _drain(store)
            await conn.commit()
            await conn.execute("ANALYZE oban_jobs, oban_workflow_members, oban_workflow_groups")
            await conn.commit()

        if state == "truncated":
            await conn.execute("TRUNCATE oban_jobs")
            await conn.commit()

        if state == "grown":
            # plans are made for what is there now, and kept
            await oban.enqueue_many([*fan_out(10), *chains(10)])
            await _drain(store, batch=1)
            await conn.commit()

        yield store


async def _drain(store: Store, batch: int = BATCH, acks: Encode | None = None) -> None:
    jobs = await store.fetch("default", batch, NODE)

    while jobs:
        _, _, jobs = await store.ack((acks or _acks)(jobs), "default", batch, NODE)


def _acks(jobs: list[Job]) -> Acks:
    return join([encode(AckAction(job, "completed")) for job in jobs])


def _recorded(jobs: list[Job]) -> Acks:
    return join(
        [
            encode(AckAction(job, "completed", meta={"recorded": True, "return": "x"}))
            for job in jobs
        ]
    )


async def _third_batch(store: Store, oban: Oban, jobs: Any) -> list[Job]:
    """Enqueue jobs, settle two batches, and take the third."""
    await oban.enqueue_many(jobs)
    batch = await store.fetch("default", BATCH, NODE)

    for _ in range(2):
        _, _, batch = await store.ack(_acks(batch), "default", BATCH, NODE)

    await store._conn.commit()
    assert len(batch) == BATCH

    return batch


async def _rows(conn: AsyncConnection[Any]) -> dict[str, Rows]:
    cursor = await conn.cursor(row_factory=tuple_row).execute(READ, [[*TABLES]])

    return {name: Rows(*counts) for name, *counts in await cursor.fetchall()}


async def _cost(store: Store, jobs: list[Job], acks: Encode | None = None) -> dict[str, Rows]:
    """Settle a batch, take the next one, and tell what that touched."""
    # counts of earlier transactions are in there until they are reported
    before = await _rows(store._conn)
    await store.ack((acks or _acks)(jobs), "default", BATCH, NODE)
    after = await _rows(store._conn)
    await store._conn.commit()

    return {
        name: Rows(*map(sub, rows, before.get(name, Rows(0, 0, 0)))) for name, rows in after.items()
    }


async def _explain(store: Store, jobs: list[Job]) -> tuple[int, int]:
    """Settle a batch and take the next one; returns buffers, and records of WAL."""
    params = {
        **_acks(jobs)._asdict(),
        "queue": "default",
        "demand": BATCH,
        "attempted_by": NODE,
        "waits": True,
    }
    explain = "EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON) " + sql.statement(
        "queries/ack", "public"
    )
    cursor = await store._conn.execute(explain.encode(), params)
    row = await cursor.fetchone()
    await store._conn.commit()
    assert row is not None
    plan = row[0][0]["Plan"]

    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["WAL Records"]


async def _of(store: Store, oban: Oban, jobs: Any, acks: Encode | None = None) -> dict[str, Rows]:
    """Enqueue jobs, tell what their third batch touches, and settle the rest."""
    cost = await _cost(store, await _third_batch(store, oban, jobs), acks)
    await _drain(store, acks=acks)

    return cost


@pytest.mark.parametrize("state", ["empty", "truncated", "analyzed", "grown"])
class TestAck:
    async def test_of_a_fan_out_touches_the_same_rows_whatever_its_size(
        self, oban: Oban, pool: AsyncConnectionPool, state: str
    ):
        async with tables(pool, oban, state) as store:
            costs = [await _of(store, oban, fan_out(size)) for size in (300, 3_000)]

        assert costs[0] == costs[1]
        # settled and taken; no member waits for a single one; one group
        assert costs[0]["oban_jobs"].written == 2 * BATCH
        assert costs[0].get("oban_workflow_members", Rows(0, 0, 0)).written == 0
        assert costs[0]["oban_workflow_groups"].written == 1

    async def test_of_many_workflows_touches_the_same_rows_however_many_there_are(
        self, oban: Oban, pool: AsyncConnectionPool, state: str
    ):
        async with tables(pool, oban, state) as store:
            costs = [await _of(store, oban, chains(size)) for size in (400, 4_000)]

        assert costs[0] == costs[1]
        # settled, released and taken; each releases one, and counts both in its own group
        assert costs[0]["oban_jobs"].written == 3 * BATCH
        assert costs[0]["oban_workflow_members"].written == BATCH
        assert costs[0]["oban_workflow_groups"].written == BATCH

    @pytest.mark.parametrize("shape", SHAPES)
    async def test_an_ack_scans_no_table(
        self, oban: Oban, pool: AsyncConnectionPool, state: str, shape: str
    ):
        async with tables(pool, oban, state) as store:
            cost = await _cost(store, await _third_batch(store, oban, SHAPES[shape](3_000)))

        assert {name: rows.scanned for name, rows in cost.items() if rows.scanned} == {}

    async def test_that_records_results_touches_the_same_rows_whatever_the_size(
        self, oban: Oban, pool: AsyncConnectionPool, state: str
    ):
        async with tables(pool, oban, state) as store:
            costs = [await _of(store, oban, fan_out(size), _recorded) for size in (300, 3_000)]

        assert costs[0] == costs[1]
        assert costs[0]["oban_jobs"].scanned == 0

    async def test_reads_no_more_buffers_and_writes_no_more_log_in_a_larger_fan_out(
        self, oban: Oban, pool: AsyncConnectionPool, state: str
    ):
        costs = []

        async with tables(pool, oban, state) as store:
            for size in (300, 3_000):
                batch = await _third_batch(store, oban, fan_out(size))
                costs.append(await _explain(store, batch))
                await _drain(store)

        # a level more of an index, a page of one that is split
        (buffers, records), (more_buffers, more_records) = costs
        assert more_buffers <= 1.5 * buffers, costs
        assert more_records <= 1.5 * records, costs


class TestEnqueueing:
    async def test_takes_less_than_a_kilobyte_for_each_job_beside_the_job(self, oban: Oban):
        await oban.enqueue_many(fan_out(10))
        jobs = [Noop.new({"n": n}) for n in range(10_000)]
        gc.collect()
        tracemalloc.start()

        try:
            before, _ = tracemalloc.get_traced_memory()
            workflow = Workflow().add_many("all", jobs)
            inserted = await oban.enqueue_many(workflow)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert len(inserted) == len(jobs)
        assert (peak - before) / len(jobs) < 1024


FORBIDDING = """
SELECT proname FROM pg_proc
WHERE proname LIKE 'oban_workflow%' AND proconfig::text LIKE '%enable_%=off%'
"""


class TestPlans:
    async def test_that_are_forced_are_not_compiled_for_what_they_seem_to_cost(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        async with pool.connection() as conn:
            forbidding = await (await conn.execute(FORBIDDING)).fetchall()
            compiled = await conn.execute(FORBIDDING + "AND NOT 'jit=off' = ANY(proconfig)")

            assert ("oban_workflow_ack_v1",) in forbidding
            assert await compiled.fetchall() == []
