"""Two who race for what an ack frees: a slot under a new limit, a key that another one takes."""

import asyncio
from typing import Any

import pytest
from oban import Job
from oban._executor import AckAction
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro._plugin import timers
from tests.support.engine import make_job
from tests.support.races import Race, race


class Ack(Race):
    async def prepare(self) -> None:
        await super().prepare()
        (self.job,) = await self.fetch()

    async def first(self) -> list[int]:
        return await self.ack(self.job)

    async def ack(self, job: Job) -> list[int]:
        acked: list[int] = await self.query.ack_jobs([AckAction(job=job, state="completed")])

        return acked


class SetLimit(Ack):
    """The next is released if the ack comes first. A slot is neither lost nor given twice."""

    def build(self) -> Workflow:
        jobs = [make_job() for _ in range(4)]

        return Workflow(id=self.handle.id).add_many("call", jobs, limit=1)

    async def second(self) -> None:
        await self.handle.set_limit("call", 0)

    async def outcome(self, first: list[int], second: None) -> str:
        assert first == [self.job.id]
        states = await self.states()
        waiting = {"0": "completed", "1": "suspended", "2": "suspended", "3": "suspended"}
        assert states in (waiting, waiting | {"1": "available"})
        await self.handle.set_limit("call", 2)
        assert await self.states() == waiting | {"1": "available", "2": "available"}

        return "second" if states == waiting else "first"


class Replace(Ack):
    """One starts, then the one in line, unless it was its turn and it is the one replaced."""

    def build(self) -> Workflow:
        return self.unique(self.handle.id, "raise")

    def unique(self, id: str, on_conflict: Any) -> Workflow:
        options: dict[str, Any] = {"unique": self.handle.id, "on_conflict": on_conflict}

        return Workflow(id=id, oban=self.oban._name, **options).add("a", make_job())

    async def prepare(self) -> None:
        await super().prepare()
        self.queued = self.unique(f"{self.handle.id}-queued", "queue")
        await self.oban.enqueue_many(self.queued)

    async def second(self) -> Workflow:
        await self.oban.enqueue_many(new := self.unique(f"{self.handle.id}-new", "replace"))

        return new

    async def outcome(self, first: list[int], second: Workflow) -> str:
        holder, queued, new = [await _state(one) for one in (self.handle, self.queued, second)]
        assert (holder, new) == ("completed" if first else "cancelled", "available")

        if queued == "cancelled":
            assert first
            return "first"

        assert queued == "suspended"
        (job,) = await self.fetch(second)
        await self.ack(job)

        async with asyncio.timeout(30):
            while await _state(self.queued) != "available":
                await timers.tick(self.query)

        return "second"


async def _state(workflow: Workflow) -> str:
    (job,) = await workflow.all_jobs()

    return job.state


RACES = [SetLimit, Replace]


class TestAck:
    async def test_and_what_it_races_with_have_one_outcome(
        self, dsn: str, conn: AsyncConnection
    ) -> None:
        for kind in RACES:
            await conn.execute("TRUNCATE oban_jobs")
            assert (await race(dsn, conn, kind, 50)).total() == 50

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("kind", RACES)
    async def test_have_one_in_a_thousand_workflows(
        self, dsn: str, conn: AsyncConnection, kind: type[Race]
    ) -> None:
        assert {*await race(dsn, conn, kind, 1_000)} == {"first", "second"}
