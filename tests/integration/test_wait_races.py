"""Two who act on one wait at the same moment: exactly one wins, and nothing is stuck."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from oban import Job, Oban
from oban._executor import AckAction
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, signal
from oban_pro._plugin import timers
from oban_pro.engine.session import session_of
from tests.support.engine import make_job
from tests.support.recount import assert_consistent
from tests.support.waits import LATE

AT_ONCE = 20
NODE = ["node", "00000000-0000-0000-0000-000000000001"]

type Act = Callable[[], Awaitable[object]]


class Race:
    """One workflow in which two things happen at once. Its outcome tells who won."""

    def __init__(self, oban: Oban, number: int) -> None:
        self.oban = oban
        self.handle = Workflow(id=f"race-{number}", oban=oban._name)

    def build(self) -> Workflow:
        workflow = Workflow(id=self.handle.id).add_signal("wait", wait_for=3600)

        return workflow.add("after", make_job(), deps="wait")

    async def prepare(self) -> None:
        self.jobs = {job.meta["name"]: job for job in await self.oban.enqueue_many(self.build())}

    async def signal(self) -> int:
        return await self.handle.signal("wait", "signal")

    async def act(self) -> object:
        raise NotImplementedError

    async def states(self) -> dict[str, str]:
        return {job.meta["name"]: job.state for job in await self.handle.all_jobs()}

    async def fetch(self) -> list[Job]:
        return await session_of(self.oban._query).execute(
            lambda store: store.fetch_workflow(self.handle.id, 10, NODE)
        )

    async def complete(self, job: Job) -> list[int]:
        return await self.oban._query.ack_jobs([AckAction(job=job, state="completed")])

    async def outcome(self) -> str:
        """Tell who won; fails unless exactly one did."""
        states = await self.states()

        if self.taken and states["wait"] == "completed":
            assert states["after"] == "available"
            return "signal"

        assert not self.taken
        assert states["wait"] == states["after"] == "cancelled"
        return "other"

    async def run(self, rng: random.Random) -> str:
        await self.prepare()
        first, second = rng.random() / 100, rng.random() / 100
        self.taken, _ = await asyncio.gather(_later(first, self.signal), _later(second, self.act))

        return await self.outcome()


async def _later(seconds: float, act: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(seconds)

    return await act()


class Timeout(Race):
    async def act(self) -> None:
        async with self.oban._query.connection() as conn:
            await conn.execute(LATE.encode() + b" AND target = %s", [self.jobs["wait"].id])

        await timers.tick(self.oban._query)

    async def outcome(self) -> str:
        # the other has passed over a root that was held
        if not self.taken and (await self.states())["wait"] == "suspended":
            await timers.tick(self.oban._query)

        return await super().outcome()


class Cancel(Race):
    async def act(self) -> object:
        return await self.handle.cancel_jobs(names=["wait"])


class Reject(Race):
    async def act(self) -> object:
        return await self.handle.reject("wait")


class LastDep(Race):
    """Both happen: whoever comes second settles the wait."""

    def build(self) -> Workflow:
        workflow = Workflow(id=self.handle.id).add("before", make_job())

        return workflow.add_signal("wait", deps="before").add("after", make_job(), deps="wait")

    async def prepare(self) -> None:
        await super().prepare()
        (self.job,) = await self.fetch()

    async def act(self) -> object:
        return await self.complete(self.job)

    async def outcome(self) -> str:
        assert self.taken == 1
        assert (await self.states())["after"] == "available"
        (came,) = await self.handle.signals("wait")
        assert came.taken is not None

        return "signal" if came.at == came.taken else "other"


class RetryOfTheUpstream(LastDep):
    async def prepare(self) -> None:
        await super().prepare()
        await self.complete(self.job)

    async def act(self) -> object:
        return await self.handle.retry_jobs(names=["before"])

    async def outcome(self) -> str:
        assert self.taken == 1
        states = await self.states()
        assert states["before"] == "available"

        if states["wait"] == "completed":
            return "signal"

        (job,) = await self.fetch()
        await self.complete(job)
        assert (await self.states())["after"] == "available"

        return "other"


class DeadlineOfTheWorkflow(Race):
    """A deadline against the completion of the last job."""

    def build(self) -> Workflow:
        return Workflow(id=self.handle.id, deadline=3600).add("wait", make_job())

    async def prepare(self) -> None:
        await super().prepare()
        (self.job,) = await self.fetch()

    async def signal(self) -> int:
        ack = AckAction(job=self.job, state="completed")

        return len(await self.oban._query.ack_jobs([ack]))

    async def act(self) -> None:
        async with self.oban._query.connection() as conn:
            await conn.execute(
                LATE.encode()
                + b" AND target = (SELECT key FROM oban_workflow_groups WHERE id = %s)",
                [self.handle.id],
            )

        await timers.tick(self.oban._query)

    async def outcome(self) -> str:
        states = await self.states()

        if not self.taken and states["wait"] == "executing":
            await timers.tick(self.oban._query)
            states = await self.states()

        assert states["wait"] == ("completed" if self.taken else "cancelled")

        return "signal" if self.taken else "other"


class Park(Race):
    """A job is parked while its signal is sent: it is never left asleep."""

    def build(self) -> Workflow:
        return Workflow(id=self.handle.id).add("wait", make_job())

    async def prepare(self) -> None:
        await super().prepare()
        (self.job,) = await self.fetch()
        await self.ask()

    async def ask(self) -> None:
        answer = await session_of(self.oban._query).execute(
            lambda store: store.answer(self.job.id or 0, "", 1, None, None)
        )
        assert answer.answer == "waiting"

    async def signal(self) -> int:
        return await signal(self.job.id or 0, 1, oban=self.oban._name)

    async def act(self) -> object:
        meta = {"wait": {"name": "", "call": 1}, "wait_until": None}
        ack = AckAction(
            job=self.job, state="scheduled", schedule_in=3600, attempt_change=-1, meta=meta
        )

        return await self.oban._query.ack_jobs([ack])

    async def outcome(self) -> str:
        assert self.taken == 1
        (row,) = await self.handle.all_jobs()
        assert row.state == "available"
        assert "wait" not in row.meta
        assert row.scheduled_at is not None
        (came,) = await self.handle.signals("wait")

        # whoever wakes it notes when
        return "signal" if row.scheduled_at != came.at else "other"


class ParkAPlainJob(Park):
    async def prepare(self) -> None:
        (job,) = await self.oban.enqueue_many([make_job(queue=self.handle.id)])
        (self.job,) = await self.oban._query.fetch_jobs(1, self.handle.id, *NODE)
        assert self.job.id == job.id
        await self.ask()

    async def outcome(self) -> str:
        assert self.taken == 1
        row = await self.oban._query.get_job(self.job.id or 0)
        assert row is not None
        assert row.scheduled_at is not None
        assert row.inserted_at is not None

        if row.state == "scheduled":
            # somebody was sending: it comes again in a second
            assert (row.scheduled_at - row.inserted_at).total_seconds() < 60
            return "other"

        assert row.state == "available"
        return "signal"


PAIRS = [Timeout, Cancel, Reject, LastDep, RetryOfTheUpstream, DeadlineOfTheWorkflow, Park]


async def race(oban: Oban, kind: type[Race], rounds: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()

    for start in range(0, rounds, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, rounds))
        outcomes.update(await asyncio.gather(*(kind(oban, number).run(rng) for number in numbers)))

    async with oban._query.connection() as conn:
        await assert_consistent(conn)

    return outcomes


class TestEachPair:
    @pytest.mark.parametrize("kind", [*PAIRS, ParkAPlainJob], ids=lambda kind: kind.__name__)
    async def test_each_pair_of_racers_for_a_wait_has_one_winner(
        self, oban: Oban, kind: type[Race]
    ) -> None:
        assert (await race(oban, kind, 8, seed=8)).total() == 8

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("kind", [*PAIRS, ParkAPlainJob], ids=lambda kind: kind.__name__)
    async def test_has_one_winner_a_thousand_times(
        self, pool: AsyncConnectionPool, oban: Oban, kind: type[Race]
    ) -> None:
        outcomes = await race(oban, kind, 1_000, seed=random.randrange(1_000))
        assert outcomes.total() == 1_000

        # parking a plain job passes by whoever sends at that moment
        if kind is not ParkAPlainJob:
            assert {*outcomes} == {"signal", "other"}, outcomes
