"""Recorded values of several jobs, nested the way their workflows are."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro import settings, stores
from oban_pro.errors import CodecError
from oban_pro.model import meta
from oban_pro.model.turns import AGAIN

from . import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from oban import Job


class Absent(Enum):
    """Means that nothing was recorded, not even None."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Recorded(NamedTuple):
    """A job that recorded something, or a nested workflow.

    ``parent`` is None at the top. ``kind`` is ``"job"``, ``"batch"`` of a job that recorded a dict
    of results by the names of its items, or the kind of the nested workflow.
    """

    id: int
    parent: int | None
    name: str
    kind: str
    value: Any = ABSENT


JOBS = ("job", "batch")
"""Kinds of what records values."""


def nest(entries: Iterable[Recorded]) -> dict[str, Any]:
    """Build the dict of results by name, with one dict for each nested workflow.

    What was grafted appears under the name of the graft, and its grafter does not.

    Args:
        entries: Every nested workflow before what is in it.
    """
    top: dict[str, Any] = {}
    holders: dict[int, dict[str, Any]] = {}
    grafts: set[int] = set()

    for entry in entries:
        holder = top if entry.parent is None else holders[entry.parent]

        if entry.kind == "job":
            if entry.value is not ABSENT and entry.parent not in grafts:
                holder[entry.name] = entry.value
        elif entry.kind == "batch":
            holder |= {} if entry.value is ABSENT else entry.value
        elif entry.parent in grafts:
            holders[entry.id] = holder
        else:
            holders[entry.id] = holder[entry.name] = {}

        if entry.kind == "graft":
            grafts.add(entry.id)

    return top


MAPPED_OVER_LIST = "list"
"""What the mapper of a graft records, for those who read its results, if it mapped over a list."""


def lists_among(entries: Iterable[Recorded]) -> set[str]:
    """Return the names of the grafts at the top that were mapped over a list."""
    grafts: dict[int, str] = {}
    lists: set[str] = set()

    for entry in entries:
        if entry.kind == "graft" and entry.parent is None:
            grafts[entry.id] = entry.name
        elif entry.parent in grafts and entry.value == MAPPED_OVER_LIST:
            lists.add(grafts[entry.parent])

    return lists


def decode(name: str, encoded: str, read_object: Callable[[str], bytes] = stores.read) -> Any:
    """Decode what a job recorded.

    Of a value that is kept outside of the database this reads the object, which takes its time: see
    `read`.

    Args:
        name: Of the job.
        encoded: What it recorded.
        read_object: Returns what is in the object at a URL.

    Raises:
        CodecError: Naming the job, and the object that cannot be read.
    """
    try:
        return codec.decode(encoded, lambda reference: codec.unpack(read_object(reference.url)))
    except CodecError as error:
        raise CodecError(f"recorded value of job {name!r}: {error}") from error


async def read(name: str, encoded: str) -> Any:
    """Decode what a job recorded, without blocking the event loop.

    Raises:
        CodecError: Naming the job, and the object that cannot be read.
    """
    if codec.may_refer(encoded):
        return await stores.in_thread(decode, name, encoded)

    return decode(name, encoded)


def is_large(encoded: str) -> bool:
    """Tell whether a recorded value is kept in a store, if there is one."""
    return len(encoded) * 3 // 4 > settings.store_above()


def keep_at(url: str, encoded: str) -> str:
    """Write a recorded value to an object; returns the reference to it, encoded. This blocks.

    Raises:
        Exception: Whatever the file system raises.
    """
    data = codec.to_bytes(encoded)
    stores.write(url, data)

    return codec.encode_reference(codec.Reference(url, len(data)))


def copy_to(url: str, name: str, encoded: str) -> str:
    """Copy what a job recorded to another object, as far as it is kept in one; this blocks.

    Returns:
        What refers to the copy, encoded.

    Raises:
        CodecError: Naming the job, and the object that cannot be read.
        Exception: Whatever the file system raises.
    """
    whole, _ = codec.BEGINNINGS

    if not codec.may_refer(encoded):
        return encoded

    if not encoded.startswith(whole):
        # signals of a wait for several
        copied = codec.encode(decode(name, encoded))

        return keep_at(url, copied) if is_large(copied) else copied

    (reference,) = references_in(encoded)

    try:
        stores.write(url, stores.read(reference.url))
    except CodecError as error:
        raise CodecError(f"recorded value of job {name!r}: {error}") from error

    return codec.encode_reference(reference._replace(url=url))


