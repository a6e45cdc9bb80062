"""Two who end one workflow at once: what follows its end comes once, whoever is first."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from oban import Job, Oban
from oban._executor import AckAction
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import timers
from oban_pro.engine.session import session_of
from tests.support.engine import make_job
from tests.support.recount import assert_consistent
from tests.support.waits import LATE

AT_ONCE = 20
PRODUCER = "00000000-0000-0000-0000-000000000001"
NODE = ["node", PRODUCER]
SKIPPED: dict[str, Any] = {"state": "completed", "attempt_change": -1, "meta": {"skipped": "no"}}
FAILED: dict[str, Any] = {"state": "discarded", "error": {"error": "boom"}}


class Race:
    """A workflow whose jobs ``a`` and ``b`` end at once."""

    how: tuple[dict[str, Any], dict[str, Any]] = ({"state": "completed"}, {"state": "completed"})

    def __init__(self, oban: Oban, number: int) -> None:
        self.oban = oban
        self.handle = Workflow(id=f"race-{number}", oban=oban._name)
        self.order: list[str] = []

    def build(self, workflow: Workflow) -> Workflow:
        raise NotImplementedError

    async def prepare(self) -> None:
        await self.oban.enqueue_many(self.build(Workflow(id=self.handle.id)))
        self.jobs = {job.meta["name"]: job for job in await self.fetch()}

    async def fetch(self) -> list[Job]:
        return await session_of(self.oban._query).execute(
            lambda store: store.fetch_workflow(self.handle.id, 10, NODE)
        )

    async def end(self, name: str, how: dict[str, Any], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.oban._query.ack_jobs([AckAction(job=self.jobs[name], **how)])
        self.order.append(name)

    async def run(self, rng: random.Random) -> str:
        await self.prepare()
        ends = zip("ab", self.how, strict=True)
        await asyncio.gather(*(self.end(name, how, rng.random() / 100) for name, how in ends))
        states = {job.meta["name"]: str(job.state) for job in await self.handle.all_jobs()}
        await self.check(states)

        return self.order[-1]

    async def check(self, states: dict[str, str]) -> None:
        raise NotImplementedError


class LastTwoOfTheBody(Race):
    """The final job starts with the one that comes second."""

    def build(self, workflow: Workflow) -> Workflow:
        return workflow.add("a", make_job()).add("b", make_job()).add_final("end", make_job())

    async def check(self, states: dict[str, str]) -> None:
        assert states["end"] == "available"


class LateAckAndTheEnd(Race):
    """What returned after it was cancelled is undone, whether the rest ends before or after."""

    how = ({"state": "completed"}, FAILED)

    def build(self, workflow: Workflow) -> Workflow:
        return workflow.add("a", make_job(), undo=make_job()).add("b", make_job())

    async def prepare(self) -> None:
        await super().prepare()
        assert await self.handle.cancel_jobs(names=["a"]) == 1

    async def check(self, states: dict[str, str]) -> None:
        (undoer,) = await self.fetch()
        assert undoer.worker == "oban_pro.workers.Undoer"
        assert states["a"] == "cancelled"


class LastTwoThatAreTolerated(Race):
    """The one that comes second is one too many."""

    how = (FAILED, FAILED)

    def build(self, workflow: Workflow) -> Workflow:
        jobs = {"a": make_job(), "b": make_job()}

        return workflow.add_many("many", jobs, tolerate=1).add("after", make_job(), deps="many")

    async def check(self, states: dict[str, str]) -> None:
        after = await self.handle.get_job("after")
        assert after is not None
        assert (after.state, len(after.errors)) == ("cancelled", 1)


class OneThatSatisfiesAJoin(Race):
    """What needs one of both runs, whichever is first."""

    how = ({"state": "completed"}, FAILED)

    def build(self, workflow: Workflow) -> Workflow:
        workflow.add("a", make_job()).add("b", make_job())

        return workflow.add("after", make_job(), deps=["a", "b"], need=1)

    async def check(self, states: dict[str, str]) -> None:
        after = await self.handle.get_job("after")
        assert after is not None
        assert after.state == "available"


class LastTwoThatBreakAJoin(OneThatSatisfiesAJoin):
    """What needs one of both is cancelled once, with the one that comes second."""

    how = (FAILED, FAILED)

    async def check(self, states: dict[str, str]) -> None:
        after = await self.handle.get_job("after")
        assert after is not None
        assert (after.state, len(after.errors)) == ("cancelled", 1)


class LastTwoThatAreSkipped(Race):
    """What depends on both is skipped with the one that comes second."""

    how = (SKIPPED, SKIPPED)

    def build(self, workflow: Workflow) -> Workflow:
        for name in "ab":
            workflow.add(name, make_job(), when=never)

        return workflow.add("merge", make_job(), deps=["a", "b"])

    async def check(self, states: dict[str, str]) -> None:
        assert states["merge"] == "completed"
        assert (await self.handle.status()).counts == {"skipped": 3}


class OneThatIsSkipped(LastTwoThatAreSkipped):
    """What depends on both runs, as one of them did."""

    how = (SKIPPED, {"state": "completed"})

    async def check(self, states: dict[str, str]) -> None:
        assert states["merge"] == "available"


class Against(Race):
    """The last of what is needed completes while somebody stops it: one of both counts."""

    async def act(self) -> None:
        raise NotImplementedError

    async def run(self, rng: random.Random) -> str:
        await self.prepare()
        job = self.jobs["a"]

        async def complete() -> list[int]:
            await asyncio.sleep(rng.random() / 100)

            return await self.oban._query.ack_jobs([AckAction(job=job, state="completed")])

        async def act() -> None:
            await asyncio.sleep(rng.random() / 100)
            await self.act()

        acked, _ = await asyncio.gather(complete(), act())

        self.is_completed = bool(acked)
        assert await self.state("a") == ("completed" if acked else "cancelled")
        await self.check({job.meta["name"]: job.state for job in await self.handle.all_jobs()})

        return "ab"[not acked]

    async def state(self, name: str) -> str:
        job = await self.handle.get_job(name)
        assert job is not None

        return job.state


class NthThatIsSatisfiedOrBroken(Against):
    """What needs one of both has that one, or is cancelled as none is left."""

    def build(self, workflow: Workflow) -> Workflow:
        workflow.add("a", make_job()).add("b", make_job())

        return workflow.add("after", make_job(), deps=["a", "b"], need=1)

    async def prepare(self) -> None:
        await super().prepare()
        await self.end("b", FAILED, 0)

    async def act(self) -> None:
        await self.handle.cancel_jobs(names=["a"])

    async def check(self, states: dict[str, str]) -> None:
        assert states["after"] == ("available" if self.is_completed else "cancelled")


class DeadlineAndTheEnd(Against):
    """The final job starts, or what was done in time or too late is undone first."""

    def build(self, workflow: Workflow) -> Workflow:
        workflow = Workflow(id=workflow.id, deadline=3600).add("a", make_job(), undo=make_job())

        return workflow.add_final("end", make_job())

    async def prepare(self) -> None:
        await super().prepare()

        async with self.oban._query.connection() as conn:
            await conn.execute(
                LATE.encode()
                + b" AND target = (SELECT key FROM oban_workflow_groups WHERE id = %s)",
                [self.handle.id],
            )

    async def act(self) -> None:
        await timers.tick(self.oban._query)

    async def check(self, states: dict[str, str]) -> None:
        (started,) = await self.fetch()
        assert started.meta["name"] == ("end" if self.is_completed else "undo")


def never(context: dict[str, Any]) -> bool:
    return False


PAIRS = [
    LastTwoOfTheBody,
    LateAckAndTheEnd,
    LastTwoThatAreTolerated,
    OneThatSatisfiesAJoin,
    LastTwoThatBreakAJoin,
    LastTwoThatAreSkipped,
    OneThatIsSkipped,
    NthThatIsSatisfiedOrBroken,
    DeadlineAndTheEnd,
]


async def race(oban: Oban, kind: type[Race], rounds: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    await oban._query.insert_producer(
        uuid=PRODUCER, name="Oban", node="node", queue="no", meta={"oban_workflows_patience": 60.0}
    )

    for start in range(0, rounds, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, rounds))
        outcomes.update(await asyncio.gather(*(kind(oban, number).run(rng) for number in numbers)))

    async with oban._query.connection() as conn:
        await assert_consistent(conn)

    return outcomes


class TestEachPair:
    @pytest.mark.parametrize("kind", PAIRS, ids=lambda kind: kind.__name__)
    async def test_each_pair_of_races_ends_a_workflow_once(
        self, oban: Oban, kind: type[Race]
    ) -> None:
        assert (await race(oban, kind, 8, seed=8)).total() == 8

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("kind", PAIRS, ids=lambda kind: kind.__name__)
    async def test_ends_once_a_thousand_times(
        self, pool: AsyncConnectionPool, oban: Oban, kind: type[Race]
    ) -> None:
        outcomes = await race(oban, kind, 1_000, seed=random.randrange(1_000))
        assert outcomes.total() == 1_000
        assert {*outcomes} == {"a", "b"}, outcomes
