"""A grafter that had completed, and is run again by name, grafts anew."""

import asyncio
from typing import Any

import pytest
from oban import Job, Worker, worker

from oban_pro import Workflow, from_result
from oban_pro.building.planner import compile_plan
from oban_pro.engine import grafting
from oban_pro.errors import GraftError
from tests.support import growth
from tests.support.engine import Engine, chain, make_job
from tests.support.fixtures import StartOban, WaitUntil

given: dict[str, Any] = {}


def listed(context: dict[str, Any]) -> Any:
    return given["items"]


def mapping(**options: Any) -> Workflow:
    """Build list -> each, which maps over it -> end, which sees what came of that."""
    return (
        Workflow(id="w", **options)
        .add_cascade("list", listed)
        .add_cascade("each", (from_result("list"), growth.echo), deps="list")
        .add_cascade("end", growth.received, deps="each")
    )


def growing() -> Workflow:
    return Workflow(id="w").add_graft("grow", make_job()).add("end", make_job(), deps="grow")


async def graft(engine: Engine, path: str, sub: Workflow) -> list[Job]:
    (grafter,) = await engine.start(f"{path}/grafter")

    return await engine.enqueue(Workflow.apply_graft(grafter, sub))


async def retry(engine: Engine, *names: str) -> int:
    count = await Workflow(id="w").retry_jobs(names=names)
    await engine._learn()

    return count


