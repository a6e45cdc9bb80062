"""Recorded values of several jobs, nested the way their workflows are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import CodecError
from oban_pro.model import meta
from oban_pro.model.turns import AGAIN

from . import codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


def decode(name: str, encoded: str) -> Any:
    """Decode what a job recorded.

    Raises:
        CodecError: Naming the job.
    """
    try:
        return codec.decode(encoded)
    except CodecError as error:
        raise CodecError(f"recorded value of job {name!r}: {error}") from error


def going_on(job: Job) -> dict[str, Any]:
    """Return the value that a loop goes on with, under its own name; {} in the first turn.

    Raises:
        CodecError: Naming the job.
    """
    encoded = job.meta.get(AGAIN)
    name = job.meta.get(meta.NAME, "")

    return {} if encoded is None else {name: decode(name, encoded)}


class Source(NamedTuple):
    """One row of the data that contexts are built from, still encoded.

    ``reader`` is the job, or the group whose entry jobs all read it. ``kind`` is ``"reader"``,
    which places a job; ``"shared"``, whose value is the version of what a group's jobs share;
    ``"context"``; ``"job"`` or ``"batch"``, which recorded its value; ``"failed"``, a job whose
    value is its last error; or the kind of a nested workflow.
    """

    reader: int
    id: int
    parent: int | None
    name: str
    kind: str
    value: str | None


def decode_sources(sources: Iterable[Source]) -> Iterator[Recorded]:
    """Decode the recorded values among the sources of a context.

    Raises:
        CodecError: Naming the job.
    """
    for source in sources:
        if source.kind in JOBS:
            value = decode(source.name, source.value or "")
            yield Recorded(source.id, source.parent, source.name, source.kind, value)
        elif source.kind not in ("context", "reader", "shared", "failed"):
            yield Recorded(source.id, source.parent, source.name, source.kind)


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
        if source.kind in ("context", "reader", "shared", *JOBS):
            continue

        if source.parent is None:
            dep, member = source.name, None
        else:
            dep, member = places[source.parent]
            # a mapped fan-out grafts its items
            is_member = member is None and source.parent not in grafts
            member = source.name if is_member else member

        if source.kind == "failed":
            failures.setdefault(dep, {})[member or source.name] = source.value or ""
        else:
            places[source.id] = dep, member

        if source.kind == "graft":
            grafts.add(source.id)

    return failures
