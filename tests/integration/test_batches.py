"""Fan-outs whose jobs take several items each."""

from typing import Any

import pytest
from oban import Oban
from oban.testing import process_job

from oban_pro import Workflow, errors, from_result
from tests.support import flows, sizes
from tests.support.fixtures import Run
from tests.support.graphs import names

TENS = {str(n): n * 10 for n in range(7)}
KEYS = {"x": 1, "y/z": 2, "7": 3}


def batches(count: int = 7, size: int = 3, function: Any = None, **options: Any) -> Workflow:
    return Workflow().add_cascade(
        "call", (range(count), function or sizes.tenfold_all), batch=size, **options
    )


async def error_of(workflow: Workflow, path: str) -> str:
    job = await workflow.get_job(path)
    assert job is not None

    return str(job.errors)


class TestBatches:
    async def test_take_items_together_and_give_results_by_item(self, run: Run) -> None:
        workflow = batches().add_cascade("see", flows.see, deps="call")
        recorded = await run(workflow)

        assert recorded["call"] == TENS
        assert [*recorded["call"]] == [*TENS]
        assert recorded["see"]["call"] == TENS

    async def test_each_batch_is_one_member_of_the_fan_out(self, run: Run) -> None:
        workflow = batches()
        await run(workflow)
        status = await workflow.status()

        assert (status.total, status.counts["completed"]) == (3, 3)
        assert names(await workflow.all_jobs(with_subs=True)) == ["0-2", "3-5", "6-6"]

    async def test_of_a_dict_keep_its_keys(self, run: Run) -> None:
        workflow = Workflow().add_cascade("call", (KEYS, sizes.tenfold_all_by_key), batch=2)

        assert await run(workflow) == {"call": {"x": 10, "y/z": 20, "7": 30}}
        assert names(await workflow.all_jobs(with_subs=True)) == ["batch-0", "batch-1"]

        for key, value in [("x", 10), ("y\\/z", 20), ("7", 30), ("0", None), ("batch-2", None)]:
            assert await workflow.get_recorded(f"call/{key}") == value

    async def test_results_of_single_items_can_be_read(self, run: Run) -> None:
        workflow = batches(12, 5).add_cascade("one", flows.one)
        await run(workflow)

        for n in range(12):
            assert await workflow.get_recorded(f"call/{n}") == n * 10

        for path in (
            "call/12",
            "call/07",
            "call/-1",
            "call/x",
            "call/",
            "one/1",
            "no/1",
            "/",
            "no",
        ):
            assert await workflow.get_recorded(path) is None

    async def test_are_streamed_by_item(self, run: Run) -> None:
        workflow = Workflow().add_workflow("sub", batches())
        await run(workflow)
        found = [one async for one in workflow.stream_recorded()]

        assert found == [(f"sub/call/{n}", n * 10) for n in range(7)]
        assert [one async for one in workflow.stream_recorded("sub/call")] == found
        assert [one async for one in workflow.stream_recorded("sub/call/5")] == [found[5]]
        assert [one async for one in workflow.stream_recorded("sub/call/8")] == []

    async def test_are_read_lazily_by_item(self, run: Run) -> None:
        workflow = batches().add_cascade("read", sizes.read_lazily, deps="call", lazy=True)

        assert (await run(workflow))["read"] == TENS

    @pytest.mark.parametrize("batch", [{"batch": 2}, {}])
    async def test_may_be_of_what_an_upstream_job_records(
        self, run: Run, batch: dict[str, Any]
    ) -> None:
        given = ("list", sizes.numbers), ("dict", sizes.mapping)
        functions: dict[str, Any] = {"list": sizes.tenfold_all, "dict": sizes.tenfold_all_by_key}
        workflow = Workflow()

        for name, function in given:
            items = from_result(name) if batch else from_result(name).batches(2)
            workflow.add_cascade(name, function).add_cascade(
                f"call {name}", (items, functions[name]), deps=name, **batch
            )

        workflow.add_cascade("see", flows.see, deps=["call list", "call dict"])
        recorded = await run(workflow)

        assert recorded["call list"] == recorded["see"]["call list"] == {"0": 10, "1": 20, "2": 30}
        assert recorded["call dict"] == {"a": 10, "b": 20, "c": 30}
        assert await workflow.get_recorded("call list/2") == 30
        assert await workflow.get_recorded("call dict/c") == 30
        assert (await workflow.status()).subs["call dict"].counts["completed"] == 3

    async def test_that_fail_are_tried_again_whole(self, run: Run) -> None:
        recorded = await run(batches(6, 3, sizes.batch_fails_once, backoff=0))

        assert recorded["call"] == {"0": 2, "1": 12, "2": 22, "3": 31, "4": 41, "5": 51}

    async def test_count_for_tolerance_and_are_retried_by_name(self, run: Run) -> None:
        workflow = batches(6, 2, sizes.refuse_three, tolerate=1, max_attempts=1)
        workflow.add_cascade("see", flows.see, deps="call")
        recorded = await run(workflow)

        assert recorded["see"]["call"] == {"0": 0, "1": 1, "4": 4, "5": 5}
        assert (await workflow.status()).state == "completed"
        assert "three" in await error_of(workflow, "call/2-3")
        assert await workflow.get_recorded("call/3") is None
        assert await workflow.retry_jobs(names=["call/2-3"]) >= 1

        with pytest.raises(errors.UnknownNameError):
            await workflow.retry_jobs(names=["call/3"])

    async def test_a_batch_may_snooze(self, run: Run) -> None:
        assert (await run(batches(3, 3, sizes.snooze_batch)))["call"] == {"0": 0, "1": 1, "2": 2}

    async def test_work_in_jobs_that_run_in_place(self, oban: Oban) -> None:
        workflow = batches().add_cascade("see", flows.see, deps="call")
        results = [(await process_job(job)).value for job in workflow]

        assert results[-1]["call"] == TENS


