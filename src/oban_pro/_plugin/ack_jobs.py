"""``query.ack_jobs``: settle a batch of jobs in one statement, workflows and plain jobs alike.

The statement settles the jobs; the triggers carry that through the workflows in the same
transaction. oban retries a failed ack only when the producer wakes up next, so conflicts are
retried here.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from psycopg import DataError, IntegrityError
from psycopg.errors import ProgramLimitExceeded, UndefinedFunction, UndefinedTable

from oban_pro import _host, schema, transactions
from oban_pro.errors import GraftError, SchemaError, WorkflowError
from oban_pro.grafting import graft_of
from oban_pro.insertion import Batch, announce, insert

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from oban_pro._host import AckAction, Query
    from oban_pro.plan import Plan
    from oban_pro.store import Store

type AckJobs = Callable[[Query, list[AckAction]], Awaitable[list[int]]]

MAX_BYTES = 16_000_000

# What PostgreSQL raises for values that it cannot hold: out of range, too large, not text.
UNSTORABLE = (DataError, IntegrityError, ProgramLimitExceeded)


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


async def _ack(query: Query, batch: Sequence[_Encoded]) -> list[int]:
    """Settle a batch; acks that cannot be stored, which would fail it for ever, fail their jobs."""
    try:
        return await transactions.run(query, lambda store: store.ack(_join(batch)))
    except UNSTORABLE as error:
        if len(batch) == 1:
            failed = _host.failed_ack(batch[0].ack.job, error)

            return await transactions.run(query, lambda store: store.ack(_join([_encode(failed)])))

        half = len(batch) // 2

        return await _ack(query, batch[:half]) + await _ack(query, batch[half:])


async def _ack_graft(query: Query, ack: AckAction, plan: Plan) -> list[int]:
    """Graft what a grafter returned and settle it, in one transaction."""

    async def graft_and_ack(store: Store) -> list[int]:
        await insert(store, Batch(list(plan), [plan]))

        return await store.ack(_join([_encode(ack)]))

    try:
        acked = await transactions.run(query, graft_and_ack)
        announce([plan])

        return acked
    except GraftError:
        # It no longer executes: whoever stopped it has settled it.
        return []
    except (WorkflowError, *UNSTORABLE) as error:
        return await _ack(query, [_encode(_host.failed_ack(ack.job, error))])


class _Encoded(NamedTuple):
    ack: AckAction
    row: str


def _join(batch: Iterable[_Encoded]) -> str:
    return f"[{','.join(row for _, row in batch)}]"


def _batches(acks: Sequence[AckAction]) -> Iterator[list[_Encoded]]:
    """Encode acks, and put together as many as PostgreSQL takes in one piece."""
    batch: list[_Encoded] = []
    size = 0

    for ack in acks:
        encoded = _encode(ack)

        if batch and size + len(encoded.row) > MAX_BYTES:
            yield batch
            batch, size = [], 0

        batch.append(encoded)
        size += len(encoded.row)

    if batch:
        yield batch


def _encode(ack: AckAction) -> _Encoded:
    try:
        return _Encoded(ack, _to_json(ack))
    except Exception as error:
        # Whatever is wrong with one job, the others must settle.
        failed = _host.failed_ack(ack.job, error)

        return _Encoded(failed, _to_json(failed))


def _to_json(ack: AckAction) -> str:
    row: dict[str, Any] = {"id": ack.id, "attempted_at": ack.attempted_at, "state": ack.state}

    delay: float | None = ack.schedule_in

    if delay is not None and not math.isfinite(delay):
        raise ValueError(f"seconds to wait must be a finite number, got {delay}")

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
