"""Acks as parameters of the statement that settles them."""

from __future__ import annotations

import json
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from oban_pro import _host
from oban_pro.rows import array
from oban_pro.store import Acks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oban_pro._host import AckAction

MAX_BYTES = 16_000_000

_KEPT = ("attempt_change", "schedule_in", "error", "meta")
_read = attrgetter(*_KEPT)
_NOTHING = (None,) * len(_KEPT)


class Encoded(NamedTuple):
    """An ack, and as JSON what it leaves behind; None where that is no more than its completion."""

    ack: AckAction
    row: str | None


def join(batch: Iterable[Encoded]) -> Acks:
    """Put acks together for one statement."""
    jobs = [ack.job for ack, row in batch if row is None]
    rows = [row for _, row in batch if row is not None]
    stamps = (job.attempted_at.isoformat() if job.attempted_at else "NULL" for job in jobs)

    return Acks(
        array(job.id for job in jobs),
        array(stamps),
        f"[{','.join(rows)}]" if rows else None,
    )


def batches_of(acks: Sequence[AckAction]) -> Iterator[list[Encoded]]:
    """Encode acks, and put together as many as PostgreSQL takes in one piece."""
    batch: list[Encoded] = []
    size = 0

    for ack in acks:
        encoded = encode(ack)
        added = len(encoded.row or "")

        if batch and size + added > MAX_BYTES:
            yield batch
            batch, size = [], 0

        batch.append(encoded)
        size += added

    if batch:
        yield batch


def encode(ack: AckAction) -> Encoded:
    """Encode an ack; one that cannot be encoded fails its job, as all the others must settle."""
    try:
        return Encoded(ack, _encode(ack))
    except Exception as error:
        failed = _host.failed_ack(ack.job, error)

        return Encoded(failed, _encode(failed))


def _encode(ack: AckAction) -> str | None:
    values = _read(ack)

    if ack.state == "completed" and values == _NOTHING:
        return None

    kept = {field: value for field, value in zip(_KEPT, values, strict=True) if value is not None}
    delay: float | None = ack.schedule_in

    if delay is not None and not math.isfinite(delay):
        raise ValueError(f"seconds to wait must be a finite number, got {delay}")

    return _to_json({"id": ack.id, "attempted_at": ack.attempted_at, "state": ack.state, **kept})


def _to_json(row: dict[str, Any]) -> str:
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
