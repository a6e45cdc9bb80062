"""What goes wrong: each kind by a name that switches it off."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Error

from oban_pro.errors import WorkflowError
from tests.chaos.node import PATIENCE
from tests.chaos.nodes import Node
from tests.chaos.record import FOREVER, root_of
from tests.chaos.server import BEHIND
from tests.chaos.shapes import build_addition
from tests.chaos.work import key_of
from tests.support.paths import ROOT
from tests.support.processes import freeze, thaw

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator

    from tests.chaos.journal import Journal
    from tests.chaos.record import Record
    from tests.chaos.server import Server
    from tests.chaos.users import Users

KINDS = (
    *("kill", "term", "freeze", "coma", "cut", "snip", "stall", "silence", "backend"),
    *("restart", "crash", "pause", "clock", "hold", "lock", "client"),
)

SHORT = (0.5, PATIENCE / 2)
LONG = (1.3 * PATIENCE, 2 * PATIENCE)

BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
"""

SOME_JOB = """
SELECT id, meta FROM oban_jobs WHERE state IN ('available', 'executing') AND meta ? 'key'
ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""


class Faults:
    """Does one thing after another to the nodes and to the server.

    Args:
        kinds: What may go wrong.
    """

    def __init__(
        self,
        kinds: list[str],
        server: Server,
        nodes: list[Node],
        users: Users,
        record: Record,
        journal: Journal,
        rng: random.Random,
    ) -> None:
        self.kinds = kinds
        self.server = server
        self.nodes = nodes
        self.users = users
        self.record = record
        self.journal = journal
        self.rng = rng
        self._server = asyncio.Lock()
        self._ahead = 0.0

    async def happen(self, until: float) -> None:
        """Let things go wrong, one after another, until some time."""
        while self.kinds and time.monotonic() < until:
            kind = self.rng.choice(self.kinds)
            self.journal.write("fault", kind=kind)

            with suppress(Error, OSError, WorkflowError):
                await getattr(self, f"_{kind}")()

            self.journal.write("fault over", kind=kind)
            await asyncio.sleep(self.rng.uniform(0, 1))

    async def end(self) -> None:
        """Set right what is still wrong."""
        for node in self.nodes:
            await node.revive()

    # Nodes

    @asynccontextmanager
    async def _node(self) -> AsyncIterator[Node | None]:
        """Draw a node that is well, where another one is left that is."""
        well = [node for node in self.nodes if not node.is_troubled]

        if len(well) < 2:
            await asyncio.sleep(0.2)
            yield None

            return

        node = self.rng.choice(well)
        node.is_troubled = True

        try:
            yield node
        finally:
            node.is_troubled = False

    async def _to_node(self, method: str, *args: Any) -> None:
        async with self._node() as node:
            if node is not None:
                self.journal.write(method, node=node.name, pid=node.pid, args=args)
                await getattr(node, method)(*args)
                await asyncio.sleep(self.rng.uniform(0, 2))
                await node.revive()

    async def _kill(self) -> None:
        await self._to_node("kill")

    async def _term(self) -> None:
        await self._to_node("terminate")

    async def _freeze(self) -> None:
        await self._to_node("freeze", self.rng.uniform(*SHORT))

    async def _coma(self) -> None:
        await self._to_node("freeze", self.rng.uniform(*LONG))

    async def _stall(self) -> None:
        await self._to_node("stall", self.rng.uniform(*SHORT))

    async def _silence(self) -> None:
        await self._to_node("stall", self.rng.uniform(*LONG))

    async def _cut(self) -> None:
        self.rng.choice(self.nodes).proxy.cut()

    async def _snip(self) -> None:
        """Cut lines where a transaction commits, or as its answer comes back."""
        proxy = self.rng.choice(self.nodes).proxy

        def end(data: bytes) -> bool:
            commits = b"COMMIT\0" in data or b"\0_pg3_" in data

            return commits and self.rng.random() < 0.1

        proxy.cut_before = proxy.cut_after = end
        await asyncio.sleep(self.rng.uniform(1, 4))
        proxy.cut_before = proxy.cut_after = None

    # The server

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Let one thing happen to the server at a time, and work go on in between."""
        async with self._server:
            began = time.monotonic()
            yield
            # Nodes come back as late as the server was away for.
            await asyncio.sleep(1.5 * (time.monotonic() - began) + self.rng.uniform(1, 3))

    async def _backend(self) -> None:
        """Freeze a process of the server in the midst of a statement."""
        async with self._alone(), await AsyncConnection.connect(self.server.dsn) as conn:
            pids = [pid for (pid,) in await (await conn.execute(BACKENDS)).fetchall()]
            frozen = freeze([self.rng.choice(pids)]) if pids else []

            try:
                await asyncio.sleep(self.rng.uniform(0.2, 2))
            finally:
                thaw(frozen)

    async def _restart(self) -> None:
        async with self._alone():
            await self.server.restart(self.rng.choice([0, self.rng.uniform(*LONG)]))

    async def _crash(self) -> None:
        async with self._alone():
            await self.server.crash()

    async def _pause(self) -> None:
        async with self._alone():
            await self.server.pause(self.rng.uniform(*self.rng.choice([SHORT, LONG])))

    async def _clock(self) -> None:
        if not self.server.has_clock:
            return

        async with self._alone():
            # Far forth and a little back: who waits for a time waits no longer than a moment more.
            forth, back = self.rng.uniform(*LONG), -self.rng.uniform(1, 4)
            moved = self.rng.choice([forth, back])
            self.record.moves.append((time.monotonic(), moved))
            self._ahead += moved
            self.server.move_clock(self._ahead)

            if moved < 0:
                now = time.time() + self._ahead - BEHIND
                self.record.again.append((now - 1, now - moved + 1))

    # Users that go away in the middle

    async def _hold(self) -> None:
        """Leave a transaction open that has appended to a workflow, which runs."""
        root = await self.users.enqueue(size=8)
        addition, _ = build_addition(self.rng, root, self.users.number())

        async with await AsyncConnection.connect(self.users.proxy.dsn) as conn:
            with self._held(root.id):
                await self.users.handle(root).append(addition, conn=conn)
                await asyncio.sleep(self.rng.uniform(PATIENCE, 3 * PATIENCE))
                await conn.rollback()

    async def _lock(self) -> None:
        """Leave a transaction open that has locked a single job."""
        async with await AsyncConnection.connect(self.users.proxy.dsn) as conn:
            row = await (await conn.execute(SOME_JOB)).fetchone()

            if row is not None:
                with self._held(root_of(key_of(row[1]))):
                    await asyncio.sleep(self.rng.uniform(PATIENCE, 3 * PATIENCE))

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        spans, began = self.record.held[name], time.monotonic()
        self.journal.write("held", name=name)
        spans.append((began, FOREVER))

        try:
            yield
        finally:
            self.journal.write("let go", name=name)
            spans[spans.index((began, FOREVER))] = (began, time.monotonic())

    async def _client(self) -> None:
        """Freeze a program of somebody else's wherever it is, and kill it in the end."""
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.client"),
            *(self.users.proxy.dsn, str(self.rng.getrandbits(32))),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

        try:
            for _ in range(2):
                await asyncio.sleep(self.rng.uniform(1.5, 3))
                frozen = freeze([program.pid])
                await asyncio.sleep(self.rng.uniform(1, 2 * PATIENCE))
                thaw(frozen)
        finally:
            program.kill()
            await program.wait()
