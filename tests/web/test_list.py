"""The list of workflows: what it finds, in which order, a page at a time."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from oban import Job, Oban
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, sql
from oban_pro.engine.search_statements import RootFilters
from oban_pro.web import finding, listing
from oban_pro.web.list_statements import ListFilters
from tests.support.flows import keep_item
from tests.support.graphs import diamond, work


def names(text: str) -> list[str]:
    return re.findall('class="name"[^>]*>([^<]*)<', text)


async def find(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/", params=query)
    assert answer.status_code == 200, answer.text

    return sorted(names(answer.text))


def link(text: str, rel: str) -> str | None:
    found = re.search(f'rel="{rel}" href="([^"]*)"', text)

    return unescape(found[1]) if found else None


async def walk(client: httpx.AsyncClient, path: str, rel: str = "next") -> list[list[str]]:
    """Read the names of a page and of all pages after it."""
    pages = []

    while path:
        text = (await client.get(path)).text
        pages.append(names(text))
        path = link(text, rel) or ""

    return pages


async def set_states(pool: AsyncConnectionPool, jobs: Sequence[Job], states: list[str]) -> None:
    """Set states by hand, of jobs that began an hour ago."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs j SET state = s.state::oban_job_state,"
            " attempted_at = timezone('UTC', now()) - interval '1 hour'"
            " FROM unnest(%s::bigint[], %s::text[]) s(id, state) WHERE j.id = s.id",
            [[job.id for job in jobs], states],
        )


async def fail(pool: AsyncConnectionPool, job: Job, state: str, error: str | None) -> None:
    """Set the state of a job by hand, and its last error."""
    errors = [{"attempt": 1, "at": "2026-01-01T00:00:00Z", "error": error}] if error else []

    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs SET state = %s::oban_job_state, errors = %s WHERE id = %s",
            [state, Jsonb(errors), job.id],
        )


