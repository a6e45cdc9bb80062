"""Settling jobs, whatever they leave behind."""

from datetime import timedelta
from typing import Any

import pytest
from oban import Cancel, Job, Oban, Snooze, Worker, worker
from oban._executor import AckAction

from oban_pro import Workflow
from tests.support.engine import Engine, make_job
from tests.support.fixtures import StartOban
from tests.support.graphs import settled, work

# Texts that PostgreSQL cannot hold, and how they read afterwards.
TEXTS = {"nul": ("a\0b", r"a\x00b"), "surrogate": ("\ud800", r"\ud800"), "fine": ("\\u0000", None)}


@worker(max_attempts=1)
class Awkward(Worker):
    """End with a text, in one way or another."""

    async def process(self, job: Job) -> Any:
        text, _ = TEXTS[job.args["text"]]
        match job.args["how"]:
            case "raise":
                raise RuntimeError(text)
            case "cancel":
                return Cancel(text)
            case "snooze" if not job.meta.get("snoozed"):
                return Snooze(0, meta={"text": text, "big": 2**70})


class TestText:
    @pytest.mark.parametrize("text", TEXTS)
    @pytest.mark.parametrize("how", ["raise", "cancel", "snooze"])
    async def test_that_postgresql_cannot_hold_stops_nothing(
        self, oban: Oban, start_oban: StartOban, wait_until: Any, text: str, how: str
    ) -> None:
        awkward = Awkward.new({"text": text, "how": how})
        workflow = Workflow().add("awkward", awkward).add("beside", work())
        await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        raw, escaped = TEXTS[text]
        job = await workflow.get_job("awkward")
        assert job is not None
        if how == "snooze":
            assert (job.meta["text"], job.meta["big"]) == (escaped or raw, 2**70)
        else:
            (error,) = job.errors
            assert (escaped or raw) in error["error"]  # type: ignore[index]
        assert (await workflow.status()).counts["completed"] == 1 + (how == "snooze")


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


UNSTORABLE: list[dict[str, Any]] = [
    {"schedule_in": 10**15},
    {"schedule_in": float("inf")},
    {"schedule_in": float("nan")},
    {"schedule_in": timedelta(seconds=1)},
    {"schedule_in": "soon"},
    {"meta": {"x": Unspeakable()}},
    {"meta": {(1, 2): "\0"}},
    {"meta": {"x": float("nan"), "y": "\0"}},
]


class TestBatch:
    @pytest.mark.parametrize("attempts", [1, 20])
    async def test_an_ack_that_cannot_be_stored_fails_its_job_alone(
        self, engine: Engine, attempts: int
    ) -> None:
        workflow = Workflow().add_many("fine", [make_job() for _ in range(20)])
        workflow.add_many("bad", [make_job(max_attempts=attempts) for _ in UNSTORABLE])
        await engine.enqueue(workflow)
        running = {job.id or 0: job for job in await engine.fetch()}
        acks = [AckAction(running[engine.ids[f"fine/{n}"]], "completed") for n in range(20)]
        for n, opts in enumerate(UNSTORABLE):
            acks.insert(n * 3, AckAction(running[engine.ids[f"bad/{n}"]], "scheduled", **opts))

        assert sorted(await engine.query.ack_jobs(acks)) == sorted(running)

        await engine.check()
        assert await engine.group("fine") == "completed"
        for n, opts in enumerate(UNSTORABLE):
            job = await engine.row(f"bad/{n}")
            assert job.state == ("discarded" if attempts == 1 else "retryable"), opts
            assert len(job.errors) == 1, opts