def size_of(encoded: str) -> int:
    """Return how many characters a recorded value has, wherever it is kept.

    Of one that is kept outside of the database it is an estimate.
    """
    return len(encoded) + sum(one.size for one in references_in(encoded)) * 4 // 3


def references_in(encoded: str) -> list[codec.Reference]:
    """Return the references to objects in what a job recorded."""
    found: list[codec.Reference] = []

    if codec.may_refer(encoded):
        with suppress(CodecError):
            codec.decode(encoded, found.append)

    return found


def going_on(job: Job) -> dict[str, Any]:
    """Return the value that a loop goes on with, under its own name; {} in the first turn.

    Raises:
        CodecError: Naming the job.
    """
    encoded = job.meta.get(AGAIN)
    name = job.meta.get(meta.NAME, "")

    return {} if encoded is None else {name: decode(name, encoded)}


async def read_turn(job: Job) -> dict[str, Any]:
    """Do as `going_on`, without blocking the event loop."""
    encoded = job.meta.get(AGAIN)

    if encoded is not None and codec.may_refer(encoded):
        return await stores.in_thread(going_on, job)

    return going_on(job)


class Source(NamedTuple):
    """A job or a nested workflow that a context is built from, still encoded.

    ``parent`` is None at the top. ``kind`` is ``"job"``, ``"batch"`` of a job that recorded a dict
    of results by the names of its items, or the kind of the nested workflow. A job has the
    ``value`` that it recorded; or if it failed, ``error``, its last one.
    """

    id: int
    parent: int | None
    name: str
    kind: str
    value: str | None
    error: str | None = None


async def read_sources(sources: Sequence[Source]) -> list[Recorded]:
    """Decode recorded values, without blocking the event loop while objects are read.

    Raises:
        CodecError: Naming the job, and the object that cannot be read.
    """
    if any(source.value and codec.may_refer(source.value) for source in sources):
        return await stores.in_thread(lambda: [*decode_sources(sources)])

    return [*decode_sources(sources)]


def decode_sources(sources: Sequence[Source]) -> Iterator[Recorded]:
    """Decode what the sources of a context recorded; those that failed are left out.

    Reads the objects of those that are kept outside of the database, some of them ahead; this
    blocks: see `read_sources`.

    Raises:
        CodecError: Naming the job.
    """
    objects = stores.read_each(
        reference.url
        for source in sources
        if source.kind in JOBS and source.error is None
        for reference in references_in(source.value or "")
    )

    for source in sources:
        if source.kind not in JOBS:
            yield Recorded(source.id, source.parent, source.name, source.kind)
        elif source.error is None:
            value = decode(source.name, source.value or "", lambda _: next(objects))
            yield Recorded(source.id, source.parent, source.name, source.kind, value)


def failures_of(sources: Iterable[Source]) -> dict[str, dict[str, str]]:
    """Return the last errors of what a job depends on: by dependency, then by its direct members.

    Of a member that holds jobs it is that of the last one. What was grafted stands for its graft.

    Args:
        sources: Every nested workflow before what is in it.
    """
    failures: dict[str, dict[str, str]] = {}
    # of groups: which dependency they are in, and in which of its members
    places: dict[int, tuple[str, str | None]] = {}
    grafts: set[int] = set()

    for source in sources:
        if source.kind in JOBS and source.error is None:
            continue

        if source.parent is None:
            dep, member = source.name, None
        else:
            dep, member = places[source.parent]
            # a mapped fan-out grafts its items
            is_member = member is None and source.parent not in grafts
            member = source.name if is_member else member

        if source.error is not None:
            failures.setdefault(dep, {})[member or source.name] = source.error
        else:
            places[source.id] = dep, member

        if source.kind == "graft":
            grafts.add(source.id)

    return failures
