"""Queues with limits over all nodes: how many execute at once, how many start in a period."""

import asyncio
import re
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, worker
from oban._executor import AckAction
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidArgumentError, InvalidOptionError
from oban_pro.model.queue_limits import check_queue
from tests.support.cli import invoke
from tests.support.engine import make_job
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.silence import rescue

GLOBAL = {"global_limit": 2}
BY_CUSTOMER = {"fields": ["args"], "keys": ["customer"]}
RATE = {"rate_limit": {"allowed": 3, "period": 60}}

running: Counter[str] = Counter()
most: Counter[str] = Counter()


@worker(queue="calls")
class Call(Worker):
    async def process(self, job: Job) -> None:
        kind = str(job.args.get("customer"))
        running[kind] += 1
        most[kind] = max(most[kind], running[kind])
        most["all"] = max(most["all"], running.total())

        try:
            await asyncio.sleep(0.01)
        finally:
            running[kind] -= 1


class Queue:
    """A queue, and producers that run nothing by themselves."""

    def __init__(self, oban: Oban, conn: AsyncConnection) -> None:
        self.oban = oban
        self.query = oban._query
        self.conn = conn

    async def join(self, **meta: Any) -> list[str]:
        """Announce a producer; returns what it signs jobs with."""
        uuid = str(uuid4())
        meta["oban_workflows_patience"] = 60.0
        await self.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta=meta
        )

        return ["node", uuid]

    async def add(self, *customers: Any, **options: Any) -> None:
        jobs = [make_job(args={"customer": one}, **options) for one in customers]
        await self.oban.enqueue_many(jobs)

    async def take(self, node: list[str], demand: int = 100) -> list[Job]:
        return await session_of(self.query).execute(
            lambda store: store.fetch("default", demand, node)
        )

    async def taken(self, node: list[str], demand: int = 100) -> list[Any]:
        return [job.args["customer"] for job in await self.take(node, demand)]

    async def ack(self, *jobs: Job, state: str = "completed") -> None:
        await self.query.ack_jobs([AckAction(job=job, state=state) for job in jobs])

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = await self.conn.execute(statement.encode())

        return await cursor.fetchall() if cursor.description is not None else []


@pytest.fixture
async def queue(oban: Oban, conn: AsyncConnection) -> Queue:
    return Queue(oban, conn)


