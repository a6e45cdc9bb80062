"""Looking at workflows: status, jobs, handles."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from oban.job import JobState
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, WorkflowStatus, errors
from tests.support.databases import Server
from tests.support.fixtures import StartOban
from tests.support.graphs import Work, diamond, names, settled, work


def nested(**options: Any) -> Workflow:
    """Build a -> sub (x -> deep (y), z) -> many (0, 1) -> b."""
    deep = Workflow(name="deepest").add("y", work())
    sub = Workflow().add("x", work()).add_workflow("deep", deep, deps="x").add("z", work())
    return (
        Workflow(**options)
        .add("a", work())
        .add_workflow("sub", sub, deps="a")
        .add_many("many", [work(), work()], deps="sub")
        .add("b", work(), deps="many")
    )


async def fetched(workflow: Workflow, name: str) -> Job:
    job = await workflow.get_job(name)
    assert job is not None
    return job


@pytest.fixture
async def second_pool(postgres: Server, template: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool on another database."""
    with postgres.database(template) as name:
        async with AsyncConnectionPool(postgres.dsn(name), min_size=1, open=False) as pool:
            yield pool


class TestStatus:
    async def test_of_no_such_workflow_is_unknown(self, oban: Oban) -> None:
        status = await Workflow(id="nowhere").status()
        assert status == WorkflowStatus("nowhere")
        assert (status.state, status.total, status.counts) == ("unknown", 0, Counter())

    async def test_of_one_that_was_only_built_is_unknown(self, oban: Oban) -> None:
        assert (await diamond().status()).state == "unknown"

    async def test_the_status_before_anything_ran_counts_what_waits(self, oban: Oban) -> None:
        workflow = diamond(id="w", name="nightly").add("later", work(scheduled_in=3600))
        await oban.enqueue_many(workflow)
        status = await workflow.status()
        assert (status.id, status.name, status.state) == ("w", "nightly", "executing")
        assert status.total == 5
        assert status.counts == Counter(available=1, suspended=3, scheduled=1)
        assert status.counts["completed"] == 0
        assert (status.started_at, status.stopped_at, status.duration) == (None, None, None)
        assert status.subs == {}

    async def test_the_status_while_jobs_run_counts_each_state(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        workflow = (
            Workflow()
            .add("done", work())
            .add("held", Hold.new())
            .add("failing", work("fail", queue="other"))
            .add("after", work(), deps="held")
        )
        await start_oban({"default": 5})
        await oban.enqueue_many(workflow)

        async def counts() -> bool:
            status = await workflow.status()
            return status.counts == Counter(completed=1, executing=1, available=1, suspended=1)

        await wait_until(counts)
        status = await workflow.status()
        assert (status.state, status.total) == ("executing", 4)
        assert status.started_at is not None
        assert (status.stopped_at, status.duration) == (None, None)
        Hold.release.set()

    async def test_counts_what_waits_for_another_attempt(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        workflow = (
            Workflow()
            .add("fails", Work.new({"do": "fail", "delay": 3600}))
            .add_many("many", [Work.new({"do": "snooze", "delay": 3600}), work()])
            .add("after", work(), deps=["fails", "many"])
        )
        await start_oban()
        await oban.enqueue_many(workflow)
        expected = Counter(retryable=1, scheduled=1, completed=1, suspended=1)

        async def counts() -> bool:
            return (await workflow.status()).counts == expected

        await wait_until(counts)
        status = await workflow.status()
        assert status.state == status.subs["many"].state == "executing"
        assert status.subs["many"].counts == Counter(scheduled=1, completed=1)
        assert status.started_at is not None

    async def test_covers_what_is_nested_and_breaks_it_down(self, oban: Oban) -> None:
        await oban.enqueue_many(nested(id="w"))
        status = await Workflow("w").status()
        assert status.total == 7
        assert status.counts == Counter(available=1, suspended=6)
        assert list(status.subs) == ["sub", "many"]
        sub = status.subs["sub"]
        assert (sub.total, sub.state, sub.name) == (3, "executing", None)
        assert (sub.subs["deep"].total, sub.subs["deep"].name) == (1, "deepest")
        assert status.subs["many"].counts == Counter(suspended=2)
        assert await Workflow(sub.id).status() == sub
        assert await Workflow(sub.subs["deep"].id).status() == sub.subs["deep"]

    async def test_shows_groups_without_jobs(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work()).add_many("none", []).add_many("waits", [], deps="a")
        await oban.enqueue_many(workflow)
        subs = (await workflow.status()).subs
        assert {name: sub.state for name, sub in subs.items()} == {
            "none": "completed",
            "waits": "executing",
        }
        assert all(sub.total == 0 and sub.counts == Counter() for sub in subs.values())

    async def test_spans_from_the_first_start_to_the_last_stop(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        workflow = nested()
        await oban.enqueue_many(workflow)
        before = datetime.now(UTC)
        await start_oban()
        await wait_until(lambda: settled(workflow))
        status = await workflow.status()
        jobs = await workflow.all_jobs(with_subs=True)
        assert status.counts == Counter(completed=7)
        assert status.started_at == min(job.attempted_at for job in jobs if job.attempted_at)
        assert status.stopped_at == max(job.completed_at for job in jobs if job.completed_at)
        assert status.started_at is not None
        assert status.stopped_at is not None
        assert status.duration == status.stopped_at - status.started_at
        assert before - timedelta(minutes=1) < status.started_at <= status.stopped_at

    @pytest.mark.parametrize(
        ("outcomes", "state"),
        [
            ([None, None], "completed"),
            ([None, "cancel"], "cancelled"),
            (["discard", None], "discarded"),
            (["cancel", "discard"], "discarded"),
        ],
    )
    @pytest.mark.parametrize("nest", [False, True])
    async def test_has_the_state_of_the_worst_job(
        self,
        oban: Oban,
        start_oban: StartOban,
        wait_until: Any,
        outcomes: list[str | None],
        state: str,
        nest: bool,
    ) -> None:
        jobs = [
            work("fail", max_attempts=1) if outcome == "discard" else work(outcome)
            for outcome in outcomes
        ]
        workflow = Workflow()
        if nest:
            workflow.add("a", jobs[0]).add_workflow("sub", Workflow().add("b", jobs[1]))
        else:
            workflow.add("a", jobs[0]).add("b", jobs[1])
        await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        status = await workflow.status()
        assert status.state == state
        assert status.total == 2


class TestView:
    """What other programs read: each workflow with its own jobs."""

    async def test_agrees_with_the_status(self, oban: Oban, pool: AsyncConnectionPool) -> None:
        workflow = nested(id="w", name="nightly").add("later", work(scheduled_in=3600))
        await oban.enqueue_many([*workflow, *diamond(id="new")])
        async with pool.connection() as conn:
            await conn.execute("UPDATE oban_jobs SET state = 'executing' WHERE id = 1")
            cursor = conn.cursor(row_factory=dict_row)
            await cursor.execute("SELECT * FROM oban_workflows ORDER BY inserted_at, id")
            rows = {row["id"]: row for row in await cursor.fetchall()}
        root = rows["w"]
        states = {state: root[state] for state in JobState if root[state]}
        assert states == {"executing": 1, "suspended": 1, "scheduled": 1}
        assert (root["name"], root["parent_id"], root["state"]) == ("nightly", None, "executing")
        assert root["meta"] == {"queues": ["default"], "workers": ["tests.support.graphs.Work"]}
        assert {"inserted_at", "started_at", "completed_at"} <= root.keys()
        assert rows["new"]["available"] == 1
        subs = (await workflow.status()).subs
        assert {rows[sub.id]["parent_id"] for sub in subs.values()} == {"w"}
        assert rows[subs["many"].id]["suspended"] == 2
        assert len(rows) == 5


class TestGetJob:
    async def test_finds_a_job_by_name(self, oban: Oban) -> None:
        jobs = await oban.enqueue_many(diamond(id="w"))
        job = await Workflow("w").get_job("left")
        assert isinstance(job, Job)
        assert job.id == jobs[1].id
        assert (job.state, job.meta, job.queue) == ("suspended", jobs[1].meta, "default")
        assert job.scheduled_at == jobs[1].scheduled_at

    @pytest.mark.parametrize("name", ["nothing", "sub", "many", "x", "0", ""])
    async def test_finds_neither_groups_nor_what_is_in_them(self, oban: Oban, name: str) -> None:
        await oban.enqueue_many(nested(id="w"))
        assert await Workflow("w").get_job(name) is None

    async def test_finds_nothing_in_no_such_workflow(self, oban: Oban) -> None:
        assert await Workflow("nowhere").get_job("a") is None

    async def test_finds_a_nested_job_in_its_own_workflow(self, oban: Oban) -> None:
        await oban.enqueue_many(nested(id="w"))
        status = await Workflow("w").status()
        job = await Workflow(status.subs["many"].id).get_job("1")
        assert job is not None
        assert job.meta["sub_name"] == "many"


class TestAllJobs:
    async def test_are_those_of_the_workflow_itself_upstream_first(self, oban: Oban) -> None:
        await oban.enqueue_many(nested(id="w"))
        assert names(await Workflow("w").all_jobs()) == ["a", "b"]

    async def test_with_subs_are_all(self, oban: Oban) -> None:
        jobs = await oban.enqueue_many(nested(id="w"))
        found = await Workflow("w").all_jobs(with_subs=True)
        assert [job.id for job in found] == [job.id for job in jobs]
        assert names(found)[0] == "a"
        assert names(found)[-1] == "b"

    async def test_of_no_such_workflow_are_none(self, oban: Oban) -> None:
        assert await Workflow("nowhere").all_jobs() == []

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (["a"], ["a"]),
            (["b", "a", "a"], ["a", "b"]),
            (["nothing"], []),
            (["x"], []),
            ([], []),
            (("a",), ["a"]),
            (iter("ab"), ["a", "b"]),
        ],
    )
    async def test_can_be_chosen_by_name(
        self, oban: Oban, wanted: Any, expected: list[str]
    ) -> None:
        await oban.enqueue_many(nested(id="w"))
        assert names(await Workflow("w").all_jobs(names=wanted)) == expected

    async def test_can_be_chosen_by_name_at_any_depth(self, oban: Oban) -> None:
        await oban.enqueue_many(nested(id="w"))
        found = await Workflow("w").all_jobs(names=["a", "y", "1"], with_subs=True)
        assert names(found) == ["a", "y", "1"]


class TestDepsOf:
    async def test_are_the_direct_upstream_jobs(self, oban: Oban) -> None:
        start, left, _, end = await oban.enqueue_many(diamond(id="w"))
        handle = Workflow("w")
        assert names(await handle.all_jobs(deps_of=end)) == ["left", "right"]
        assert names(await handle.all_jobs(deps_of=left)) == ["start"]
        assert await handle.all_jobs(deps_of=start) == []

    async def test_of_a_group_are_all_its_jobs_nested_ones_too(self, oban: Oban) -> None:
        workflow = nested(id="w").add("last", work(), deps=["sub", "a"])
        await oban.enqueue_many(workflow)
        last = await fetched(workflow, "last")
        found = names(await workflow.all_jobs(deps_of=last))
        assert sorted(found) == ["a", "x", "y", "z"]
        assert found[0] == "a"
        b = await fetched(workflow, "b")
        assert names(await workflow.all_jobs(deps_of=b)) == ["0", "1"]

    async def test_of_a_job_in_a_group_are_what_the_group_depends_on(self, oban: Oban) -> None:
        jobs = await oban.enqueue_many(nested(id="w"))
        by_name = {job.meta["name"]: job for job in jobs}

        async def deps_of(name: str) -> list[str]:
            job = by_name[name]
            return sorted(names(await Workflow.for_job(job).all_jobs(deps_of=job)))

        assert await deps_of("x") == ["a"]
        assert await deps_of("z") == ["a"]
        assert await deps_of("y") == ["x"]
        assert await deps_of("0") == ["x", "y", "z"]

    async def test_pass_through_groups_without_deps(self, oban: Oban) -> None:
        sub = Workflow().add_many("many", [work()])
        workflow = Workflow().add("a", work()).add_workflow("sub", sub, deps="a")
        _, job = await oban.enqueue_many(workflow)
        assert names(await workflow.all_jobs(deps_of=job)) == ["a"]

    async def test_can_be_chosen_by_name(self, oban: Oban) -> None:
        *_, end = await oban.enqueue_many(diamond(id="w"))
        found = await Workflow("w").all_jobs(deps_of=end, names=["right", "start"])
        assert names(found) == ["right"]

    async def test_need_a_job_that_was_enqueued(self, oban: Oban) -> None:
        first, *_ = diamond()
        with pytest.raises(ValueError, match="must be an enqueued job of a workflow"):
            await Workflow("w").all_jobs(deps_of=first)
        (plain, _) = await oban.enqueue_many([work(), work()])
        with pytest.raises(ValueError, match="must be an enqueued job of a workflow"):
            await Workflow("w").all_jobs(deps_of=plain)


@worker()
class Hold(Worker):
    """Wait to be told to go on."""

    release = asyncio.Event()

    async def process(self, _job: Job) -> None:
        await self.release.wait()


@worker()
class Look(Worker):
    """Look at its own workflow, and note what it saw."""

    seen: list[tuple[str, list[str], WorkflowStatus]]

    async def process(self, job: Job) -> None:
        handle = Workflow.for_job(job)
        jobs = await handle.all_jobs()
        self.seen.append((handle.id, names(jobs), await handle.status()))


@pytest.fixture(autouse=True)
def reset() -> None:
    Hold.release = asyncio.Event()
    Look.seen = []


class TestForJob:
    async def test_in_a_running_job_sees_its_workflow(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        workflow = Workflow("w", "nightly").add("a", work()).add("look", Look.new(), deps="a")
        await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        ((handle_id, jobs, status),) = Look.seen
        assert (handle_id, jobs, status.name) == ("w", ["a", "look"], "nightly")
        assert (status.state, status.counts) == ("executing", Counter(completed=1, executing=1))

    async def test_in_a_running_nested_job_sees_the_nested_workflow(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        sub = Workflow("s").add("look", Look.new())
        workflow = Workflow("w").add("a", work()).add_workflow("sub", sub, deps="a")
        await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert [(one[0], one[1]) for one in Look.seen] == [("s", ["look"])]

    async def test_uses_the_oban_that_runs_the_job(
        self, pool: AsyncConnectionPool, second_pool: AsyncConnectionPool, wait_until: Any
    ) -> None:
        first = Workflow("w", "first", oban="one").add("look", Look.new())
        second = Workflow("w", "second", oban="two").add("look", Look.new()).add("b", work())
        opts: dict[str, Any] = {"queues": {"default": 5}, "stager": {"interval": 0.05}}
        async with (
            Oban(pool=pool, name="one", **opts) as one,
            Oban(pool=second_pool, name="two", **opts) as two,
        ):
            await one.enqueue_many(first)
            await wait_until(lambda: settled(first))
            await two.enqueue_many(second)
            await wait_until(lambda: settled(second))
        assert [(status.name, jobs) for _, jobs, status in Look.seen] == [
            ("first", ["look"]),
            ("second", ["look", "b"]),
        ]

    async def test_outside_of_a_running_job_uses_the_default(self, oban: Oban) -> None:
        first, *_ = await oban.enqueue_many(diamond())
        assert (await Workflow.for_job(first).status()).total == 4

    async def test_of_a_plain_job_raises(
        self, oban: Oban, start_oban: StartOban, wait_until: Any
    ) -> None:
        job = Look.new({}, max_attempts=1)
        await start_oban()
        await oban.enqueue(job)

        async def error() -> Any:
            found = await oban.get_job(job.id or 0)
            return found and found.errors

        (entry,) = await wait_until(error)
        assert "must belong to a workflow" in entry["error"]
        with pytest.raises(ValueError, match="must belong to a workflow"):
            Workflow.for_job(job)


class TestHandle:
    async def test_finds_its_oban_by_name(
        self, pool: AsyncConnectionPool, second_pool: AsyncConnectionPool
    ) -> None:
        one, two = Oban(pool=pool), Oban(pool=second_pool, name="two")
        await one.enqueue_many(diamond(id="w"))
        await two.enqueue_many(Workflow("w").add("a", work()))
        assert (await Workflow("w").status()).total == 4
        assert (await Workflow("w", oban="Oban").status()).total == 4
        assert (await Workflow("w", oban="two").status()).total == 1

    async def test_finds_the_only_oban_there_is(self, pool: AsyncConnectionPool) -> None:
        oban = Oban(pool=pool, name="mine")
        await oban.enqueue_many(diamond(id="w"))
        assert (await Workflow("w").status()).total == 4

    async def test_names_an_oban_that_it_does_not_find(self, oban: Oban) -> None:
        with pytest.raises(RuntimeError, match="'other' not found"):
            await Workflow("w", oban="other").status()

    async def test_names_the_default_where_there_is_none(self) -> None:
        with pytest.raises(RuntimeError, match="'Oban' not found"):
            await Workflow("w").status()

    async def test_says_what_to_do_without_tables(self, empty_dsn: str) -> None:
        async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
            Oban(pool=pool)
            with pytest.raises(errors.SchemaError, match="run: oban-workflows install"):
                await Workflow("w").status()

    async def test_works_in_a_process_that_never_saw_the_builder(
        self, oban: Oban, dsn: str
    ) -> None:
        await oban.enqueue_many(nested(id="w", name="nightly"))
        program = """
import asyncio, json, sys
from oban import Oban
from oban_pro import Workflow

async def main():
    pool = await Oban.create_pool(sys.argv[1])
    Oban(pool=pool)
    handle = Workflow(id="w")
    status = await handle.status()
    job = await handle.get_job("a")
    jobs = await handle.all_jobs(with_subs=True)
    await pool.close()
    print(json.dumps([status.name, status.state, status.total, list(status.subs),
                      job.worker, len(jobs)]))

asyncio.run(main())
"""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            dsn,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        worker_path = f"{Work.__module__}.Work"
        assert json.loads(out) == ["nightly", "executing", 7, ["sub", "many"], worker_path, 7]