class TestMappers:
    async def run_with(self, items: Any, wait_until: WaitUntil) -> Any:
        given["items"] = items
        handle = Workflow(id="w")

        async def settled() -> bool:
            return (await handle.status()).state == "completed"

        await wait_until(settled)

        return (await handle.all_recorded())["each"]

    @pytest.mark.parametrize("names", [["list", "each", "end"], ["list", "each"]])
    async def test_map_what_their_source_records_now(
        self, start_oban: StartOban, wait_until: WaitUntil, engine: Engine, names: list[str]
    ) -> None:
        oban = await start_oban()
        given["items"] = [1, 2]
        await oban.enqueue_many(mapping())
        assert await self.run_with([1, 2], wait_until) == {"0": 1, "1": 2}

        for items in [7, 8, 9], [], {"x": 5}:
            given["items"] = items
            assert await Workflow(id="w").retry_jobs(names=names) == len(names)
            expected = items if isinstance(items, dict) else dict(enumerate(items))
            found = await self.run_with(items, wait_until)
            assert found == {str(key): value for key, value in expected.items()}
            end = await Workflow(id="w").get_recorded("end")
            assert end["each"] == (found if "end" in names else {"0": 1, "1": 2})
            await engine._learn()

    async def test_show_what_follows_their_new_results(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        after = mapping().add_cascade("after", ([0, 1], growth.seen), deps="each")
        given["items"] = [1, 2]
        await (await start_oban()).enqueue_many(after)
        handle = Workflow(id="w")

        for items in [1, 2], [3]:
            found = await self.run_with(items, wait_until)
            seen = (await handle.all_recorded())["after"]
            assert [one["each"] for one in seen.values()] == [found, found]
            given["items"] = [3]
            await handle.retry_jobs(names=["list", "each", "after"])

    async def test_keep_their_items_if_the_source_alone_runs_again(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        given["items"] = [1, 2]
        await (await start_oban()).enqueue_many(mapping())
        await self.run_with([1, 2], wait_until)
        assert await Workflow(id="w").retry_jobs(names=["list"]) == 1
        assert await self.run_with([7, 8, 9], wait_until) == {"0": 1, "1": 2}


class TestGrafters:
    async def test_graft_anew_in_place_of_what_they_had_grafted(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        old = await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")
        await engine.complete("grow/grafted/a")

        assert await retry(engine, "grow") == 1
        assert await engine.states() == {"grow/grafter": "available", "end": "suspended"}
        assert await Workflow(id=old[0].meta["workflow_id"]).all_jobs() == []
        assert (await Workflow(id="w").status()).counts == {"available": 1, "suspended": 1}

        await graft(engine, "grow", chain("a", "c", "d"))
        await engine.complete("grow/grafter")

        for name in "acd":
            assert (await engine.states())["end"] == "suspended"
            await engine.complete(f"grow/grafted/{name}")

        assert (await engine.states())["end"] == "available"

    async def test_may_graft_nothing_the_second_time(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        await engine.complete("grow/grafter")
        await engine.discard("grow/grafted/a")
        assert await retry(engine, "grow", "end") == 2
        await engine.complete("grow/grafter")
        await engine.complete("end")
        assert await engine.root() == "completed"

    async def test_leave_no_trace_of_what_was_nested(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        deep = Workflow().add_graft("deep", make_job()).add("after", make_job(), deps="deep")
        deep.add_workflow("sub", chain("x", "y"), deps="deep").add_many("none", [], deps="sub")
        (grafted, *_) = await graft(engine, "grow", deep)
        await graft(engine, "grow/grafted/deep", chain("p", "q"))
        await engine.complete("grow/grafter", "grow/grafted/deep/grafter")
        await Workflow(id=grafted.meta["workflow_id"]).append(chain("appended"))
        await engine._learn()

        assert await retry(engine, "grow") == 1
        assert await engine.states() == {"grow/grafter": "available", "end": "suspended"}
        assert await engine.rows("SELECT count(*) FROM oban_workflow_groups") == [(2,)]
        assert await engine.rows("SELECT count(*) FROM oban_workflow_members") == [(3,)]
        assert await engine.rows("SELECT count(*) FROM oban_workflow_edges") == [(1,)]

    async def test_graft_anew_where_they_are_in_what_is_named(self, engine: Engine) -> None:
        sub = Workflow().add_graft("one", make_job()).add_graft("two", make_job())
        await engine.enqueue(Workflow(id="w").add_workflow("sub", sub).add("x", make_job()))
        await graft(engine, "sub/one", chain("a"))
        await graft(engine, "sub/two", chain("b"))
        await engine.complete("sub/one/grafter")
        await engine.discard("sub/two/grafter")
        assert await retry(engine, "sub") == 2
        assert await engine.states() == {
            "sub/one/grafter": "available",
            "sub/two/grafter": "available",
            # it was grafted in an attempt that failed, and stands
            "sub/two/grafted/b": "available",
            "x": "executing",
        }

    async def test_graft_anew_by_their_own_name(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a"))
        await engine.complete("grow/grafter")
        ((graft_id,),) = await engine.rows(
            "SELECT id FROM oban_workflow_groups WHERE kind = 'graft'"
        )
        assert await Workflow(id=graft_id).retry_jobs(names=["grafter"]) == 1
        await engine._learn()
        assert await engine.states() == {"grow/grafter": "available", "end": "suspended"}

    async def test_may_use_the_same_id_again(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", id="mine"))
        await engine.complete("grow/grafter")
        await retry(engine, "grow")
        await graft(engine, "grow", chain("b", id="mine"))
        assert [job.meta["name"] for job in await Workflow(id="mine").all_jobs()] == ["b"]

    async def test_wait_for_their_dependencies_again(self, engine: Engine) -> None:
        workflow = Workflow(id="w").add("first", make_job())
        await engine.enqueue(workflow.add_graft("grow", make_job(), deps="first"))
        await engine.complete("first")
        await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")
        assert await retry(engine, "first", "grow") == 2
        assert await engine.states() == {"first": "available", "grow/grafter": "suspended"}
        await engine.complete("first")
        await graft(engine, "grow", chain("c"))
        await engine.complete("grow/grafter", "grow/grafted/c")
        assert await engine.root() == "completed"


class TestTheFirstGraftStands:
    @pytest.mark.parametrize("state", ["discarded", "cancelled"])
    async def test_for_a_grafter_that_had_not_completed(self, engine: Engine, state: str) -> None:
        await engine.enqueue(growing())
        first = await graft(engine, "grow", chain("a"))
        await engine.ack(await engine.start("grow/grafter"), state)
        await retry(engine, "grow")
        second = await graft(engine, "grow", chain("b"))
        assert [job.id for job in second] == [job.id for job in first]

    async def test_for_a_grafter_that_is_retried_with_all_that_failed(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")
        await engine.discard("grow/grafted/a")
        assert await Workflow(id="w").retry_jobs() == 3
        assert (await engine.states())["grow/grafted/a"] == "available"

    async def test_for_a_grafter_that_plain_oban_retries(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        first = await graft(engine, "grow", chain("a"))
        await engine.complete("grow/grafter")
        await engine.retry("grow/grafter")
        second = await graft(engine, "grow", chain("b"))
        assert [job.id for job in second] == [job.id for job in first]


class TestRaces:
    async def test_a_late_ack_of_what_was_removed_changes_nothing(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        await graft(engine, "grow", chain("a", "b"))
        await engine.complete("grow/grafter")
        jobs = await engine.start("grow/grafted/a")
        await retry(engine, "grow")
        assert await engine.ack(jobs, "completed") == []
        assert await engine.states() == {"grow/grafter": "available", "end": "suspended"}

    async def test_what_was_removed_grafts_no_more(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        deep = Workflow().add_graft("one", make_job()).add_graft("two", make_job())
        await graft(engine, "grow", deep)
        await engine.complete("grow/grafter")
        (one,) = await engine.start("grow/grafted/one/grafter")
        (two,) = await engine.start("grow/grafted/two/grafter")
        grafting.keep_returned(two, compile_plan(chain("x")._spec("sub", "late"), grafter=two))
        await retry(engine, "grow")

        with pytest.raises(GraftError):
            await engine.enqueue(Workflow.apply_graft(one, chain("y")))

        assert await engine.ack([two], "completed") == []
        assert await engine.states() == {"grow/grafter": "available", "end": "suspended"}

    async def test_an_execution_before_grafts_no_more(self, engine: Engine) -> None:
        await engine.enqueue(growing())
        (first,) = await engine.start("grow/grafter")
        await engine.complete("grow/grafter")
        await retry(engine, "grow")
        await engine.start("grow/grafter")

        with pytest.raises(GraftError, match="it is executing again"):
            await engine.enqueue(Workflow.apply_graft(first, chain("a")))

        await graft(engine, "grow", chain("b"))
        assert "grow/grafted/b" in engine.ids

    async def test_many_retries_at_once_leave_one_graft(
        self, start_oban: StartOban, wait_until: WaitUntil, engine: Engine
    ) -> None:
        given["items"] = list(range(20))
        oban = await start_oban()
        await oban.enqueue_many(mapping())
        handle = Workflow(id="w")

        async def settled() -> bool:
            return (await handle.status()).state == "completed"

        await wait_until(settled, timeout=30)

        for _ in range(5):
            await asyncio.gather(*(handle.retry_jobs(names=["list", "each"]) for _ in range(4)))

        await wait_until(settled, timeout=30)
        assert (await handle.all_recorded())["each"] == {str(n): n for n in range(20)}
        await engine._learn()

    async def test_a_worker_is_told_that_its_job_was_removed(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        told = []

        @worker(queue="default")
        class Stubborn(Worker):
            async def process(self, job: Job) -> None:
                told.append(job.id)

                while not job.cancelled():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

                told.append(job.id)

        @worker(queue="default")
        class Grow(Worker):
            async def process(self, job: Job) -> None:
                if job.attempt == 1:
                    sub = Workflow().add("stubborn", Stubborn.new({}))
                    await oban.enqueue_many(Workflow.apply_graft(job, sub))

        oban = await start_oban()
        handle = Workflow(id="w").add_graft("grow", Grow.new({}))
        await oban.enqueue_many(handle)
        await wait_until(lambda: len(told) == 1)

        async def completed() -> bool:
            return (await handle.status()).counts["completed"] == 1

        await wait_until(completed)
        assert await handle.retry_jobs(names=["grow"]) == 1
        await wait_until(lambda: len(told) == 2)
        await wait_until(completed)
        assert (await handle.status()).total == 1
