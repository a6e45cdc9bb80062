"""``query.ack_jobs``: settle a batch of jobs in one statement, workflows and plain jobs alike.

The statement settles the jobs; the triggers carry that through the workflows in the same
transaction. oban retries a failed ack only when the producer wakes up next, so conflicts are
retried here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
from psycopg import DataError
from psycopg.errors import UndefinedFunction, UndefinedTable

from oban_pro import _host, schema, transactions
from oban_pro.errors import GraftError, SchemaError, WorkflowError
from oban_pro.grafting import graft_of
from oban_pro.insertion import Batch, insert

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from oban_pro._host import AckAction, Query
    from oban_pro.plan import Plan
    from oban_pro.store import Store

type AckJobs = Callable[[Query, list[AckAction]], Awaitable[list[int]]]

MAX_BYTES = 16_000_000


def build(fallback: AckJobs) -> AckJobs:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def ack_jobs(query: Query, acks: list[AckAction]) -> list[int]:
        if not acks:
            return []

        try:
            await schema.ensure_query(query)

            return await _ack_all(query, acks)
        except (SchemaError, UndefinedFunction, UndefinedTable):
            schema.forget(query)

            return await fallback(query, acks)

    return ack_jobs


async def _ack_all(query: Query, acks: Sequence[AckAction]) -> list[int]:
    acked: list[int] = []

    for batch in _batches([ack for ack in acks if graft_of(ack.job) is None]):
        acked += await _ack(query, batch)

    for ack in acks:
        if (plan := graft_of(ack.job)) is not None:
            acked += await _ack_graft(query, ack, plan)

    return acked


async def _ack(query: Query, batch: str) -> list[int]:
    return await transactions.run(query, lambda store: store.ack(batch))


async def _ack_graft(query: Query, ack: AckAction, plan: Plan) -> list[int]:
    """Graft what a grafter returned and settle it, in one transaction."""

    async def graft_and_ack(store: Store) -> list[int]:
        await insert(store, Batch(list(plan), [plan]))

        return await store.ack(f"[{_encode(ack)}]")

    try:
        return await transactions.run(query, graft_and_ack)
    except GraftError:
        # It no longer executes: whoever stopped it has settled it.
        return []
    except (WorkflowError, DataError) as error:
        return await _ack(query, f"[{_encode(_host.failed_ack(ack.job, error))}]")


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

    if batch:
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
