"""Encoding jobs as rows, and checking that they can be stored, before anything is written."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from oban_pro.building.arguments import MAX_ATTEMPTS
from oban_pro.building.plan import plan_of
from oban_pro.errors import InvalidJobError
from oban_pro.gc_pause import uncollected
from oban_pro.model import job_notes
from oban_pro.model.meta import NAME, REUSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from oban import Job

    from oban_pro.building.plan import Plan, PlannedJob

# Below this number of members, sharing the meta saves nothing.
MANY = 10

_FIELDS = ("max_attempts", "priority", "queue", "state", "worker")
_read = attrgetter(*_FIELDS)
_MISSING = object()
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class Entry(NamedTuple):
    """A job to insert, and its place if it is in a workflow."""

    job: Job
    planned: PlannedJob | None = None
    plan: Plan | None = None


@dataclass(slots=True)
class Shape:
    """Columns that many jobs have in common. Inserting them fills in state and times."""

    waits: bool | None
    # the workflow whose results are reused by its jobs
    reused: str | None
    meta: str | None
    tags: list[str]
    inserted_at: datetime | None
    scheduled_at: datetime | None
    # counts from the insertion, and replaces `scheduled_at`
    delay: timedelta | None
    max_attempts: int
    priority: int
    queue: str
    state: Any
    worker: str

    def settle(self, now: datetime) -> None:
        """Decide in which state its jobs are inserted, and fill in the times."""
        if self.delay is not None:
            self.scheduled_at = now + self.delay

        is_due = self.scheduled_at is None or self.scheduled_at <= now

        # A failed attempt to enqueue a job leaves a state in it, so its place decides and not its
        # state.
        if self.reused is not None:
            self.state = "completed"
        elif self.waits is not None:
            self.state = "suspended" if self.waits else "available" if is_due else "scheduled"
        elif self.state == "available" and self.scheduled_at is not None:
            self.state = "scheduled"

        self.inserted_at = self.inserted_at or now
        self.scheduled_at = self.scheduled_at or now

    def row(self, n: int) -> dict[str, Any]:
        """Return the shape as a row of JSON."""
        return {
            "n": n,
            "meta": None if self.meta is None else orjson.Fragment(self.meta),
            "tags": self.tags,
            "inserted_at": self.inserted_at,
            "max_attempts": self.max_attempts,
            "priority": self.priority,
            "queue": self.queue,
            "scheduled_at": self.scheduled_at,
            "state": self.state,
            "worker": self.worker,
            **({} if self.reused is None else {REUSED: self.reused}),
        }


@dataclass(slots=True)
class Rows:
    """Jobs as columns of equal length. One column holds numbers of the shapes."""

    entries: list[Entry] = field(default_factory=list)
    # only the name, if the rest of the meta is that of the shape
    metas: list[orjson.Fragment | str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    args: str = "[]"
    # what those record that get a copy of a reused object, by id
    copied: dict[int, str] = field(default_factory=dict)

    def number(self, ids: Sequence[int], now: datetime) -> None:
        """Set the ids, states and times of the jobs as they are inserted."""
        for shape in self.shapes:
            shape.settle(now)

        for job_id, (job, _, _), number in zip(ids, self.entries, self.numbers, strict=True):
            shape = self.shapes[number]
            job.id = job_id
            job.state = shape.state
            job.inserted_at = job.inserted_at or shape.inserted_at

            if shape.reused is not None:
                job.meta[REUSED] = shape.reused

            if shape.delay is not None or job.scheduled_at is None:
                job.scheduled_at = shape.scheduled_at

    def params(self, ids: Sequence[int]) -> dict[str, Any]:
        """Return them as parameters of the statement that inserts them, once they are numbered."""
        return {
            "ids": array(ids),
            "numbers": array(self.numbers),
            "args": self.args,
            "metas": orjson.dumps(self.metas).decode(),
            "shapes": orjson.dumps([shape.row(n) for n, shape in enumerate(self.shapes)]).decode(),
            **self._sources(),
        }

    def _sources(self) -> dict[str, str]:
        """Return the jobs whose results stand for those of these, 0 for none, if there are any."""
        if all(shape.reused is None for shape in self.shapes):
            return {}

        sources = array((one.planned and one.planned.source) or 0 for one in self.entries)
        copied = {str(id): encoded for id, encoded in self.copied.items()}

        return {"sources": sources, "copied": orjson.dumps(copied).decode()}


@uncollected()
def encode(entries: Iterable[Entry]) -> Rows:
    """Encode jobs.

    Raises:
        InvalidJobError: If the args, the meta or another field of a job cannot be stored.
    """
    rows = Rows()
    numbers: dict[tuple[Any, ...], int] = {}
    shared = _SharedMeta()

    for entry in entries:
        job, planned, plan = entry
        meta = shared.find(entry)
        waits = None if planned is None else planned.suspended
        reused = None if planned is None or planned.source is None else _reused(plan)
        # In UTC: of two times in one zone that are an hour apart, Python may find both equal.
        delay = job.extra.get(job_notes.DELAY)
        times = _in_utc(job.inserted_at), _in_utc(job.scheduled_at), delay
        key = (waits, reused, meta, *times, *_read(job), *job.tags)

        if (number := numbers.get(key)) is None:
            _check_columns(job)
            number = numbers[key] = len(rows.shapes)
            rows.shapes.append(Shape(waits, reused, meta, [*job.tags], *times, *_read(job)))

        own = orjson.Fragment(_dump(job, "meta", job.meta)) if meta is None else job.meta[NAME]
        rows.entries.append(entry)
        rows.metas.append(own)
        rows.numbers.append(number)

    rows.args = dump_args([entry.job for entry in rows.entries])

    return rows


def array(values: Iterable[object]) -> str:
    """Spell an array as PostgreSQL does; psycopg, number by number, takes ten times as long."""
    return f"{{{','.join(map(str, values))}}}"


class _SharedMeta:
    """The meta that all members of a group share, without the name."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], tuple[str, list[Any], list[Any]]] = {}

    def find(self, entry: Entry) -> str | None:
        """Return the shared meta if the job's own meta equals it without the name; else None."""
        job, planned, plan = entry

        if planned is None or plan is None or plan.groups[planned.group].total < MANY:
            return None

        key = (id(plan), planned.group)

        if key not in self._groups:
            rest = {name: value for name, value in job.meta.items() if name != NAME}
            # A key like True would pass for 1.
            keys: list[Any] = [*rest] if {*map(type, rest)} == {str} else [_MISSING]
            self._groups[key] = _dump(job, "meta", rest), keys, [*rest.values()]

        dumped, names, values = self._groups[key]
        own: dict[Any, Any] = job.meta
        name = planned.name
        # By identity: 1 equals True, but is not the same in JSON; None is not the same as a missing
        # key.
        is_same = (
            len(own) == len(names) + 1
            and own.get(NAME) is name
            and all(map(is_, map(own.get, names, repeat(_MISSING)), values))
        )

        return dumped if is_same and name.isascii() and "\0" not in name else None


