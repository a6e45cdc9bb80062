"""Enqueueing workflows and plain jobs."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any, LiteralString

import psycopg
import pytest
from oban import Job, Oban
from oban import schema as oban_schema
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from oban_pro import Workflow, _host, errors, schema
from oban_pro.engine.insertion import JOBS_PER_STATEMENT
from tests.support.databases import Psql
from tests.support.fixtures import StartOban
from tests.support.graphs import Work, diamond, names, settled, work


def unstorable() -> Job:
    """Make a job that nobody but the database refuses."""
    job = work()
    job.priority = -1

    return job


class Char(Enum):
    NUL = "\0"


@pytest.fixture
async def sqlalchemy_engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    info = conninfo_to_dict(dsn)
    query = {key: str(value) for key, value in info.items() if key in ("host", "port", "sslmode")}
    url = URL.create(
        "postgresql+psycopg",
        username=str(info["user"]) if "user" in info else None,
        password=str(info["password"]) if "password" in info else None,
        database=str(info["dbname"]),
        query=query,
    )
    engine = create_async_engine(url)
    yield engine
    await engine.dispose()


class TestWorkflow:
    async def test_returns_its_jobs_with_ids_and_states(self, oban: Oban) -> None:
        jobs = await oban.enqueue_many(diamond())
        assert names(jobs) == ["start", "left", "right", "end"]
        assert [job.state for job in jobs] == ["available", *["suspended"] * 3]
        assert all(job.id and job.inserted_at and job.scheduled_at for job in jobs)

    async def test_starts_what_has_no_deps_and_suspends_the_rest(
        self, oban: Oban, psql: Psql
    ) -> None:
        later = work(scheduled_in=3600)
        workflow = (
            diamond()
            .add("later", later)
            .add("much later", work(scheduled_in=3600), deps="start")
            .add_many("many", [work()], deps="left")
        )
        await oban.enqueue_many(workflow)
        assert psql.states() == {
            "start": "available",
            "later": "scheduled",
            "left": "suspended",
            "right": "suspended",
            "end": "suspended",
            "much later": "suspended",
            "0": "suspended",
        }
        assert later.state == "scheduled"

    async def test_starts_a_job_with_a_time_in_the_past_at_once(self, oban: Oban) -> None:
        past = datetime.now(UTC) - timedelta(hours=1)
        (job,) = await oban.enqueue_many(Workflow().add("a", work(scheduled_at=past)))
        assert (job.state, job.scheduled_at) == ("available", past)

    @pytest.mark.parametrize("flag", [True, 1, "yes", None, 0])
    async def test_takes_anything_for_a_flag(self, oban: Oban, psql: Psql, flag: Any) -> None:
        workflow = Workflow(ignore_cancelled=flag).add("a", work())
        await oban.enqueue_many(workflow.add("b", work(), deps="a", ignore_discarded=flag))
        rows = psql.dicts("SELECT ignore_cancelled, name FROM oban_workflow_members ORDER BY id")
        assert [row["ignore_cancelled"] for row in rows] == [bool(flag)] * 2

    async def test_ids_ascend_along_edges(self, oban: Oban, psql: Psql) -> None:
        workflow = (
            Workflow(check_deps=False)
            .add("d", work(), deps="c")
            .add("c", work(), deps=["a", "b"])
            .add("b", work(), deps="a")
            .add("a", work())
        )
        jobs = list(workflow)
        random.Random(7).shuffle(jobs)
        inserted = await oban.enqueue_many(jobs)
        assert names(inserted) == names(jobs)
        edges = psql.edges()
        assert len(edges) == 4
        assert all(0 < edge["upstream"] < edge["downstream"] for edge in edges)

    async def test_writes_meta_as_it_was_built(self, oban: Oban, psql: Psql) -> None:
        workflow = diamond(name="üñï").add_many("many", [work()], deps="end")
        await oban.enqueue_many(workflow)
        assert [row["meta"] for row in psql.jobs()] == [job.meta for job in workflow]

    async def test_without_jobs_inserts_nothing(self, oban: Oban, psql: Psql) -> None:
        assert await oban.enqueue_many(Workflow()) == []
        assert await oban.enqueue_many(Workflow().add_many("many", [])) == []
        assert psql.is_empty()

    async def test_nests_three_hundred_levels_deep(self, oban: Oban) -> None:
        workflow = Workflow().add("x", work())
        for _ in range(300):
            workflow = Workflow().add("x", work()).add_workflow("sub", workflow, deps="x")
        assert len(await oban.enqueue_many(workflow)) == 301

    async def test_takes_twenty_thousand_jobs(self, oban: Oban, psql: Psql) -> None:
        workflow = (
            Workflow()
            .add("first", work())
            .add_many("many", [work() for _ in range(20_000)], deps="first")
            .add("last", work(), deps="many")
        )
        jobs = await oban.enqueue_many(workflow)
        assert len(jobs) == 20_002
        assert len(psql.edges()) == 2
        (root,) = psql.dicts("SELECT count(*), min(id), max(id) FROM oban_jobs")
        assert (root["count"], root["min"], root["max"]) == (20_002, jobs[0].id, jobs[-1].id)

    async def test_wakes_the_queues_with_work(self, oban: Oban, dsn: str) -> None:
        workflow = (
            Workflow()
            .add("a", work(queue="one"))
            .add("b", work(queue="two"), deps="a")
            .add("c", work(queue="three"))
            .add("d", work(queue="three"))
        )
        async with await AsyncConnection.connect(dsn, autocommit=True) as listener:
            await listener.execute('LISTEN "public.oban_insert"')
            await oban.enqueue_many(workflow)
            heard = [one.payload async for one in listener.notifies(timeout=10, stop_after=2)]
        assert sorted(heard) == ['{"queue" : "one"}', '{"queue" : "three"}']

    async def test_an_enqueued_workflow_runs(
        self, start_oban: StartOban, wait_until: Any, oban: Oban
    ) -> None:
        workflow = diamond().add_many("many", [work(), work()], deps="end")
        await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).counts == {"completed": 6}


class TestMixture:
    async def test_of_workflows_and_plain_jobs(self, oban: Oban, psql: Psql) -> None:
        plain = work()
        one, other = diamond(), diamond()
        jobs = await oban.enqueue_many([*one, *other, plain])
        assert len(jobs) == len(psql.jobs()) == 9
        assert jobs[-1] is plain
        assert plain.state == "available"
        assert len({job.meta["workflow_id"] for job in jobs[:-1]}) == 2

    async def test_jobs_of_several_workflows_come_in_any_order(
        self, oban: Oban, psql: Psql
    ) -> None:
        jobs = [*diamond(), *diamond(), work(), work()]
        random.Random(7).shuffle(jobs)
        assert await oban.enqueue_many(jobs) == jobs
        assert len(psql.jobs()) == 10
        assert all(edge["upstream"] < edge["downstream"] for edge in psql.edges())

    async def test_of_a_new_workflow_and_one_that_exists(self, oban: Oban, psql: Psql) -> None:
        first = await oban.enqueue_many(diamond(id="old"))
        jobs = await oban.enqueue_many([*diamond(id="old"), *diamond(id="new"), work()])
        assert [job.id for job in jobs[:4]] == [job.id for job in first]
        assert len(psql.jobs()) == 9


class TestPart:
    async def test_is_refused_by_name_before_anything_is_written(
        self, oban: Oban, psql: Psql
    ) -> None:
        _, *rest = diamond(id="w")
        with pytest.raises(
            errors.PartialWorkflowError,
            match="'w' must be enqueued as a whole, got 3 of 4 jobs; 'start' is missing",
        ):
            await oban.enqueue_many([*rest, work()])
        assert psql.is_empty()

    async def test_of_one_job_is_refused(self, oban: Oban, psql: Psql) -> None:
        first, *_ = diamond()
        with pytest.raises(errors.PartialWorkflowError):
            await oban.enqueue(first)
        assert psql.is_empty()

    async def test_of_a_nested_workflow_is_refused(self, oban: Oban, psql: Psql) -> None:
        workflow = Workflow().add("a", work()).add_workflow("sub", diamond(), deps="a")
        with pytest.raises(errors.PartialWorkflowError, match="'a' is missing"):
            await oban.enqueue_many(list(workflow)[1:])
        assert psql.is_empty()

    async def test_without_what_binds_a_job_to_it_is_refused(self, oban: Oban, psql: Psql) -> None:
        jobs = list(diamond())
        jobs[0].extra = {}
        with pytest.raises(errors.PartialWorkflowError, match="'start' is missing"):
            await oban.enqueue_many(jobs)
        assert psql.is_empty()

    async def test_is_no_whole_because_one_job_is_listed_twice(
        self, oban: Oban, psql: Psql
    ) -> None:
        start, left, right, _ = diamond()
        with pytest.raises(errors.PartialWorkflowError, match="'end' is missing"):
            await oban.enqueue_many([start, left, right, right])
        assert psql.is_empty()

    async def test_may_be_all_of_a_workflow_of_one_job(self, oban: Oban) -> None:
        (job,) = Workflow("w").add("a", work())
        await oban.enqueue(job)
        assert (await Workflow("w").status()).total == 1


class Foreign:
    """Somebody's own connection: oban asks for no more than a method named execute."""

    def __init__(self, conn: Any = None) -> None:
        self.execute = getattr(conn, "execute", None)


