"""Times that PostgreSQL holds and Python does not: they hide neither their job nor its workflow."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from oban import Job, Oban, Snooze, Worker, worker

from oban_pro import Workflow, doctor
from oban_pro.cli.console import to_json
from oban_pro.testing import run_workflow
from oban_pro.web import create_app
from tests.support.cli import invoke
from tests.support.dashboard import browse
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import names, work

pytestmark = pytest.mark.slow

COLUMNS = (
    "inserted_at",
    "scheduled_at",
    "attempted_at",
    "completed_at",
    "cancelled_at",
    "discarded_at",
)
LIMITS = ("infinity", "-infinity")
BEYOND = ("10000-01-01", "0001-12-31 BC", *LIMITS)


@worker()
class Patient(Worker):
    async def process(self, job: Job) -> Snooze:
        return Snooze(10**12)


@pytest.fixture
async def workflow(oban: Oban) -> Workflow:
    """Provide one with a job in each state, some of which ran more than once."""
    sub = Workflow().add("x", work()).add("y", work("fail", max_attempts=2), deps="x")
    workflow = (
        Workflow(id="w")
        .add("done", work())
        .add("bad", work("fail", max_attempts=2), deps="done")
        .add("after", work(), deps="bad")
        .add("cancelled", work("cancel"))
        .add_workflow("sub", sub, deps="done")
        .add("ignoring", work(), deps=["bad", "sub"], ignore_discarded=True)
    )
    await run_workflow(workflow, with_safety=True)
    addition = (
        Workflow(check_deps=False)
        .add("later", work(scheduled_in=3600), deps="done")
        .add("waiting", work(), deps="later")
        .add("next", work(queue="nobodys"), deps="done")
    )
    await workflow.append(addition)

    return workflow


def change(dsn: str, assignment: str, time: str) -> None:
    """Write as somebody in psql may, for all jobs."""
    with psycopg.connect(dsn) as conn:
        conn.execute(f"UPDATE oban_jobs SET {assignment}".encode(), {"time": time})


async def run_commands(dsn: str) -> AsyncIterator[tuple[str, ...]]:
    """Run every command that looks; yields those that fail."""
    commands: list[tuple[str, ...]] = [("list",), ("show", "w"), ("graph", "w"), ("doctor",)]
    commands += [("explain", "w", name) for name in ("after", "waiting", "later", "next")]

    for command in commands:
        for arguments in (command, (*command, "--json")):
            if arguments == ("graph", "w", "--json"):
                continue

            done = await asyncio.to_thread(invoke, dsn, *arguments)

            if done.exit_code:
                yield *arguments, done.stderr


async def get_pages(client: httpx.AsyncClient, jobs: list[Job]) -> AsyncIterator[tuple[str, int]]:
    """Get every page; yields those that fail."""
    pages = ["/", "/workflows/w", "/workflows/w/view.json", "/workflows/w/jobs"]

    for page in [*pages, *(f"/workflows/w/jobs/{job.id}" for job in jobs)]:
        response = await client.get(page)

        if response.status_code != 200:
            yield page, response.status_code


class TestATime:
    @pytest.mark.parametrize("time", BEYOND)
    async def test_that_python_cannot_hold_is_none(self, oban: Oban, dsn: str, time: str) -> None:
        await oban.enqueue_many(workflow := Workflow().add("a", work()))
        change(dsn, "scheduled_at = %(time)s", time)
        (job,) = await workflow.all_jobs()
        assert job.scheduled_at is None

    @pytest.mark.parametrize("time", [datetime.min, datetime.max, datetime(2040, 2, 29, 1, 2, 3)])
    async def test_that_python_holds_is_that_time_in_utc(
        self, oban: Oban, dsn: str, time: datetime
    ) -> None:
        await oban.enqueue_many(workflow := Workflow().add("a", work()))
        change(dsn, "scheduled_at = %(time)s", str(time))
        (job,) = await workflow.all_jobs()
        assert job.scheduled_at == time.replace(tzinfo=UTC)


class TestTimesThatPythonCannotHold:
    @pytest.mark.parametrize("time", LIMITS)
    @pytest.mark.parametrize("column", COLUMNS)
    async def test_are_none_and_hide_nothing(
        self, workflow: Workflow, pool: Any, dsn: str, column: str, time: str
    ) -> None:
        change(dsn, f"{column} = %(time)s", time)
        jobs = await workflow.all_jobs(with_subs=True)
        assert len(jobs) == 10
        assert {getattr(job, column) for job in jobs} == {None}
        assert (await workflow.status()).total == 10
        after = await workflow.get_job("after")
        assert after is not None
        assert names(await workflow.all_jobs(deps_of=after)) == ["bad"]

        for name in [*names(await workflow.all_jobs()), "sub", "sub/y"]:
            assert to_json((await workflow.explain(name)).summary)

        assert len((await workflow.fetch_graph()).vertices) == 9
        await doctor.audit()
        assert [failed async for failed in run_commands(dsn)] == []

        async with browse(create_app(pool)) as client:
            assert [failed async for failed in get_pages(client, jobs)] == []

    @pytest.mark.parametrize("time", LIMITS)
    async def test_do_not_keep_a_workflow_from_running(
        self, workflow: Workflow, dsn: str, start_oban: StartOban, wait_until: WaitUntil, time: str
    ) -> None:
        assignment = ", ".join(f"{column} = %(time)s" for column in COLUMNS[2:])
        change(dsn, assignment, time)
        await workflow.retry_jobs()
        await start_oban(queues={"default": 5, "nobodys": 5})

        async def settles() -> bool:
            return (await workflow.status()).counts["executing"] == 0 and (
                await workflow.get_job("next")
            ).state == "completed"  # type: ignore[union-attr]

        await wait_until(settles)

    async def test_a_job_that_is_snoozed_past_them_says_so(
        self, oban: Oban, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        await start_oban()
        workflow = Workflow().add("patient", Patient.new()).add("end", work(), deps="patient")
        await oban.enqueue_many(workflow)

        async def is_snoozed() -> bool:
            job = await workflow.get_job("patient")
            return job is not None and job.state == "scheduled"

        await wait_until(is_snoozed)
        job = await workflow.get_job("patient")
        assert job is not None
        assert job.scheduled_at is None
        explanation = await workflow.explain("end")
        assert explanation.cause.scheduled_at is None
        assert explanation.summary == (
            "job 'end' waits for its dependency; job 'patient' is scheduled to run after year 9999"
        )
