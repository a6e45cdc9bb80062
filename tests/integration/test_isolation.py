"""Transactions above READ COMMITTED see an old workflow: what they do is right, or refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from oban import Oban
from oban._executor import AckAction
from psycopg import AsyncConnection, IsolationLevel
from psycopg.errors import SerializationFailure
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.engine import Engine, make_job
from tests.support.graphs import settled, work
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.fixtures import StartOban

    type Act = Callable[["Scene", AsyncConnection], Awaitable[Any]]

LEVELS = {
    "REPEATABLE READ": IsolationLevel.REPEATABLE_READ,
    "SERIALIZABLE": IsolationLevel.SERIALIZABLE,
}


class Scene:
    """One workflow whose first jobs are executing, and what may happen to it.

    Its root has the job ``first`` and three nested workflows: ``left`` and ``late``, each with one
    more in it, and ``right``. ``late`` waits for ``left``.
    """

    def __init__(self, engine: Engine, workflow_id: str) -> None:
        self.engine = engine
        self.id = workflow_id

    async def begin(self) -> None:
        jobs = {
            name: make_job() for name in ("first", "deep", "left", "next", "right", "late", "end")
        }
        deep = Workflow(id=f"{self.id} deep").add("deep", jobs["deep"])
        left = Workflow(id=f"{self.id} left").add_workflow("inner", deep)
        left.add("left", jobs["left"]).add("next", jobs["next"], deps="left")
        right = Workflow(id=f"{self.id} right").add("right", jobs["right"])
        # Nothing of this one changes when its gate opens, but for what is in it.
        late = Workflow(id=f"{self.id} late").add_many("many", [jobs["late"]])
        workflow = Workflow(id=self.id).add("first", jobs["first"])
        workflow.add_workflow("left", left).add_workflow("right", right, deps="first")
        workflow.add_workflow("late", late, deps="left")
        workflow.add("end", jobs["end"], deps=["right", "late"])
        await self.engine.oban.enqueue_many(workflow)
        await self.engine.fetch()
        self.ids = {name: job.id or 0 for name, job in jobs.items()}

    async def set_state(self, conn: AsyncConnection, state: str, *names: str) -> None:
        await conn.execute(
            "UPDATE oban_jobs SET state = %s::oban_job_state WHERE id = ANY(%s)",
            [state, [self.ids[name] for name in names]],
        )

        if state not in ("completed", "cancelled", "discarded"):
            self.engine.revived |= {self.ids[name] for name in names}

    async def append(self, conn: AsyncConnection, part: str, *deps: str) -> None:
        name = "more" if conn is self.engine.conn else "later"
        addition = Workflow(check_deps=False).add(name, make_job(), deps=deps)
        await Workflow(id=f"{self.id} {part}".strip()).append(addition, conn=conn)

    async def enqueue(self, conn: AsyncConnection) -> None:
        again = Workflow(id=f"{self.id} again").add("x", make_job())
        await self.engine.oban.enqueue_many(again, conn=conn)


def sets(state: str, *names: str) -> Act:
    return lambda scene, conn: scene.set_state(conn, state, *names)


def appends(part: str, *deps: str) -> Act:
    return lambda scene, conn: scene.append(conn, part, *deps)


async def deletes(scene: Scene, conn: AsyncConnection) -> None:
    await conn.execute("DELETE FROM oban_jobs WHERE id = %s", [scene.ids["right"]])


ACTS: dict[str, Act] = {
    "complete first": sets("completed", "first"),
    "complete deep": sets("completed", "deep"),
    "complete left": sets("completed", "left", "next"),
    "complete right": sets("completed", "right"),
    "complete all before the gate": sets("completed", "left", "next", "deep"),
    "discard right": sets("discarded", "right"),
    "cancel late": sets("cancelled", "late"),
    "retry deep": sets("available", "deep"),
    "release right too early": sets("available", "right"),
    "delete right": deletes,
    "append to the root": appends("", "left"),
    "append to right": appends("right", "right"),
    "append to left": appends("left", "inner"),
    "append to late": appends("late"),
    "enqueue another workflow": lambda scene, conn: scene.enqueue(conn),
}


@pytest.mark.parametrize("late", ACTS)
@pytest.mark.slow
class TestCallersTransaction:
    async def test_is_right_or_refused_whatever_happened_since_it_began(
        self, engine: Engine, dsn: str, late: str
    ) -> None:
        async with await AsyncConnection.connect(dsn) as caller:
            await caller.set_isolation_level(IsolationLevel.REPEATABLE_READ)

            for number, (early, happen) in enumerate(ACTS.items()):
                scene = Scene(engine, f"{number}")
                await scene.begin()
                await caller.execute("SELECT count(*) FROM oban_jobs")
                await happen(scene, engine.conn)

                try:
                    await ACTS[late](scene, caller)
                    await caller.commit()
                    refused = False
                except SerializationFailure:
                    await caller.rollback()
                    refused = True

                if "enqueue another workflow" in (early, late):
                    assert refused == (early == late)

                await engine.check()


@pytest.mark.parametrize("level", LEVELS)
class TestCaller:
    async def test_is_told_what_level_refuses(self, engine: Engine, dsn: str, level: str) -> None:
        scene = Scene(engine, "scene")
        await scene.begin()

        async with await AsyncConnection.connect(dsn) as caller:
            await caller.set_isolation_level(LEVELS[level])
            await caller.execute("SELECT count(*) FROM oban_jobs")
            await scene.set_state(engine.conn, "completed", "deep")

            with pytest.raises(SerializationFailure, match=f"has changed since this {level}"):
                await scene.append(caller, "left", "inner")

            # Once repeated it is right.
            await caller.rollback()
            await scene.append(caller, "left", "inner")
            await caller.commit()

        books = await engine.check()
        assert books.states[max(books.states)] == "available"

    async def test_may_enqueue_beside_others(self, engine: Engine, dsn: str, level: str) -> None:
        async with await AsyncConnection.connect(dsn) as caller:
            await caller.set_isolation_level(LEVELS[level])
            await caller.execute("SELECT count(*) FROM oban_jobs")
            await engine.enqueue(Workflow(id="one").add("a", make_job()))
            two = Workflow(id="two").add("a", make_job()).add("b", make_job(), deps="a")
            await engine.oban.enqueue_many(two, conn=caller)
            await caller.commit()

        await engine.check()
        assert (await Workflow(id="two").status()).counts == {"available": 1, "suspended": 1}


@pytest.fixture(params=LEVELS)
async def strict_pool(
    dsn: str, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncConnectionPool]:
    """Provide connections whose default is what a database may have as its default."""
    level = request.param.lower().replace(" ", r"\ ")
    options = {"options": f"-c default_transaction_isolation={level}"}

    async with AsyncConnectionPool(dsn, kwargs=options, max_size=10, open=False) as pool:
        yield pool


class TestDefaultOfTheDatabase:
    async def test_lets_acks_see_what_they_waited_for(
        self, engine: Engine, strict_pool: AsyncConnectionPool, dsn: str, wait_until: Any
    ) -> None:
        query = Oban(pool=strict_pool, name="strict")._query
        scene = Scene(engine, "scene")
        await scene.begin()
        await scene.set_state(engine.conn, "completed", "left", "next")

        async with await AsyncConnection.connect(dsn) as other:
            await scene.set_state(other, "completed", "deep")
            job = engine.running[scene.ids["first"]]
            ack = asyncio.create_task(query.ack_jobs([AckAction(job, "completed")]))

            async def waits() -> bool:
                waiting = await engine.rows(
                    "SELECT pid FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                return bool(waiting)

            await wait_until(waits)
            await other.commit()

        assert await ack == [job.id]
        states = await engine.check()
        assert states.states[scene.ids["late"]] == "available"
        assert states.states[scene.ids["right"]] == "available"

    async def test_lets_nodes_run_workflows(
        self, strict_pool: AsyncConnectionPool, start_oban: StartOban, wait_until: Any, dsn: str
    ) -> None:
        nodes = [
            # oban's statements about who leads conflict at that level, and it repeats none.
            await start_oban({"default": 5}, pool=strict_pool, name=f"Oban {n}", leadership=False)
            for n in range(2)
        ]
        workflow = Workflow(id="w", oban="Oban 0")

        for n in range(4):
            sub = Workflow().add_many("many", [work() for _ in range(20)])
            workflow.add_workflow(f"sub{n}", sub.add("end", work(), deps="many"))

        workflow.add("last", work(), deps=[f"sub{n}" for n in range(4)])
        await nodes[0].enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)
        assert (await workflow.status()).counts == {"completed": 85}

        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            await assert_consistent(conn)
