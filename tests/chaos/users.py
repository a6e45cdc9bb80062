"""Who enqueues, looks and steers: what they do goes into the record as well."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from oban import Oban
from psycopg import AsyncConnection, Error, IsolationLevel
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from oban_pro import Workflow, doctor
from oban_pro.errors import WorkflowError
from tests.chaos import shapes, work
from tests.chaos.record import FOREVER
from tests.chaos.work import key_of

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from tests.chaos.journal import Journal
    from tests.chaos.record import Record, Root
    from tests.chaos.server import Server

STEERING = ("append", "cancel", "retry", "again", "psql", "repair", "limit", "halt")
KINDS = ("conn", "rollback", "isolation", *STEERING, "trigger")

# What a server that is not there makes of a call.
GONE = (Error, PoolTimeout, OSError)

FIND = "SELECT count(*) FROM oban_jobs WHERE meta->>'key' = %s"

SOME_JOB = """
SELECT id, state::text, meta FROM oban_jobs
WHERE meta ? 'key' AND meta->>'key' LIKE 'w%%' AND state <> ALL(%s)
ORDER BY random() LIMIT 1
"""

SET_STATE = """
UPDATE oban_jobs SET
  state = %(state)s::oban_job_state,
  completed_at = CASE WHEN %(state)s = 'completed' THEN timezone('UTC', now()) END,
  cancelled_at = CASE WHEN %(state)s = 'cancelled' THEN timezone('UTC', now()) END
WHERE id = %(id)s AND state = %(before)s::oban_job_state
"""

# A user's own triggers: when a job completes, or is about to, they cancel one that its meta names.
TRIGGERS = """
CREATE INDEX chaos_keys ON oban_jobs ((meta->>'key'));

CREATE FUNCTION chaos_cancel_buddy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE oban_jobs SET state = 'cancelled', cancelled_at = timezone('UTC', now())
  WHERE meta->>'key' = NEW.meta->>TG_ARGV[0]
    AND state IN ('suspended', 'available', 'scheduled', 'retryable');
  RETURN NEW;
END;
$$;

CREATE TRIGGER chaos_before BEFORE UPDATE OF state ON oban_jobs FOR EACH ROW
WHEN (NEW.state = 'completed' AND OLD.state <> 'completed' AND NEW.meta ? 'buddy_before')
EXECUTE FUNCTION chaos_cancel_buddy('buddy_before');

