"""How jobs are taken: what oban's own statement takes, by a plan that holds."""

from typing import Any
from uuid import uuid4

import oban.schema as oban_schema
import pytest
from oban import Job, Oban, Worker, worker
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import _host
from oban_pro._plugin import get_jobs
from oban_pro.engine.store import Store
from tests.support.explained import buffers_of
from tests.support.fixtures import StartOban

NODE = ["node", "uuid"]

LIMITS: list[dict[str, Any]] = [
    {"local_limit": 10},
    {"global_limit": 30},
    {"global_limit": 30, "partition": {"fields": ["worker"], "keys": []}},
]

FETCH = "SELECT * FROM oban_workflow_fetch_v1('default', 10, '{node,uuid}')"


@worker()
class Noop(Worker):
    async def process(self, job: Job) -> None:
        pass


def _jobs() -> list[Job]:
    return [
        Noop.new({"n": 1}, priority=2),
        Noop.new({"n": 2}, priority=0, tags=["a"], meta={"k": [1]}),
        Noop.new({"n": 3}, priority=1),
        Noop.new({"n": 4}, queue="other"),
    ]


async def _fetch(pool: AsyncConnectionPool, demand: int = 10) -> list[Job]:
    async with pool.connection() as conn:
        return await Store(conn, "public").fetch("default", demand, NODE)


class TestFetch:
    async def test_takes_the_jobs_that_are_due_first_in_that_order(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        await oban.enqueue_many(_jobs())

        assert [job.args["n"] for job in await _fetch(pool, 2)] == [2, 3]
        assert [job.args["n"] for job in await _fetch(pool, 2)] == [1]

    async def test_takes_what_the_statement_of_oban_takes(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        await oban.enqueue_many(_jobs())
        ours = await _fetch(pool)

        async with pool.connection() as conn:
            await conn.execute("UPDATE oban_jobs SET state = 'available', attempt = 0")

        theirs = await oban._query.fetch_jobs(10, "default", *NODE)

        assert len(ours) == 3
        assert _by_id(ours) == _by_id(theirs)

    async def test_passes_over_jobs_without_attempts_left(
        self, oban: Oban, pool: AsyncConnectionPool
    ):
        await oban.enqueue_many(_jobs())

        async with pool.connection() as conn:
            await conn.execute("UPDATE oban_jobs SET attempt = max_attempts WHERE priority = 0")

        assert [job.args["n"] for job in await _fetch(pool)] == [3, 1]

    @pytest.mark.parametrize("history", [0, 10], ids=["never analyzed", "analyzed when small"])
    async def test_reads_no_more_of_a_table_that_has_grown(
        self, pool: AsyncConnectionPool, history: int
    ):
        insert = "INSERT INTO oban_jobs (worker) SELECT 'w' FROM generate_series(1, %s)"

        async with pool.connection() as conn:
            if history:
                await conn.execute(insert, [history])
                await conn.execute("ANALYZE oban_jobs")
                await Store(conn, "public").fetch("default", history, NODE)

            await conn.execute(insert, [10_000])
            before = await _rows_read(conn)
            taken = await Store(conn, "public").fetch("default", 10, NODE)
            read = await _rows_read(conn) - before

        assert len(taken) == 10
        # once to find it, once to lock it, once to update it
        assert read <= 3 * len(taken)

    @pytest.mark.parametrize("limits", LIMITS)
    async def test_does_not_read_the_jobs_of_queues_that_sort_behind(
        self, oban: Oban, conn: AsyncConnection[Any], limits: dict[str, Any]
    ):
        await oban._query.insert_producer(str(uuid4()), "Oban", "node", "default", limits)
        few = await buffers_of(conn, FETCH)
        await conn.execute(
            "INSERT INTO oban_jobs (worker, queue, state)"
            " SELECT 'w', 'later', (ARRAY['available', 'executing'])[n % 2 + 1]::oban_job_state"
            " FROM generate_series(1, 20000) AS n"
        )

        assert await buffers_of(conn, FETCH) <= few + 10


class TestHook:
    async def test_leaves_a_database_without_our_tables_to_oban(
        self, empty_dsn: str, wait_until: Any
    ):
        async with AsyncConnectionPool(empty_dsn, open=False) as pool:
            await oban_schema.install(pool)

            async with Oban(pool=pool, queues={"default": 10}) as node:
                job = await node.enqueue(Noop.new({}))

                async def is_completed() -> bool:
                    found = await node.get_job(job.id or 0)
                    return found is not None and found.state == "completed"

                await wait_until(is_completed)

    async def test_leaves_taking_to_whoever_was_hooked_in_before(self, start_oban: StartOban):
        node = await start_oban({"default": 1})
        job = Noop.new({})

        async def theirs(_producer: _host.Producer) -> list[Job]:
            return [job]

        assert await get_jobs.build(theirs)(node._producers["default"]) == [job]


def _by_id(jobs: list[Job]) -> dict[Any, dict[str, Any]]:
    return {job.id: _fields(job) for job in jobs}


async def _rows_read(conn: AsyncConnection[Any]) -> int:
    cursor = await conn.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relname = 'oban_jobs'"
    )
    (read,) = await cursor.fetchone() or (0,)

    return int(read)


def _fields(job: Job) -> dict[str, Any]:
    return {
        name: getattr(job, name) for name in Job.__slots__ if name not in ("attempted_at", "extra")
    }