async def age(pool: AsyncConnectionPool, table: str, hours: float) -> None:
    """Move all times of a table into the past."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' AND atttypid = 'timestamp'::regtype",
            [table],
        )
        columns = [name for (name,) in await cursor.fetchall()]
        moved = ", ".join(f"{name} = {name} - {hours} * interval '1 hour'" for name in columns)
        await conn.execute(f"UPDATE {table} SET {moved}".encode())


async def serve(pool: AsyncConnectionPool, queue: str) -> None:
    """Let a node take jobs from a queue, as far as others can see."""
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO oban_producers (uuid, node, queue, updated_at)"
            " VALUES (gen_random_uuid(), 'node', %s, timezone('UTC', now()))",
            [queue],
        )


def needs(text: str) -> dict[str, list[str]]:
    """Read from the list what workflows need, by name."""
    rows = re.findall(r"<tr id=.*?</tr>", text, re.DOTALL)

    return {
        names(row)[0]: found for row in rows if (found := re.findall('class="need">([^<]*)<', row))
    }


def soon() -> datetime:
    """Return a moment that is near."""
    return datetime.now(UTC) + timedelta(minutes=50, seconds=20)


async def insert_roots(pool: AsyncConnectionPool, count: int) -> None:
    """Insert empty workflows: the first is the newest, and every third one executes."""
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO oban_workflow_groups"
            " (id, name, root, empty_state, inserted_at, stopped_at)"
            " SELECT 'w' || n, n::text, 0,"
            " CASE WHEN n %% 3 = 0 THEN 'executing' ELSE 'completed' END,"
            # two at a time, and what ended last began first
            " timezone('UTC', now()) - n / 2 * interval '1 second',"
            " timezone('UTC', now()) - (%s - n) / 2 * interval '1 second'"
            " FROM generate_series(1, %s) n",
            [count, count],
        )
        await conn.execute("UPDATE oban_workflow_groups SET root = key")
        await conn.execute("ANALYZE oban_workflow_groups")


class TestList:
    async def test_says_so_where_there_is_nothing(self, reader: httpx.AsyncClient) -> None:
        assert "No workflows yet" in (await reader.get("/")).text

    async def test_shows_roots_newest_first(self, oban: Oban, reader: httpx.AsyncClient) -> None:
        for name in ("made first", "made last"):
            await oban.enqueue_many(diamond(name=name).add_workflow("in", diamond(name="inner")))

        text = (await reader.get("/")).text
        assert 0 < text.index("made last") < text.index("made first")
        assert "inner" not in text
        assert text.count("0 / 8") == 2
        assert "default" in text

    async def test_counts_every_state_exactly(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow(name="mixed")
        soon = datetime.now(UTC) + timedelta(hours=1)

        for number in range(5):
            workflow.add(f"later {number}", work(scheduled_at=soon))

        inner = Workflow().add("x", work()).add("y", work(), deps="x").add("z", work(), deps="y")
        workflow.add_workflow("inner", inner)
        jobs = [work(), work(), work(), work()]
        workflow.add_many("many", jobs)
        added = await oban.enqueue_many(workflow)
        await set_states(pool, added[-4:], ["executing", "retryable", "completed", "discarded"])
        text = (await reader.get("/")).text
        (label,) = re.findall('class="bar"[^>]* aria-label="([^"]*)"', text)
        assert label == (
            "1 completed, 1 executing, 1 retryable, 1 available, 5 scheduled, 2 suspended,"
            " 1 discarded"
        )
        assert "2 / 12" in text

    async def test_the_list_shows_all_queues_of_a_workflow(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        jobs = {str(number): work(queue=f"q{number // 400}") for number in range(1999)}
        sub = Workflow().add("x", work(queue="inner"))
        await oban.enqueue_many(Workflow().add_many("many", jobs).add_workflow("sub", sub))
        assert "inner, q0, q1, q2, q3, q4</td>" in (await reader.get("/")).text

    async def test_says_so_where_it_has_looked_at_the_queues_of_some_jobs_only(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        workflow = Workflow().add_many("many", [work() for _ in range(2001)])
        await oban.enqueue_many(workflow.add("last", work(queue="small"), deps="many"))
        text = (await reader.get("/")).text
        assert "default, small" in text
        assert "Queues of 2,000 of the 2,002 jobs" in text

    async def test_tells_how_long_a_workflow_runs_from_its_first_job_on(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        jobs = await oban.enqueue_many(diamond())
        assert '<td data-label="Took" class="number took"></td>' in (await reader.get("/")).text
        await set_states(pool, jobs[:1], ["executing"])
        assert 'class="number took">1h' in (await reader.get("/")).text

    async def test_shows_the_first_error_of_each_workflow(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        trace = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: bad <date>'
        inner = Workflow().add("one", work()).add("two", work()).add("three", work())
        nested = await oban.enqueue_many(Workflow(id="nested").add_workflow("in", inner))
        await fail(pool, nested[1], "discarded", trace)
        await fail(pool, nested[2], "discarded", "another one")
        await fail(pool, nested[0], "retryable", "will be retried")
        (again,) = await oban.enqueue_many(Workflow(id="again").add("a", work()))
        await fail(pool, again, "retryable", "will be retried")
        (stopped,) = await oban.enqueue_many(Workflow(id="stopped").add("a", work()))
        await fail(pool, stopped, "cancelled", "x" * 400)
        (silent,) = await oban.enqueue_many(Workflow(id="silent").add("a", work()))
        await fail(pool, silent, "discarded", None)
        await oban.enqueue_many(diamond(id="good"))
        text = (await reader.get("/")).text
        found = re.findall(r'class="why" href="([^"]*)" title="([^"]*)"', text)
        assert [(url, unescape(line)) for url, line in found] == [
            (f"/workflows/nested#{nested[1].id}", "in / two: ValueError: bad <date>"),
            (f"/workflows/stopped#{stopped.id}", f"a: {'x' * 300}…"),
            (f"/workflows/again#{again.id}", "a: will be retried"),
        ]

    async def test_finds_by_name_and_by_id(self, oban: Oban, reader: httpx.AsyncClient) -> None:
        await oban.enqueue_many(diamond(name="Nightly report", id="first-id"))
        await oban.enqueue_many(diamond(name="Import", id="second-id"))

        for search in ("REPORT", "first-"):
            text = (await reader.get("/", params={"q": search})).text
            assert "Nightly report" in text
            assert "Import" not in text

    async def test_the_list_is_filtered_by_state(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond(name="runs"))
        stopped = diamond(name="stopped")
        await oban.enqueue_many(stopped)
        await stopped.cancel_jobs()

        text = (await reader.get("/", params={"state": "cancelled"})).text
        assert "stopped" in text
        assert "runs" not in text

    async def test_answers_htmx_with_the_table_alone(self, reader: httpx.AsyncClient) -> None:
        answer = await reader.get("/", headers={"HX-Request": "true"})
        assert answer.text.lstrip().startswith("<section")


class TestFilters:
    async def test_find_by_every_state_of_a_workflow(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        paused, stopped = diamond(name="paused"), diamond(name="stopped")
        await oban.enqueue_many(diamond(name="runs", unique="key"))
        await oban.enqueue_many(diamond(name="waits", unique="key", on_conflict="queue"))
        await oban.enqueue_many([*paused])
        await oban.enqueue_many([*stopped])
        await paused.pause()
        await stopped.cancel_jobs()

        assert await find(reader, state="executing") == ["paused", "runs", "waits"]
        assert await find(reader, state="cancelled") == ["stopped"]
        assert await find(reader, state="paused") == ["paused"]
        assert await find(reader, state="in line") == ["waits"]
        assert await find(reader, state="completed") == await find(reader, state="discarded") == []

    async def test_find_by_the_state_the_queue_and_the_worker_of_a_job(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        jobs = await oban.enqueue_many(diamond(name="retries"))
        await set_states(pool, jobs[:1], ["retryable"])
        await oban.enqueue_many(Workflow(name="gpu").add("a", work()).add("b", work(queue="gpu")))
        await oban.enqueue_many(Workflow(name="calls").add_cascade("c", ([1], keep_item)))

        assert await find(reader, jobs="retryable") == ["retries"]
        assert await find(reader, jobs="suspended") == ["retries"]
        assert await find(reader, queue="gpu") == ["gpu"]
        assert await find(reader, worker="tests.support.flows.keep_item") == ["calls"]
        assert await find(reader, worker="tests.support.graphs.Work", jobs="available") == ["gpu"]
        # both of one job
        assert await find(reader, worker="tests.support.flows.keep_item", queue="gpu") == []

    async def test_find_by_attributes_true_to_their_type(
        self, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        for name, attributes in (("one", {"size": 5, "of": "acme"}), ("two", {"size": "5"})):
            await oban.enqueue_many(diamond(name=name, attributes=attributes))

        assert await find(reader, where="size=5") == ["one"]
        assert await find(reader, where=["size=5", "of=acme"]) == ["one"]
        assert await find(reader, where=["size=5", "of=globex"]) == []
        assert await find(reader, where='size="5"') == ["two"]

    async def test_the_list_is_filtered_by_time(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond(name="old"))

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_workflow_groups SET inserted_at = inserted_at - interval '2 days'"
            )

        await oban.enqueue_many(diamond(name="new"))
        assert await find(reader, since="1d") == ["new"]
        assert await find(reader, until="1d") == ["old"]
        assert await find(reader, since="3d", until="1d") == ["old"]
        moment = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
        assert await find(reader, since=moment) == ["new"]

    async def test_are_all_in_the_links_to_other_pages(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await insert_roots(pool, 160)
        query = {"state": "executing", "since": "1d", "order": "oldest"}
        text = (await reader.get("/", params=query)).text
        path = link(text, "next")
        assert path is not None
        assert {"state=executing", "since=1d", "order=oldest"} <= set(path[2:].split("&"))
        pages = await walk(reader, path)
        assert [len(page) for page in pages] == [3]

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [
            ({"state": "lost"}, "state must be one of executing, completed"),
            ({"jobs": "lost"}, "jobs must be one of suspended, available"),
            ({"order": "best"}, "order must be one of newest, oldest"),
            ({"since": "soon"}, "since must be an age like 30m"),
            ({"until": "99999999999w"}, "until must be an age like 30m"),
            ({"where": "acme"}, "where must be like tenant=acme"),
            ({"where": "size=1e400"}, "attribute 'size' must be finite"),
            ({"after": "here"}, "after must be a place in the list"),
            ({"before": "2026-01-01~1"}, "before must be a place in the list"),
            ({"state": "completed", "jobs": "retryable"}, "jobs must not be retryable"),
        ],
    )
    async def test_that_make_no_sense_are_named(
        self, query: dict[str, str], wrong: str, oban: Oban, reader: httpx.AsyncClient
    ) -> None:
        await oban.enqueue_many(diamond())
        answer = await reader.get("/", params=query)
        assert answer.status_code == 200
        assert wrong in unescape(answer.text)
        assert names(answer.text) == []
        found = await reader.get("/found", params={**query, "action": "cancel"})
        assert found.status_code == 400


class TestOrder:
    @pytest.mark.parametrize("order", ["", "oldest", "ended"])
    async def test_leads_through_all_of_them_forth_and_back(
        self, order: str, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await insert_roots(pool, 130)
        # of those that came at once the last one is the newest
        newest = sorted(range(1, 131), key=lambda number: (number // 2, -number))
        ended = [number for number in range(130, 0, -1) if number % 3]
        numbers = {"": newest, "oldest": newest[::-1], "ended": ended}[order]
        pages = await walk(reader, f"/?order={order}")
        assert [name for page in pages for name in page] == [*map(str, numbers)]

        path = f"/?order={order}"

        while path:
            text = (await reader.get(path)).text
            before, path = path, link(text, "next") or ""

        back = await walk(reader, before, "prev")
        assert back == pages[::-1]

    async def test_sorts_what_is_on_the_page(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        jobs = await oban.enqueue_many(diamond(name="c"))
        await oban.enqueue_many(Workflow(name="a").add("one", work()))
        await oban.enqueue_many(Workflow(name="b").add_many("all", [work() for _ in range(9)]))
        await set_states(pool, jobs[:1], ["executing"])

        async def ordered(order: str) -> list[str]:
            return names((await reader.get("/", params={"order": order})).text)

        assert await ordered("name") == ["a", "b", "c"]
        assert await ordered("largest") == ["b", "c", "a"]
        assert (await ordered("longest"))[0] == "c"


class TestSize:
    async def test_looks_at_some_only_and_says_so(
        self,
        pool: AsyncConnectionPool,
        reader: httpx.AsyncClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(finding, "LOOKED_AT", 60)
        await insert_roots(pool, 130)
        text = (await reader.get("/", params={"q": "125"})).text
        assert names(text) == []
        assert "have been looked at" in text
        assert "look further" in text
        pages = await walk(reader, "/?q=125")
        assert [name for page in pages for name in page] == ["125"]
        assert len(pages) == 3

        monkeypatch.setattr(finding, "CHUNK", 10)
        monkeypatch.setattr(finding, "MOST_ASKED", 20)
        assert len(await walk(reader, "/?queue=none")) == 7

    async def test_counts_states_up_to_a_limit(
        self,
        pool: AsyncConnectionPool,
        reader: httpx.AsyncClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await insert_roots(pool, 30)
        text = (await reader.get("/")).text
        assert "> 10 executing</a>" in text
        assert "> 0 discarded</a>" in text
        monkeypatch.setattr(listing, "MOST_COUNTED", 10)
        assert "> 10 or more executing</a>" in (await reader.get("/")).text

    @pytest.mark.parametrize("failed", [100, 2_000])
    async def test_reads_as_much_for_a_first_error_however_many_jobs_failed(
        self, failed: int, oban: Oban, pool: AsyncConnectionPool
    ) -> None:
        await oban.enqueue_many(
            Workflow(id="many").add_many("all", [work() for _ in range(failed)])
        )

        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_jobs SET state = 'discarded',"
                """ errors = '[{"error": "bad"}]'"""
            )
            await conn.execute("ANALYZE")
            query = sql.statement("dashboard/first_errors", "public")
            params = {"ids": ["many"], "states": ["discarded"], "most": 1000}
            cursor = await conn.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), params
            )
            row = await cursor.fetchone()

        assert row
        plan = row[0][0]["Plan"]
        assert plan["Actual Rows"] == 1
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 150

    @pytest.mark.parametrize(
        ("asked", "index"),
        [
            ({}, "roots_index"),
            ({"ascending": True}, "roots_index"),
            ({"state": "executing"}, "open_index"),
            ({"state": "discarded"}, "failed_index"),
            ({"ended": True}, "aged_index"),
            ({"ended": True, "ascending": True}, "aged_index"),
            ({"after": datetime(2026, 1, 1, tzinfo=UTC), "key": -1}, "roots_index"),
        ],
    )
    async def test_reads_a_page_of_many_by_an_index(
        self, asked: dict[str, Any], index: str, pool: AsyncConnectionPool
    ) -> None:
        """Touch as few rows as there are on the page, however many workflows there are."""
        await insert_roots(pool, 20_000)
        params = {
            **ListFilters()._asdict(),
            "after": None,
            "key": None,
            "ended": False,
            "ascending": False,
            "looked_at": 51,
            "limit": 51,
        }

        async with pool.connection() as conn:
            query = sql.statement("dashboard/list", "public")
            cursor = await conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), params | asked)
            plan = json.dumps(await cursor.fetchone())

        assert f"oban_workflow_groups_{index}" in plan
        assert "Seq Scan" not in plan

    async def test_reads_a_page_for_the_command_line_by_an_index(
        self, pool: AsyncConnectionPool
    ) -> None:
        await insert_roots(pool, 20_000)

        async with pool.connection() as conn:
            query = sql.statement("queries/roots", "public")
            params = {**RootFilters()._asdict(), "limit": 51, "offset": 0}
            cursor = await conn.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), params)
            plan = json.dumps(await cursor.fetchone())

        assert "oban_workflow_groups_roots_index" in plan
        assert "Seq Scan" not in plan


class TestAttention:
    async def test_is_needed_where_nothing_happened_for_two_hours(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        timed = Workflow(name="timed").add_timer("t", 7 * 3600).add("a", work(), deps="t")
        signalled = Workflow(name="signalled").add_signal("s").add("a", work(), deps="s")
        later = Workflow(name="later").add("a", work(scheduled_in=7 * 3600))
        paused = Workflow(name="paused").add("a", work())
        ended = Workflow(name="ended").add("a", work())

        left = Workflow(name="left").add("a", work())

        for workflow in (left, timed, signalled, later, paused, ended):
            await oban.enqueue_many(workflow)

        await paused.pause()
        await ended.cancel_jobs()
        await serve(pool, "default")
        assert "nothing happened" not in (await reader.get("/")).text
        await age(pool, "oban_workflow_groups", 3)
        await age(pool, "oban_jobs", 3)
        text = (await reader.get("/")).text
        assert needs(text) == {
            "left": ["nothing happened for 3h"],
            "signalled": ["waits for a signal"],
        }
        assert "<title>(2) Workflows</title>" in text

    async def test_is_over_once_something_happens(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        jobs = await oban.enqueue_many(diamond(name="slow"))
        await serve(pool, "default")
        await age(pool, "oban_workflow_groups", 3)
        assert needs((await reader.get("/")).text) == {"slow": ["nothing happened for 3h"]}
        await set_states(pool, jobs[:1], ["executing"])
        assert needs((await reader.get("/")).text) == {}
        await age(pool, "oban_jobs", 4)
        assert needs((await reader.get("/")).text) == {"slow": ["nothing happened for 3h"]}

    async def test_is_needed_where_a_deadline_is_near(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await serve(pool, "default")
        near = soon()

        deadlines: dict[str, Any] = {"soon": near, "short": 1800, "far": 86_400}

        for name, deadline in deadlines.items():
            await oban.enqueue_many(Workflow(name=name, deadline=deadline).add("a", work()))

        part = Workflow(name="part").add("a", work(), deadline=near).add("b", work(), deadline=near)
        jobs = await oban.enqueue_many(part)
        settled = Workflow(name="settled").add("a", work(), deadline=near).add("b", work())
        await oban.enqueue_many(settled)
        await settled.cancel_jobs(names=["a"])
        assert needs((await reader.get("/")).text) == {
            "soon": ["deadline in 50m"],
            "part": ["deadline in 50m"],
        }

        # a short one is near in its last fifth
        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE oban_workflow_timers SET due = due - interval '25 minutes 30 seconds'"
            )

        found = needs((await reader.get("/")).text)
        assert found["short"] == ["deadline in 4m"]
        assert found["soon"] == ["deadline in 24m"]
        assert len(jobs) == 2

    async def test_comes_first_however_old_the_workflow_is(
        self, oban: Oban, pool: AsyncConnectionPool, reader: httpx.AsyncClient
    ) -> None:
        await serve(pool, "default")
        await oban.enqueue_many(Workflow(name="left").add("a", work()))
        await oban.enqueue_many(Workflow(name="waiting").add_signal("s"))
        await oban.enqueue_many(Workflow(name="late", deadline=soon()).add("a", work()))
        await age(pool, "oban_workflow_groups", 3)

        for number in range(60):
            await oban.enqueue_many(Workflow(name=f"new {number}").add("a", work()))

        text = (await reader.get("/")).text
        assert sorted(names(text)[:3]) == ["late", "left", "waiting"]
        assert len(names(text)) == 53
        assert "<title>(3) Workflows</title>" in text
        # whoever asks for something else gets that alone
        text = (await reader.get("/", params={"q": "new"})).text
        assert not {"late", "left", "waiting"} & {*names(text)}
        assert [*map(len, await walk(reader, "/"))] == [53, 13]