CREATE TRIGGER chaos_after AFTER UPDATE OF state ON oban_jobs FOR EACH ROW
WHEN (NEW.state = 'completed' AND OLD.state <> 'completed' AND NEW.meta ? 'buddy_after')
EXECUTE FUNCTION chaos_cancel_buddy('buddy_after');
"""


class Users:
    """Acts by a seed; a line of its own leads to the server, which is never cut by the run.

    Args:
        kinds: What they do beside enqueueing and looking.
    """

    def __init__(
        self,
        kinds: list[str],
        server: Server,
        record: Record,
        journal: Journal,
        rng: random.Random,
    ) -> None:
        self.kinds = kinds
        self.record = record
        self.proxy = server.proxy()
        self._journal = journal
        self._rng = rng
        self._numbers = itertools.count(1)
        self._halted: set[str] = set()

    async def __aenter__(self) -> Self:
        await self.proxy.__aenter__()
        self._pool = AsyncConnectionPool(
            self.proxy.dsn,
            min_size=1,
            max_size=8,
            timeout=10,
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        await self._pool.open()
        self._oban = Oban(pool=self._pool, name="users")

        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()
        await self.proxy.__aexit__()

    def number(self) -> int:
        return next(self._numbers)

    def handle(self, root: Root) -> Workflow:
        return Workflow(id=root.id, oban="users")

    def some_root(self) -> Root | None:
        """Draw one of the last workflows, which may run still."""
        recent = self.record.committed()[-4:]

        return self._rng.choice(recent) if recent else None

    async def act(self, until: float) -> None:
        """Do one thing after another, until some time."""
        actions = ["enqueue"] * 4 + ["unique", "plain", "look"]
        actions += [kind for kind in STEERING if kind in self.kinds]

        while time.monotonic() < until:
            action = self._rng.choice(actions)
            began = self._journal.write("action", kind=action)

            try:
                await getattr(self, f"_{action}")()
            except (*GONE, WorkflowError) as error:
                self._journal.write("failed", kind=action, error=repr(error))

            if time.monotonic() - began > 5:
                self._journal.write("slow", kind=action, seconds=time.monotonic() - began)

            await asyncio.sleep(self._rng.uniform(0.2, 1))

    async def probe(self, until: float) -> None:
        """Enqueue a job each second that nothing is wrong with."""
        while time.monotonic() < until:
            key = f"probe-{self.number()}"

            with suppress(*GONE):
                await self._oban.enqueue(work.Step.new({}, meta={"key": key}))
                self.record.probes[key] = time.monotonic()

            await asyncio.sleep(1)

    # Growing

    async def _enqueue(self) -> None:
        await self.enqueue(self._rng.randint(1, 6))

    async def enqueue(self, size: int) -> Root:
        """Enqueue a workflow; returns the record of it, whatever became of it."""
        workflow, root = shapes.build(self._rng, f"w{self.number()}", size, self._buddies())
        await self._enter(root, [*workflow])

        return root

    async def _unique(self) -> None:
        """Enqueue a workflow whose key lets one run at a time; a newer one may replace it."""
        key = f"key{self._rng.randint(1, 3)}"
        choices: list[Literal["queue", "replace"]] = ["queue", "queue", "replace"]
        on_conflict = self._rng.choice(choices)
        workflow, root = shapes.build_unique(self._rng, f"u{self.number()}", key, on_conflict)

        if on_conflict == "replace":
            for other in self.record.roots.values():
                if other.unique == key:
                    other.steer(time.monotonic())

        await self._enter(root, workflow)

    async def _enter(self, root: Root, jobs: Any) -> None:
        if root.entries:
            self.record.roots[root.id] = root
            root.outcome = await self._insert(
                lambda conn: self._oban.enqueue_many(jobs, conn=conn), next(iter(root.entries))
            )

        if root.outcome == "committed":
            root.commit(root)

    async def _append(self) -> None:
        if (root := self.some_root()) is None:
            return

        addition, extended = shapes.build_addition(self._rng, root, self.number())
        handle, keys = (
            self.handle(root),
            [key for key in extended.entries if key not in root.entries],
        )

        if not keys:
            return

        outcome = await self._insert(lambda conn: handle.append(addition, conn=conn), keys[0])

        if outcome == "committed":
            root.commit(extended)
        else:
            self.record.never |= set(keys)

    async def _plain(self) -> None:
        key = f"plain-{self.number()}"
        job = work.Step.new({}, meta={"key": key, "do": {"seconds": self._rng.uniform(0, 1)}})
        self.record.plain[key] = await self._insert(
            lambda conn: self._oban.enqueue(job, conn=conn), key
        )

    async def _insert(self, insert: Callable[[Any], Awaitable[Any]], key: str) -> str:
        """Insert something in one of many ways; returns what became of it.

        Args:
            insert: Called with a connection, or with None.
            key: Of one of the jobs.
        """
        ways = [way for way in ("conn", "rollback", "isolation") if way in self.kinds]
        way = self._rng.choice(["alone", "alone", *ways])

        try:
            if way == "alone":
                await insert(None)
            else:
                async with await AsyncConnection.connect(self.proxy.dsn) as conn:
                    if way == "isolation":
                        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
                        # The snapshot is of now.
                        await conn.execute("SELECT 1 FROM oban_jobs LIMIT 1")
                        await asyncio.sleep(self._rng.uniform(0, 1))

                    await insert(conn)
                    await asyncio.sleep(self._rng.uniform(0, 0.3))

                    if way == "rollback":
                        await conn.rollback()

                        return "rolled back"
        except GONE:
            return "committed" if await self._exists(key) else "rolled back"

        return "committed"

    async def _exists(self, key: str) -> bool:
        while True:
            with suppress(*GONE):
                async with self._pool.connection() as conn:
                    row = await (await conn.execute(FIND, [key])).fetchone()
                    assert row is not None

                    return bool(row[0])

            await asyncio.sleep(0.2)

    def _buddies(self) -> Callable[[], str | None]:
        """Return what draws the key of a job that a trigger cancels when another one completes."""

        def draw() -> str | None:
            if "trigger" not in self.kinds or self._rng.random() > 0.2:
                return None

            if (root := self.some_root()) is None:
                return None

            root.steer(time.monotonic())

            return self._rng.choice([*root.entries])

        return draw

    # Looking

    async def _look(self) -> None:
        if (root := self.some_root()) is None:
            return

        handle = self.handle(root)
        looks: list[Callable[[], Awaitable[Any]]] = [
            handle.status,
            handle.all_recorded,
            handle.all_jobs,
            handle.fetch_graph,
            lambda: handle.explain(self._name_in(root)),
            lambda: doctor.audit("users"),
        ]
        await self._rng.choice(looks)()

    # Steering

    def _name_in(self, root: Root) -> str:
        return self._rng.choice([*root.group.children])

    async def _cancel(self) -> None:
        if (root := self.some_root()) is not None:
            root.steer(time.monotonic())
            names = self._rng.choice([None, [self._name_in(root)]])
            await self.handle(root).cancel_jobs(names=names)

    async def _retry(self) -> None:
        if (root := self.some_root()) is not None:
            root.steer(time.monotonic())
            await self.handle(root).retry_jobs()

    async def _again(self) -> None:
        """Cancel something and run it again, while it may still run."""
        if (root := self.some_root()) is not None:
            root.steer(time.monotonic())
            names = [self._name_in(root)]
            await self.handle(root).cancel_jobs(names=names)
            await asyncio.sleep(self._rng.choice([0, 0, 0.5]))
            await self.handle(root).retry_jobs(names=names)

    async def _limit(self) -> None:
        """Set another limit of a fan-out; the record keeps the highest that it ever had."""
        if (root := self.some_root()) is None:
            return

        groups = [group for group in root.group.groups() if group.limit is not None]

        if groups:
            group, limit = self._rng.choice(groups), self._rng.randint(1, 4)
            group.limit = max(limit, group.limit or 0)
            await self.handle(root).set_limit(group.path.partition("/")[2], limit)

    async def _halt(self) -> None:
        """Pause a workflow or a part of it for a while."""
        if (root := self.some_root()) is None:
            return

        handle, name = self.handle(root), self._rng.choice([None, self._name_in(root)])
        path = root.id if name is None else f"{root.id}/{name}"

        if path in self._halted:
            return

        self._halted.add(path)
        held, began = self.record.held[root.id], time.monotonic()
        held.append((began, FOREVER))
        paused_at = FOREVER

        with suppress(*GONE):
            # What has settled is not paused, and may be opened again.
            if await handle.pause(name):
                paused_at = time.monotonic()

            await asyncio.sleep(self._rng.uniform(0.5, 4))

        self.record.paused[path].append((paused_at, time.monotonic()))

        await self._resume(handle, name)
        held[held.index((began, FOREVER))] = (began, time.monotonic())
        self._halted.remove(path)

    async def _resume(self, handle: Workflow, name: str | None) -> None:
        while True:
            with suppress(*GONE):
                await handle.resume(name)

                return

            await asyncio.sleep(0.2)

    async def _psql(self) -> None:
        """Set the state of a job by hand, or steer it by plain oban."""
        async with self._pool.connection() as conn:
            row = await (await conn.execute(SOME_JOB, [["completed"]])).fetchone()

            if row is None:
                return

            id, before, meta = row
            key = key_of(meta)
            self.record.touch(key, time.monotonic())
            state = self._rng.choice(["completed", "cancelled", None, None])

            if state is not None and before not in ("cancelled", "discarded"):
                if state == "completed":
                    self.record.completed_by_hand.setdefault(key, time.monotonic())

                values = {"id": id, "before": before, "state": state}
                await conn.execute(SET_STATE, values)

                return

        await self._rng.choice([self._oban.cancel_job, self._oban.retry_job])(id)

    async def _repair(self) -> None:
        await doctor.repair("users")
