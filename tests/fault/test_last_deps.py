"""Two nodes that settle the last two dependencies of one job at the same instant."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from oban import Job, Oban
from oban._executor import AckAction
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.databases import deadlocks
from tests.support.engine import Engine, make_job

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 1_000


def pairs(jobs: list[Job]) -> Iterator[tuple[Job, Job]]:
    by_name = {str(job.meta["name"]): job for job in jobs}

    for n in range(TIMES):
        yield by_name[f"a{n}"], by_name[f"b{n}"]


class TestLastTwoDeps:
    @pytest.mark.timeout(200)
    async def test_release_their_dependent_exactly_once(
        self, oban: Oban, engine: Engine, dsn: str
    ) -> None:
        one = Workflow()

        for n in range(TIMES):
            one.add(f"a{n}", make_job()).add(f"b{n}", make_job())
            one.add(f"end{n}", make_job(queue="ends"), deps=[f"a{n}", f"b{n}"])

        async with AsyncConnectionPool(dsn, min_size=2, open=False) as pool:
            await engine.enqueue(one)
            started = await engine.fetch()
            nodes = [oban._query, Oban(pool=pool, name="other")._query]

            async with engine.audited() as changes:
                for pair in pairs(started):
                    await asyncio.gather(
                        *(
                            query.ack_jobs([AckAction(job=job, state="completed")])
                            for query, job in zip(nodes, pair, strict=True)
                        )
                    )

            await engine.check()
            assert await deadlocks(engine.conn) == 0

        released = Counter({path: n for (path, old, _), n in changes.items() if old == "suspended"})
        assert released == Counter({f"end{n}": 1 for n in range(TIMES)})
