"""The jobs that nodes of the fault tests run, and the program of such a node.

Every job writes its start and its end into a separate table, at once. So after a kill that table
shows what really happened.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from oban import Job, Oban, Record, Worker, worker
from oban._extensions import get_ext, put_ext
from oban._query import _ack_jobs
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from oban_pro import Workflow, await_signal

RUNS = """
CREATE TABLE runs (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job bigint NOT NULL,
  attempt int NOT NULL,
  node text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz
)
"""

ACKED = """
CREATE TABLE acked (job bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())
"""

GO = "CREATE TABLE go ()"

_pools: dict[str, AsyncConnectionPool] = {}


async def log() -> AsyncConnectionPool:
    """Return the pool for writing runs, which tests do not disturb as they do oban's pool."""
    dsn = os.environ["RUNS_DSN"]

    if dsn not in _pools:
        _pools[dsn] = AsyncConnectionPool(
            dsn, min_size=1, max_size=4, open=False, check=AsyncConnectionPool.check_connection
        )
        await _pools[dsn].open()

    return _pools[dsn]


async def close_log() -> None:
    """Close what `log` opened."""
    while _pools:
        _, pool = _pools.popitem()
        await pool.close()


class Logged:
    """One row in the table of runs, inserted before the block and completed after it."""

    def __init__(self, job: Job) -> None:
        self.job = job

    async def __aenter__(self) -> None:
        async with (await log()).connection() as conn:
            cursor = await conn.execute(
                "INSERT INTO runs (job, attempt, node) VALUES (%s, %s, %s) RETURNING n",
                (self.job.id, self.job.attempt, os.environ.get("NODE", "test")),
            )
            row = await cursor.fetchone()
            assert row is not None
            (self.n,) = row

    async def __aexit__(self, *_: object) -> None:
        async with (await log()).connection() as conn:
            await conn.execute(
                "UPDATE runs SET finished_at = clock_timestamp() WHERE n = %s", (self.n,)
            )


@worker()
class Step(Worker):
    """Takes a moment."""

    async def process(self, job: Job) -> None:
        async with Logged(job):
            await asyncio.sleep(job.args.get("seconds", 0))


@worker()
class Endless(Worker):
    """Runs until the test inserts a row into the table ``go``."""

    async def process(self, job: Job) -> None:
        async with Logged(job):
            while not await may_end():  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@worker()
class Asking(Worker):
    """Waits for two signals, and records both."""

    async def process(self, job: Job) -> Record:
        async with Logged(job):
            first = await await_signal(block_for=0.2)

            return Record([first, await await_signal("code", block_for=0.2)])


async def may_end() -> bool:
    async with (await log()).connection() as conn:
        return bool(await (await conn.execute("SELECT FROM go LIMIT 1")).fetchall())


@worker()
class Grafting(Worker):
    """Grafts two steps and a fan-out, one behind the other, over the connection of its node."""

    async def process(self, job: Job) -> None:
        async with Logged(job):
            graft = Workflow().add("a", Step.new({})).add("b", Step.new({}), deps="a")
            graft.add_many("many", [Step.new({}) for _ in range(job.args["size"])], deps="b")
            await _persist(Workflow.apply_graft(job, graft))


async def _persist(graft: Workflow) -> None:
    """Enqueue, and repeat it if the connection was cut. A graft that was committed stays."""
    for attempt in range(10):
        try:
            await Oban.get_instance().enqueue_many(graft)
            return
        except (OperationalError, PoolTimeout):
            if attempt == 9:
                raise

            await asyncio.sleep(0.2)


FAST: dict[str, Any] = {
    "stager": {"interval": 0.1},
    "lifeline": {"interval": 0.5},
    "refresher": {"interval": 0.5, "max_age": 5.0},
    "shutdown_grace_period": 5.0,
}


BRIEF: dict[str, Any] = FAST | {"refresher": {"interval": 0.5, "max_age": 4.0}}
PATIENCE = 4.0

SETTINGS: dict[str, dict[str, Any]] = {"fast": FAST, "brief": BRIEF, "default": {}}


def note_acks() -> None:
    """Write down in the table ``acked`` each job whose ack was confirmed."""
    ack = get_ext("query.ack_jobs", _ack_jobs)

    async def ack_and_note(query: Any, acks: Any) -> list[int]:
        acked: list[int] = await ack(query, acks)

        async with (await log()).connection() as conn:
            await conn.execute("INSERT INTO acked (job) SELECT unnest(%s::bigint[])", [acked])

        return acked

    put_ext("query.ack_jobs", ack_and_note)


async def run_node(dsn: str, limit: int) -> None:
    pool = AsyncConnectionPool(dsn, min_size=1, max_size=6, open=False)
    await pool.open()

    if "NOTE_ACKS" in os.environ:
        note_acks()

    queues: dict[str, Any] = {"default": limit}
    settings = SETTINGS[os.environ["SETTINGS"]]

    async with Oban(pool=pool, queues=queues, node=os.environ["NODE"], **settings):
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stopping.wait()

    await close_log()
    await pool.close()


if __name__ == "__main__":
    asyncio.run(run_node(sys.argv[1], int(sys.argv[2])))
