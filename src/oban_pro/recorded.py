"""Recorded values of several jobs, nested the way their workflows are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from . import codec
from .codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Absent(Enum):
    """Stands where nothing was recorded, not even None."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Node(NamedTuple):
    """A job that recorded something, or a nested workflow.

    ``parent`` is None at the top. ``kind`` is ``"job"`` or the kind of the nested workflow.
    """

    id: int
    parent: int | None
    name: str
    kind: str
    value: Any = ABSENT


def nest(nodes: Iterable[Node]) -> dict[str, Any]:
    """Build the dict of results by name, with one dict for each nested workflow.

    What was grafted appears under the name of the graft, and its grafter does not.

    Args:
        nodes: Every nested workflow before what is in it.
    """
    top: dict[str, Any] = {}
    holders: dict[int, dict[str, Any]] = {}
    grafts: set[int] = set()

    for node in nodes:
        holder = top if node.parent is None else holders[node.parent]

        if node.kind == "job":
            if node.value is not ABSENT and node.parent not in grafts:
                holder[node.name] = node.value
        elif node.parent in grafts:
            holders[node.id] = holder
        else:
            holders[node.id] = holder[node.name] = {}

        if node.kind == "graft":
            grafts.add(node.id)

    return top


def decode(name: str, encoded: str) -> Any:
    """Decode what a job recorded.

    Raises:
        CodecError: Naming the job.
    """
    try:
        return codec.decode(encoded)
    except CodecError as error:
        raise CodecError(f"recorded value of job {name!r}: {error}") from error


class Source(NamedTuple):
    """One row of what contexts are made of, still encoded.

    ``reader`` is the job, or the group whose entry jobs all read it. ``kind`` is ``"reader"``,
    which places a job; ``"shared"``, whose value is the version of what a group's jobs share;
    ``"context"``, ``"job"``, or the kind of a nested workflow.
    """

    reader: int
    id: int
    parent: int | None
    name: str
    kind: str
    value: str | None


def decode_nodes(sources: Iterable[Source]) -> Iterator[Node]:
    """Decode what jobs recorded, among the sources of a context.

    Raises:
        CodecError: Naming the job.
    """
    for source in sources:
        if source.kind == "job":
            value = decode(source.name, source.value or "")
            yield Node(source.id, source.parent, source.name, source.kind, value)
        elif source.kind not in ("context", "reader", "shared"):
            yield Node(source.id, source.parent, source.name, source.kind)


def copy_of(value: Any) -> Any:
    """Copy a decoded value as deep as it can be changed: much faster than decoding it again."""
    kind = type(value)

    if kind is dict:
        return {key: copy_of(item) for key, item in value.items()}

    if kind is list:
        return [copy_of(item) for item in value]

    if kind is tuple:
        return tuple(copy_of(item) for item in value)

    # What is hashable cannot be changed, and so cannot the elements of a set.
    return set(value) if kind is set else value
