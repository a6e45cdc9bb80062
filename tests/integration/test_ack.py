"""Settling jobs, whatever they leave behind."""

from typing import Any

import pytest
from oban import Cancel, Job, Oban, Snooze, Worker, worker

from oban_pro import Workflow
from tests.conftest import StartOban
from tests.graphs import settled, work

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
