"""Acks as parameters of the statement that settles them."""

from __future__ import annotations

import json
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from oban_pro import _host
from oban_pro.engine.encoding import array
from oban_pro.engine.results import Acks
from oban_pro.model.meta import SKIPPED
from oban_pro.model.parking import WAIT
from oban_pro.model.turns import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oban_pro._host import AckAction

MAX_BYTES = 16_000_000

_KEPT = ("attempt_change", "schedule_in", "error", "meta")
_read = attrgetter(*_KEPT)
_NOTHING = (None,) * len(_KEPT)


class Encoded(NamedTuple):
    """An ack with its JSON, or None in its place for a job that just completed."""

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
    """Encode acks, and divide them into batches that PostgreSQL takes as one JSON text."""
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


def encode(ack: AckAction, *, ascii_only: bool = False) -> Encoded:
    """Encode an ack. If that raises, its job fails, so that the other acks settle.

    Args:
        ack: The ack.
        ascii_only: Whether to escape characters that the encoding of the database does not have.
    """
    try:
        return Encoded(ack, _encode(ack, ascii_only=ascii_only))
    except Exception as error:
        failed = _host.failed_ack(ack.job, error, ack.error)

        return Encoded(failed, _encode(failed, ascii_only=True))


def _encode(ack: AckAction, *, ascii_only: bool) -> str | None:
    values = _read(ack)
    parks = ack.state == "scheduled" and ack.meta is not None and WAIT in ack.meta
    unparks = not parks and WAIT in ack.job.meta

    drops = [AGAIN] if ack.state == "completed" and AGAIN in ack.job.meta else []

    if SKIPPED in ack.job.meta and SKIPPED not in (ack.meta or {}):
        drops.append(SKIPPED)

    if ack.state == "completed" and values == _NOTHING and not (unparks or drops):
        return None

    kept = {field: value for field, value in zip(_KEPT, values, strict=True) if value is not None}
    delay: float | None = ack.schedule_in

    if delay is not None and not math.isfinite(delay):
        raise ValueError(f"seconds to wait must be a finite number, got {delay}")

    # oban has no name for an ack whose job is to run again at once
    at_once = delay == 0 and ack.meta is not None and AGAIN in ack.meta
    state = "available" if at_once else ack.state
    row = {"id": ack.id, "attempted_at": ack.attempted_at, "state": state, **kept}

    if parks or unparks:
        row |= {"parks": parks, "unparks": unparks}

    if drops:
        row |= {"drops": drops}

    return json.dumps(_clean(row, "ascii"), default=str) if ascii_only else _to_json(row)


def _to_json(row: dict[str, Any]) -> str:
    try:
        encoded = orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        encoded = r"\u0000"

    # One text that PostgreSQL cannot store would fail the whole batch, each time anew.
    return json.dumps(_clean(row), default=str) if r"\u0000" in encoded else encoded


def _clean(value: Any, encoding: str = "utf-8") -> Any:
    """Escape NUL, lone surrogates and characters that the encoding lacks, at any depth."""
    match value:
        case str():
            spelled = value.encode(encoding, errors="backslashreplace").decode(encoding)

            return spelled.replace("\0", r"\x00")
        case dict():
            return {_clean(key, encoding): _clean(item, encoding) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item, encoding) for item in value]
        case _:
            return value
