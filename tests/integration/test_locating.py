"""Names and paths in calls about a stored workflow, and what happens where nothing has them."""

import asyncio
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, errors, from_result, sql
from oban_pro.engine.statements import Statements
from oban_pro.model.paths import join_path
from oban_pro.testing import assert_job, run_workflow
from oban_pro.testing.access import with_store
from tests.support import flows, growth
from tests.support.databases import Psql
from tests.support.explained import nodes_of
from tests.support.graphs import names as names_of
from tests.support.graphs import work


def odd() -> Workflow:
    r"""Build a workflow whose names look like paths.

    At the top: ``a`` (with ``b``), ``a/c`` beside it, ``x/y`` (with ``z`` and ``p\q``), and
    ``a`` holds a ``c`` that its neighbour hides.
    """
    return (
        Workflow(id="w")
        .add_workflow("a", Workflow(id="a").add_cascade("b", flows.one).add("c", work()))
        .add("a/c", work())
        .add_workflow(
            "x/y",
            Workflow(id="xy").add_cascade("z", flows.one).add_cascade(r"p\q", flows.one),
        )
    )


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "workflow", "name"),
        [
            ("a/b", "a", "b"),
            ("a/c", "w", "a/c"),
            (r"a\/c", "w", "a/c"),
            (r"x\/y/z", "xy", "z"),
            (r"x\/y/p\q", "xy", r"p\q"),
            (r"x\/y/p\\q", "xy", r"p\q"),
            ("x/y/z", None, None),
            ("a/b/c", None, None),
            ("a/", None, None),
            ("/a", None, None),
            ("b", None, None),
            ("", None, None),
        ],
    )
    async def test_lead_to_one_member(
        self, oban: Oban, path: str, workflow: str | None, name: str | None
    ) -> None:
        await oban.enqueue_many(odd())
        handle = Workflow(id="w")
        job = await handle.get_job(path)
        found = None if job is None else (job.meta["workflow_id"], job.meta["name"])
        assert found == (None if workflow is None else (workflow, name))

        if workflow is None:
            with pytest.raises(errors.UnknownNameError):
                await handle.cancel_jobs(names=[path])
        else:
            assert await handle.cancel_jobs(names=[path]) == 1

    async def test_of_groups_stand_for_all_in_them(self, oban: Oban) -> None:
        deep = Workflow().add_workflow("deep", Workflow().add("a", work()).add("b", work()))
        await oban.enqueue_many(Workflow(id="w").add_workflow("sub", deep))
        assert await Workflow(id="w").get_job("sub/deep") is None
        assert await Workflow(id="w").cancel_jobs(names="sub/deep") == 2
        assert await Workflow(id="w").retry_jobs(names=["sub/deep/b", "sub"]) == 2
        assert (await Workflow(id="w").explain("sub/deep")).subject.path == ("sub", "deep")

    async def test_paths_lead_through_what_was_grafted(self, oban: Oban) -> None:
        workflow = (
            Workflow(id="w")
            .add_context({"left": 3})
            .add_cascade("numbers", growth.numbers)
            .add_cascade("each", (from_result("numbers"), growth.double), deps="numbers")
            .add_workflow("sub", Workflow().add_graft("grow", growth.graft_deeper))
        )
        await run_workflow(workflow, oban)
        assert await workflow.get_recorded("each/1") == 4
        grafter = await workflow.get_job("each")
        assert grafter is not None
        assert grafter.meta["graft"]
        assert await workflow.get_job("each/grafter") is None

        lines = await with_store(oban, lambda store: store.tree("w", None, None))
        assert len(lines) > 6

        for line in lines:
            await assert_job(workflow, join_path(line.path), state="completed")

    async def test_select_jobs_beside_names(self, oban: Oban) -> None:
        await oban.enqueue_many(odd())
        handle = Workflow(id="w")
        jobs = await handle.all_jobs(names=["a/c", "a/b", r"x\/y/z", "a/b", "nobody", "no/body"])
        assert sorted(names_of(jobs)) == ["a/c", "b", "z"]
        assert [job.id for job in jobs] == sorted(job.id or 0 for job in jobs)
        jobs = await handle.all_jobs(names=["z", "a/b"], with_subs=True)
        assert sorted(names_of(jobs)) == ["b", "z"]

    async def test_filter_what_was_recorded(self, oban: Oban) -> None:
        workflow = odd().add_cascade("top", flows.one)
        await run_workflow(workflow, oban)
        assert await workflow.get_recorded(r"x\/y/z") == 1
        assert await workflow.get_recorded("a/c") is None
        everything = await workflow.all_recorded()
        assert everything == {"a": {"b": 1}, "x/y": {"z": 1, r"p\q": 1}, "top": 1}
        found = await workflow.all_recorded(names=["top", "a/b", r"x\/y/z"])
        assert found == {"top": 1, "a": {"b": 1}, "x/y": {"z": 1}}
        assert await workflow.all_recorded(names=["a/b", "a"]) == {"a": {"b": 1}}
        assert await workflow.all_recorded(names=["a/c", "no/body"]) == {}

    async def test_to_several_workflows_are_one_call(self, oban: Oban, psql: Psql) -> None:
        """What one name breaks, another one names: both are cancelled directly."""
        workflow = (
            Workflow(id="w")
            .add("a", work())
            .add_workflow("sub", Workflow(id="s").add("b", work()), deps="a")
            .add("c", work(), deps="sub")
        )
        await oban.enqueue_many(workflow)
        assert await workflow.cancel_jobs(names=["a", "sub/b", "c", "sub"]) == 3
        assert await workflow.retry_jobs(names=["c", "sub/b", "a"]) == 3
        rows = psql.rows("SELECT meta ->> 'name', state::text FROM oban_jobs ORDER BY id")
        assert rows == [("a", "available"), ("b", "suspended"), ("c", "suspended")]

    async def test_cost_a_plain_name_nothing(
        self, oban: Oban, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await oban.enqueue_many(odd())
        run, ran = Statements.fetch_all, list[str]()

        async def note(store: Any, factory: Any, name: str, params: Any) -> Any:
            ran.append(name)
            return await run(store, factory, name, params)

        monkeypatch.setattr(Statements, "fetch_all", note)
        await Workflow(id="w").all_jobs(names=["a", "b"])
        await Workflow(id="w").all_recorded(names=["a", "b"])
        assert ran == ["jobs", "recorded"]


class TestActing:
    @pytest.mark.parametrize(
        "act",
        [
            lambda handle: handle.cancel_jobs(),
            lambda handle: handle.retry_jobs(),
            lambda handle: handle.cancel_jobs(names=["a"]),
            lambda handle: handle.retry_jobs(names=["a"]),
            lambda handle: handle.cancel_jobs(names=[]),
            lambda handle: handle.retry_jobs(names=[]),
            lambda handle: handle.append(Workflow().add("a", work())),
            lambda handle: handle.wait(),
            lambda handle: handle.explain("a"),
            lambda handle: handle.fetch_graph(),
        ],
    )
    async def test_on_no_such_workflow_raises(self, oban: Oban, act: Any) -> None:
        with pytest.raises(errors.UnknownWorkflowError, match="there is no workflow 'nowhere'"):
            await act(Workflow(id="nowhere"))

    async def test_on_one_that_goes_away_raises_too(self, oban: Oban, psql: Psql) -> None:
        await oban.enqueue_many(Workflow(id="w").add("a", work()))
        waiting = asyncio.create_task(Workflow(id="w").wait(timeout=30))
        await asyncio.sleep(0)
        psql.rows("DELETE FROM oban_jobs")

        with pytest.raises(errors.UnknownWorkflowError, match="no workflow 'w' to wait for"):
            await waiting

    @pytest.mark.parametrize("method", ["cancel_jobs", "retry_jobs"])
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("strat", "there is nothing named 'strat' in workflow 'w'; did you mean 'start'?"),
            ("sub/b/c", "there is nothing named 'sub/b/c' in workflow 'w'; did you mean 'sub/b'?"),
            ("sub/bb", "there is nothing named 'sub/bb' in workflow 'w'; did you mean 'sub/b'?"),
            ("x/y/zz", r"there is nothing named 'x/y/zz' in workflow 'w'; did you mean 'x\\/y'?"),
            (r"x\/y/zz", r"nothing named 'x\\/y/zz' in workflow 'w'; did you mean 'x\\/y/z'?"),
            ("q", "there is nothing named 'q' in workflow 'w'"),
            ("nul\0", "there is nothing named 'nul\\x00' in workflow 'w'"),
            ("\ud800", "there is nothing named '\\ud800' in workflow 'w'"),
        ],
    )
    async def test_on_no_such_name_raises_before_anything_is_done(
        self, oban: Oban, psql: Psql, method: str, name: str, message: str
    ) -> None:
        workflow = (
            Workflow(id="w")
            .add("start", work())
            .add_workflow("sub", Workflow().add("b", work()))
            .add_workflow("x/y", Workflow().add("z", work()))
        )
        await oban.enqueue_many(workflow)
        await workflow.cancel_jobs(names=["x/y"])

        with pytest.raises(errors.UnknownNameError) as refusal:
            await getattr(workflow, method)(names=["start", "x/y", name])

        assert str(refusal.value).endswith(message)
        states = psql.rows("SELECT state::text FROM oban_jobs ORDER BY id")
        assert states == [("available",), ("available",), ("cancelled",)]

    async def test_on_no_names_does_nothing(self, oban: Oban) -> None:
        await oban.enqueue_many(Workflow(id="w").add("a", work()))
        assert await Workflow(id="w").cancel_jobs(names=[]) == 0
        assert await Workflow(id="w").retry_jobs(names=()) == 0
        assert await Workflow(id="w").all_jobs(names=[]) == []

    @pytest.mark.parametrize(
        ("names", "culprit"), [(5, "5"), (["a", None], "None"), ([b"a"], "b'a'")]
    )
    async def test_on_what_is_no_name_is_refused(
        self, oban: Oban, names: Any, culprit: str
    ) -> None:
        with pytest.raises(errors.InvalidArgumentError) as refusal:
            await Workflow(id="w").cancel_jobs(names=names)
        assert str(refusal.value) == f"names must be names or paths, got {culprit}"


class TestPlan:
    async def test_looks_each_step_up_by_its_key_however_much_is_stored(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        await oban.enqueue_many(Workflow().add_many("many", [work() for _ in range(3000)]))
        await oban.enqueue_many(odd())
        await conn.execute("ANALYZE")

        params = {"id": "w", "paths": '[{"n": 0, "path": "a/b", "parts": ["a", "b"]}]'}
        statement = "EXPLAIN (FORMAT json) " + sql.statement("queries/locate", "public")
        cursor = await conn.execute(statement.encode(), params)
        (plan,) = (await cursor.fetchone() or ([],))[0]
        scans = {
            (node["Node Type"], node["Relation Name"])
            for node in nodes_of(plan["Plan"])
            if "Relation Name" in node
        }
        assert ("Index Scan", "oban_workflow_members") in scans
        tables = ("oban_workflow_members", "oban_jobs")
        assert not [scan for scan in scans if scan[0] == "Seq Scan" and scan[1] in tables]
