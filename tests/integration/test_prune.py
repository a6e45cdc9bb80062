"""What the pruner keeps, and what it takes away."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from oban import Job, Oban, telemetry
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg import AsyncConnection, IsolationLevel
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema, signal, sql
from oban_pro._plugin import prune as plugin
from oban_pro.engine.session import session_of
from tests.support.engine import Engine, make_job
from tests.support.fixtures import StartOban

AGE = 3_600
TABLES = ("oban_jobs", "oban_workflow_groups", "oban_workflow_members", "oban_workflow_edges")

# Everything that has happened so far, happened that much earlier.
AGED = """
UPDATE oban_jobs SET
  completed_at = completed_at - make_interval(secs => %(age)s),
  cancelled_at = cancelled_at - make_interval(secs => %(age)s),
  discarded_at = discarded_at - make_interval(secs => %(age)s);
UPDATE oban_workflow_groups SET
  inserted_at = inserted_at - make_interval(secs => %(age)s),
  stopped_at = stopped_at - make_interval(secs => %(age)s)
"""


async def age(engine: Engine, seconds: float = AGE + 1) -> None:
    for statement in AGED.split(";"):
        await engine.rows(statement, {"age": seconds})


async def prune(engine: Engine, limit: int = 10_000, *, again: bool = False) -> int:
    """Prune as a new leader does, or once more; returns how many jobs it says are gone."""
    if not again:
        plugin._starts.pop(engine.query, None)

    events: list[dict[str, Any]] = []
    telemetry.attach("prune", ["oban.pruner.prune.stop"], lambda _, meta: events.append(meta))

    try:
        await use_ext("pruner.prune", plain_prune, engine.query, AGE, limit)
    finally:
        telemetry.detach("prune")

    (event,) = events

    return int(event["pruned_count"])


@asynccontextmanager
async def deletions(engine: Engine) -> AsyncIterator[list[int]]:
    """Count the jobs that each transaction within the block deletes."""
    sizes: list[int] = []
    await engine.rows("CREATE TABLE deleted (n bigint GENERATED ALWAYS AS IDENTITY, at xid8)")
    await engine.rows(
        "CREATE FUNCTION deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO deleted (at) VALUES (pg_current_xact_id()); RETURN NULL; END; $$"
    )
    await engine.rows(
        "CREATE TRIGGER deleted AFTER DELETE ON oban_jobs FOR EACH ROW EXECUTE FUNCTION deleted()"
    )
    yield sizes
    sizes += [
        count
        for (count,) in await engine.rows(
            "SELECT count(*) FROM deleted GROUP BY at ORDER BY min(n)"
        )
    ]


async def rows_left(engine: Engine) -> list[int]:
    counts = [await engine.rows(f"SELECT count(*) FROM {table}") for table in TABLES]

    return [count for ((count,),) in counts]


def nested() -> Workflow:
    sub = Workflow().add("x", make_job()).add("y", make_job(), deps="x")

    return (
        Workflow()
        .add("a", make_job())
        .add_workflow("sub", sub, deps="a")
        .add_many("many", [make_job(), make_job()], deps="sub")
        .add_workflow("empty", Workflow(), deps="a")
        .add("b", make_job(), deps=["many", "empty"])
    )


async def run_all(engine: Engine, state: str = "completed") -> None:
    while jobs := await engine.fetch():
        await engine.ack(jobs, state)


class TestPlainJobs:
    async def test_are_looked_at_once_by_passes_of_one_leader(self, engine: Engine) -> None:
        await engine.oban.enqueue_many([make_job() for _ in range(3)])
        await engine.ack(await engine.fetch(demand=2), "completed")
        await age(engine)
        assert await prune(engine) == 2
        await engine.ack(await engine.fetch(), "completed")
        await age(engine, 2 * AGE)
        assert await prune(engine, again=True) == 0
        assert await prune(engine) == 1

    async def test_go_that_have_aged_since_the_last_pass(self, engine: Engine) -> None:
        await engine.oban.enqueue_many([make_job() for _ in range(4)])
        await engine.ack(await engine.fetch(demand=2), "completed")
        await age(engine)
        assert await prune(engine, limit=1) == 2
        await engine.ack(await engine.fetch(), "completed")
        await age(engine, AGE)
        assert await prune(engine, limit=1, again=True) == 2

    async def test_that_were_passed_over_go_with_the_next_whole_pass(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plugin, "WHOLE", 0.0)
        await engine.oban.enqueue_many([make_job()])
        await engine.ack(await engine.fetch(), "completed")
        assert await prune(engine) == 0
        await age(engine, 2 * AGE)
        assert await prune(engine, again=True) == 1

    async def test_go_when_they_have_settled_and_aged(self, engine: Engine) -> None:
        await engine.oban.enqueue_many([make_job() for _ in range(6)])
        jobs = await engine.fetch(demand=5)
        await engine.ack(jobs[:2], "completed")
        await engine.ack(jobs[2:3], "cancelled")
        await engine.ack(jobs[3:4], "discarded")
        assert await prune(engine) == 0
        await age(engine)
        assert await prune(engine) == 4
        assert await engine.rows("SELECT state FROM oban_jobs ORDER BY id") == [
            ("executing",),
            ("available",),
        ]

    async def test_go_no_more_at_once_than_the_limit_until_none_is_left(
        self, engine: Engine
    ) -> None:
        await engine.oban.enqueue_many([make_job() for _ in range(7)])
        jobs = await engine.fetch()
        await engine.ack(jobs[:5], "completed")
        await engine.ack(jobs[5:], "discarded")
        await age(engine)

        async with deletions(engine) as sizes:
            assert await prune(engine, limit=2) == 7

        assert sizes == [2, 2, 1, 2]

    async def test_stay_when_somebody_retries_them_meanwhile(
        self, engine: Engine, dsn: str
    ) -> None:
        await engine.oban.enqueue_many([make_job()])
        await run_all(engine)
        await age(engine)

        async with await AsyncConnection.connect(dsn) as other:
            await other.execute("UPDATE oban_jobs SET state = 'available'")
            assert await prune(engine) == 0

        assert await engine.rows("SELECT state FROM oban_jobs") == [("available",)]


class TestWorkflows:
    async def test_stay_whole_while_anything_in_them_has_not_settled(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await engine.complete("a")
        await engine.complete("sub/x")
        before = await rows_left(engine)
        await age(engine)
        assert await prune(engine) == 0
        assert await rows_left(engine) == before

    async def test_stay_until_the_last_job_has_aged(self, engine: Engine) -> None:
        await engine.enqueue(Workflow().add("a", make_job()).add("b", make_job()))
        await engine.complete("a")
        await age(engine)
        await engine.complete("b")
        assert await prune(engine) == 0
        await age(engine)
        assert await prune(engine) == 2

    @pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
    async def test_go_with_all_that_is_kept_about_them(self, engine: Engine, state: str) -> None:
        await engine.enqueue(nested())
        await run_all(engine, state)
        await age(engine)
        assert await prune(engine) == 6
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_go_one_by_one(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        await engine.oban.enqueue_many([*Workflow().add("later", make_job())])
        assert await prune(engine) == 6
        assert await rows_left(engine) == [1, 1, 1, 0]
        await engine.check()

    async def test_go_though_their_jobs_are_gone_already(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await engine.rows("DELETE FROM oban_jobs")
        await age(engine)
        assert await prune(engine) == 0
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_stay_when_they_are_opened_again(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        await engine.retry("b")
        assert await prune(engine) == 0
        assert (await rows_left(engine))[0] == 6

    async def test_stay_while_somebody_opens_them_again(self, engine: Engine, dsn: str) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)

        async with await AsyncConnection.connect(dsn) as other:
            await other.execute("UPDATE oban_jobs SET state = 'available' WHERE id = %s", (1,))
            assert await prune(engine) == 0

        await engine._learn()
        assert (await rows_left(engine))[0] == 6

    async def test_go_until_none_is_left_no_more_at_once_than_the_limit(
        self, engine: Engine
    ) -> None:
        workflows = [Workflow().add(f"{n}", make_job()).add(f"{n}b", make_job()) for n in range(5)]
        await engine.enqueue(*workflows)
        await run_all(engine)
        await age(engine)

        async with deletions(engine) as sizes:
            assert await prune(engine, limit=4) == 10

        assert sizes == [4, 4, 2]
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_wait_for_the_next_pass_while_somebody_holds_a_job_of_theirs(
        self, engine: Engine, dsn: str
    ) -> None:
        for name in "abc":
            one = Workflow(id=name).add(name, make_job()).add(name * 2, make_job())
            await engine.enqueue(one)

        await run_all(engine)
        await age(engine)

        async with await AsyncConnection.connect(dsn) as other:
            await other.execute("SELECT FROM oban_jobs WHERE id = %s FOR UPDATE", [engine.ids["b"]])
            assert await prune(engine) == 4
            # one that is too large to go at once
            assert await prune(engine, limit=1) == 0

        assert await engine.rows("SELECT id FROM oban_workflow_groups") == [("b",)]
        assert await prune(engine) == 2

    async def test_are_known_no_more_and_may_come_again(self, engine: Engine) -> None:
        for _ in range(2):
            await engine.enqueue(Workflow(id="again").add("a", make_job()))
            await run_all(engine)
            await age(engine)
            assert await prune(engine) == 1
            assert (await Workflow(id="again").status()).state == "unknown"


class TestJobsOfWhichAnExecutionHasNotEnded:
    async def test_stay_until_it_has(self, engine: Engine) -> None:
        uuid = str(uuid4())
        await engine.query.insert_producer(
            uuid=uuid,
            name="Oban",
            node="node",
            queue="default",
            meta={"oban_workflows_patience": 60.0},
        )
        await engine.oban.enqueue_many([make_job(), make_job()])
        await engine.oban.enqueue_many(Workflow(id="w").add("a", make_job()))
        jobs = await engine.query.fetch_jobs(10, "default", "node", uuid)
        await engine.rows("UPDATE oban_jobs SET state = 'cancelled', cancelled_at = now()")
        await age(engine)
        assert await prune(engine) == 0
        await engine.ack(jobs[1:], "completed")
        assert await prune(engine) == 2
        assert (await Workflow(id="w").status()).state == "unknown"
        await engine.ack(jobs, "completed")
        assert await prune(engine) == 1


class TestLargeWorkflows:
    async def test_go_in_several_transactions_that_each_leave_right_books(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        start, left = START, 6

        while left:
            start = await step(engine, 2, start)
            ((found,),) = await engine.rows("SELECT count(*) FROM oban_jobs")
            assert left - 2 <= found <= left
            left = found

        assert (await rows_left(engine))[1] > 0
        await prune(engine, limit=2)
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_go_on_where_an_earlier_pass_was_cut_short(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        await step(engine, 2, await step(engine, 2, START))
        assert await prune(engine, limit=2) > 0
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_are_finished_once_begun_whatever_the_limit(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        assert await prune(engine, limit=2) == 6
        assert await rows_left(engine) == [0, 0, 0, 0]

    async def test_can_be_opened_again_when_half_removed(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        start = await step(engine, 4, START)
        ((last, left),) = await engine.rows("SELECT max(id), count(*) FROM oban_jobs")
        assert left < 6
        await engine.oban.retry_job(last)
        await engine.check()
        await step(engine, 4, start)
        assert (await rows_left(engine))[0] == left
        await run_all(engine)
        await age(engine)
        assert await prune(engine) == left
        assert await rows_left(engine) == [0, 0, 0, 0]

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    async def test_of_100_000_jobs_go_in_short_transactions(self, engine: Engine) -> None:
        jobs = [make_job() for _ in range(100_000)]
        one = Workflow().add("a", make_job()).add_many("many", jobs, deps="a")
        await engine.oban.enqueue_many([*one.add("b", make_job(), deps="many")])
        await engine.rows("UPDATE oban_jobs SET state = 'completed', completed_at = now()")
        await age(engine)
        assert await prune(engine, limit=20_000) == 100_002
        assert await rows_left(engine) == [0, 0, 0, 0]


START = '{"stage": "workflows"}'


async def step(engine: Engine, limit: int, start: str) -> str:
    """Prune with a single transaction, look at the books, and tell where the next one begins."""
    session = session_of(engine.query)
    done = await session.execute(lambda store: store.prune(AGE, limit, start))
    await engine.check()

    return done.next or START


class TestAPass:
    @pytest.fixture
    async def node(self, engine: Engine, start_oban: StartOban) -> Oban:
        """Start a node that prunes jobs one by one, of which there are very many."""
        await engine.oban.enqueue_many([make_job() for _ in range(3_000)])
        await engine.rows(
            "UPDATE oban_jobs SET state = 'completed', completed_at = now() - interval '1 h'"
        )

        return await start_oban({"other": 1}, pruner={"interval": 0.05, "max_age": 60, "limit": 1})

    @staticmethod
    async def begins(engine: Engine, wait_until: Any) -> None:
        async def begun() -> bool:
            return await rows_left(engine) < [2_990]

        await wait_until(begun)

    async def test_ends_when_its_node_stops(
        self, engine: Engine, node: Oban, wait_until: Any
    ) -> None:
        await self.begins(engine, wait_until)
        pruner: Any = node._pruner
        task = pruner._loop_task
        await node.stop()
        assert task.done()
        assert not task.cancelled()
        assert await rows_left(engine) > [0]

    async def test_ends_when_another_node_leads(
        self, engine: Engine, node: Oban, wait_until: Any
    ) -> None:
        passes: list[Any] = []
        telemetry.attach("pass", ["oban.pruner.prune.stop"], lambda _, meta: passes.append(meta))

        try:
            await self.begins(engine, wait_until)
            node._leader._is_leader = False
            await wait_until(lambda: passes)
        finally:
            telemetry.detach("pass")

        assert await rows_left(engine) > [0]


def jobs_of(count: int) -> list[Job]:
    return [make_job() for _ in range(count)]


def many(count: int) -> list[Job]:
    workflows = [Workflow().add("a", make_job()).add("b", make_job()) for _ in range(count // 2)]

    return [job for one in workflows for job in one]


def large(count: int) -> list[Job]:
    return [*Workflow().add_many("many", jobs_of(count))]


class TestCost:
    @pytest.mark.parametrize(
        ("make", "stage"), [(jobs_of, "completed"), (many, "workflows"), (large, "workflows")]
    )
    async def test_of_a_batch_does_not_grow_though_nothing_removed_is_vacuumed(
        self, engine: Engine, dsn: str, make: Any, stage: str
    ) -> None:
        # plans are made for little, and much lies in between that stays
        await engine.rows("ANALYZE")
        await engine.oban.enqueue_many(make(1_000))
        await engine.oban.enqueue_many(large(1_000))
        await engine.rows(
            "UPDATE oban_jobs SET state = 'completed', completed_at = now() + id * interval '1 us'"
        )
        await engine.rows(
            "UPDATE oban_workflow_groups SET inserted_at = inserted_at - key * interval '1 us'"
        )
        await age(engine)
        await engine.rows(
            "UPDATE oban_workflow_groups SET stopped_at = now()"
            " WHERE key = (SELECT min(root) FROM oban_workflow_groups)"
        )
        await engine.rows("CREATE TABLE batches (next text)")

        async with await AsyncConnection.connect(dsn) as snapshot:
            await snapshot.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await snapshot.execute("SELECT FROM oban_jobs")
            costs = [cost async for cost in costs_of(engine, stage, 50)]

        assert len(costs) >= 20
        # the last one looks at all that stays
        assert max(costs[2:-1]) < 2 * costs[1], costs


async def costs_of(engine: Engine, stage: str, limit: int) -> AsyncIterator[int]:
    """Prune to the end of a stage, and tell how many buffers each batch reads."""
    statement = (
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) INSERT INTO batches SELECT next FROM ("
        + sql.statement("queries/prune", "public")
        + ") AS batch"
    )
    start: str | None = json.dumps({"stage": stage})

    while start is not None and json.loads(start)["stage"] == stage:
        params = {"max_age": AGE, "limit": limit, "start": start}
        (((explained,),),) = await engine.rows(statement, params)
        plan = explained["Plan"]
        yield plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        ((start,),) = await engine.rows("DELETE FROM batches RETURNING next")


class TestDatabasesWithoutWorkflows:
    async def test_are_pruned_as_oban_does(self, engine: Engine, pool: Any) -> None:
        await engine.oban.enqueue_many([make_job()])
        await engine.rows("UPDATE oban_jobs SET state = 'completed', completed_at = '2020-01-01'")
        await schema.uninstall(pool)
        assert await prune(engine) == 1

    async def test_are_left_to_whoever_was_there_before(self, empty_dsn: str) -> None:
        calls: list[Any] = []

        async def other(*args: Any) -> None:
            calls.append(args)

        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            query: Any = Oban(pool=pool)._query
            await plugin.build(other)(query, AGE, 10)

        assert calls == [(query, AGE, 10)]


class TestSignals:
    """What was sent to plain jobs, and what they called, goes with them."""

    async def signalled(self, engine: Engine, count: int = 1) -> list[int]:
        """Enqueue plain jobs that have called await_signal once, with a signal for each."""
        jobs = await engine.oban.enqueue_many([make_job() for _ in range(count)])
        ids = [job.id or 0 for job in jobs]

        async with session_of(engine.query).connect("worker") as store:
            for id in ids:
                await store.answer(id, "", 1, None, None)

        assert await signal(ids, oban=engine.oban._name) == count

        return ids

    async def kept(self, engine: Engine) -> list[int]:
        rows = await engine.rows(
            "SELECT job FROM oban_workflow_signals UNION SELECT job FROM oban_workflow_awaits"
            " ORDER BY job"
        )

        return [job for (job,) in rows]

    async def test_go_with_the_jobs_that_are_pruned(self, engine: Engine) -> None:
        old, new = await self.signalled(engine, 2)
        await engine.rows(
            "UPDATE oban_jobs SET state = 'completed', completed_at = '2020-01-01' WHERE id = %s",
            [old],
        )
        assert await prune(engine) == 1
        assert await self.kept(engine) == [new]

    async def test_go_with_jobs_that_others_delete(self, engine: Engine) -> None:
        old, new = await self.signalled(engine, 2)
        await engine.psql("DELETE FROM oban_jobs WHERE id = %s", old)
        assert await self.kept(engine) == [new]

    async def test_of_a_workflow_stay_as_long_as_it_does(self, engine: Engine) -> None:
        workflow = Workflow().add_signal("a").add_signal("b", count=2)
        await engine.enqueue(workflow)
        await engine.rows("SELECT oban_workflow_signal(%s, 'b', sender => 'ada')", [workflow.id])
        (b,) = await self.kept(engine)
        await engine.psql("DELETE FROM oban_jobs WHERE id = %s", b)
        await prune(engine)
        assert await self.kept(engine) == [b]

    async def test_are_found_when_their_jobs_went_unnoticed(self, engine: Engine) -> None:
        old, new = await self.signalled(engine, 2)
        await engine.rows(
            "WITH unseen AS (SELECT set_config('session_replication_role', 'replica', true))"
            " DELETE FROM oban_jobs USING unseen WHERE id = %s",
            [old],
        )
        assert await self.kept(engine) == [old, new]
        await prune(engine)
        assert await self.kept(engine) == [new]
