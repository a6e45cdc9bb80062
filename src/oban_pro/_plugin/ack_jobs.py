"""``query.ack_jobs``: settle a batch of jobs in one statement, workflows and plain jobs alike.

The statement settles the jobs; the triggers carry that through the workflows in the same
transaction. oban retries a failed ack only when the producer wakes up next, so conflicts are
retried here.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import orjson
from psycopg.errors import (
    DeadlockDetected,
    LockNotAvailable,
    SerializationFailure,
    UndefinedFunction,
    UndefinedTable,
)

from oban_pro import _host, schema
from oban_pro.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from oban_pro._host import AckAction, Query

type AckJobs = Callable[[Query, list[AckAction]], Awaitable[list[int]]]

CONFLICTS = (DeadlockDetected, LockNotAvailable, SerializationFailure)
ATTEMPTS = 20
MAX_BYTES = 16_000_000


def build(fallback: AckJobs) -> AckJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def ack_jobs(query: Query, acks: list[AckAction]) -> list[int]:
        if not acks:
            return []

        async with query.connection() as conn:
            installed = await schema.is_installed(conn, query)

        if not installed:
            return await fallback(query, acks)

        try:
            return [job_id for batch in _batches(acks) for job_id in await _ack(query, batch)]
        except (UndefinedFunction, UndefinedTable):
            schema.forget(query)

            return await fallback(query, acks)

    return ack_jobs


async def _ack(query: Query, batch: str) -> list[int]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with query.connection() as conn, conn.transaction():
                return await Store(conn, _host.prefix_of(query)).ack(batch)
        except CONFLICTS:
            if attempt == ATTEMPTS:
                raise

            await asyncio.sleep(random.uniform(0, 0.01 * attempt))

    raise AssertionError("unreachable")


def _batches(acks: Sequence[AckAction]) -> Iterator[str]:
    """Encode acks as JSON arrays, each of a size that PostgreSQL takes in one piece."""
    batch: list[str] = []
    size = 0

    for ack in acks:
        encoded = _encode(ack)

        if batch and size + len(encoded) > MAX_BYTES:
            yield f"[{','.join(batch)}]"
            batch, size = [], 0

        batch.append(encoded)
        size += len(encoded)

    yield f"[{','.join(batch)}]"


def _encode(ack: AckAction) -> str:
    row: dict[str, Any] = {"id": ack.id, "attempted_at": ack.attempted_at, "state": ack.state}

    for field in ("attempt_change", "schedule_in", "error", "meta"):
        if (value := getattr(ack, field)) is not None:
            row[field] = value

    try:
        encoded = orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        encoded = r"\u0000"

    # A single text that PostgreSQL cannot hold would keep the whole batch from settling, for ever.
    return json.dumps(_clean(row), default=str) if r"\u0000" in encoded else encoded


def _clean(value: Any) -> Any:
    """Escape NUL and lone surrogates, wherever they are."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode().replace("\0", r"\x00")
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value
