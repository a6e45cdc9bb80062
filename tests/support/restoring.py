"""A database with half-finished workflows, and checks of a copy of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor
from oban_pro.embedded import Postgres
from tests.support.databases import Psql
from tests.support.graphs import diamond, settled, work
from tests.support.programs import clients_for, run_shell
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAITING = "halfway"
"""The id of the workflow that continues in the copy."""


@asynccontextmanager
async def halfway(dsn: str) -> AsyncIterator[Oban]:
    """Run a node on a database with a settled workflow and one that waits for a queue."""
    opts: dict[str, Any] = {"queues": {"default": 5}, "stager": {"interval": 0.05}}

    async with (
        AsyncConnectionPool(dsn, min_size=1, max_size=6, open=False) as pool,
        Oban(pool=pool, name="original", node="original", **opts) as oban,
    ):
        done = diamond(id="done", oban="original")
        nested = Workflow(oban="original").add("a", work()).add("b", work(queue="later"), deps="a")
        waiting = (
            Workflow(id=WAITING, oban="original")
            .add("first", work())
            .add_workflow("nested", nested, deps="first")
            .add("last", work(), deps="nested")
        )
        await oban.enqueue_many([*done, *waiting])

        while not await settled(done) or (await waiting.status()).counts["completed"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

        yield oban


async def assert_goes_on(dsn: str) -> None:
    """Fail unless a node on the copy completes waiting and new workflows with right counters."""
    opts: dict[str, Any] = {"queues": {"default": 5, "later": 5}, "stager": {"interval": 0.05}}

    async with (
        AsyncConnectionPool(dsn, min_size=1, max_size=6, open=False) as pool,
        Oban(pool=pool, name="copy", node="copy", **opts) as oban,
    ):
        fresh = diamond(id="fresh", oban="copy")
        await oban.enqueue_many(fresh)
        waiting = Workflow(id=WAITING, oban="copy")

        async with asyncio.timeout(30):
            while not (await settled(waiting) and await settled(fresh)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

        assert (await waiting.status()).counts == {"completed": 4}
        assert (await fresh.status()).counts == {"completed": 4}
        assert (await Workflow(id="done", oban="copy").status()).counts == {"completed": 4}
        assert await doctor.audit("copy") == []

    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await assert_consistent(conn)


def has_producers(psql: Psql) -> bool:
    """Tell whether rows of nodes exist, which a second dump would insert twice."""
    both = "SELECT FROM oban_producers JOIN oban_workflow_producers USING (uuid)"

    return bool(psql.rows(both))


@asynccontextmanager
async def replicated(commands: str, folder: Path) -> AsyncIterator[dict[str, str]]:
    """Replicate a database and stop its nodes; yield DSNs when all rows have arrived."""
    settings = {"wal_level": "logical"}

    with Postgres(settings=settings) as publisher, Postgres(settings=settings) as subscriber:
        variables = {"OBAN_DSN": publisher.dsn(), "NEW_DSN": subscriber.dsn()}
        old, new = Psql(publisher.dsn()), Psql(subscriber.dsn())
        clients = clients_for(publisher.dsn())
        run_shell("oban-workflows install", folder, clients, variables)

        async with halfway(publisher.dsn()):
            run_shell(commands, folder, clients, variables)

        ((position,),) = old.rows("SELECT pg_current_wal_lsn()::text")

        async with asyncio.timeout(60):
            while not (new.rows(SYNCHRONIZED)[0][0] and old.rows(ARRIVED, [position])[0][0]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        yield variables


SYNCHRONIZED = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"

ARRIVED = "SELECT bool_and(confirmed_flush_lsn >= %s::pg_lsn) FROM pg_replication_slots"
