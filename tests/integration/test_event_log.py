"""Lines of JSON in the log, one for each event."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from oban import Job, Oban, Worker, worker
from oban.testing import drain_queue

import oban_pro
from oban_pro import Workflow, telemetry
from oban_pro._plugin.before_stage import tell_settled
from tests.support.graphs import work


@worker()
class Failing(Worker):
    async def process(self, job: Job) -> None:
        raise ValueError("no\x1b[2J\0 disk")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Provide a helper that returns the level and the content of each line so far."""
    caplog.set_level(logging.DEBUG, telemetry.LOGGER)
    telemetry.log_events()

    def read() -> list[tuple[int, dict[str, Any]]]:
        records = [one for one in caplog.records if one.name == telemetry.LOGGER]
        assert not any("\n" in one.getMessage() for one in records)

        return [(one.levelno, json.loads(one.getMessage())) for one in records]

    yield read
    telemetry.stop_logging()


async def run(oban: Oban) -> None:
    await drain_queue(oban=oban, with_safety=True, with_scheduled=False)
    await tell_settled(oban._query)


class TestLog:
    async def test_leads_to_pages_where_the_dashboard_is_known(
        self, oban: Oban, lines: Any
    ) -> None:
        oban_pro.configure(web_url="https://shop.example/x")
        workflow = Workflow(id="a/b").add("one", work())
        (job,) = await oban.enqueue_many(workflow)
        await run(oban)
        page = "https://shop.example/x/workflows/a%252Fb"
        assert [line.get("url") for _, line in lines()] == [page, f"{page}#{job.id}", page]

    async def test_has_a_line_for_each_event(self, oban: Oban, lines: Any) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        inner = Workflow().add("b/c", work(meta={"traceparent": trace}))
        workflow = Workflow(name="nightly").add_workflow("a", inner)
        await oban.enqueue_many(workflow)
        await run(oban)
        (_, inserted), (level, stop), (_, settled) = lines()
        assert inserted == {
            "event": "oban.workflow.inserted",
            "workflow_id": workflow.id,
            "name": "nightly",
            "count": 1,
        }
        assert level == logging.INFO
        (job,) = await workflow.all_jobs(with_subs=True)
        assert (
            stop.items()
            >= {
                "event": "oban.job.stop",
                "workflow_id": job.meta["workflow_id"],
                "path": r"b\/c",
                "job_id": job.id,
                "attempt": 1,
                "state": "completed",
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
            }.items()
        )
        assert stop["duration_seconds"] < 10
        # it is in no line: whoever may read the log may not read what jobs are about
        assert "args" not in stop
        assert settled.pop("duration_seconds") >= 0
        assert settled == {
            "event": "oban.workflow.settled",
            "workflow_id": workflow.id,
            "name": "nightly",
            "state": "completed",
            "total": 1,
            "counts": {"completed": 1},
        }

    async def test_says_more_loudly_what_failed(self, oban: Oban, lines: Any) -> None:
        workflow = (
            Workflow()
            .add("a", Failing.new({}, max_attempts=1))
            .add("b", work(), deps="a")
            .add("again", Failing.new({}))
        )
        await oban.enqueue_many(workflow)
        await run(oban)
        await workflow.cancel_jobs()
        await tell_settled(oban._query)
        told = {
            (line["event"].removeprefix("oban."), line.get("state")): (level, line)
            for level, line in lines()
        }
        assert told["job.exception", "discarded"][0] == logging.ERROR
        assert told["job.exception", "retryable"][0] == logging.WARNING
        assert told["job.exception", "discarded"][1]["error_message"] == "no\x1b[2J\0 disk"
        level, settled = told["workflow.settled", "discarded"]
        assert level == logging.ERROR
        assert settled["counts"] == {"cancelled": 2, "discarded": 1}

    async def test_of_plain_jobs_names_no_workflow(self, oban: Oban, lines: Any) -> None:
        await oban.enqueue(work())
        await run(oban)
        ((_, line),) = lines()
        assert (line["workflow_id"], line["path"], line["trace_id"]) == (None, None, None)

    async def test_stop_logging_ends_the_log(self, oban: Oban, lines: Any) -> None:
        telemetry.stop_logging()
        await oban.enqueue_many(Workflow().add("a", work()))
        assert lines() == []


class TestSettled:
    async def test_counts_nested_workflows_and_those_without_jobs(self, oban: Oban) -> None:
        import oban.telemetry as core

        heard: list[dict[str, Any]] = []
        core.attach("settled", ["oban.workflow.settled"], lambda _, meta: heard.append(meta))

        try:
            inner = Workflow().add("x", work()).add("bad", Failing.new({}, max_attempts=1))
            await oban.enqueue_many(
                Workflow(id="nested").add("a", work()).add_workflow("sub", inner, deps="a")
            )
            await run(oban)
            unstarted = Workflow(id="unstarted").add("a", work())
            await oban.enqueue_many(unstarted)
            await unstarted.cancel_jobs()
            await run(oban)
        finally:
            core.detach("settled")

        nested, unstarted_one = heard
        assert (nested["total"], nested["counts"]) == (3, {"completed": 2, "discarded": 1})
        assert 0 <= nested["duration_seconds"] < 60
        assert (unstarted_one["counts"], unstarted_one["duration_seconds"]) == (
            {"cancelled": 1},
            None,
        )


class TestBroken:
    async def test_is_told_once_with_the_cause(self, oban: Oban, lines: Any) -> None:
        inner = Workflow().add("bad", Failing.new({}, max_attempts=1)).add("x", work(), deps="bad")
        workflow = (
            Workflow(name="nightly").add_workflow("sub", inner).add("last", work(), deps="sub")
        )
        await oban.enqueue_many(workflow)
        await run(oban)
        await run(oban)
        (broken,) = [line for _, line in lines() if line["event"] == "oban.workflow.broken"]
        assert "ValueError" in broken.pop("error")
        assert broken == {
            "event": "oban.workflow.broken",
            "workflow_id": workflow.id,
            "name": "nightly",
            "count": 2,
            "path": "sub/bad",
            "state": "discarded",
        }

    async def test_is_not_told_of_jobs_that_somebody_cancelled(
        self, oban: Oban, lines: Any
    ) -> None:
        workflow = Workflow().add("a", work()).add("b", work())
        await oban.enqueue_many(workflow)
        await workflow.cancel_jobs()
        await run(oban)
        assert [line["event"] for _, line in lines()][-1] == "oban.workflow.settled"
