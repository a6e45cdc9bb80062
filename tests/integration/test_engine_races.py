"""Many hands at once: nodes, processes, and users who cancel while jobs are acknowledged."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import suppress

import pytest
from oban import Oban
from oban._executor import AckAction
from oban._query import _ack_jobs as plain_ack
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.databases import deadlocks
from tests.support.engine import make_job, random_workflow
from tests.support.graphs import work
from tests.support.paths import ROOT
from tests.support.recount import assert_consistent

NODE = """
import asyncio, sys
from oban import Oban
import tests.support.graphs

async def main():
    pool = await Oban.create_pool(sys.argv[1], min_size=1, max_size=5)
    async with Oban(pool=pool, queues={"default": 20}, node=sys.argv[2], stager={"interval": 0.05}):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await pool.close()

asyncio.run(main())
"""


async def counts(conn: AsyncConnection) -> dict[str, int]:
    cursor = await conn.execute("SELECT state::text, count(*) FROM oban_jobs GROUP BY state")

    return dict(await cursor.fetchall())


def layers(width: int, depth: int) -> Workflow:
    """Build layers of jobs, every third one a fan-out; each waits for two of the layer above."""
    workflow = Workflow()
    above: list[str] = []

    for layer in range(depth):
        if layer % 3 == 2:
            name = f"many{layer}"
            workflow.add_many(name, [work() for _ in range(width)], deps=above)
            above = [name]
            continue

        names = [f"{layer}.{n}" for n in range(width)]

        for n, name in enumerate(names):
            deps = {above[n % len(above)], above[(n + 1) % len(above)]} if above else ()
            workflow.add(name, work(), deps=deps)

        above = names

    return workflow


async def assert_ordered(conn: AsyncConnection) -> None:
    """Fail unless every job ran once, after all that it depends on."""
    cursor = await conn.execute("SELECT count(*) FROM oban_jobs WHERE attempt <> 1")
    assert await cursor.fetchone() == (0,)
    cursor = await conn.execute(
        "SELECT count(*) FROM oban_workflow_edges e JOIN oban_jobs u ON u.id = e.upstream"
        " JOIN oban_jobs d ON d.id = e.downstream WHERE d.attempted_at < u.completed_at"
    )
    assert await cursor.fetchone() == (0,)


class TestNodes:
    async def test_run_one_workflow_together(self, start_oban, dsn, conn, oban, wait_until):
        jobs = await oban.enqueue_many(layers(width=50, depth=40))
        pools = [AsyncConnectionPool(dsn, max_size=5, open=False) for _ in range(3)]

        for number, pool in enumerate(pools):
            await pool.open()
            await start_oban({"default": 20}, pool=pool, name=f"Oban {number}")

        async def all_completed() -> bool:
            return await counts(conn) == {"completed": len(jobs)}

        await wait_until(all_completed, timeout=50)
        await assert_ordered(conn)
        await assert_consistent(conn)
        assert await deadlocks(conn) == 0

    async def test_run_one_workflow_from_several_processes(self, dsn, conn, oban, wait_until):
        processes = [await self._spawn(dsn, f"process-{number}") for number in range(2)]

        try:
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"

            jobs = await oban.enqueue_many(layers(width=50, depth=40))

            async def all_completed() -> bool:
                return await counts(conn) == {"completed": len(jobs)}

            await wait_until(all_completed, timeout=50)
            cursor = await conn.execute("SELECT count(DISTINCT attempted_by[1]) FROM oban_jobs")
            assert await cursor.fetchone() == (2,)
            await assert_ordered(conn)
            await assert_consistent(conn)
            assert await deadlocks(conn) == 0
        finally:
            for process in processes:
                await process.communicate()

    @staticmethod
    async def _spawn(dsn: str, node: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", NODE, dsn, node), cwd=ROOT, stdin=PIPE, stdout=PIPE
        )


class TestLastDeps:
    @pytest.mark.parametrize("kind", ["edges", "group", "subs"])
    async def test_settled_at_the_same_instant_release_once(self, engine, kind):
        workflow = Workflow()
        rounds = range(70)

        for n in rounds:
            if kind == "edges":
                workflow.add(f"a{n}", make_job()).add(f"b{n}", make_job())
                deps = [f"a{n}", f"b{n}"]
            elif kind == "group":
                workflow.add_many(f"g{n}", [make_job(), make_job()])
                deps = [f"g{n}"]
            else:
                sub = Workflow().add_many("a", [make_job()]).add_many("b", [make_job()])
                workflow.add_workflow(f"g{n}", sub)
                deps = [f"g{n}"]
            workflow.add(f"end{n}", make_job(queue="ends"), deps=deps)

        await engine.enqueue(workflow)
        started = await engine.fetch()

        async with engine.audited() as changes:
            for first, second in zip(started[::2], started[1::2], strict=True):
                barrier = asyncio.Barrier(2)

                async def settle(job, barrier=barrier):
                    await barrier.wait()
                    return await engine.query.ack_jobs([AckAction(job=job, state="completed")])

                await asyncio.gather(settle(first), settle(second))

        await engine.check()
        released = {path: n for (path, old, _), n in changes.items() if old == "suspended"}
        assert released == {f"end{n}": 1 for n in rounds}
        assert await deadlocks(engine.conn) == 0


class TestManyWorkflows:
    async def test_share_batches_of_acks_without_conflict(self, engine):
        workflows = [
            Workflow()
            .add_many(f"{n}", [make_job() for _ in range(6)])
            .add("e", make_job(), deps=f"{n}")
            for n in range(40)
        ]
        await engine.enqueue(*workflows)
        started = await engine.fetch()
        random.Random(1).shuffle(started)
        batches = [started[n::12] for n in range(12)]

        acked = await asyncio.gather(
            *(
                engine.query.ack_jobs([AckAction(job=job, state="completed") for job in batch])
                for batch in batches
            )
        )
        assert sum(map(len, acked)) == len(started)
        await engine.check()
        assert await counts(engine.conn) == {"completed": 240, "available": 40}
        assert await deadlocks(engine.conn) == 0


class TestUsers:
    @pytest.mark.parametrize(
        "operation", ["cancel_many_jobs", "retry_many_jobs", "delete_many_jobs"]
    )
    async def test_meet_acks_without_deadlock_or_error(self, engine, operation):
        """Eight nodes acknowledge what the user's jobs wait for."""
        for n in range(6):
            workflow = Workflow()

            for m in range(8):
                workflow.add(f"a{n}.{m}", make_job()).add(f"b{n}.{m}", make_job(), deps=f"a{n}.{m}")

            await engine.enqueue(workflow)
            started = await engine.fetch()
            waiting = [engine.ids[f"b{n}.{m}"] for m in range(8)]
            barrier = asyncio.Barrier(9)

            async def settle(job, barrier=barrier):
                await barrier.wait()
                return await engine.query.ack_jobs([AckAction(job=job, state="completed")])

            async def interfere(ids=waiting, barrier=barrier):
                await barrier.wait()
                return await getattr(engine.oban, operation)(ids)

            *acked, _ = await asyncio.gather(*(settle(job) for job in started), interfere())
            assert Counter(map(len, acked)) == {1: 8}
            await engine.psql("UPDATE oban_jobs SET state = 'cancelled' WHERE state = 'available'")

        assert await deadlocks(engine.conn) == 0

    async def test_may_hold_jobs_for_a_while(self, engine, dsn):
        await engine.enqueue(Workflow().add("a", make_job()).add("b", make_job(), deps="a"))
        (started,) = await engine.start("a")

        async with await AsyncConnection.connect(dsn) as other:
            await other.execute("SELECT FROM oban_jobs WHERE id = %s FOR UPDATE", [engine.ids["b"]])
            ack = asyncio.create_task(engine.query.ack_jobs([AckAction(started, "completed")]))
            # The other one comes for the root as well: nobody waits for both at once.
            await asyncio.wait([ack], timeout=0.5)
            await other.execute(
                "UPDATE oban_jobs SET state = 'cancelled' WHERE id = %s", [engine.ids["b"]]
            )

        assert await ack == [started.id]
        assert await engine.states() == {"a": "completed", "b": "cancelled"}
        assert await deadlocks(engine.conn) == 0