class TestBadInput:
    @pytest.mark.parametrize("bad", [None, {}, "job", Work, Workflow()])
    async def test_is_refused_before_anything_is_written(
        self, oban: Oban, psql: Psql, bad: Any
    ) -> None:
        with pytest.raises(errors.InvalidJobError, match="must be Jobs, got"):
            await oban.enqueue_many([*diamond(), bad])
        assert psql.is_empty()

    async def test_hints_at_a_workflow_in_a_list(self, oban: Oban) -> None:
        with pytest.raises(errors.InvalidJobError, match=r"use \[\*workflow"):
            await oban.enqueue_many([work(), diamond()])  # type: ignore[list-item]

    async def test_in_the_graph_inserts_nothing(self, oban: Oban, psql: Psql) -> None:
        workflow = Workflow(check_deps=False).add("a", work(), deps="b")
        with pytest.raises(errors.UnknownDependencyError, match="'b' of 'a'"):
            await oban.enqueue_many(workflow)
        workflow.add("b", work(), deps="a")
        with pytest.raises(errors.CycleError, match="must not form a cycle"):
            await oban.enqueue_many(workflow)
        assert psql.is_empty()

    @pytest.mark.parametrize(
        "value",
        [
            object(),
            {1, 2},
            b"bytes",
            datetime.now(UTC),
            float("nan"),
            float("inf"),
            "\ud800",
            {("a",): 1},
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, (object, set)) else repr(value),
    )
    async def test_in_args_names_the_job(self, oban: Oban, psql: Psql, value: Any) -> None:
        workflow = Workflow().add("a", work()).add("b", Work.new({"key": value}), deps="a")
        with pytest.raises(errors.InvalidJobError, match="args of job 'b' must be JSON"):
            await oban.enqueue_many(workflow)
        with pytest.raises(
            errors.InvalidJobError, match=r"args of job of tests\.support\.graphs\.Work"
        ):
            await oban.enqueue_many([work(), Work.new({"key": value})])
        assert psql.is_empty()

    @pytest.mark.parametrize(
        "args", [{"k": "a\0b"}, {"k\0": 1}, {"k": [{"l": ["\0"]}]}, {"k": Char.NUL}], ids=repr
    )
    async def test_with_nul_names_the_job(
        self, oban: Oban, psql: Psql, args: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidJobError, match="args of job 'a' must not hold NUL"):
            await oban.enqueue_many(Workflow().add("a", Work.new(args)))
        with pytest.raises(errors.InvalidJobError, match="meta of job 'a' must not hold NUL"):
            await oban.enqueue_many(Workflow().add("a", work(meta=args)))
        assert psql.is_empty()

    async def test_nested_endlessly_names_the_job(self, oban: Oban) -> None:
        args: dict[str, Any] = {}
        args["itself"] = args
        with pytest.raises(errors.InvalidJobError, match="args of job 'a' must be JSON"):
            await oban.enqueue_many(Workflow().add("a", Work.new(args)))

    async def test_that_only_the_database_sees_leaves_nothing(self, oban: Oban, psql: Psql) -> None:
        workflow = diamond().add("long", unstorable())
        with pytest.raises(psycopg.errors.CheckViolation):
            await oban.enqueue_many(workflow)
        assert psql.is_empty()

    async def test_as_connection_is_refused(self, oban: Oban, psql: Psql) -> None:
        with pytest.raises(TypeError, match="AsyncConnection"):
            await oban.enqueue_many(diamond(), conn=object())
        with pytest.raises(TypeError, match="conn must lead to a psycopg connection"):
            await oban.enqueue_many(diamond(), conn=Foreign())
        assert psql.is_empty()

    async def test_with_a_connection_that_is_not_psycopgs_still_inserts_plain_jobs(
        self, oban: Oban, psql: Psql, dsn: str
    ) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            await oban.enqueue_many([work(), work()], conn=Foreign(conn))
        assert len(psql.jobs()) == 2


