"""A primary that is killed, and a synchronous standby that takes its place."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro.web import create_app
from tests.support.cli import start_cli
from tests.support.dashboard import browse
from tests.support.nodes import Nodes, assert_all_well, drain, rows, wait_for_runs
from tests.support.standby import Replicated, needs_replicas
from tests.support.workload import ACKED, RUNS, Grafting, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [needs_replicas, pytest.mark.timeout(200)]

RAN_AGAIN = """
SELECT job FROM acked JOIN runs USING (job) WHERE runs.started_at > acked.at
"""


@pytest.fixture
def replicated() -> Iterator[Replicated]:
    with Replicated() as replicated:
        yield replicated


@pytest.fixture
async def client(replicated: Replicated) -> AsyncIterator[Oban]:
    """Provide a client that finds whichever server takes changes."""
    async with AsyncConnectionPool(
        replicated.dsn(), min_size=1, max_size=4, open=False, timeout=10.0
    ) as pool:
        await schema.install(pool)
        yield Oban(pool=pool)


def large() -> Workflow:
    """Build 302 jobs, and 100 more that are grafted."""
    workflow = Workflow(id="large").add("a", Step.new({}))
    workflow.add_many("in", [Step.new({"seconds": 0.02}) for _ in range(145)], deps="a")

    for n in range(10):
        workflow.add_graft(f"graft{n}", Grafting.new({"size": 8}), deps="a")

    workflow.add_many("out", [Step.new({"seconds": 0.02}) for _ in range(145)], deps="in")

    return workflow.add("b", Step.new({}), deps=["out", *(f"graft{n}" for n in range(10))])


class Inserting:
    """Somebody who goes on inserting, and notes what was confirmed."""

    def __init__(self, oban: Oban) -> None:
        self.oban = oban
        self.workflows: list[str] = []
        self.confirmed: list[int] = []
        self.unsure: list[int] = []
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        number = 0

        while not self.stopping.is_set():
            number += 1
            await self._insert_workflow(f"w{number}")
            await self._insert_job(number)

    async def _insert_workflow(self, id: str) -> None:
        """Insert a workflow, and again under its id until that is confirmed."""
        while True:
            workflow = Workflow(id=id).add("a", Step.new({})).add("b", Step.new({}), deps="a")

            with suppress(OperationalError):
                await self.oban.enqueue_many(workflow)
                self.workflows.append(id)
                return

    async def _insert_job(self, number: int) -> None:
        """Insert a plain job, once: what became of it is unknown unless that is confirmed."""
        try:
            await self.oban.enqueue(Step.new({"number": number}))
            self.confirmed.append(number)
        except OperationalError:
            self.unsure.append(number)


class TestFailover:
    async def test_loses_nothing_and_does_nothing_twice(
        self, replicated: Replicated, client: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        await conn.execute(ACKED.encode())
        await client.enqueue_many(large())
        inserting = Inserting(client)

        with Nodes(replicated.dsn(), dsn, limit=5, notes_acks=True) as nodes:
            for _ in range(3):
                await asyncio.to_thread(nodes.start)

            users = asyncio.create_task(inserting.run())
            waiting = asyncio.create_task(Workflow(id="large").wait(timeout=150))
            await wait_for_runs(conn, 100)
            await asyncio.to_thread(replicated.fail_over)
            known = len(inserting.workflows)
            await wait_for_runs(conn, 300)

            while len(inserting.workflows) < known + 20:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

            inserting.stopping.set()
            await users
            assert (await waiting).state == "completed"
            await self._judge(replicated.standby.dsn(), conn, inserting)

    async def _judge(self, dsn: str, runs: AsyncConnection, inserting: Inserting) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            await drain(conn, 120)
            await conn.execute(RUNS.encode())
            lines = await rows(runs, "SELECT job, attempt, node, started_at, finished_at FROM runs")
            await conn.cursor().executemany(
                "INSERT INTO runs (job, attempt, node, started_at, finished_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                lines,
            )
            await assert_all_well(conn, interrupted=0)

            by_workflow = dict(
                await rows(
                    conn,
                    "SELECT meta ->> 'workflow_id', count(*) FROM oban_jobs"
                    " WHERE starts_with(meta ->> 'workflow_id', 'w') GROUP BY 1",
                )
            )
            assert by_workflow == dict.fromkeys(inserting.workflows, 2)
            numbers = Counter(
                number
                for (number,) in await rows(
                    conn, "SELECT (args ->> 'number')::int FROM oban_jobs WHERE args ? 'number'"
                )
            )
            assert {*inserting.confirmed} <= numbers.keys()
            assert numbers.keys() <= {*inserting.confirmed, *inserting.unsure}
            assert {*numbers.values()} == {1}

            expected = 302 + 100 + 2 * len(inserting.workflows) + len(numbers)
            assert await rows(conn, "SELECT state::text, count(*) FROM oban_jobs GROUP BY 1") == [
                ("completed", expected)
            ]

        assert await rows(runs, RAN_AGAIN) == []
        ((confirmed,),) = await rows(runs, "SELECT count(DISTINCT job) FROM acked")
        assert confirmed > 100


class TestWhoeverLooks:
    async def test_page_command_and_handle_live_through_a_failover(
        self, replicated: Replicated, client: Oban, tmp_path: Path
    ) -> None:
        workflow = Workflow(id="w").add("a", Step.new({})).add("b", Step.new({}), deps="a")
        await client.enqueue_many(workflow)
        app = create_app(replicated.dsn())
        watch = start_cli("watch", "w", cwd=tmp_path, dsn=replicated.dsn())
        waiting = asyncio.create_task(workflow.wait(timeout=100))

        try:
            assert watch.stdout is not None
            assert "available" in await asyncio.to_thread(watch.stdout.readline)

            async with browse(app) as reader:
                assert (await reader.get("/workflows/w")).status_code == 200
                await asyncio.to_thread(replicated.primary.kill)
                answer = await reader.get("/workflows/w")
                assert answer.status_code == 503
                assert "the database cannot be reached, retrying" in answer.text
                assert not waiting.done()
                said = await asyncio.to_thread(watch.stdout.readline)
                assert said == "The database does not answer, waiting for it.\n"
                await asyncio.to_thread(replicated.promote)
                # every one of its connections is cut
                assert [(await reader.get("/workflows/w")).status_code for _ in range(5)] == [
                    200
                ] * 5
                await workflow.cancel_jobs()
                assert (await waiting).state == "cancelled"
                output, _ = await asyncio.to_thread(watch.communicate, timeout=60)
        finally:
            watch.kill()
            watch.wait(10)
            await app.state.session.close()

        assert watch.returncode == 3
        assert output == "2 cancelled\nWorkflow w is cancelled: 0 of 2 jobs completed.\n"
