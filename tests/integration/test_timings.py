"""How long jobs waited, were queued and ran, beside those of another workflow."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.errors import UnknownWorkflowError
from oban_pro.handles import timing
from oban_pro.testing import run_workflow
from tests.support import growth
from tests.support.cli import assert_one_line, invoke
from tests.support.engine import Engine
from tests.support.graphs import diamond, work


def seconds(**numbers: float | None) -> dict[str, timedelta | None]:
    return {
        name: None if number is None else timedelta(seconds=number)
        for name, number in numbers.items()
    }


def shown(one: Any) -> dict[str, timedelta | None]:
    return {name: getattr(one, name) for name in ("waiting", "queued", "ran")}


async def set_times(engine: Engine, path: str, **times: int | None) -> None:
    """Set times of a job, in seconds from its insertion."""
    parts = ", ".join(
        f"{column} = " + ("NULL" if at is None else f"inserted_at + interval '{at} seconds'")
        for column, at in times.items()
    )
    job_id = (await engine.row(path)).id
    await engine.psql(f"UPDATE oban_jobs SET {parts} WHERE id = %s", job_id)


class TestTimings:
    async def test_tell_how_long_a_job_waited_was_queued_and_ran(self, engine: Engine) -> None:
        await engine.enqueue(diamond(id="one"))
        await engine.start("start")
        await engine.complete("start")
        await set_times(engine, "start", scheduled_at=2, attempted_at=5, completed_at=11)

        times = await Workflow(id="one").timings()

        assert shown(times["start"]) == seconds(waiting=2, queued=3, ran=6)
        assert (times["start"].state, times["start"].attempts) == ("completed", 1)
        assert shown(times["end"]) == seconds(waiting=None, queued=None, ran=None)
        assert (times["end"].state, times["end"].attempts) == ("suspended", 0)
        assert times["end"].other is None

    async def test_are_those_of_the_last_attempt(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="one").add("a", work()).add("b", work()))
        await set_times(engine, "a", scheduled_at=60, attempted_at=63)
        await engine.psql(
            "UPDATE oban_jobs SET attempt = 3, state = 'executing' WHERE id = %s",
            (await engine.row("a")).id,
        )
        await set_times(engine, "b", scheduled_at=60, attempted_at=3)

        times = await Workflow(id="one").timings()

        assert shown(times["a"]) == seconds(waiting=60, queued=3, ran=None)
        assert times["a"].attempts == 3
        # it is to be tried again
        assert shown(times["b"]) == seconds(waiting=None, queued=None, ran=None)

    async def test_of_what_never_ran_are_how_long_it_waited(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="one").add_signal("ok").add("a", work(), deps="ok"))
        await Workflow(id="one").reject("ok")
        await set_times(engine, "ok", cancelled_at=9)

        assert shown((await Workflow(id="one").timings())["ok"]) == seconds(
            waiting=9, queued=None, ran=None
        )

    async def test_stand_beside_those_of_another_workflow(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="old").add("a", work()).add("gone", work()))
        await engine.enqueue(Workflow(id="new").add("a", work()).add("come", work()))

        times = await Workflow(id="new").timings(compare="old")

        assert [*times] == ["a", "come", "gone"]
        assert times["a"].other is not None
        assert (times["a"].other.state, times["come"].other) == ("available", None)
        assert (times["gone"].state, times["gone"].attempts) == ("absent", 0)
        assert times["gone"].other is not None

    async def test_come_by_path_page_after_page(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = Workflow().add("x", work()).add_many("many", [work() for _ in range(5)])
        workflow = (
            Workflow(id="one")
            .add_many("call", {"a/b": work(), "c": work()})
            .add_workflow("empty", Workflow())
            .add_workflow("inner", inner)
            .add("last", work(), deps="call")
        )
        await engine.enqueue(workflow)
        expected = {
            "last",
            *("call/a\\/b", "call/c", "inner/x"),
            *(f"inner/many/{n}" for n in range(5)),
        }

        for page in (1, 2, 3, 100):
            monkeypatch.setattr(timing, "PAGE", page)
            assert {*await workflow.timings()} == expected

    async def test_of_a_grafter_stand_where_its_graft_does(self, oban: Oban) -> None:
        workflow = Workflow(id="one").add_graft("grow", growth.graft_pair)
        await run_workflow(workflow, oban)

        times = await workflow.timings()

        assert "grow" in times
        assert all(path == "grow" or path.startswith("grow/") for path in times)
        assert len(times) > 1

    async def test_of_unknown_workflows_are_refused(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="one").add("a", work()))

        for id, compare in [("nope", None), ("one", "nope")]:
            with pytest.raises(UnknownWorkflowError, match="'nope'"):
                await Workflow(id=id).timings(compare=compare)


class TestDiff:
    @pytest.fixture
    def site(self, dsn: str) -> str:
        async def fill() -> None:
            async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
                oban = Oban(pool=pool)
                await run_workflow(diamond(id="old"), oban)
                await run_workflow(diamond(id="new").add("more", work()), oban)

        asyncio.run(fill())

        return dsn

    def test_compares_the_jobs_of_two_workflows(self, site: str) -> None:
        output = invoke(site, "diff", "new", "old").output

        assert output.split()[:6] == ["Path", "State", "Waiting", "Queued", "Ran", "Attempts"]
        (line,) = [line for line in output.splitlines() if line.startswith("more ")]
        assert line.split()[1:3] == ["completed", "absent"]
        assert "3 more: see --limit." in invoke(site, "diff", "new", "old", "--limit", "2").output

    def test_diff_prints_timings_as_json(self, site: str) -> None:
        found = {
            one["path"]: one
            for one in orjson.loads(invoke(site, "diff", "old", "new", "--json").output)
        }

        keys = {"state", "waiting", "queued", "ran", "attempts"}
        assert {*found} == {"start", "left", "right", "end", "more"}
        assert {*found["end"]} == keys | {"path", "other"}
        assert {*found["end"]["other"]} == keys
        assert found["end"]["ran"] >= 0
        assert found["more"]["state"] == "absent"

    def test_names_a_workflow_that_is_not_there(self, site: str) -> None:
        assert "'nope'" in assert_one_line(invoke(site, "diff", "old", "nope"))