class TestSameId:
    async def test_returns_the_jobs_that_exist(self, oban: Oban, psql: Psql) -> None:
        first = await oban.enqueue_many(diamond(id="w").add_many("m", [work()], deps="end"))
        again = await oban.enqueue_many(Workflow(id="w").add("something else", work()))
        assert [job.id for job in again] == [job.id for job in first]
        assert names(again) == ["start", "left", "right", "end", "0"]
        assert len(psql.jobs()) == 5

    async def test_returns_them_as_they_are_now(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        await start_oban()
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        (job,) = await oban.enqueue_many(workflow)
        assert (job.state, job.attempt) == ("completed", 1)

    async def test_of_one_object_enqueued_twice(self, oban: Oban, psql: Psql) -> None:
        workflow = diamond().add_workflow("sub", diamond())
        first = [job.id for job in await oban.enqueue_many(workflow)]
        assert [job.id for job in await oban.enqueue_many(workflow)] == first
        assert len(psql.jobs()) == 8

    async def test_of_one_object_listed_twice(self, oban: Oban, psql: Psql) -> None:
        workflow = diamond()
        jobs = await oban.enqueue_many([*workflow, *workflow])
        assert len({job.id for job in jobs}) == len(psql.jobs()) == 4

    async def test_of_two_builders_in_one_list(self, oban: Oban, psql: Psql) -> None:
        jobs = await oban.enqueue_many([*diamond(id="w"), *diamond(id="w")])
        assert len(jobs) == 8
        assert len({job.id for job in jobs}) == len(psql.jobs()) == 4

    async def test_enqueued_twenty_times_at_once_inserts_one(self, oban: Oban, psql: Psql) -> None:
        results = await asyncio.gather(
            *(oban.enqueue_many(diamond(id="w").add_many("m", [work()])) for _ in range(20))
        )
        assert len({tuple(sorted(job.id or 0 for job in jobs)) for jobs in results}) == 1
        assert len(psql.jobs()) == 5
        assert len(psql.dicts("SELECT FROM oban_workflow_groups")) == 2
        assert len(psql.dicts("SELECT FROM oban_workflow_members")) == 6

    async def test_in_opposite_orders_at_once_does_not_deadlock(
        self, oban: Oban, psql: Psql
    ) -> None:
        ids = ["a", "b", "c"]
        await asyncio.gather(
            *(
                oban.enqueue_many([job for one in ids[:: (-1) ** n] for job in diamond(id=one)])
                for n in range(10)
            )
        )
        assert len(psql.jobs()) == 12

    async def test_nested_and_taken_is_refused_and_leaves_nothing(
        self, oban: Oban, psql: Psql
    ) -> None:
        await oban.enqueue_many(Workflow(id="mine").add("a", work()))
        workflow = diamond().add_workflow("sub", Workflow(id="mine").add("x", work()))
        with pytest.raises(errors.DuplicateIdError, match="mine"):
            await oban.enqueue_many(workflow)
        assert len(psql.jobs()) == 1
        assert len(psql.dicts("SELECT FROM oban_workflow_groups")) == 1

    async def test_is_free_again_after_a_rollback(self, oban: Oban, psql: Psql, dsn: str) -> None:
        workflow = diamond()
        async with await AsyncConnection.connect(dsn) as conn:
            await oban.enqueue_many(workflow, conn=conn)
            await conn.rollback()
        await oban.enqueue_many(workflow)
        assert psql.states() == {
            "start": "available",
            "left": "suspended",
            "right": "suspended",
            "end": "suspended",
        }


class TestJobAgain:
    async def test_in_another_workflow_starts_as_its_new_place_says(
        self, oban: Oban, psql: Psql
    ) -> None:
        first, second = work(), work()
        await oban.enqueue_many(Workflow().add("a", first).add("b", second, deps="a"))
        await oban.enqueue_many(Workflow().add("c", second).add("d", first, deps="c"))
        assert psql.states() == {
            "a": "available",
            "b": "suspended",
            "c": "available",
            "d": "suspended",
        }
        assert len({row["id"] for row in psql.jobs()}) == 4

    async def test_from_the_database_starts_anew(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        await start_oban()
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        done = await workflow.get_job("a")
        assert done is not None
        again = Workflow().add("again", done)
        await oban.enqueue_many(again)
        await wait_until(lambda: settled(again))
        assert (await again.status()).counts == {"completed": 1}


class TestConn:
    @pytest.mark.parametrize("autocommit", [False, True])
    async def test_of_psycopg_rolled_back_leaves_nothing(
        self, oban: Oban, psql: Psql, dsn: str, autocommit: bool
    ) -> None:
        async with (
            await AsyncConnection.connect(dsn, autocommit=autocommit) as conn,
            conn.transaction(force_rollback=True),
        ):
            jobs = await oban.enqueue_many([*diamond(), work(), work()], conn=conn)
            assert all(job.id for job in jobs)
        assert psql.is_empty()

    @pytest.mark.parametrize("autocommit", [False, True])
    async def test_of_psycopg_committed_keeps_all(
        self, oban: Oban, psql: Psql, dsn: str, autocommit: bool
    ) -> None:
        async with (
            await AsyncConnection.connect(dsn, autocommit=autocommit) as conn,
            conn.transaction(),
        ):
            await oban.enqueue_many(diamond(), conn=conn)
            assert psql.is_empty()
        assert len(psql.jobs()) == 4

    async def test_is_not_committed_by_us(self, oban: Oban, psql: Psql, dsn: str) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            await oban.enqueue_many(diamond(), conn=conn)
            assert psql.is_empty()
            await conn.rollback()
        assert psql.is_empty()

    async def test_in_autocommit_is_still_one_transaction(
        self, oban: Oban, psql: Psql, dsn: str
    ) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            with pytest.raises(psycopg.errors.CheckViolation):
                await oban.enqueue_many(diamond().add("bad", unstorable()), conn=conn)
            assert psql.is_empty()
            await oban.enqueue_many(diamond(), conn=conn)
        assert len(psql.jobs()) == 4

    async def test_may_make_dicts_of_rows(self, oban: Oban, psql: Psql, dsn: str) -> None:
        async with await AsyncConnection.connect(dsn, row_factory=dict_row) as conn:
            await oban.enqueue_many(diamond(id="w"), conn=conn)
            again = await oban.enqueue_many(diamond(id="w"), conn=conn)
            await oban.enqueue_many([work(), work()], conn=conn)
        assert all(isinstance(job, Job) for job in again)
        assert len(psql.jobs()) == 6

    async def test_may_be_a_cursor(self, oban: Oban, psql: Psql, dsn: str) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            async with conn.cursor() as cursor:
                assert isinstance(cursor, AsyncCursor)
                await oban.enqueue_many(diamond(), conn=cursor)
            await conn.rollback()
            assert psql.is_empty()
            async with conn.cursor(row_factory=dict_row) as cursor:
                await oban.enqueue_many(diamond(), conn=cursor)
        assert len(psql.jobs()) == 4

    async def test_may_be_used_on_after_bad_input(self, oban: Oban, psql: Psql, dsn: str) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            with pytest.raises(errors.PartialWorkflowError):
                await oban.enqueue_many(list(diamond())[1:], conn=conn)
            with pytest.raises(errors.InvalidJobError):
                await oban.enqueue_many(Workflow().add("a", Work.new({"k": object()})), conn=conn)
            await oban.enqueue_many(diamond(), conn=conn)
        assert len(psql.jobs()) == 4

    @pytest.mark.parametrize("before", ["", "SELECT", "SAVEPOINT mine"])
    async def test_holds_nothing_of_ours_after_bad_input(
        self, oban: Oban, psql: Psql, dsn: str, before: LiteralString
    ) -> None:
        many = Workflow().add_many("all", [work() for _ in range(JOBS_PER_STATEMENT)])
        many.add("bad", Work.new({"k": object()}), deps="all")

        async with await AsyncConnection.connect(dsn) as conn:
            if before:
                await conn.execute("CREATE TABLE beside (id int)")
                await conn.execute(before)

            with pytest.raises(errors.InvalidJobError, match="'bad'"):
                await oban.enqueue_many(many, conn=conn)
            await conn.commit()

        assert psql.is_empty()
        assert bool(psql.dicts("SELECT to_regclass('beside') AS beside")[0]["beside"]) == bool(
            before
        )

    @pytest.mark.parametrize("pipelined", [False, True])
    async def test_holds_nothing_of_ours_in_a_block_that_goes_on(
        self, oban: Oban, psql: Psql, dsn: str, pipelined: bool
    ) -> None:
        bad = [*diamond(), work(), Work.new({"k": object()})]

        async with await AsyncConnection.connect(dsn) as conn, AsyncExitStack() as stack:
            if pipelined:
                await stack.enter_async_context(conn.pipeline())

            async with conn.transaction():
                with pytest.raises(errors.InvalidJobError, match="args"):
                    await oban.enqueue_many(bad, conn=conn)
                await oban.enqueue_many([work(), work()], conn=conn)

        assert len(psql.jobs()) == 2
        assert psql.dicts("SELECT FROM oban_workflow_groups") == []

    async def test_of_a_session_rolled_back_leaves_nothing(
        self, oban: Oban, psql: Psql, sqlalchemy_engine: AsyncEngine
    ) -> None:
        async with AsyncSession(sqlalchemy_engine) as session:
            await session.execute(text("CREATE TABLE beside (id int)"))
            await oban.enqueue_many([*diamond(), work()], conn=session)
            await session.rollback()
        assert psql.is_empty()
        assert psql.dicts("SELECT to_regclass('beside') AS beside") == [{"beside": None}]

    async def test_of_a_session_committed_keeps_all(
        self, oban: Oban, psql: Psql, sqlalchemy_engine: AsyncEngine
    ) -> None:
        async with AsyncSession(sqlalchemy_engine) as session, session.begin():
            await oban.enqueue_many(diamond(), conn=session)
            assert psql.is_empty()
        assert len(psql.jobs()) == 4

    @pytest.mark.parametrize("commit", [True, False])
    async def test_a_connection_of_sqlalchemy_commits_or_rolls_back(
        self, oban: Oban, psql: Psql, sqlalchemy_engine: AsyncEngine, commit: bool
    ) -> None:
        async with sqlalchemy_engine.connect() as conn:
            await oban.enqueue_many(diamond(), conn=conn)
            await (conn.commit() if commit else conn.rollback())
        assert len(psql.jobs()) == (4 if commit else 0)
        assert psql.is_empty() is not commit

    async def test_of_sqlalchemy_in_autocommit_is_still_one_transaction(
        self, oban: Oban, psql: Psql, sqlalchemy_engine: AsyncEngine
    ) -> None:
        autocommit = sqlalchemy_engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as conn:
            await oban.enqueue_many(diamond(), conn=conn)
            assert len(psql.jobs()) == 4
            with pytest.raises(psycopg.errors.CheckViolation):
                await oban.enqueue_many(diamond().add("bad", unstorable()), conn=conn)
        assert len(psql.jobs()) == 4


WEIRD: list[dict[str, Any]] = [
    {},
    {"queue": "øther", "priority": 9, "max_attempts": 1, "tags": ["B", " a ", "b", "ü", 'q"u']},
    {"args": {"ünï": "🦉", "quote": "'\"\\", "escaped": "\\u0000", "percent": "100 %s %(a)s"}},
    {"args": {"big": 2**63, "bigger": -(10**40), "zero": 0, "yes": True, "none": None}},
    {"args": {"float": 0.1, "tiny": 5e-324, "huge": 1.7e308, "exact": 1e16, "minus": -0.0}},
    {"args": {"nested": [{"a": [[], {}, ""]}], "tuple": (1, 2)}},
    {"args": {7: "int", True: "bool", None: "none", 1.5: "float"}},
    {"args": {"long": "x" * 100_000, "control": "\x01\x1f\x7f\n\t", "line": "\u2028"}},
    {"args": [1, 2, 3]},
    {"meta": {"on_hold": False, "deep": {"a": 1}, "worker": None}},
    {"scheduled_at": datetime(2040, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)},
    {"scheduled_at": datetime(2040, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))},
    {"scheduled_at": datetime(2040, 6, 1, 12)},
    {"scheduled_at": datetime(2001, 1, 1, tzinfo=UTC)},
    {"inserted_at": datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=-8)))},
    {"state": "suspended"},
    {"state": "cancelled"},
    {"state": "available", "scheduled_at": datetime(2040, 1, 1, tzinfo=UTC)},
]


