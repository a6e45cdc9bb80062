"""A status says that a retry came between the first start and the last stop."""

import asyncio
from datetime import UTC, datetime

from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.engine.session import session_for
from oban_pro.engine.store import Store
from oban_pro.handles import steering
from oban_pro.testing import run_workflow
from tests.support.cli import invoke
from tests.support.databases import Psql
from tests.support.graphs import diamond, work


def failing() -> Workflow:
    sub = Workflow(id="s").add("b", work("fail", max_attempts=1))

    return (
        Workflow(id="w")
        .add("a", work())
        .add_workflow("sub", sub, deps="a")
        .add_workflow("other", Workflow(id="o").add("c", work()))
    )


async def retried_at(workflow_id: str = "w") -> datetime | None:
    return (await Workflow(id=workflow_id).status()).retried_at


class TestRetriedAt:
    async def test_is_none_until_a_settled_workflow_is_retried(self, oban: Oban) -> None:
        workflow = failing()
        await oban.enqueue_many(workflow)
        await workflow.cancel_jobs(names=["other"])
        assert await workflow.retry_jobs(names=["a"]) == 0
        assert await retried_at() is None
        await run_workflow(workflow, oban, with_safety=True)
        assert await retried_at() is None

        before = datetime.now(UTC)
        assert await workflow.retry_jobs() == 2
        first = await retried_at()
        assert first is not None
        assert abs((first - before).total_seconds()) < 60

        # it is open now
        assert await workflow.cancel_jobs(names=["other"]) == 1
        assert await workflow.retry_jobs(names=["other"]) == 1
        assert await retried_at() == first

    async def test_is_of_those_that_opened_again(self, oban: Oban) -> None:
        workflow = failing()
        await run_workflow(workflow, oban, with_safety=True)
        await workflow.retry_jobs()
        status = await workflow.status()
        assert status.retried_at is not None
        assert status.subs["sub"].retried_at == status.retried_at
        assert status.subs["other"].retried_at is None
        assert await retried_at("s") == status.retried_at
        assert await retried_at("o") is None

    async def test_is_of_the_whole_where_a_part_is_retried(self, oban: Oban) -> None:
        await run_workflow(failing(), oban, with_safety=True)
        await Workflow(id="s").retry_jobs()
        assert await retried_at() == await retried_at("s") is not None

    async def test_is_of_the_part_alone_where_the_whole_is_open(
        self, oban: Oban, psql: Psql
    ) -> None:
        workflow = failing().add("later", work(scheduled_in=3600))
        await oban.enqueue_many(workflow)
        psql.rows("UPDATE oban_jobs SET state = 'completed' WHERE meta ->> 'name' <> 'later'")
        await Workflow(id="o").retry_jobs(names=["c"])
        assert await retried_at() is None
        assert await retried_at("o") is not None

    async def test_stays_where_there_was_nothing_to_retry(self, oban: Oban) -> None:
        workflow = Workflow(id="w").add("a", work())
        await run_workflow(workflow, oban)
        assert await workflow.retry_jobs() == 0
        assert await retried_at() is None

    async def test_is_not_of_what_is_appended(self, oban: Oban) -> None:
        workflow = Workflow(id="w").add("a", work())
        await run_workflow(workflow, oban)
        await workflow.append(Workflow().add("b", work()))
        assert await retried_at() is None

    async def test_is_the_last_one_and_leaves_the_duration_as_it_is(
        self, oban: Oban, psql: Psql
    ) -> None:
        workflow = Workflow(id="w").add("a", work())
        await run_workflow(workflow, oban)
        psql.rows("UPDATE oban_workflow_groups SET started_at = started_at - interval '1 day'")
        await workflow.retry_jobs(names=["a"])
        first = await retried_at()
        await run_workflow(workflow, oban)
        await workflow.retry_jobs(names=["a"])
        second = await retried_at()
        assert first is not None
        assert second is not None
        assert second > first
        status = await run_workflow(workflow, oban)
        assert status.retried_at == second
        assert status.duration is not None
        assert status.duration.days == 1

    async def test_is_kept_when_the_page_retries_from_a_job_on(self, oban: Oban) -> None:
        workflow = diamond(id="w")
        await run_workflow(workflow, oban)
        parts = {"w": ["left", "end"]}

        async def body(store: Store) -> int:
            await store.lock_root("w")
            return (await steering.retry_parts(store, "w", parts))[0]

        assert await session_for("Oban").transact(body) == 2
        assert await retried_at() is not None

    async def test_the_time_of_a_retry_is_shown(self, oban: Oban, dsn: str) -> None:
        workflow = Workflow(id="w").add("a", work())
        await run_workflow(workflow, oban)
        shown = await asyncio.to_thread(invoke, dsn, "show", "w")
        assert "retried" not in shown.stdout
        await workflow.retry_jobs(names=["a"])
        shown = await asyncio.to_thread(invoke, dsn, "show", "w")
        assert ", retried " in shown.stdout
        assert "retried_at" in (await asyncio.to_thread(invoke, dsn, "show", "w", "--json")).stdout


class TestCosts:
    async def test_are_a_look_into_an_empty_index_without_retries(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        """However many workflows there are, and however many are nested in one."""
        nested = Workflow(id="w")

        for number in range(300):
            nested.add_workflow(str(number), Workflow().add("a", work()))

        await oban.enqueue_many(nested)
        await conn.execute("ANALYZE")
        read = "SELECT * FROM oban_workflow_status_marks_v2('w')"
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {read}"

        for _ in range(2):
            cursor = await conn.execute(explain.encode())
            (plan,) = (await cursor.fetchone() or ([],))[0]

        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 10
