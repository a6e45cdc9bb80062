"""The page of queues and nodes."""

import asyncio
import re
from typing import Any

import httpx
from oban import Job, Oban, Worker, worker
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web.queues import LOOKED_AT, MOST_RUNNING
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import work


@worker()
class Slow(Worker):
    """Runs until its node stops."""

    async def process(self, job: Job) -> None:
        await asyncio.Event().wait()


async def rows(client: httpx.AsyncClient) -> list[str]:
    """Read the rows of all tables of the page as text."""
    answer = await client.get("/queues", headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.text
    found = re.findall(r"<tr id=.*?</tr>", answer.text, re.DOTALL)

    return [" ".join(re.sub(r"<title>.*?</title>|<[^>]*>", " ", one).split()) for one in found]


async def execute(pool: AsyncConnectionPool, statement: str, *params: Any) -> None:
    async with pool.connection() as conn:
        await conn.execute(statement.encode(), params)


class TestCharts:
    async def test_show_how_fast_jobs_were_completed_and_how_long_they_had_waited(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        # in each half of a minute one more job than before, the latest three; each had waited 2 s
        ages = [*[5, 10, 15], *[40, 45], 70, 3600]
        await oban.enqueue_many([work(queue="mail") for _ in ages] + [work(queue="mail")])
        await execute(
            pool,
            "UPDATE oban_jobs SET state = 'completed', completed_at = at, attempted_at = at,"
            " scheduled_at = at - interval '2 seconds'"
            " FROM (SELECT row_number() OVER () AS n, timezone('UTC', now())"
            " - age * interval '1 second' AS at FROM unnest(%s::int[]) age) given"
            " WHERE id = n",
            ages,
        )
        (mail,) = await rows(reader)
        assert mail.endswith(" 6.0/min 2.0s")
        answer = await reader.get("/queues", headers={"HX-Request": "true"})
        label = "Jobs completed in the last 10 minutes: 6.0/min at the end, 6.0/min at most"
        assert label in answer.text
        charts = re.findall(r"<svg class=.small-chart.*?</svg>", answer.text, re.DOTALL)
        heights = [re.findall(r'height="(\d+)"/>', one)[-4:] for one in charts]
        assert heights == [["0", "8", "16", "24"], ["0", "24", "24", "24"]]

    async def test_read_a_few_jobs_of_each_slice_alone(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many([work(queue="mail") for _ in range(5001)])
        # five thousand in the last ten seconds
        await execute(
            pool,
            "UPDATE oban_jobs SET state = 'completed', scheduled_at = at, attempted_at = at,"
            " completed_at = at FROM (SELECT n, timezone('UTC', now()) - interval '29 seconds'"
            " + n * interval '2 ms' AS at FROM generate_series(1, 5000) n) given WHERE id = n",
        )
        (mail,) = await rows(reader)
        rate = re.search(r"([\d.,]+)/s", mail)
        assert rate is not None
        # The first begins at most a second after its slice, the others 2 ms after each other.
        assert int(LOOKED_AT / 1.1) <= float(rate[1].replace(",", "")) <= 500


class TestQueues:
    async def test_have_depth_and_age_without_a_node(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add("a", work(queue="mail")).add("b", work(queue="mail"), deps="a")
        await oban.enqueue_many(workflow)
        await execute(
            pool,
            "UPDATE oban_jobs SET scheduled_at = scheduled_at - interval '2 hours'"
            " WHERE state = 'available'",
        )
        assert await rows(reader) == ["mail no node takes jobs from it 1 available, 1 suspended 2h"]
        page = (await reader.get("/queues")).text
        assert "<title>(1) Queues</title>" in page
        assert "No node serves a queue." in page
        assert "Nothing runs." in page

    async def test_have_nodes_limits_and_pauses(
        self, start_oban: StartOban, reader: httpx.AsyncClient, wait_until: WaitUntil
    ) -> None:
        limits = {"limit": 5, "global_limit": 1, "rate_limit": {"allowed": 60, "period": 90}}
        await start_oban({"mail": limits, "etl": 3})
        paused = await start_oban({"etl": 4})
        await paused.pause_queue("etl", node="node-2")

        async def shown() -> bool:
            found = await rows(reader)

            return (
                "etl none 2 nodes, 7 at once, paused on 1" in found
                and "mail none 1 node, 5 at once 1 at once, 60 in 1m 30s" in found
            )

        await wait_until(shown)
        found = await rows(reader)
        assert any(re.match(r"node-1 etl 0 of 3 \S+ ago \d{4}-", row) for row in found)
        assert any(row.startswith("node-2 etl paused 0 of 4 ") for row in found)

    async def test_tell_which_nodes_are_silent(
        self, start_oban: StartOban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await start_oban({"etl": 3})
        await execute(pool, "UPDATE oban_producers SET updated_at = updated_at - interval '1 hour'")
        (row,) = await rows(reader)
        assert row.startswith("node-1 silent for too long etl 0 of 3 1h ")


class TestRunning:
    async def test_tells_what_runs_where(
        self, start_oban: StartOban, reader: httpx.AsyncClient, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban({"default": 3}, shutdown_grace_period=0.1)
        sub = Workflow().add("x", Slow.new())
        workflow = Workflow(id="the-one", name="nightly").add_workflow("sub", sub)
        await oban.enqueue_many([*workflow, Slow.new()])

        async def shown() -> bool:
            return "default 2 executing 1 node, 3 at once" in await rows(reader)

        await wait_until(shown)
        found = await rows(reader)
        assert any(row.startswith("node-1 default 2 of 3 ") for row in found)
        assert any(row.startswith("sub / x nightly node-1 default ") for row in found)
        assert any(re.match(r"\S+Slow none node-1 default ", row) for row in found)
        page = (await reader.get("/queues")).text
        assert re.search(r'href="/workflows/the-one#\d+"', page)

    async def test_lists_the_longest_of_many(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        count = MOST_RUNNING + 20
        await oban.enqueue_many([work() for _ in range(count)])
        await execute(
            pool,
            "UPDATE oban_jobs SET state = 'executing',"
            " attempted_at = timezone('UTC', now()) - make_interval(mins => id::int)",
        )
        page = (await reader.get("/queues")).text
        assert page.count('id="running-') == MOST_RUNNING
        assert f"These run longest, of {count}." in page
        assert f'id="running-{count}"' in page
        assert 'id="running-1"' not in page


class TestNames:
    async def test_names_of_queues_and_nodes_are_escaped(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many([work(queue="<b>mail</b>")])
        await execute(
            pool,
            "INSERT INTO oban_producers (uuid, node, queue, meta)"
            " VALUES (gen_random_uuid(), '<i>n</i>', '\"q', '{\"local_limit\": \"<u>\"}')",
        )
        page = (await reader.get("/queues")).text
        assert "&lt;b&gt;mail" in page
        assert not re.search("<(b|i|u)>", page)