def _check_columns(job: Job) -> None:
    """Raise the errors that PostgreSQL would raise, naming the job."""
    for what, text in (
        ("queue", job.queue),
        ("worker", job.worker),
        *(("tag", t) for t in job.tags),
    ):
        if "\0" in text:
            raise InvalidJobError(f"{what} of {_label(job)} must not hold NUL, got {text!r}")

    if job.max_attempts > MAX_ATTEMPTS:
        raise InvalidJobError(
            f"max_attempts of {_label(job)} must be at most {MAX_ATTEMPTS}, got {job.max_attempts}"
        )


def dump_args(jobs: Sequence[Job]) -> str:
    """Write the args of jobs as a JSON array.

    Raises:
        InvalidJobError: If those of one cannot be stored.
    """
    with suppress(orjson.JSONEncodeError):
        dumped = orjson.dumps([job.args for job in jobs], option=_OPTIONS)

        # Otherwise look at each job.
        if b"null" not in dumped and rb"\u0000" not in dumped:
            return dumped.decode()

    return f"[{','.join(_dump(job, 'args', job.args) for job in jobs)}]"


def _dump(job: Job, what: str, value: object) -> str:
    try:
        dumped = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJobError(f"{what} of {_label(job)} must be JSON, got {error}") from error

    if rb"\u0000" in dumped and _holds_nul(json.loads(dumped)):
        raise InvalidJobError(f"{what} of {_label(job)} must not hold NUL characters")

    # The bytes that orjson returns occupy 4 KB each, however short; a string is as long as its
    # text.
    return dumped.decode()


def _to_json(value: object) -> bytes:
    try:
        dumped = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        dumped = b"null"

    # orjson refuses some valid JSON, such as integers beyond 64 bits and keys that are numbers, and
    # it writes NaN as null.
    if b"null" in dumped:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()

    return dumped


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_holds_nul(item) for pair in value.items() for item in pair)
        case list():
            return any(_holds_nul(item) for item in value)
        case _:
            return False


def _label(job: Job) -> str:
    name = job.meta.get(NAME)

    return f"job {name!r}" if plan_of(job) else f"job of {job.worker}"


def _reused(plan: Plan | None) -> str | None:
    return None if plan is None or plan.reuse is None else plan.reuse.workflow_id


def _in_utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