class TestWrongResults:
    @pytest.mark.parametrize(
        ("items", "returns", "message"),
        [
            (range(2), [1], "must return a list of 2 results, got 1"),
            (range(2), {"0": 1, "1": 1}, "must return a list of 2 results, got dict"),
            (range(2), None, "must return a list of 2 results, got NoneType"),
            ({"a": 1}, [1], "must return a dict with the keys of its 1 items, got list"),
            ({"a": 1}, {"b": 1}, "got none for"),
            ({"a": 1}, {"a": 1, "b": 1}, "got one for"),
        ],
    )
    async def test_are_a_failed_attempt(
        self, run: Run, items: Any, returns: Any, message: str
    ) -> None:
        workflow = (
            Workflow()
            .add_context({"returns": returns})
            .add_cascade("call", (items, sizes.wrong_results), batch=2, max_attempts=1)
        )
        await run(workflow)
        path = "call/batch-0" if isinstance(items, dict) else "call/0-1"

        assert message in await error_of(workflow, path)


class TestRefused:
    @pytest.mark.parametrize(
        ("batch", "error", "message"),
        [
            (0, errors.InvalidOptionError, "batch of 'call' must be at least 1, got 0"),
            (True, errors.InvalidArgumentError, "batch of 'call' must be an int, got True"),
            (2.0, errors.InvalidArgumentError, "batch of 'call' must be an int, got 2.0"),
        ],
    )
    def test_is_what_is_no_number_of_items(
        self, batch: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            batches(size=batch)

        with pytest.raises(error, match="size of batches"):
            from_result("x").batches(batch)

    def test_is_a_batch_of_what_has_no_items(self) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="batch of 'a' is for fan-outs"):
            Workflow().add_cascade("a", flows.one, batch=2)  # type: ignore[call-overload]

    def test_is_a_key_that_is_the_name_of_a_batch(self) -> None:
        items = {"batch-7": 1}

        with pytest.raises(errors.InvalidArgumentError, match="must not be the name of a batch"):
            Workflow().add_cascade("a", (items, sizes.tenfold_all_by_key), batch=2)