class TestGlobalLimit:
    async def test_lets_as_many_execute_as_it_says(self, queue: Queue) -> None:
        one, two = await queue.join(**GLOBAL), await queue.join(**GLOBAL)
        await queue.add(*"abcd")
        first, second = await queue.take(one, 1), await queue.take(two)
        assert (len(first), len(second)) == (1, 1)
        assert await queue.take(one) == []
        await queue.ack(*first)
        assert await queue.taken(two) == ["c"]

    async def test_is_the_strictest_that_a_living_node_announced(self, queue: Queue) -> None:
        one, two = await queue.join(global_limit=3), await queue.join(global_limit=1)
        await queue.add(*"abcd")
        assert len(await queue.take(one)) == 1
        await queue.query.delete_producer(two[1])
        assert len(await queue.take(one)) == 2
        await queue.query.delete_producer(one[1])
        assert await queue.rows("SELECT FROM oban_workflow_queues") == []
        assert len(await queue.take(one)) == 1

    async def test_holds_for_nodes_that_announced_none(self, queue: Queue) -> None:
        await queue.join(**GLOBAL)
        other = await queue.join()
        await queue.add(*"abc")
        jobs = await queue.take(other)
        assert len(jobs) == 2
        acks = [AckAction(job=job, state="completed") for job in jobs]
        assert len(await queue.query.ack_jobs(acks)) == 2
        assert await queue.taken(other) == ["c"]

    async def test_counts_an_execution_until_it_has_ended(self, queue: Queue) -> None:
        one = await queue.join(global_limit=1)
        await queue.add(*"ab")
        (job,) = await queue.take(one)
        await queue.rows(f"UPDATE oban_jobs SET state = 'cancelled' WHERE id = {job.id}")
        assert await queue.take(one) == []
        await queue.ack(job)
        assert await queue.taken(one) == ["b"]

    async def test_counts_jobs_of_a_killed_node_until_they_are_rescued(self, queue: Queue) -> None:
        one, two = await queue.join(global_limit=1), await queue.join(global_limit=1)
        await queue.add(*"ab")
        assert await queue.taken(one) == ["a"]
        assert await queue.take(two) == []
        await queue.rows("DELETE FROM oban_workflow_hearing")
        await queue.rows(
            "INSERT INTO oban_workflow_hearing VALUES"
            " (timezone('UTC', now()) - interval '1 h', timezone('UTC', now()))"
        )
        await queue.rows(
            "UPDATE oban_producers SET updated_at = updated_at - interval '61 s'"
            f" WHERE uuid = '{one[1]}'"
        )
        await queue.rows("UPDATE oban_jobs SET attempted_at = attempted_at - interval '61 s'")
        await rescue(queue.query)
        assert await queue.taken(two) == ["a"]
        assert await queue.take(two) == []

    async def test_is_announced_anew_by_a_scaled_producer(
        self, queue: Queue, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban(queues={"other": {"limit": 5, "global_limit": 3}})
        limit = "SELECT global_limit FROM oban_workflow_queues WHERE queue = 'other'"
        assert await queue.rows(limit) == [(3,)]
        await oban._scale_queue_local("other", global_limit=4)
        assert await queue.rows(limit) == [(4,)]
        await oban._scale_queue_local("other", global_limit=None)
        assert await queue.rows(limit) == []

    async def test_survives_a_crash_of_the_database(self, queue: Queue) -> None:
        """The table of oban's producers is unlogged, so it is empty then."""
        await queue.join(global_limit=1)
        await queue.rows("TRUNCATE oban_producers")
        two = await queue.join(global_limit=5)
        await queue.add(*"abc")
        assert len(await queue.take(two)) == 1


class TestRateLimit:
    async def test_lets_as_many_start_in_a_period(self, queue: Queue) -> None:
        one, two = await queue.join(**RATE), await queue.join(**RATE)
        await queue.add(*"abcdefg")
        assert await queue.taken(one, 2) == ["a", "b"]
        assert await queue.taken(two) == ["c"]
        await queue.rows("UPDATE oban_workflow_windows SET opened_at = opened_at - interval '59 s'")
        assert await queue.take(two) == []
        await queue.rows("UPDATE oban_workflow_windows SET opened_at = opened_at - interval '2 s'")
        assert len(await queue.take(one)) == 3

    async def test_is_told_by_explain(self, queue: Queue) -> None:
        node = await queue.join(**RATE, global_limit=50)
        workflow = Workflow(id="calls").add_many("call", [make_job() for _ in range(5)])
        await queue.oban.enqueue_many(workflow)
        waiting = "job 'call/4' is next in queue 'default', which 1 node runs; on all nodes it runs"
        limits = "at most 50 at once and 3 in 1 minute"
        told = (await workflow.explain("call/4")).summary
        assert told == f"{waiting} {limits}"

        assert len(await queue.take(node)) == 3
        told = (await workflow.explain("call/4")).summary
        assert re.fullmatch(rf"{waiting} {limits}, and the next starts in (5\d|60)s", told) or (
            told == f"{waiting} {limits}, and the next starts in 1m"
        )

    async def test_of_a_divided_queue_is_told_of_each_kind(self, queue: Queue) -> None:
        await queue.join(global_limit=1, partition=BY_CUSTOMER)
        workflow = Workflow(id="calls").add("call", make_job())
        await queue.oban.enqueue_many(workflow)
        assert (await workflow.explain("call")).summary.endswith("at most 1 at once of each kind")

    async def test_a_rate_limit_counts_every_start_of_a_job(self, queue: Queue) -> None:
        one = await queue.join(rate_limit={"allowed": 2, "period": 60})
        await queue.add(*"ab")
        (job,) = await queue.take(one, 1)
        await queue.query.ack_jobs([AckAction(job=job, state="scheduled", schedule_in=0)])
        await queue.rows("UPDATE oban_jobs SET state = 'available' WHERE state = 'scheduled'")
        assert len(await queue.take(one)) == 1
        assert await queue.take(one) == []


class TestPartition:
    async def test_gives_each_kind_limits_of_its_own(self, queue: Queue) -> None:
        one = await queue.join(global_limit=1, partition=BY_CUSTOMER)
        await queue.add("a", "a", "b", "a", "c")
        assert await queue.taken(one) == ["a", "b", "c"]
        assert await queue.take(one) == []

    async def test_gives_each_kind_a_period_of_its_own(self, queue: Queue) -> None:
        rate = {"allowed": 2, "period": 60}
        one = await queue.join(rate_limit=rate, partition=BY_CUSTOMER)
        await queue.add("a", "a", "a", "b", "a", "b", "b")
        assert await queue.taken(one) == ["a", "a", "b", "b"]
        assert await queue.take(one) == []

    async def test_compares_values_as_json_does(self, queue: Queue) -> None:
        one = await queue.join(global_limit=1, partition=BY_CUSTOMER)
        await queue.add(1, 1.0, "1", True, None, {"a": 1, "b": 2}, {"b": 2, "a": 1})
        await queue.oban.enqueue_many([make_job(args={}), make_job(args={})])
        jobs = await queue.take(one)
        kinds = [job.args.get("customer", "missing") for job in jobs]
        assert kinds == [1, "1", True, None, {"a": 1, "b": 2}, "missing"]

    async def test_tells_apart_by_worker_tags_and_meta(self, queue: Queue) -> None:
        partition = {"fields": ["worker", "tags", "meta"], "keys": ["region"]}
        one = await queue.join(global_limit=1, partition=partition)
        jobs = [
            Job("a.B", tags=["x"], meta={"region": "eu"}),
            Job("a.C", tags=["x"], meta={"region": "eu"}),
            Job("a.B", tags=["y"], meta={"region": "eu"}),
            Job("a.B", tags=["x"], meta={"region": "us"}),
            Job("a.B", tags=["x"], meta={"region": "eu", "other": 1}),
        ]
        await queue.oban.enqueue_many(jobs)
        assert len(await queue.take(one)) == 4

    async def test_does_not_let_a_busy_kind_hold_up_others(self, queue: Queue) -> None:
        one = await queue.join(global_limit=1, partition=BY_CUSTOMER)
        await queue.add(*["a"] * 9_998, "b")
        assert await queue.taken(one, 5) == ["a", "b"]

    async def test_passes_over_a_job_that_somebody_holds(
        self, queue: Queue, pool: AsyncConnectionPool
    ) -> None:
        one = await queue.join(global_limit=1, partition=BY_CUSTOMER)
        await queue.add("a", "a")

        async with pool.connection() as conn, conn.transaction():
            await conn.execute("SELECT FROM oban_jobs ORDER BY id LIMIT 1 FOR UPDATE")
            (job,) = await queue.take(one)
            assert await queue.rows("SELECT min(id) FROM oban_jobs") == [((job.id or 0) - 1,)]


class TestPartitionIndex:
    async def test_lets_others_pass_any_number_of_jobs(self, queue: Queue, dsn: str) -> None:
        one = await queue.join(global_limit=1, partition=BY_CUSTOMER)
        await queue.add("c", "c", *["a"] * 12_000, "b", {"x": [1, None, "ü"]}, priority=1)
        await queue.oban.enqueue_many([make_job(args={"customer": "b"}), make_job(args={})])
        assert await queue.taken(one, 1) == ["b"]
        done = await asyncio.to_thread(invoke, dsn, "partition", "default")
        assert done.stdout == "The index of the partition of queue default is built.\n"
        jobs = await queue.take(one, 9)
        assert [job.args.get("customer", "missing") for job in jobs] == [
            "missing",
            "c",
            "a",
            {"x": [1, None, "ü"]},
        ]
        assert await queue.take(one, 9) == []
        await queue.ack(*jobs)
        assert await queue.taken(one, 9) == ["c", "a"]
        done = await asyncio.to_thread(invoke, dsn, "partition", "default")
        assert done.stdout == "The index of the partition of queue default was there already.\n"

    async def test_is_built_anew_where_it_was_left_unfinished(self, queue: Queue, dsn: str) -> None:
        await queue.join(global_limit=1, partition=BY_CUSTOMER)
        ((statement,),) = await queue.rows(
            "SELECT statement FROM oban_workflow_partition_index_v1('default')"
        )
        await queue.rows(statement)
        await queue.rows(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid::regclass::text LIKE 'oban_jobs_partition%'"
        )
        done = await asyncio.to_thread(invoke, dsn, "partition", "default")
        assert done.stdout == "The index of the partition of queue default is built.\n"
        ready = "SELECT is_ready FROM oban_workflow_partition_index_v1('default')"
        assert await queue.rows(ready) == [(True,)]

    def test_takes_a_node_that_says_what_jobs_are_told_apart_by(self, dsn: str) -> None:
        done = invoke(dsn, "partition", "other")
        assert done.exit_code == 1
        assert "no node that is alive has announced a partition of queue 'other'" in done.stderr


class TestNodes:
    @pytest.mark.parametrize(
        ("options", "bounds"),
        [
            ({"global_limit": 3}, {"all": 3}),
            (
                {"global_limit": 1, "partition": BY_CUSTOMER},
                {"acme": 1, "initech": 1, "hooli": 1},
            ),
        ],
    )
    async def test_run_no_more_than_allowed_and_all_of_it(
        self,
        start_oban: StartOban,
        wait_until: WaitUntil,
        options: dict[str, Any],
        bounds: dict[str, int],
        conn: AsyncConnection,
    ) -> None:
        running.clear()
        most.clear()
        queues = {"calls": {"limit": 4, **options}}
        nodes = [await start_oban(queues=queues, name=f"n{n}", node=f"n{n}") for n in range(3)]
        customers = ["acme", "acme", "initech", "hooli"] * 15
        await nodes[0].enqueue_many([Call.new({"customer": one}) for one in customers])

        async def done() -> bool:
            cursor = await conn.execute("SELECT FROM oban_jobs WHERE state <> 'completed' LIMIT 1")

            return await cursor.fetchone() is None

        await wait_until(done, timeout=30)
        assert {kind: most[kind] for kind in bounds} == bounds

    async def test_run_workflows_as_well(self, start_oban: StartOban) -> None:
        running.clear()
        most.clear()
        oban = await start_oban(queues={"calls": {"limit": 9, "global_limit": 2}})
        jobs = [Call.new({"customer": n}) for n in range(10)]
        workflow = Workflow().add_many("calls", jobs).add("last", Call.new({}), deps="calls")
        await oban.enqueue_many(workflow)
        assert (await workflow.wait(timeout=20)).state == "completed"
        assert most["all"] == 2


class TestOptions:
    def test_are_announced_with_periods_in_seconds(self) -> None:
        rate = {"allowed": 60, "period": timedelta(minutes=1)}
        partition = {"fields": "args", "keys": "customer"}
        options = {"global_limit": 10, "rate_limit": rate, "partition": partition}
        assert check_queue("q", options) == {
            "global_limit": 10,
            "rate_limit": {"allowed": 60, "period": 60.0},
            "partition": {"fields": ["args"], "keys": ["customer"]},
        }

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"global_limt": 1}, InvalidArgumentError, "did you mean 'global_limit'"),
            (
                {"global_limit": True},
                InvalidArgumentError,
                "global_limit of queue 'q' must be an int",
            ),
            ({"global_limit": 0}, InvalidOptionError, "must be from 1"),
            ({"rate_limit": 5}, InvalidArgumentError, "must be as in"),
            ({"rate_limit": {"allowed": 1}}, InvalidArgumentError, "must be as in"),
            (
                {"rate_limit": {"allowed": 1, "period": 0}},
                InvalidOptionError,
                "period of rate_limit of queue 'q' must be positive",
            ),
            ({"partition": {"fields": ["args"]}}, InvalidArgumentError, "goes with a global_limit"),
            ({"partition": {"fields": ["arg"]}}, InvalidArgumentError, "did you mean 'args'"),
            (
                {"partition": {"fields": ["worker"], "keys": ["a"]}},
                InvalidArgumentError,
                "go with the fields args and meta",
            ),
            ({"partition": {"fields": []}}, InvalidArgumentError, "must be a list of strings"),
        ],
    )
    def test_that_cannot_work_are_refused(
        self, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            check_queue("q", options)

    async def test_are_refused_before_a_node_starts(self, pool: AsyncConnectionPool) -> None:
        with pytest.raises(InvalidArgumentError, match="queue 'q' has no 'global_limt'"):
            Oban(pool=pool, queues={"q": {"limit": 1, "global_limt": 1}})
