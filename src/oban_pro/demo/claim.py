"""One demo at a time per workflow, which takes over what an earlier one left."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from oban_pro.cli.database import Database
from oban_pro.cli.failures import CommandFailure
from oban_pro.engine.connecting import open_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from psycopg import AsyncConnection

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('oban_workflows.demo.' || %s, 0))"

# The executions have ended with their nodes, so the jobs need not wait for their end.
_GIVE_UP = "SET LOCAL oban_workflows.given_up = 'on'"

# An interruption is not the job's fault: the attempt does not count.
_RESCUE = sql.SQL("""
UPDATE
  {jobs}
SET
  state = 'available',
  attempt = greatest(attempt - 1, 0)
WHERE
  state = 'executing'
  AND queue = %(queue)s
  AND attempted_by[1] <> ALL(%(alive)s)
""")


class Claim:
    """The right to run the jobs of one queue, until the connection is closed."""

    def __init__(self, conn: AsyncConnection[Any], prefix: str, queue: str) -> None:
        self._conn = conn
        self._jobs = sql.Identifier(prefix, "oban_jobs")
        self._queue = queue

    async def rescue(self, alive: Collection[str]) -> int:
        """Make jobs available again whose nodes have ended.

        Correct because a queue's nodes are all started by the process that holds the claim.

        Args:
            alive: The names of the nodes that run.

        Returns:
            How many jobs are available again.
        """
        async with self._conn.transaction():
            await self._conn.execute(_GIVE_UP)
            cursor = await self._conn.execute(
                _RESCUE.format(jobs=self._jobs), {"queue": self._queue, "alive": list(alive)}
            )

        return cursor.rowcount


@asynccontextmanager
async def claim(database: Database, queue: str) -> AsyncIterator[Claim]:
    """Claim the queue of a demo.

    Raises:
        CommandFailure: If another process runs that demo.
    """
    async with open_connection(database.dsn) as conn:
        row = await (await conn.execute(_LOCK, [f"{database.prefix}.{queue}"])).fetchone()

        if row is None or not row[0]:
            raise CommandFailure(
                f"{queue} must not run twice at a time, got another process that runs it"
            )

        yield Claim(conn, database.prefix, queue)
