"""An id none of whose jobs is left is free."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor, errors
from oban_pro.engine.session import session_of
from oban_pro.engine.store import Store
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job
from tests.support.graphs import diamond, work

TABLES = ("oban_workflow_groups", "oban_workflow_members", "oban_workflow_edges")


async def delete_by_hand(engine: Engine) -> None:
    await engine.rows("DELETE FROM oban_jobs WHERE meta ->> 'name' <> 'other'")


async def prune_as_plain_oban(engine: Engine) -> None:
    await engine.rows(
        "UPDATE oban_jobs SET state = 'completed', completed_at = now() - interval '1 h'"
        " WHERE meta ->> 'name' <> 'other'"
    )
    assert await engine.query.prune_jobs(60, 100) > 0


async def delete_unseen(engine: Engine) -> None:
    await engine.rows("ALTER TABLE oban_jobs DISABLE TRIGGER USER")
    await delete_by_hand(engine)
    await engine.rows("ALTER TABLE oban_jobs ENABLE TRIGGER USER")


type Clear = Callable[[Engine], Awaitable[None]]

WAYS = [delete_by_hand, prune_as_plain_oban, delete_unseen]


def nested(**opts: Any) -> Workflow:
    inner = Workflow(id="inner").add_graft("graft", make_job()).add("x", make_job(), deps="graft")

    return (
        Workflow(id="w", **opts)
        .add_context({"shared": 1})
        .add("a", make_job())
        .add_workflow("sub", inner, deps="a")
        .add_many("many", [make_job(), make_job()], deps="sub")
    )


async def count(engine: Engine) -> list[int]:
    return [(await engine.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES]


@pytest.mark.parametrize("clear", WAYS)
class TestFreeIds:
    async def test_are_unknown_whatever_reads_them(self, engine: Engine, clear: Clear) -> None:
        await engine.enqueue(nested())
        await clear(engine)

        for handle in Workflow(id="w"), Workflow(id="inner"):
            assert (await handle.status()).state == "unknown"
            assert await handle.all_jobs(with_subs=True) == []
            assert await handle.get_context() is None

            for act in handle.cancel_jobs, handle.retry_jobs, handle.wait:
                with pytest.raises(errors.UnknownWorkflowError):
                    await act()

            with pytest.raises(errors.UnknownWorkflowError):
                await handle.fetch_graph()

            with pytest.raises(errors.UnknownWorkflowError):
                await handle.explain("x")

            with pytest.raises(errors.UnknownWorkflowError):
                await handle.append(Workflow().add("b", make_job()))

    async def test_are_listed_as_unknown(self, engine: Engine, clear: Clear) -> None:
        await engine.enqueue(nested())
        await engine.enqueue(Workflow(id="left").add("other", make_job()))
        await clear(engine)

        async with session_of(engine.query).connect() as store:
            roots = await store.roots(None, None, 10, 0)

        assert [(root.id, root.state) for root in roots] == [
            ("left", "executing"),
            ("w", "unknown"),
        ]

    async def test_a_free_id_can_be_enqueued_anew(self, engine: Engine, clear: Clear) -> None:
        await engine.enqueue(nested())
        before = await count(engine)
        await clear(engine)
        jobs = await engine.enqueue(nested())
        assert [job.meta["name"] for job in jobs] == ["a", "graft", "x", "0", "1"]
        assert await count(engine) == before
        await engine.complete("a")
        await engine.complete("sub/graft/grafter")
        await engine.complete("sub/x")
        await engine.complete("many/0", "many/1")
        assert (await Workflow(id="w").status()).state == "completed"

    async def test_are_enqueued_anew_in_the_transaction_of_the_caller(
        self, engine: Engine, dsn: str, clear: Clear
    ) -> None:
        await engine.enqueue(nested())
        await clear(engine)

        async with await AsyncConnection.connect(dsn) as conn:
            await engine.oban.enqueue_many(nested(), conn=conn)
            await conn.rollback()
            assert (await Workflow(id="w").status()).state == "unknown"
            await engine.oban.enqueue_many(nested(), conn=conn)

        assert (await Workflow(id="w").status()).total == 5

    async def test_are_enqueued_once_by_many_at_once(self, engine: Engine, clear: Clear) -> None:
        await engine.enqueue(nested())
        await clear(engine)
        inserted = await asyncio.gather(
            *(engine.oban.enqueue_many(nested()) for _ in range(5)),
            *(engine.oban.enqueue_many([*nested(), *nested()]) for _ in range(2)),
        )
        assert len({job.id for jobs in inserted for job in jobs}) == 5
        await engine.check()

    async def test_are_free_for_nested_workflows(self, engine: Engine, clear: Clear) -> None:
        await engine.enqueue(nested())
        await engine.enqueue(Workflow(id="second").add("s", make_job()))
        await clear(engine)
        outer = Workflow(id="outer")

        for given in "inner", "second":
            outer.add_workflow(given, Workflow(id=given).add(f"in {given}", make_job()))

        await engine.enqueue(outer)
        assert (await Workflow(id="inner").status()).total == 1
        assert (await Workflow(id="w").status()).state == "unknown"

    async def test_a_free_id_can_be_run_anew(self, engine: Engine, clear: Clear) -> None:
        await run_workflow(diamond(id="again"))
        await clear(engine)
        status = await run_workflow(diamond(id="again").add("fifth", work()))
        assert (status.state, status.total) == ("completed", 5)


class TestIdsOfWhichSomeJobsAreLeft:
    @pytest.mark.parametrize("how", ["by hand", "unseen"])
    async def test_are_refused_by_name(self, engine: Engine, how: str) -> None:
        await engine.enqueue(nested())

        if how == "unseen":
            await engine.rows("SET session_replication_role = replica")

        await engine.rows("DELETE FROM oban_jobs WHERE id = %s", [engine.ids["a"]])
        await engine.rows("RESET session_replication_role")
        match = r"workflow 'w' has 4 of its 5 jobs left, .* delete those that are left"

        with pytest.raises(errors.IncompleteWorkflowError, match=match):
            await engine.oban.enqueue_many([*Workflow(id="new").add("n", make_job()), *nested()])

        assert (await Workflow(id="new").status()).state == "unknown"
        assert (await Workflow(id="w").status()).total == 5

    async def test_are_known_while_one_job_is_left(self, engine: Engine) -> None:
        many = Workflow(id="w").add_many("many", [make_job() for _ in range(50)])
        await engine.enqueue(many.add_many("later", [make_job() for _ in range(50)], deps="many"))

        await engine.rows("DELETE FROM oban_jobs WHERE id <> %s", [engine.ids["many/17"]])
        assert (await Workflow(id="w").status()).total == 100

    async def test_stay_known_while_the_pruner_removes_them(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await engine.rows("UPDATE oban_jobs SET state = 'completed'")
        await engine.rows(
            "UPDATE oban_workflow_groups SET inserted_at = '2020-01-01', stopped_at = NULL"
        )
        start: str | None = '{"stage": "workflows"}'
        seen = []

        while start is not None:
            step = partial(Store.prune, max_age=60, limit=1, start=start)
            start = (await session_of(engine.query).execute(step)).next
            seen.append((await Workflow(id="w").status()).state)

        known = seen.index("unknown")
        assert 0 < known < len(seen) - 1
        assert {*seen[known:]} == {"unknown"}

    async def test_wait_for_whoever_deletes_the_last_one(self, engine: Engine, dsn: str) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()))

        async with await AsyncConnection.connect(dsn) as other, asyncio.TaskGroup() as group:
            await other.execute("DELETE FROM oban_jobs")
            again = [*Workflow(id="w").add("a", make_job())]
            task = group.create_task(engine.oban.enqueue_many(again))
            await other.commit()

        assert task.result()[0].id != engine.ids["a"]


class TestTheDoctor:
    async def test_removes_what_nobody_else_would(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await engine.enqueue(Workflow(id="left").add("other", make_job()))
        await delete_unseen(engine)
        (found,) = await doctor.audit()
        assert str(found) == "jobs of w must be 0, got 5"
        assert await doctor.repair() == 4
        assert await doctor.audit() == []
        assert await count(engine) == [1, 1, 0]

    async def test_leaves_what_has_settled_to_the_pruner(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()))
        await engine.complete("a")
        await delete_unseen(engine)
        assert await doctor.audit() == []


class TestCost:
    async def test_of_a_status_does_not_grow_with_jobs_that_are_gone(
        self, oban: Oban, pool: AsyncConnectionPool, engine: Engine
    ) -> None:
        jobs = [make_job() for _ in range(3_000)]
        await oban.enqueue_many(Workflow(id="w").add_many("many", jobs).add("z", make_job()))
        await engine.rows("DELETE FROM oban_jobs WHERE meta ->> 'name' <> 'z'")
        await engine.rows("VACUUM ANALYZE")
        statement = (
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM oban_workflow_status_v1('w')"
        )
        await engine.rows(statement)
        (((explained,),),) = await engine.rows(statement)
        assert explained["Plan"]["Shared Hit Blocks"] < 100