class TestPlainJobs:
    async def test_are_inserted_exactly_as_oban_does(self, oban: Oban, psql: Psql) -> None:
        def jobs() -> list[Job]:
            return [Job("some.Worker", **fields) for fields in WEIRD]

        theirs = await _host.default_insert_jobs(oban._query, jobs())
        ours = await oban.enqueue_many(jobs())
        rows = psql.jobs()
        count = len(WEIRD)
        assert len(rows) == 2 * count
        for index, fields in enumerate(WEIRD):
            their_row, our_row = rows[index], rows[count + index]
            for column in their_row:
                if column == "id" or (column.endswith("_at") and column not in fields):
                    continue
                assert our_row[column] == their_row[column], (column, fields)
            assert our_row["id"] == ours[index].id
            assert our_row["state"] == ours[index].state == theirs[index].state
            assert our_row["scheduled_at"].replace(tzinfo=UTC) == ours[index].scheduled_at
            assert our_row["inserted_at"].replace(tzinfo=UTC) == ours[index].inserted_at

    async def test_in_a_workflow_keep_their_fields(self, oban: Oban, psql: Psql) -> None:
        at = datetime(2040, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        job = Work.new(
            {"ünï": 2**70},
            queue="other",
            priority=3,
            max_attempts=7,
            tags=["Some", "tags"],
            meta={"mine": 1},
            scheduled_at=at,
            inserted_at=datetime(2001, 1, 1, tzinfo=UTC),
        )
        await oban.enqueue_many(Workflow().add("a", work()).add("b", job, deps="a"))
        _, row = psql.jobs()
        assert row["args"] == {"ünï": 2**70}
        assert (row["queue"], row["priority"], row["max_attempts"]) == ("other", 3, 7)
        assert row["tags"] == ["some", "tags"]
        assert row["meta"]["mine"] == 1
        assert row["scheduled_at"].replace(tzinfo=UTC) == at
        assert row["inserted_at"] == datetime(2001, 1, 1)
        assert (row["state"], row["worker"]) == ("suspended", "tests.support.graphs.Work")

    async def test_are_inserted_in_bulk_in_their_order(self, oban: Oban, psql: Psql) -> None:
        jobs = await oban.enqueue_many(Work.new({"n": n}) for n in range(12_000))
        ids = [job.id or 0 for job in jobs]
        assert ids == sorted(ids)
        assert [row["args"]["n"] for row in psql.jobs()] == list(range(12_000))

    async def test_listed_twice_are_inserted_twice(self, oban: Oban, psql: Psql) -> None:
        job = work()
        await oban.enqueue_many([job, job])
        assert len(psql.jobs()) == 2

    async def test_leave_no_trace_in_our_tables(self, oban: Oban, psql: Psql) -> None:
        await oban.enqueue_many([work(), work()])
        assert psql.dicts("SELECT FROM oban_workflow_members") == []

    async def test_may_be_none_at_all(self, oban: Oban, psql: Psql) -> None:
        assert await oban.enqueue_many([]) == []
        assert psql.is_empty()


@pytest.fixture
async def plain_pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a database with oban's own tables alone."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=5, open=False) as pool:
        await oban_schema.install(pool)
        yield pool


class TestDatabaseWithoutOurTables:
    async def test_still_runs_plain_jobs(
        self, plain_pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        async with Oban(pool=plain_pool, queues={"default": 5}, stager={"interval": 0.05}) as oban:
            jobs = await oban.enqueue_many([work(), work(), work("cancel")])
            states = ["completed", "completed", "cancelled"]

            async def done() -> bool:
                found = [await oban.get_job(job.id or 0) for job in jobs]
                return [job.state for job in found if job] == states

            await wait_until(done)

    async def test_needs_no_second_connection(self, empty_dsn: str, wait_until: Any) -> None:
        async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=1, open=False) as pool:
            await oban_schema.install(pool)
            query = Oban(pool=pool)._query
            jobs = await asyncio.wait_for(query.insert_jobs([work(), work()]), 10)
            await query.fetch_jobs(demand=2, queue="default", node="node", uuid="uuid")
            fetched = [await query.get_job(job.id or 0) for job in jobs]
            acks = [_host.AckAction(job=job, state="completed") for job in fetched if job]
            acked = await asyncio.wait_for(query.ack_jobs(acks), 10)
            assert acked == [job.id for job in jobs]

    async def test_refuses_a_workflow_and_says_what_to_do(
        self, plain_pool: AsyncConnectionPool, empty_dsn: str
    ) -> None:
        oban = Oban(pool=plain_pool)
        with pytest.raises(
            errors.SchemaError, match="missing in schema 'public'; run: oban-workflows install"
        ):
            await oban.enqueue_many(diamond())
        with pytest.raises(errors.SchemaError, match="run: oban-workflows install"):
            await Workflow("w").status()
        assert Psql(empty_dsn).jobs() == []

    async def test_takes_workflows_once_they_are_installed(
        self, plain_pool: AsyncConnectionPool
    ) -> None:
        oban = Oban(pool=plain_pool)
        await oban.enqueue_many([work(), work()])
        await schema.install(plain_pool)
        assert len(await oban.enqueue_many(diamond())) == 4

    async def test_still_takes_plain_jobs_after_an_uninstall(
        self, plain_pool: AsyncConnectionPool, empty_dsn: str, wait_until: Any
    ) -> None:
        await schema.install(plain_pool)
        async with Oban(pool=plain_pool, queues={"default": 5}, stager={"interval": 0.05}) as oban:
            await oban.enqueue_many(Workflow().add("a", work()))
            await schema.uninstall(plain_pool)
            await oban.enqueue_many([work(), work()])
            psql = Psql(empty_dsn)
            await wait_until(lambda: [job["state"] for job in psql.jobs()] == ["completed"] * 3)
            with pytest.raises(errors.SchemaError, match="run: oban-workflows install"):
                await oban.enqueue_many(diamond())


class TestOneObject:
    async def test_is_inserted_once_however_many_enqueue_it_at_once(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work()).add_many("many", [work()] * 3, deps="a")
        every = await asyncio.gather(*(oban.enqueue_many(workflow) for _ in range(4)))
        ids = {job.id for jobs in every for job in jobs}
        assert len(ids) == 4
        assert {job.id for job in await workflow.all_jobs(with_subs=True)} == ids

    async def test_can_be_looked_at_between_listing_its_jobs_and_enqueueing_them(
        self, oban: Oban
    ) -> None:
        job = work()
        workflow = Workflow().add("a", job).add("b", job, deps="a")
        jobs = list(workflow)
        assert len(list(workflow)) == 2
        assert await oban.enqueue_many(jobs) == jobs


class TestColumns:
    @pytest.mark.parametrize(
        ("options", "what"),
        [
            ({"queue": "q\0"}, "queue"),
            ({"tags": ["a\0"]}, "tag"),
            ({"max_attempts": 40_000}, "max_attempts"),
        ],
    )
    async def test_that_postgresql_cannot_hold_name_the_job(
        self, oban: Oban, options: dict[str, Any], what: str
    ) -> None:
        workflow = Workflow().add("bad", work(**options))

        with pytest.raises(errors.InvalidJobError, match=f"{what} of job 'bad'"):
            await oban.enqueue_many(workflow)

        assert (await workflow.status()).state == "unknown"
