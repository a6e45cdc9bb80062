"""`scheduled_in` counts on the database's clock, from the insertion on."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from oban import Job, Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, from_result, schema
from oban_pro.embedded import Postgres
from tests.support import flows
from tests.support.clock import Clock, needs_faketime
from tests.support.fixtures import Run, StartOban, WaitUntil
from tests.support.graphs import work

MINUTE = timedelta(minutes=1)


def delay_of(job: Job) -> timedelta:
    assert job.scheduled_at is not None
    assert job.inserted_at is not None

    return job.scheduled_at - job.inserted_at


def times(jobs: list[Job]) -> list[datetime]:
    return [job.scheduled_at for job in jobs if job.scheduled_at]


def grow(context: flows.Context) -> Workflow:
    return Workflow().add_cascade("grafted", flows.one, scheduled_in=60)


def graft_item(item: int, context: flows.Context) -> Workflow:
    return grow(context)


async def list_two(context: flows.Context) -> list[int]:
    return [1, 2]


def delayed() -> Workflow:
    sub = Workflow().add_cascade("nested", flows.one, scheduled_in=MINUTE)
    return (
        Workflow()
        .add_cascade("a", flows.one, scheduled_in=60)
        .add_cascade("b", flows.one, deps="a", scheduled_in=60.0)
        .add_cascade("each", ([1, 2], flows.keep_item), scheduled_in=60)
        .add_graft("graft", grow, scheduled_in=60)
        .add_graft("grafts", ([1, 2], graft_item), scheduled_in=60)
        .add_workflow("sub", sub)
        .add_workflow("again", sub)
    )


class TestADelay:
    async def test_counts_from_the_insertion_to_the_microsecond(self, oban: Oban) -> None:
        workflow = delayed()
        jobs = await oban.enqueue_many(workflow)
        stored = await workflow.all_jobs(with_subs=True)
        assert len(jobs) == len(stored) == 9
        assert {delay_of(job) for job in [*jobs, *stored]} == {MINUTE}
        assert {job.state for job in jobs} == {"scheduled", "suspended"}

    async def test_counts_from_an_insertion_that_succeeds(self, oban: Oban, dsn: str) -> None:
        workflow = delayed()
        async with await AsyncConnection.connect(dsn) as conn:
            first = times(await oban.enqueue_many(workflow, conn=conn))
            await conn.rollback()
        assert max(first) < min(times(await oban.enqueue_many(workflow)))

    async def test_of_an_addition_counts_from_there(self, oban: Oban) -> None:
        await oban.enqueue_many(workflow := Workflow().add("x", work()))
        addition = Workflow().add_cascade("y", flows.one, scheduled_in=60)
        (job,) = await workflow.append(addition)
        assert (job.state, delay_of(job)) == ("scheduled", MINUTE)

    async def test_in_a_graft_counts_from_there(
        self, oban: Oban, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        await start_oban()
        await oban.enqueue_many(workflow := Workflow().add_graft("graft", grow))

        async def find() -> list[Job]:
            jobs = await workflow.all_jobs(with_subs=True)
            return [job for job in jobs if job.meta["name"] == "grafted"]

        (grafted,) = await wait_until(find)
        assert (grafted.state, delay_of(grafted)) == ("scheduled", MINUTE)

    async def test_of_a_fan_out_over_a_result_is_not_waited_for_twice(
        self, oban: Oban, run: Run
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("list", list_two)
            .add_cascade(
                "each",
                (from_result("list"), flows.keep_item),
                deps="list",
                scheduled_in=0.2,
                priority=3,
            )
        )
        recorded = await run(workflow)
        assert len(recorded["each"]) == 2
        each = [
            job
            for job in await workflow.all_jobs(with_subs=True)
            if job.worker.endswith("Cascade") and job.priority == 3
        ]
        assert {delay_of(job) for job in each} == {timedelta(0)}


@needs_faketime
class TestOnAServerWhoseClockDiffers:
    @pytest.fixture
    async def skewed(self) -> AsyncIterator[tuple[Oban, Clock]]:
        with Clock() as clock, clock.start(Postgres()) as postgres:
            async with AsyncConnectionPool(postgres.dsn(), open=False) as pool:
                await schema.install(pool)
                yield Oban(pool=pool), clock

    @pytest.mark.parametrize("seconds", [3600, -3600])
    async def test_a_delay_is_as_long_as_it_says(
        self, skewed: tuple[Oban, Clock], seconds: int
    ) -> None:
        oban, clock = skewed
        clock.move(seconds)
        jobs: list[Any] = await oban.enqueue_many(delayed())
        assert {delay_of(job) for job in jobs} == {MINUTE}
        assert {job.state for job in jobs} == {"scheduled", "suspended"}
