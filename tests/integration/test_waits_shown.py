"""How waits, timers, deadlines and parked jobs are shown: status, explain, show."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from oban import Job, Oban, Worker, worker
from oban.testing import drain_queue
from psycopg import AsyncConnection

from oban_pro import Workflow, await_signal
from tests.support.engine import Engine, make_job
from tests.support.graphs import work

NODE = str(uuid4())
"""The producer of a node that is a row alone."""


@worker()
class Caller(Worker):
    """Call await_signal, and park at once."""

    async def process(self, job: Job) -> None:
        await await_signal(job.args["name"], wait_for=job.args["wait_for"], block_for=0)


class TestStatus:
    async def test_counts_waits_that_listen_and_no_timers(self, oban: Oban) -> None:
        inner = Workflow().add_signal("legal").add_signal("later", deps="legal")
        workflow = (
            Workflow()
            .add_signal("approval")
            .add_timer("cool-down", 3600)
            .add_workflow("reviews", inner)
            .add("send", work(), deps=["approval", "reviews"])
        )
        await oban.enqueue_many(workflow)
        status = await workflow.status()
        assert (status.waits, status.subs["reviews"].waits) == (2, 1)
        await workflow.signal("approval")
        await workflow.signal("reviews/legal")
        status = await workflow.status()
        assert (status.waits, status.subs["reviews"].waits) == (1, 1)
        await workflow.reject("reviews")
        assert (await workflow.status()).waits == 0

    async def test_of_a_nested_workflow_counts_its_own_waits(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_signal("approval")
            .add_workflow("sub", Workflow(id="sub").add_signal("x").add_signal("y"))
        )
        await oban.enqueue_many(workflow)
        assert (await Workflow(id="sub").status()).waits == 2

    async def test_counts_none_without_waits(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        assert (await workflow.status()).waits == 0
        assert (await Workflow(id="nobody").status()).waits == 0


async def past(conn: AsyncConnection, path: str, hours: float, left: str | None = None) -> None:
    """Let a wait have opened some hours ago, and its clock have some time left."""
    await conn.execute(
        "UPDATE oban_workflow_waits w"
        " SET opened_at = timezone('UTC', now()) - make_interval(secs => %s)"
        " FROM oban_workflow_members m WHERE m.id = w.id AND m.name = %s",
        [hours * 3600, path],
    )
    await conn.execute(
        "UPDATE oban_workflow_timers t SET due = timezone('UTC', now()) + %s::interval"
        " FROM oban_workflow_members m WHERE m.id = t.target AND m.name = %s AND t.kind = 'wait'",
        [left, path],
    )


class TestExplain:
    async def test_tells_since_when_a_wait_listens_and_who_has_signalled(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = (
            Workflow()
            .add_signal("approval", wait_for=timedelta(days=2), count=2)
            .add("send", work(), deps="approval")
        )
        await oban.enqueue_many(workflow)
        await past(conn, "approval", 2, "46 hours 30 seconds")
        await workflow.signal("approval", {"choice": "approve"}, by="ada")
        found = await workflow.explain("approval")
        assert (found.reason, found.summary) == (
            "listening",
            "job 'approval' waits for a signal since 2h, for 1d 22h more; 1 of 2 came (ada)",
        )
        assert (await workflow.explain("send")).summary == (
            "job 'send' waits for its dependency; job 'approval' waits for a signal since 2h,"
            " for 1d 22h more; 1 of 2 came (ada)"
        )

    async def test_says_nothing_of_a_clock_where_there_is_none(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add_signal("approval", choices=["yes", "no"])
        await oban.enqueue_many(workflow)
        await past(conn, "approval", 2)
        found = await workflow.explain("approval")
        assert found.summary == "job 'approval' waits for a signal since 2h"
        assert found.subject.wait
        assert found.subject.wait.choices == ("yes", "no")

    async def test_says_that_the_time_of_a_wait_is_up(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = Workflow().add_signal("approval", wait_for=10)
        await oban.enqueue_many(workflow)
        await past(conn, "approval", 1, "-1 second")
        assert (await workflow.explain("approval")).summary == (
            "job 'approval' waits for a signal since 1h, its time is up"
        )

    async def test_tells_until_when_a_timer_waits(self, oban: Oban, conn: AsyncConnection) -> None:
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=59, seconds=40)
        workflow = Workflow().add_timer("cool-down", moment)
        await oban.enqueue_many(workflow)
        found = await workflow.explain("cool-down")
        assert found.reason == "timed"
        assert re.fullmatch(
            f"job 'cool-down' waits until {moment:%Y-%m-%d %H:%M:%S} UTC, for 59m( \\d+s)? more",
            found.summary,
        )

    async def test_of_a_wait_that_is_not_open_tells_what_that_waits_for(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("draft", work(queue="nobody"))
            .add_signal("approval", deps="draft", wait_for=60)
        )
        await oban.enqueue_many(workflow)
        await workflow.signal("approval")
        found = await workflow.explain("approval")
        assert (found.reason, found.summary) == (
            "waiting",
            "job 'approval' waits for its dependency; job 'draft' could run, but no node runs"
            " queue 'nobody'",
        )

    async def test_of_a_large_group_finds_the_wait_in_it(self, oban: Oban) -> None:
        inner = Workflow()

        for number in range(30):
            inner.add(f"a{number}", work())

        workflow = Workflow().add_workflow("sub", inner.add_signal("z")).add_signal("other")
        await oban.enqueue_many(workflow)
        await drain_queue()
        assert (await workflow.explain("sub")).cause.path == ("sub", "z")

    async def test_tells_the_first_deadline_that_a_job_is_under(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        workflow = (
            Workflow(deadline=timedelta(hours=2, seconds=30))
            .add_workflow("sub", Workflow().add("x", work(queue="nobody")), deadline=3 * 3600)
            .add("y", work(queue="nobody"), deadline=1800)
        )
        await oban.enqueue_many(workflow)
        assert (await workflow.explain("sub/x")).summary == (
            "job 'sub/x' could run, but no node runs queue 'nobody';"
            " job 'sub/x' is cancelled in 2h unless it settles"
        )
        assert re.search(
            "; job 'y' is cancelled in (30m|29m \\d+s) unless it settles$",
            (await workflow.explain("y")).summary,
        )
        await conn.execute("UPDATE oban_workflow_timers SET due = due - interval '1 day'")
        assert (await workflow.explain("y")).summary.endswith(
            "; job 'y' is cancelled now, as its deadline has come"
        )
        await workflow.cancel_jobs()
        assert (await workflow.explain("y")).summary == "job 'y' was cancelled"

    async def test_tells_when_a_delayed_job_starts(self, oban: Oban) -> None:
        workflow = Workflow().add("a", work(), delay=timedelta(hours=1, seconds=30))
        await oban.enqueue_many(workflow)
        found = await workflow.explain("a")
        assert (found.reason, found.summary) == (
            "scheduled",
            "job 'a' is scheduled to run in 1h",
        )

    @pytest.mark.parametrize(
        ("name", "wait_for", "expected"),
        [
            ("3ds", 600, "job 'a' is parked: waits for signal '3ds' for (10m|9m \\d+s) more"),
            (None, 600, "job 'a' is parked: waits for a signal for (10m|9m \\d+s) more"),
            (None, None, "job 'a' is parked: waits for a signal"),
        ],
    )
    async def test_tells_what_a_parked_job_waits_for(
        self, oban: Oban, name: str | None, wait_for: float | None, expected: str
    ) -> None:
        job = Caller.new({"name": name, "wait_for": wait_for})
        workflow = Workflow().add("a", job).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)
        await drain_queue(with_scheduled=False)
        found = await workflow.explain("a")
        assert found.reason == "parked"
        assert re.fullmatch(expected, found.summary)
        assert (await workflow.explain("b")).cause.wait == found.subject.wait


class TestExplainOfWhatFollowsAnExecution:
    @pytest.fixture
    async def node(self, oban: Oban, conn: AsyncConnection) -> Engine:
        engine = Engine(oban, conn)
        await engine.query.insert_producer(
            uuid=NODE,
            name="Oban",
            node="node",
            queue="default",
            meta={"oban_workflows_patience": 60.0},
        )

        return engine

    async def test_names_the_job_that_was_cancelled_while_it_ran(self, node: Engine) -> None:
        workflow = (
            Workflow(id="pair")
            .add("a", make_job())
            .add("b", make_job(), deps="a", ignore_cancelled=True)
            .add("c", make_job(), deps="b")
        )
        await node.enqueue(workflow)
        await node.query.fetch_jobs(1, "default", "node", NODE)
        await workflow.cancel_jobs(names=["a"])
        found = await workflow.explain("b")
        assert (found.reason, found.summary) == (
            "ending",
            "job 'b' waits for the end of job 'a', which was cancelled while it ran",
        )
        assert (await workflow.explain("c")).summary == (
            "job 'c' waits for its dependency;"
            " job 'b' waits for the end of job 'a', which was cancelled while it ran"
        )
        assert (await workflow.explain("a")).summary == (
            "job 'a' was cancelled, and its execution has not ended"
        )

    async def test_finds_it_in_a_group(self, node: Engine) -> None:
        inner = Workflow().add("x", make_job()).add("y", make_job(), deps="x")
        workflow = (
            Workflow(id="pair")
            .add_workflow("sub", inner)
            .add_workflow("after", Workflow(ignore_cancelled=True).add("b", make_job()), deps="sub")
        )
        await node.enqueue(workflow)
        await node.query.fetch_jobs(1, "default", "node", NODE)
        await workflow.cancel_jobs(names=["sub"])
        assert (await workflow.explain("after/b")).summary == (
            "job 'after/b' waits for the end of job 'sub/x', which was cancelled while it ran"
        )
