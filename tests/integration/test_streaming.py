"""Results that are read a page at a time."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from oban_pro import Workflow, errors, from_result, sync
from oban_pro.engine import streaming
from oban_pro.values import codec
from tests.support import flows, sizes
from tests.support.engine import Engine, make_job
from tests.support.fixtures import Run, StartOban


def nested() -> Workflow:
    sub = Workflow().add_cascade("x/y", flows.one).add_cascade("each", ([1, 2], flows.keep_item))

    return (
        Workflow()
        .add_cascade("list", sizes.numbers)
        .add_workflow("sub", sub, deps="list")
        .add_cascade("mapped", (from_result("list"), flows.keep_item), deps="list")
        .add_cascade("nothing", flows.nothing, deps="sub")
    )


async def record_all(engine: Engine, value: Any = None) -> None:
    """Complete all jobs, each with a result of its own."""
    await engine.conn.execute(
        "UPDATE oban_jobs SET state = 'completed', completed_at = now(),"
        " meta = meta || jsonb_build_object('recorded', true, 'return', %s::text)",
        [codec.encode(value)],
    )


async def record(engine: Engine, path: str, value: Any) -> None:
    """Run one job, which records a value."""
    meta = {"recorded": True, "return": codec.encode(value)}
    await engine.ack(await engine.start(path), "completed", meta=meta)


async def streamed(found: AsyncIterator[tuple[str, Any]]) -> dict[str, Any]:
    return {path: value async for path, value in found}


class TestStreamRecorded:
    async def test_yields_paths_from_the_root_and_values_in_order_of_id(self, run: Run) -> None:
        workflow = nested()
        await run(workflow)

        assert [*(await streamed(workflow.stream_recorded())).items()] == [
            ("list", [1, 2, 3]),
            ("sub/x\\/y", 1),
            ("sub/each/0", 1),
            ("sub/each/1", 2),
            ("nothing", None),
            ("mapped/0", 1),
            ("mapped/1", 2),
            ("mapped/2", 3),
        ]

    async def test_may_be_of_a_part(self, run: Run) -> None:
        workflow = nested()
        await run(workflow)

        assert await streamed(workflow.stream_recorded("list")) == {"list": [1, 2, 3]}
        assert await streamed(workflow.stream_recorded("sub/x\\/y")) == {"sub/x\\/y": 1}
        assert await streamed(workflow.stream_recorded("mapped")) == {
            "mapped/0": 1,
            "mapped/1": 2,
            "mapped/2": 3,
        }
        job = await workflow.get_job("sub/x\\/y")
        assert job is not None
        sub = Workflow.for_job(job)
        assert await streamed(sub.stream_recorded("each")) == {"sub/each/0": 1, "sub/each/1": 2}

    async def test_of_what_is_not_there_reads_nothing(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()).add_workflow("b", Workflow()))

        for id, path in [
            ("no", None),
            ("no", "a"),
            ("w", None),
            ("w", "b"),
            ("w", "a/b"),
            ("w", "c"),
        ]:
            assert await streamed(Workflow(id=id).stream_recorded(path)) == {}

        with pytest.raises(errors.InvalidArgumentError, match="names or paths"):
            await streamed(Workflow(id="w").stream_recorded(7))  # type: ignore[arg-type]

    async def test_reads_pages_without_gaps(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "RANGES", 2)
        monkeypatch.setattr(streaming, "PAGE", 3)
        monkeypatch.setattr(streaming, "PAGE_SIZE", 700)
        first, second = Workflow(id="w"), Workflow()

        for number in range(12):
            first.add_many(f"m{number}", [make_job() for _ in range(number % 5)])

        await engine.enqueue(first)

        for number in range(7):
            # jobs of others between those of the workflow
            await engine.enqueue(Workflow().add("other", make_job()))
            await Workflow(id="w").append(Workflow().add(f"a{number}", make_job()))

        await engine.enqueue(second)
        await record_all(engine, "x" * 150)
        rows = await engine.rows("SELECT id FROM oban_jobs WHERE meta->>'name' <> 'other'")
        found = await streamed(Workflow(id="w").stream_recorded())

        assert len(found) == len(rows)
        assert [*found][-7:] == [f"a{number}" for number in range(7)]

    async def test_reads_what_was_left_out_of_a_page_for_its_size(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "PAGE_SIZE", 1)
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(9)]))
        await record_all(engine)
        await engine.psql("UPDATE oban_jobs SET meta = meta - 'recorded' WHERE id % 2 = 0")

        assert len(await streamed(Workflow(id="w").stream_recorded())) in (4, 5)

    async def test_takes_the_memory_of_a_page(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(200)]))
        await engine.conn.execute(
            "UPDATE oban_jobs SET state = 'completed', completed_at = now(), meta = meta || %s"
            " || jsonb_build_object('return', %s::text)",
            ['{"recorded": true}', codec.encode(bytes(range(256)) * 1_000)],
        )
        gc.collect()
        tracemalloc.start()
        count = 0

        async for _, value in Workflow(id="w").stream_recorded("m"):
            count += len(value)

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert count == 200 * 256_000
        assert peak < 30_000_000

    async def test_that_is_left_keeps_no_connection(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(3)]))
        await record_all(engine)

        async for _ in Workflow(id="w").stream_recorded():
            busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            assert await engine.rows(busy) == [(0,)]
            break

    async def test_has_a_blocking_twin(self, engine: Engine, dsn: str) -> None:
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(3)]))
        await record_all(engine, 7)

        assert [*sync.Handle("w", dsn).stream_recorded("m")] == [("m/0", 7), ("m/1", 7), ("m/2", 7)]


class TestFollow:
    async def test_yields_results_as_they_are_recorded_until_all_has_settled(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(4)]))
        found = Workflow(id="w").stream_recorded("m", follow=True)

        for number in (2, 0):
            await record(engine, f"m/{number}", number)
            assert await anext(found) == (f"m/{number}", number)

        coming = asyncio.ensure_future(anext(found))
        await engine.discard("m/3")
        await record(engine, "m/1", 1)
        assert await coming == ("m/1", 1)

        with pytest.raises(StopAsyncIteration):
            await anext(found)

    async def test_follows_what_is_grafted_meanwhile(
        self, start_oban: StartOban, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "PAGE", 2)
        workflow = nested()
        oban = await start_oban({"default": 3})
        await oban.enqueue_many(workflow)
        found = [one async for one in workflow.stream_recorded(follow=True)]

        assert len(found) == 8
        assert dict(found) == await streamed(workflow.stream_recorded())
        part = Workflow(id=workflow.id).stream_recorded("mapped", follow=True)
        assert await streamed(part) == {"mapped/0": 1, "mapped/1": 2, "mapped/2": 3}

    async def test_yields_the_items_of_batches_and_each_job_once(self, run: Run) -> None:
        workflow = Workflow().add_cascade("call", (range(5), sizes.tenfold_all), batch=2)
        await run(workflow)
        found = workflow.stream_recorded("call", follow=True)
        first = await anext(found)
        await workflow.retry_jobs(names=["call/0-1"])
        await workflow.cancel_jobs()

        assert [first, *[one async for one in found]] == [(f"call/{n}", n * 10) for n in range(5)]

    async def test_of_what_is_not_there_raises(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="w").add("a", make_job()))

        for id, path, error in (
            ("none", None, errors.UnknownWorkflowError),
            ("none", "a", errors.UnknownWorkflowError),
            ("w", "b", errors.UnknownNameError),
        ):
            with pytest.raises(error):
                await anext(Workflow(id=id).stream_recorded(path, follow=True))

    async def test_has_a_blocking_twin(self, engine: Engine, dsn: str) -> None:
        await engine.enqueue(Workflow(id="w").add_many("m", [make_job() for _ in range(3)]))
        handle = sync.Handle("w", dsn)
        found = asyncio.create_task(
            asyncio.to_thread(lambda: [*handle.stream_recorded("m", follow=True)])
        )

        for number in range(3):
            await record(engine, f"m/{number}", number)

        assert await found == [(f"m/{number}", number) for number in range(3)]

        with psycopg.connect(dsn) as conn:
            conn.execute("SELECT 1")

            with pytest.raises(errors.InTransactionError):
                sync.Handle("w", conn).stream_recorded(follow=True)


class TestSeen:
    @pytest.mark.parametrize(
        ("seen", "ranges", "left"),
        [
            ([], [(1, 3), (7, 7)], [(1, 3), (7, 7)]),
            ([1, 2, 3, 7], [(1, 3), (7, 7)], []),
            ([2, 8], [(1, 3), (7, 9)], [(1, 1), (3, 3), (7, 7), (9, 9)]),
            ([1, 2, 3, 4, 5], [(1, 2), (4, 6)], [(6, 6)]),
            ([1, 2], [(5, 6)], [(5, 6)]),
        ],
    )
    def test_leaves_what_is_to_be_looked_at(
        self, seen: list[int], ranges: list[Any], left: list[Any]
    ) -> None:
        for order in (seen, seen[::-1]):
            known = streaming.Seen()

            for id in order:
                known.add([id])

            assert [*known.left_of(ranges)] == left
