"""The runs of a name, and two runs job by job."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web import history
from oban_pro.web.history import RUNS, draw_bars, sum_up
from oban_pro.web.history_statements import RunRow
from tests.support.fixtures import Run
from tests.support.graphs import diamond, work

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def run_of(state: str, seconds: float | None) -> RunRow:
    started = None if seconds is None else NOW - timedelta(seconds=seconds)
    stopped = None if state == "executing" else NOW

    return RunRow("id", state, NOW, 4, 4, 0, started, stopped)


def texts(page: str) -> list[str]:
    """Read the rows of the tables of a page."""
    found = re.findall(r"<tr.*?</tr>", page, re.DOTALL)

    return [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in found[1:]]


async def move(pool: AsyncConnectionPool, workflow_id: str, age: timedelta) -> None:
    """Have a workflow be inserted earlier."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_workflow_groups SET inserted_at = inserted_at - %s WHERE id = %s",
            [age, workflow_id],
        )


class TestBars:
    def test_are_as_high_as_runs_took(self) -> None:
        runs = [run_of("completed", 60), run_of("executing", 30), run_of("executing", None)]
        assert [(bar.height, bar.text) for bar in draw_bars(runs, NOW)] == [
            (history.HEIGHT, "1m"),
            (history.HEIGHT // 2, "30s"),
            (history.LEAST, ""),
        ]
        assert [bar.x for bar in draw_bars(runs, NOW)] == [36, 18, 0]

    def test_the_bars_of_runs_are_summed_up(self) -> None:
        runs = [run_of(state, took) for state, took in (
            ("executing", 5), ("completed", 10), ("completed", 20), ("completed", 60),
            ("discarded", 90),
        )]  # fmt: skip
        assert sum_up(draw_bars(runs, NOW)) == (
            "3 of 4 that settled completed (75%); those took 20s in the middle, 1m at most."
        )
        assert sum_up(draw_bars(runs[:1], NOW)) == "None of these has settled."
        assert sum_up(draw_bars([], NOW)) == "None of these has settled."
        assert sum_up(draw_bars(runs[-1:], NOW)) == "0 of 1 that settled completed (0%)."


class TestHistory:
    async def test_shows_the_runs_of_a_name_alone(
        self, run: Run, reader: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        for number, name in enumerate(["nightly", "nightly", "nightly 2"]):
            await run(diamond(id=f"run-{number}", name=name))

        page = (await reader.get("/history", params={"name": "nightly"})).text
        assert "2 of 2 that settled completed (100%)" in page
        newest, oldest = texts(page)
        assert re.match(r"run-1 completed \d+\S+ 4 of 4 completed \d{4}-\S+ \S+ compare$", newest)
        assert newest.startswith("run-1")
        assert oldest.startswith("run-0")
        assert 'href="/workflows/run-1/compare?with=run-0"' in page
        assert "with=run-1" not in page
        assert page.count("<rect") == 2 + 1

    async def test_goes_back_page_by_page(
        self, oban: Oban, reader: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        for number in range(RUNS + 2):
            await oban.enqueue_many(Workflow(id=f"run-{number}", name="x").add("a", work()))

        first = (await reader.get("/history", params={"name": "x"})).text
        second = (await reader.get("/history", params={"name": "x", "page": 2})).text
        assert (len(texts(first)), len(texts(second))) == (RUNS, 2)
        assert 'href="/workflows/run-2/compare?with=run-1"' in first
        assert "page=2" in first
        assert "page=3" not in second

    async def test_says_so_where_there_is_none(self, reader: httpx.AsyncClient) -> None:
        for query in ("", "?name=", "?name=none", "?name=none&page=x"):
            answer = await reader.get(f"/history{query}")
            assert answer.status_code == 200
            assert "There is no workflow of this name." in answer.text

    async def test_names_in_the_history_are_escaped(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        name = "<script>x</script>&\"'"
        await oban.enqueue_many(diamond(id=name, name=name))
        page = (await reader.get("/history", params={"name": name})).text
        assert "<script>x" not in page
        (link,) = re.findall(r'class="name" href="([^"]*)"', page)
        run = (await reader.get(link)).text
        assert "<script>x" not in run
        (back,) = re.findall(r'href="(/history[^"]*)"', run)
        assert "4 " in " ".join(texts((await reader.get(back)).text))


class TestRun:
    async def test_leads_to_the_runs_before_and_after_it(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        for number in range(3):
            await oban.enqueue_many(diamond(id=f"run-{number}", name="nightly"))

        await oban.enqueue_many(diamond(id="other", name="another"))
        page = (await reader.get("/workflows/run-1")).text
        assert '<a rel="prev" href="/workflows/run-0">' in page
        assert '<a rel="next" href="/workflows/run-2">' in page
        assert "/workflows/run-1/compare?with=run-0" in page
        page = (await reader.get("/workflows/other")).text
        assert 'rel="prev"' not in page
        assert 'rel="next"' not in page
        assert "/history?name=another" in page

    async def test_has_no_history_without_a_name_or_in_another_one(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        sub = diamond()
        workflow = diamond(id="the-one").add_workflow("sub", sub)
        await oban.enqueue_many(workflow)
        part = next(
            job.meta["workflow_id"]
            for job in await workflow.all_jobs(with_subs=True)
            if job.meta["workflow_id"] != "the-one"
        )

        for id in ("the-one", part):
            assert "/history" not in (await reader.get(f"/workflows/{id}")).text


class TestComparison:
    async def test_puts_jobs_side_by_side_by_their_path(
        self, run: Run, oban: Oban, reader: httpx.AsyncClient, pool: AsyncConnectionPool
    ) -> None:
        old = Workflow(id="old").add("a", work()).add_workflow("sub", diamond()).add("gone", work())
        await run(old)
        new = Workflow(id="new").add("a", work()).add_workflow("sub", diamond())
        await run(new)
        slow = await new.get_job("sub/left")
        assert slow

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_jobs SET attempted_at = completed_at - interval '1 minute',"
                " scheduled_at = completed_at - interval '2 minutes',"
                " inserted_at = completed_at - interval '3 minutes' WHERE id = %s",
                [slow.id],
            )

        answer = await reader.get("/workflows/new/compare", params={"with": "old"})
        assert answer.status_code == 200, answer.text
        first, second, *rest = texts(answer.text)
        assert first.startswith("gone absent was completed - was ")
        assert re.match(r"sub/left completed 1m was \d+ms \+\S+", second)
        assert {row.split()[0] for row in rest} == {"a", "sub/start", "sub/right", "sub/end"}

    @pytest.mark.parametrize("query", ["", "?with=", "?with=none"])
    async def test_is_not_found_without_the_other_one(
        self, query: str, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond(id="the-one"))
        assert (await reader.get(f"/workflows/the-one/compare{query}")).status_code == 404
        assert (await reader.get("/workflows/none/compare?with=the-one")).status_code == 404

    async def test_lists_those_that_differ_most_and_leaves_the_largest_to_the_command(
        self, oban: Oban, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for id in ("old", "new"):
            await oban.enqueue_many(Workflow(id=id).add_many("each", [work() for _ in range(250)]))

        page = (await reader.get("/workflows/new/compare?with=old")).text
        assert len(texts(page)) == history.MOST_COMPARED
        assert "50 more differ less" in page
        monkeypatch.setattr(history, "MOST_READ", 499)
        answer: Any = await reader.get("/workflows/new/compare?with=old")
        assert answer.status_code == 422
        assert "oban-workflows diff" in answer.text
