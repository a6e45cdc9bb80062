"""An execution that oban loses the ack of fails, and says why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from oban import Cancel, Job, Oban, Worker, telemetry, worker
from oban.testing import drain_queue, process_job

from oban_pro import Workflow
from tests.support.graphs import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import StartOban


class Speechless(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Interrupted(BaseException): ...


async def _cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await task


ENDS = {
    "speechless": "Speechless: <exception str() failed>",
    "reason": "no words",
    "exit": "SystemExit: 3",
    "generator": "GeneratorExit",
    "cancelled": "CancelledError",
    "base": "Interrupted: now",
    "backoff": "RuntimeError: the reason",
}


@worker()
class Ends(Worker):
    """End in the way that ``args["how"]`` says."""

    async def process(self, job: Job) -> Any:
        match job.args["how"]:
            case "speechless":
                raise Speechless
            case "reason":
                return Cancel(Speechless())  # type: ignore[arg-type]
            case "exit":
                raise SystemExit(3)
            case "generator":
                raise GeneratorExit
            case "cancelled":
                await _cancelled()
            case "base":
                raise Interrupted("now")

        raise RuntimeError("the reason")

    def backoff(self, job: Job) -> int:
        if job.args["how"] == "backoff":
            raise ZeroDivisionError("backoff")

        return 60


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """Provide what telemetry is told of executions that raised."""
    events: list[dict[str, Any]] = []
    telemetry.attach("ends", ["oban.job.exception"], lambda _, meta: events.append(meta))
    yield events
    telemetry.detach("ends")


@pytest.mark.parametrize("how", ENDS)
class TestExecution:
    async def test_that_ends_without_an_ack_waits_for_another_attempt(
        self, start_oban: StartOban, wait_until: Any, told: list[dict[str, Any]], how: str
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add("x", Ends.new({"how": how}))
        await node.enqueue_many(workflow)

        async def failed() -> Job | None:
            job = await workflow.get_job("x")
            return job if job and job.state != "available" and job.errors else None

        job = await wait_until(failed)
        (error,) = job.errors
        assert (job.state, job.attempt, error["attempt"]) == ("retryable", 1, 1)
        assert ENDS[how] in error["error"]
        assert "Traceback" in error["error"]
        assert ("ended without an ack" in error["error"]) == (how != "speechless")
        (event,) = told
        assert (event["state"], event["job"].id) == ("retryable", job.id)

    async def test_is_discarded_without_attempts_left(
        self, start_oban: StartOban, wait_until: Any, how: str
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add("x", Ends.new({"how": how}, max_attempts=1))
        await node.enqueue_many(workflow.add("after", Ends.new({"how": how}), deps="x"))
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).counts == {"discarded": 1, "cancelled": 1}

    async def test_in_a_test_fails_too(self, oban: Oban, how: str) -> None:
        await oban.enqueue(Ends.new({"how": how}))
        summary = await drain_queue("default", with_safety=True, with_recursion=False)
        assert summary["retryable"] == 1


async def test_that_nobody_makes_safe_raises_what_was_raised() -> None:
    with pytest.raises(SystemExit):
        await process_job(Ends.new({"how": "exit"}))
