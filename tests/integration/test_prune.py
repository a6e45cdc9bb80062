"""What the pruner keeps, and what it takes away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from oban import Oban, telemetry
from oban._extensions import use_ext
from oban._pruner import _prune as plain_prune
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro._plugin import prune as plugin
from oban_pro.transactions import run
from tests.engine import Engine, make_job

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


@pytest.fixture
async def engine(oban: Oban, pool: Any) -> AsyncIterator[Engine]:
    async with await AsyncConnection.connect(pool.conninfo, autocommit=True) as conn:
        yield Engine(oban, conn)


async def age(engine: Engine, seconds: float = AGE + 1) -> None:
    for statement in AGED.split(";"):
        await engine.rows(statement, {"age": seconds})


async def prune(engine: Engine, limit: int = 10_000) -> int:
    """Prune as the leader does; returns how many jobs it says are gone."""
    events: list[dict[str, Any]] = []
    telemetry.attach("prune", ["oban.pruner.prune.stop"], lambda _, meta: events.append(meta))

    try:
        await use_ext("pruner.prune", plain_prune, engine.query, AGE, limit)
    finally:
        telemetry.detach("prune")

    (event,) = events

    return int(event["pruned_count"])


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

    async def test_go_no_more_at_once_than_the_limit(self, engine: Engine) -> None:
        await engine.oban.enqueue_many([make_job() for _ in range(5)])
        await run_all(engine)
        await age(engine)
        assert [await prune(engine, limit=2) for _ in range(4)] == [2, 2, 1, 0]

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

    async def test_are_known_no_more_and_may_come_again(self, engine: Engine) -> None:
        for _ in range(2):
            await engine.enqueue(Workflow(id="again").add("a", make_job()))
            await run_all(engine)
            await age(engine)
            assert await prune(engine) == 1
            assert (await Workflow(id="again").status()).state == "unknown"


class TestLargeWorkflows:
    async def test_go_in_several_transactions_that_each_leave_right_books(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(nested())
        await run_all(engine)
        await age(engine)
        assert [await step(engine, limit=2) for _ in range(4)] == [
            (2, 0, True),
            (2, 0, True),
            (2, 0, True),
            (0, 1, False),
        ]
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
        await step(engine, limit=2)
        ((last,),) = await engine.rows("SELECT max(id) FROM oban_jobs")
        await engine.oban.retry_job(last)
        await engine.check()
        assert await step(engine, limit=2) == (0, 0, False)
        await run_all(engine)
        await age(engine)
        assert await prune(engine) == 4
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


async def step(engine: Engine, limit: int) -> tuple[int, int, bool]:
    """Prune with a single transaction, and look at the books afterwards."""
    done = await run(engine.query, lambda store: store.prune_workflows(AGE, limit))
    await engine.check()

    return done


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
