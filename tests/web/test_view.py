"""What is drawn of a workflow beyond its shape: the critical path, and what was retried."""

from typing import Any

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.web.session import PageSession
from oban_pro.web.statements import Drawing
from oban_pro.web.view import read_view
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.flows import keep_item
from tests.support.graphs import settled, work
from tests.support.wired import same

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
        view = await read_view(store, workflow.id, Drawing(opened=keys))
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


class TestItemsAlong:
    async def test_are_one_edge_between_fan_outs_and_one_for_each_item_inside(
        self, start_oban: StartOban, wait_until: WaitUntil, session: PageSession
    ) -> None:
        oban = await start_oban({"default": 5})
        workflow = Workflow()
        loaded = workflow.options(name="load").each(same, ["a", "b"])
        workflow.options(name="clean").each(same, loaded)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        view = await view_of(session, workflow, "load", "clean")
        names = {member["id"]: member["name"] for member in view["members"]}

        assert len(view["edges"]) == 3
        assert {(names[up], names[down]) for up, down in view["edges"]} == {
            ("load", "clean"),
            ("0", "0"),
            ("1", "1"),
        }
        assert ("load", "clean") in view["path_edges"]


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

    async def test_goes_through_groups_that_nothing_is_in(
        self, oban: Oban, pool: AsyncConnectionPool, session: PageSession
    ) -> None:
        workflow = Workflow().add("slow", work()).add("quick", work())
        workflow.add_cascade("none", ([], keep_item), deps="slow")
        workflow.add("last", work(), deps=["none", "quick"])
        await oban.enqueue_many(workflow)
        await run(pool, workflow, {"slow": 5, "quick": 2, "last": 9})
        view = await view_of(session, workflow)
        assert view["critical"] == {None, "slow", "none", "last"}
        (none,) = (member for member in view["members"] if member["name"] == "none")
        (slow,) = (member for member in view["members"] if member["name"] == "slow")
        assert {end for *_, end in none["phases"]} == {slow["settled_at"]}

    async def test_goes_through_what_grafted(
        self, start_oban: StartOban, session: PageSession, wait_until: Any
    ) -> None:
        workflow = Workflow().add_graft("grown", keep_growing).add("last", work(), deps="grown")
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        view = await view_of(session, workflow, "grown")
        assert {"grafter", "grafted", "grown", "last"} <= view["critical"]
        (grafted,) = (member for member in view["members"] if member["name"] == "grafted")
        assert all(start >= grafted["inserted_at"] for _, start, _ in grafted["phases"])


async def keep_growing(_: Any) -> Workflow:
    return Workflow().add("leaf", work())


class TestWindows:
    @pytest.fixture
    async def chain(self, oban: Oban) -> Workflow:
        workflow = Workflow()

        for number in range(MANY):
            workflow.add(f"n{number}", work(), deps=f"n{number - 1}" if number else [])

        await oban.enqueue_many(workflow)

        return workflow

    async def look(self, session: PageSession, workflow: Workflow, **asked: Any) -> dict[str, Any]:
        """Read a view in which members go by their names."""
        async with session.connect() as store:
            view = await read_view(store, workflow.id, Drawing(**asked))

        assert view is not None
        names = {member["id"]: member["name"] for member in view["members"]}
        view["names"] = [names[member["id"]] for member in view["members"][1:]]
        view["edges"] = {(names.get(up), names.get(down)) for up, down in view["edges"]}

        return view

    async def test_cut_along_the_order_with_a_box_on_each_side(
        self, chain: Workflow, session: PageSession
    ) -> None:
        first = await self.look(session, chain)
        (root, *_) = first["members"]
        assert first["names"] == [*(f"n{n}" for n in range(150)), "850 more"]
        last = int(first["members"][150]["id"])
        second = await self.look(session, chain, windows={int(root["id"]): {"after": last}})
        names = [f"n{n}" for n in range(150, 300)]
        assert second["names"] == [*names, "150 before", "700 more"]
        assert ("150 before", "n150") in second["edges"]
        assert ("n299", "700 more") in second["edges"]
        assert not {up for up, _ in second["edges"]} & {"700 more"}
        start = int(second["members"][1]["id"])
        third = await self.look(session, chain, windows={int(root["id"]): {"before": start}})
        assert third["names"] == first["names"]

    async def test_show_a_job_with_its_neighbours_wherever_they_are(
        self, chain: Workflow, session: PageSession
    ) -> None:
        job = await chain.get_job("n500")
        assert job is not None
        view = await self.look(session, chain, near=job.id)
        assert view["names"][150:] == ["n499", "n500", "n501", "847 more"]
        assert {("n499", "n500"), ("n500", "n501")} <= view["edges"]

    async def test_begin_a_little_before_what_runs(
        self, chain: Workflow, session: PageSession, pool: AsyncConnectionPool
    ) -> None:
        await set_state(pool, "n700", "executing")
        view = await self.look(session, chain)
        assert view["names"][0] == "n680"

    async def test_of_a_fan_out_show_what_failed_first_and_stay_as_they_were(
        self, oban: Oban, session: PageSession, pool: AsyncConnectionPool
    ) -> None:
        workflow = Workflow().add_cascade("many", (list(range(MANY)), keep_item))
        await oban.enqueue_many(workflow)
        await set_state(pool, "900", "discarded")
        (_, many) = (await self.look(session, workflow))["members"]
        key = int(many["id"])
        view = await self.look(session, workflow, opened=[key])
        assert view["names"][-2:] == ["900", "849 more"]
        kept = [int(one["id"]) for one in view["members"] if one.get("extra") == "kept"]
        await set_state(pool, "950", "executing")
        since = int(view["members"][2]["id"])
        asked = {key: {"since": since, "keep": kept}}
        again = await self.look(session, workflow, opened=[key], windows=asked)
        assert again["names"] == view["names"]


async def set_state(pool: AsyncConnectionPool, name: str, state: str) -> None:
    """Let a job be in a state, as far as pages look at it."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE oban_jobs SET state = %s::oban_job_state WHERE meta ->> 'name' = %s",
            [state, name],
        )


class TestFailures:
    async def test_are_counted_by_the_line_that_says_why(
        self, start_oban: StartOban, session: PageSession, wait_until: Any
    ) -> None:
        rows = {f"{n}": work("fail", max_attempts=1) for n in range(5)}
        workflow = Workflow().add_many("rows", rows).add("other", work("cancel"))
        workflow.add("never ran", work(), deps=["rows", "other"])
        await (await start_oban()).enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        view = await view_of(session, workflow)
        told = [(one["error"], one["count"], one["path"]) for one in view["failures"]]
        assert told[0] == ("RuntimeError: told to fail", 5, ["rows", "0"])
        assert [(count, path) for _, count, path in told[1:]] == [(1, ["other"])]

    async def test_are_none_where_nothing_failed(self, oban: Oban, session: PageSession) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        assert (await view_of(session, workflow))["failures"] == []


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
