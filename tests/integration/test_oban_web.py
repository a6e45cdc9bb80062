"""What Oban Web, the dashboard of Oban for Elixir, asks the database about workflows."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from tests.support.cli import run_cli
from tests.support.fixtures import StartOban
from tests.support.graphs import settled, work

COUNTERS = (
    "suspended",
    "available",
    "scheduled",
    "executing",
    "retryable",
    "completed",
    "cancelled",
    "discarded",
)

LIST = """
SELECT
  id, name, parent_id, state, meta, suspended, available, scheduled, executing, retryable,
  completed, cancelled, discarded, started_at, completed_at, inserted_at
FROM
  oban_workflows
WHERE
  parent_id IS NULL
  AND state = ANY(%(states)s)
ORDER BY
  inserted_at DESC
LIMIT
  20
"""

JOBS = "SELECT id, meta ->> 'name' AS name FROM oban_jobs WHERE meta ->> 'workflow_id' = %s"
SUP = "SELECT id, meta ->> 'name' AS name FROM oban_jobs WHERE meta ->> 'sup_workflow_id' = %s"


def mixed() -> Workflow:
    """Build a workflow with jobs in several states once it has run."""
    sub = Workflow(name="inner").add("x", work()).add("y", work(), deps="x")
    return (
        Workflow(name="outer")
        .add("fine", work())
        .add("broken", work("fail", max_attempts=1))
        .add("after", work(), deps="broken")
        .add_workflow("sub", sub, deps="fine")
    )


@pytest.fixture
async def elixir(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection[DictRow]]:
    async with pool.connection() as conn:
        conn.row_factory = dict_row  # type: ignore[assignment]
        yield conn  # type: ignore[misc]


async def rows(conn: AsyncConnection[Any], query: str, params: Any = None) -> list[Any]:
    return await (await conn.execute(query.encode(), params)).fetchall()


class TestRelation:
    async def test_is_found_among_the_tables(self, elixir: AsyncConnection[Any]) -> None:
        query = (
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_name = 'oban_workflows'"
        )
        assert len(await rows(elixir, query)) == 1

    async def test_lists_roots_with_their_own_jobs_counted(
        self, oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        workflow = mixed()
        await oban.enqueue_many(workflow)
        (listed,) = await rows(elixir, LIST, {"states": ["executing"]})
        assert listed["id"] == workflow.id
        assert listed["name"] == "outer"
        assert listed["meta"] == {"queues": ["default"], "workers": ["tests.support.graphs.Work"]}
        assert listed["started_at"] is None
        assert listed["completed_at"] is None
        assert {name: listed[name] for name in COUNTERS if listed[name]} == {
            "available": 2,
            "suspended": 1,
        }

    async def test_counts_every_state_of_a_settled_one(
        self, start_oban: StartOban, elixir: AsyncConnection[Any], wait_until: Any
    ) -> None:
        workflow = mixed()
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert await rows(elixir, LIST, {"states": ["executing"]}) == []
        (listed,) = await rows(elixir, LIST, {"states": ["discarded"]})
        assert {name: listed[name] for name in COUNTERS if listed[name]} == {
            "completed": 1,
            "discarded": 1,
            "cancelled": 1,
        }
        assert listed["inserted_at"] <= listed["started_at"] <= listed["completed_at"]

    async def test_leads_to_nested_ones_and_to_jobs(
        self, oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        workflow = mixed()
        await oban.enqueue_many(workflow)
        query = "SELECT id, name, suspended FROM oban_workflows WHERE parent_id = %s"
        (nested,) = await rows(elixir, query, [workflow.id])
        assert (nested["name"], nested["suspended"]) == ("inner", 2)
        own = {job["name"] for job in await rows(elixir, JOBS, [workflow.id])}
        assert own == {"fine", "broken", "after"}
        assert {job["name"] for job in await rows(elixir, SUP, [workflow.id])} == {"x", "y"}

    async def test_counts_open_jobs_in_every_state(
        self, oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        workflow = Workflow()
        expected = {state: number for number, state in enumerate(COUNTERS[1:5], start=1)}
        states = [state for state, number in expected.items() for _ in range(number)]

        for number in range(len(states)):
            workflow.add(f"{number}", work())

        jobs = await oban.enqueue_many(workflow)
        await elixir.execute(
            "UPDATE oban_jobs j SET state = s.state::oban_job_state"
            " FROM unnest(%s::bigint[], %s::text[]) s(id, state) WHERE j.id = s.id",
            [[job.id for job in jobs], states],
        )
        (listed,) = await rows(elixir, LIST, {"states": ["executing"]})
        assert {name: listed[name] for name in COUNTERS if listed[name]} == expected

    async def test_has_what_the_graph_of_a_workflow_is_drawn_from(
        self, oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        workflow = mixed()
        await oban.enqueue_many(workflow)
        query = JOBS.replace(
            "AS name", "AS name, meta -> 'deps' AS deps, meta -> 'workflow' AS drawn"
        )
        jobs = await rows(elixir, query, [workflow.id])
        assert {job["name"]: (job["deps"], job["drawn"]) for job in jobs} == {
            "fine": ([], True),
            "broken": ([], True),
            "after": (["broken"], True),
        }

    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ("name ILIKE '%night%'", ["Nightly import"]),
            ("id = ANY('{first,third}')", ["Nightly import", "report"]),
            ("meta -> 'queues' ?| '{mail,none}'", ["report"]),
            (
                "meta -> 'workers' ? 'tests.support.graphs.Work'",
                ["Nightly import", "other", "report"],
            ),
            ("state = 'cancelled'", ["other"]),
            ("available > 1", ["Nightly import"]),
        ],
    )
    async def test_is_searched_as_its_list_is(
        self, condition: str, found: list[str], oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        first = Workflow(id="first", name="Nightly import").add("a", work()).add("b", work())
        second = Workflow(id="second", name="other").add("a", work())
        third = Workflow(id="third", name="report").add("a", work(queue="mail"))
        await oban.enqueue_many([*first, *second, *third])
        await second.cancel_jobs()
        query = f"SELECT name FROM oban_workflows WHERE parent_id IS NULL AND {condition}"
        names = {row["name"] for row in await rows(elixir, query)}
        assert sorted(names) == found

    @pytest.mark.parametrize("column", ["inserted_at", "started_at", "completed_at", "name"])
    async def test_looks_up_only_what_is_on_a_page(
        self, column: str, oban: Oban, elixir: AsyncConnection[Any]
    ) -> None:
        await oban.enqueue_many([job for _ in range(200) for job in mixed()])
        query = LIST.replace("inserted_at DESC", f"{column} DESC")
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {query}"
        (plan,) = await rows(elixir, explain, {"states": ["executing"]})
        subplans = [node for node in nodes(plan["QUERY PLAN"][0]["Plan"]) if is_subplan(node)]
        assert len(subplans) > 3
        assert max(node["Actual Loops"] for node in subplans) <= 20


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan

    for child in plan.get("Plans", ()):
        yield from nodes(child)


def is_subplan(node: dict[str, Any]) -> bool:
    return bool(node.get("Parent Relationship") == "SubPlan")


class TestIndexes:
    @pytest.mark.parametrize("query", [JOBS, SUP, JOBS + " AND meta ? 'workflow_id'"])
    async def test_serve_lookups_by_workflow(
        self, query: str, pool: AsyncConnectionPool, elixir: AsyncConnection[Any]
    ) -> None:
        await schema.create_web_indexes(pool)
        await schema.create_web_indexes(pool)
        await elixir.execute("SET enable_seqscan = off")
        plan = str(await rows(elixir, f"EXPLAIN {query}", ["some id"]))
        assert "workflow_id_index" in plan

    def test_are_created_on_the_command_line_and_removed_again(
        self, empty_dsn: str, tmp_path: Path
    ) -> None:
        def indexes() -> list[str]:
            with psycopg.connect(empty_dsn) as conn:
                found = conn.execute(
                    "SELECT indexname FROM pg_indexes WHERE indexname LIKE '%workflow_id_index'"
                )
                return sorted(name for (name,) in found)

        run_cli("install", "--dsn", empty_dsn, cwd=tmp_path)
        assert indexes() == []
        run_cli("install", "--dsn", empty_dsn, "--web-indexes", cwd=tmp_path)
        assert indexes() == ["oban_jobs_sup_workflow_id_index", "oban_jobs_workflow_id_index"]
        run_cli("uninstall", "--dsn", empty_dsn, "--yes", cwd=tmp_path)
        assert indexes() == []