class TestChaos:
    """Several hands do anything to the same workflows; when they rest the books are right."""

    @pytest.mark.parametrize("seed", range(2))
    async def test_leaves_the_books_right(self, engine, dsn, seed):
        rng = random.Random(seed)
        await engine.enqueue(*(random_workflow(rng) for _ in range(4)))
        ids = list((await engine.check()).states)

        async with AsyncConnectionPool(dsn, max_size=8, open=False) as pool:
            query = Oban(pool=pool, name="other")._query
            hands = [self._hand(query, random.Random(rng.random()), ids) for _ in range(6)]
            await asyncio.gather(*hands)

        engine.revived |= set(ids)
        await engine.check()

    async def _hand(self, query, rng, ids):
        for _ in range(25):
            # Two users who want jobs of each other may deadlock; a node never loses an ack.
            with suppress(DeadlockDetected):
                await self._move(query, rng, sorted(rng.sample(ids, k=rng.randint(1, 4))))

    async def _move(self, query, rng, some):
        match rng.randint(0, 9):
            case 0:
                await query.cancel_many_jobs(some)
            case 1:
                await query.retry_many_jobs(some)
            case 2 if rng.random() < 0.1:
                await query.delete_many_jobs(some)
            case 3:
                async with query.connection() as conn:
                    await conn.execute(
                        "UPDATE oban_jobs SET state = %s::oban_job_state WHERE id = ANY(%s)",
                        [rng.choice(("completed", "discarded", "available")), some],
                    )
            case kind:
                jobs = await query.fetch_jobs(rng.randint(1, 5), "default", "node", "uuid")
                state = rng.choice(
                    ("completed", "completed", "completed", "discarded", "cancelled")
                )
                acks = [AckAction(job=job, state=state) for job in jobs]
                await (plain_ack(query, acks) if kind == 4 else query.ack_jobs(acks))
