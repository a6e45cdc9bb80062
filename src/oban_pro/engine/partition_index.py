"""Build the index of a queue's partition, beside those who insert and run jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import _host, sql
from oban_pro.errors import InvalidOptionError

if TYPE_CHECKING:
    from psycopg import AsyncConnection


STATEMENT = "partition_index"


async def build(conn: AsyncConnection[Any], queue: str, prefix: str) -> bool:
    """Build the index of the partition of a queue; returns False where it was there already.

    One that was left unfinished, because its building was killed, is built anew.

    Raises:
        InvalidOptionError: If no living node has announced a partition of that queue.
    """
    async with _host.autocommit(conn):
        statement = sql.statement(f"queries/{STATEMENT}", prefix).encode()
        row = await (await _host.cursor_on(conn).execute(statement, {"queue": queue})).fetchone()

        if row is None:
            raise InvalidOptionError(
                f"no node that is alive has announced a partition of queue {queue!r}; start one"
                " with it first"
            )

        name, is_ready, is_there, creation = row

        if is_ready:
            return False

        # Neither runs in a transaction.
        if is_there:
            await conn.execute(f"DROP INDEX CONCURRENTLY {prefix}.{name}".encode())

        await conn.execute(creation.encode())

        return True
