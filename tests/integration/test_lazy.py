"""Results of groups that are read while a cascade looks at them."""

from typing import Any

import pytest
from oban import Oban
from oban.testing import process_job

from oban_pro import Workflow, errors, from_result
from oban_pro.engine import lazy_context, streaming
from oban_pro.values import codec
from tests.support import flows, sizes
from tests.support.engine import Engine, make_job
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.graphs import settled

TENS = {str(n): n * 10 for n in range(5)}


def reading(function: Any, **options: Any) -> Workflow:
    return (
        Workflow()
        .add_cascade("call", (range(5), sizes.tenfold))
        .add_cascade("read", function, deps="call", lazy=True, **options)
    )


class TestLazyResults:
    @pytest.mark.parametrize("function", [sizes.read_lazily, sizes.read_lazily_in_a_thread])
    async def test_are_read_in_pages(
        self, run: Run, function: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "PAGE", 2)

        assert (await run(reading(function)))["read"] == TENS

    async def test_refuse_to_hold_up_an_event_loop(self, run: Run) -> None:
        workflow = reading(sizes.read_lazily_as_a_dict, max_attempts=1)
        await run(workflow)
        job = await workflow.get_job("read")

        assert job is not None
        assert "in an async def read them with" in str(job.errors)

    async def test_are_lazy_in_nested_groups(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lazy_context, "GROUPS", 2)
        sub = Workflow().add_cascade("one", flows.one).add_workflow("none", Workflow())

        for name in ("inner", "other"):
            sub.add_cascade(name, ([1, 2], sizes.tenfold))

        sub.add_cascade("list", sizes.numbers)
        sub.add_cascade("mapped", (from_result("list"), sizes.tenfold), deps="list")
        workflow = (
            Workflow()
            .add_context({"shared": "s"})
            .add_cascade("first", flows.one)
            .add_workflow("sub", sub)
            .add_cascade("read", sizes.read_nested_lazily, deps=["first", "sub"], lazy=True)
        )

        assert (await run(workflow))["read"] == (
            {
                "one": 1,
                "list": [1, 2, 3],
                "none": {},
                "inner": {"0": 10, "1": 20},
                "other": {"0": 10, "1": 20},
                "mapped": {"0": 10, "1": 20, "2": 30},
            },
            1,
            "s",
            20,
        )

    async def test_are_those_of_what_the_group_of_the_job_waits_for(self, run: Run) -> None:
        sub = Workflow().add_cascade("read", sizes.read_lazily, lazy=True)
        workflow = (
            Workflow()
            .add_cascade("call", (range(5), sizes.tenfold))
            .add_workflow("sub", sub, deps="call")
        )

        assert (await run(workflow))["sub"]["read"] == TENS

    async def test_lazy_results_know_what_failed(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("call", (range(5), sizes.refuse_odd), tolerate=2, max_attempts=1)
            .add_cascade("read", sizes.failed_lazily, deps="call", lazy=True)
        )

        assert (await run(workflow))["read"] == (["1", "3"], ["0", "2", "4"])

    async def test_lazy_results_cannot_be_recorded(self, run: Run) -> None:
        workflow = reading(sizes.keep_lazy, max_attempts=1)
        await run(workflow)
        job = await workflow.get_job("read")

        assert job is not None
        assert "LazyResults" in str(job.errors)

    async def test_of_items_that_are_mapped_are_lazy_in_each_job(self, run: Run) -> None:
        workflow = (
            Workflow()
            .add_cascade("list", sizes.numbers)
            .add_cascade("call", (range(5), sizes.tenfold))
            .add_cascade(
                "read", (from_result("list"), sizes.sum_lazily), deps=["list", "call"], lazy=True
            )
        )

        assert (await run(workflow))["read"] == {"0": 101, "1": 102, "2": 103}

    async def test_take_the_memory_of_a_page(
        self, engine: Engine, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        workflow = (
            Workflow()
            .add_many("call", [make_job(queue="nobody") for _ in range(60)])
            .add_cascade("read", sizes.peak_of_lazy, deps="call", lazy=True)
        )
        await engine.enqueue(workflow)
        await engine.conn.execute(
            "UPDATE oban_jobs SET state = 'completed', completed_at = now(), meta = meta || %s"
            " || jsonb_build_object('return', %s::text) WHERE queue = 'nobody'",
            ['{"recorded": true}', codec.encode(bytes(range(256)) * 1_000)],
        )
        await start_oban({"default": 1})
        await wait_until(lambda: settled(workflow), timeout=50)
        count, peak = await workflow.get_recorded("read")

        assert count == 60 * 256_000
        assert peak < 10_000_000

    async def test_work_in_jobs_that_run_in_place(self, oban: Oban) -> None:
        jobs = [*reading(sizes.read_lazily)]

        assert [(await process_job(job)).value for job in jobs][-1] == TENS

    def test_must_be_asked_for_by_a_bool(self) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="lazy of 'a' must be a bool"):
            reading(sizes.read_lazily).add_cascade("a", flows.one, lazy=1)  # type: ignore[call-overload]
