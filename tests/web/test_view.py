"""What is drawn of a workflow beyond its shape: the critical path, and what was retried."""

from typing import Any

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web.session import PageSession
from oban_pro.web.view import read_view
from tests.support.fixtures import StartOban
from tests.support.flows import keep_item
from tests.support.graphs import settled, work

MANY = 1000


@pytest.fixture
def session(pool: AsyncConnectionPool) -> PageSession:
    return PageSession(pool, "public")


async def view_of(session: PageSession, workflow: Workflow, *opened: str) -> dict[str, Any]:
    """Read a view in which groups are open by name, and what is on the critical path in it."""
    async with session.connect() as store:
        view = await read_view(store, workflow.id)
        assert view is not None
        keys = [int(member["id"]) for member in view["members"] if member["name"] in opened]
        view = await read_view(store, workflow.id, keys)
        assert view is not None

    names = {member["id"]: member["name"] for member in view["members"]}
    view["critical"] = {member["name"] for member in view["members"] if member["critical"]}
    view["path_edges"] = {(names[up], names[down]) for up, down in view["path"]}

    return view


async def run(pool: AsyncConnectionPool, workflow: Workflow, ends: dict[str, float]) -> None:
    """Complete jobs, at a second after they were inserted each; all others at 1."""
    jobs = await workflow.all_jobs(with_subs=True)

    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs j SET state = 'completed', attempt = 1, attempted_at = inserted_at,"
            " completed_at = inserted_at + e.second * interval '1 second'"
            " FROM unnest(%s::bigint[], %s::float[]) e(id, second) WHERE j.id = e.id",
            [[job.id for job in jobs], [ends.get(job.meta["name"], 1) for job in jobs]],
        )


class TestCriticalPath:
    async def test_goes_back_from_what_ended_last_through_what_it_waited_for_longest(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        workflow = Workflow()

        for name, deps in {"a": [], "b": [], "c": ["a", "b"], "d": ["a"]}.items():
            workflow.add(name, work(), deps=deps)

        await oban.enqueue_many(workflow)
        await run(pool, workflow, {"a": 2, "b": 5, "c": 9, "d": 3})
        view = await view_of(session, workflow)
        assert view["critical"] == {None, "b", "c"}
        assert view["path_edges"] == {("b", "c")}

    async def test_takes_no_short_cut_between_what_is_on_it(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        workflow = Workflow().add("a", work()).add("b", work(), deps="a")
        workflow.add("c", work(), deps=["a", "b"])
        await oban.enqueue_many(workflow)
        await run(pool, workflow, {"a": 1, "b": 2, "c": 3})
        assert (await view_of(session, workflow))["path_edges"] == {("a", "b"), ("b", "c")}

    async def test_goes_on_inside_the_groups_on_it(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        slow = Workflow().add("first", work()).add("second", work(), deps="first")
        fast = Workflow().add("in fast", work())
        workflow = Workflow().add_workflow("slow", slow).add_workflow("fast", fast)
        await oban.enqueue_many(workflow)
        await run(pool, workflow, {"first": 6, "second": 9, "in fast": 4})
        await set_end(pool, "fast", 4)
        await set_end(pool, "slow", 9)
        view = await view_of(session, workflow)
        assert view["critical"] == {None, "slow", "first", "second"}

    async def test_leaves_out_what_has_not_started(self, oban: Oban, session: PageSession) -> None:
        workflow = Workflow().add("a", work()).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)
        assert (await view_of(session, workflow))["critical"] == {None}

    async def test_shows_the_one_job_of_many_that_took_longest(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        workflow = Workflow().add_cascade("many", (list(range(MANY)), keep_item))
        await oban.enqueue_many(workflow)
        await run(pool, workflow, {str(MANY - 7): 5})
        assert (await view_of(session, workflow))["critical"] == {None, "many"}
        view = await view_of(session, workflow, "many")
        assert view["critical"] == {None, "many", str(MANY - 7)}

    async def test_goes_through_the_rest_where_it_has_more_members_than_are_drawn(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        workflow = Workflow()

        for number in range(MANY):
            workflow.add(f"n{number}", work(), deps=f"n{number - 1}" if number else [])

        await oban.enqueue_many(workflow)
        await run(pool, workflow, {f"n{number}": number for number in range(MANY)})
        view = await view_of(session, workflow)
        assert "850 more" in view["critical"]
        assert ("n149", "850 more") in view["path_edges"]
        assert all(member["critical"] for member in view["members"])


class TestRetries:
    async def test_of_jobs_and_of_the_groups_around_them(
        self, start_oban: StartOban, session: PageSession, wait_until: Any
    ) -> None:
        jobs = {"fails": work("fail", max_attempts=2), "works": work()}
        workflow = Workflow().add_many("many", jobs).add("other", work())
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        view = await view_of(session, workflow, "many")
        kinds = {
            member["name"]: {kind for kind, *_ in member["phases"]} for member in view["members"]
        }
        assert {name for name, found in kinds.items() if "retries" in found} == {
            None,
            "many",
            "fails",
        }


async def set_end(pool: AsyncConnectionPool, name: str, second: float) -> None:
    """Say when a group stopped: what settles by hand is dated now."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_workflow_groups g SET started_at = g.inserted_at,"
            " stopped_at = g.inserted_at + %s * interval '1 second'"
            " FROM oban_workflow_members m WHERE m.id = g.key AND m.name = %s",
            [second, name],
        )
