"""Races: two operations on one workflow at the same moment, in many workflows at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from oban import Job, Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.session import session_of
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

AT_ONCE = 20
NODE = ["node", "00000000-0000-0000-0000-000000000001"]


class Race:
    """A workflow on which two operations run at once. Its outcome says which came first."""

    def __init__(self, oban: Oban, number: int) -> None:
        self.oban = oban
        self.query = oban._query
        self.handle = Workflow(id=f"race-{number}", oban=oban._name)

    def build(self) -> Workflow:
        raise NotImplementedError

    async def prepare(self) -> None:
        await self.oban.enqueue_many(self.build())

    async def first(self) -> Any:
        raise NotImplementedError

    async def second(self) -> Any:
        raise NotImplementedError

    async def outcome(self, first: Any, second: Any) -> str:
        """Return which operation won. Fail unless exactly one did."""
        raise NotImplementedError

    async def fetch(self, workflow: Workflow | None = None) -> list[Job]:
        """Start jobs of the workflow, or of another workflow."""
        workflow_id = (workflow or self.handle).id

        return await session_of(self.query).execute(
            lambda store: store.fetch_workflow(workflow_id, 10, NODE)
        )

    async def states(self) -> dict[str, str]:
        return {job.meta["name"]: job.state for job in await self.handle.all_jobs(with_subs=True)}

    async def run(self, rng: random.Random) -> str:
        await self.prepare()
        done = await asyncio.gather(_later(rng, self.first), _later(rng, self.second))

        return await self.outcome(*done)


async def _later(rng: random.Random, act: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(rng.random() / 100)

    return await act()


async def race(dsn: str, conn: AsyncConnection, kind: type[Race], rounds: int) -> Counter[str]:
    """Run the race in many workflows, and return how often each outcome was seen."""
    rng = random.Random(7)
    outcomes: Counter[str] = Counter()

    async with AsyncConnectionPool(dsn, min_size=1, max_size=AT_ONCE, open=False) as pool:
        oban = Oban(pool=pool, name="races")

        for start in range(0, rounds, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, rounds))
            outcomes.update(await asyncio.gather(*(kind(oban, n).run(rng) for n in numbers)))

    await assert_consistent(conn)

    return outcomes
