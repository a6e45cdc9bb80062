"""Cascades with many results, and with large ones."""

from typing import Any

import pytest

from oban_pro import Workflow
from tests.support import flows
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import settled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class TestManyResults:
    async def test_twenty_thousand_are_read_in_one_call(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban({"default": 100})
        workflow = (
            Workflow()
            .add_cascade("many", (range(20_000), flows.keep_item))
            .add_cascade("total", flows.total, deps="many")
            .add_cascade("order", flows.order, deps="many")
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=250)
        assert await workflow.get_recorded("total") == sum(range(20_000))
        assert await workflow.get_recorded("order") == [str(n) for n in range(20_000)]
        assert len((await workflow.all_recorded())["many"]) == 20_000

    async def test_each_of_many_can_read_those_of_many(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban({"default": 100})
        workflow = (
            Workflow()
            .add_cascade("many", (range(2_000), flows.keep_item))
            .add_cascade("counts", (range(2_000), flows.count_item), deps="many")
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=250)
        assert set((await workflow.all_recorded())["counts"].values()) == {2_000}


class TestLargeResults:
    async def test_fifty_megabytes_go_through(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        workflow = (
            Workflow()
            .add_context({"bytes": 50_000_000})
            .add_cascade("big", flows.big_text)
            .add_cascade("size", flows.size, deps="big")
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=250)
        assert await workflow.get_recorded("size") == 50_000_000

    async def test_past_the_limit_the_error_says_so(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        workflow = (
            Workflow()
            .add_context({"bytes": 200_000_000})
            .add_cascade("big", flows.big_text, max_attempts=1)
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=250)
        job = await workflow.get_job("big")
        assert job is not None
        assert job.state == "discarded"
        errors: list[Any] = job.errors
        assert "job 'big' returned what cannot be recorded" in errors[-1]["error"]
        assert "exceeds limit of 256000000" in errors[-1]["error"]
