"""What the users of the chaos run built and did: the run's own memory, which no engine wrote."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.model import Group, Job

if TYPE_CHECKING:
    from collections.abc import Iterator

type Span = tuple[float, float]
"""From when until when, by the monotonic clock."""

FOREVER = float("inf")


@dataclass
class Entry:
    """A job that was built."""

    key: str
    kind: str  # what it runs: a name in `tests.chaos.work`, or "Mapper"
    do: dict[str, Any]
    job: Job
    max_attempts: int = 20
    queue: str = "default"
    customer: int = 0
    committed_at: float = FOREVER

    @property
    def records(self) -> bool:
        return self.kind in ("gather", "gather_item", "gather_blocking", "items")


@dataclass
class Root:
    """A workflow that somebody enqueued, or tried to."""

    id: str
    group: Group
    entries: dict[str, Entry]
    outcome: str = "unknown"  # then committed, or rolled back
    # Of the workflows with this key, one runs at a time.
    unique: str | None = None
    # How many jobs of a fan-out are released in how many seconds, by its path.
    rates: dict[str, tuple[int, float]] = field(default_factory=dict)
    # From when on somebody cancelled, retried, or set states by hand.
    steered_at: float = FOREVER

    def steer(self, at: float) -> None:
        self.steered_at = min(self.steered_at, at)

    def commit(self, extended: Root) -> None:
        """Note that this, or something that was appended, is committed."""
        self.group.children |= extended.group.children
        self.entries |= extended.entries
        self.rates |= extended.rates

        for entry in self.entries.values():
            entry.committed_at = min(entry.committed_at, time.monotonic())


@dataclass
class Record:
    """All that was built and done."""

    roots: dict[str, Root] = field(default_factory=dict)
    # Plain jobs by their keys, and what became of their insertion.
    plain: dict[str, str] = field(default_factory=dict)
    # Jobs that nothing is wrong with, and when each was committed.
    probes: dict[str, float] = field(default_factory=dict)
    # Jobs that were appended and rolled back.
    never: set[str] = field(default_factory=set)
    # Jobs whose state was set to completed by hand, and when.
    completed_by_hand: dict[str, float] = field(default_factory=dict)
    # When somebody held a lock on a workflow, or on a job that is in none.
    held: defaultdict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    # When a workflow, or a part of it, was paused, by its path.
    paused: defaultdict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    # When the clock of the server was moved, and by how much.
    moves: list[tuple[float, float]] = field(default_factory=list)
    # Times of that clock that came twice.
    again: list[Span] = field(default_factory=list)

    def entries(self) -> Iterator[tuple[Root, Entry]]:
        for root in self.committed():
            for entry in root.entries.values():
                yield root, entry

    def committed(self) -> list[Root]:
        return [root for root in self.roots.values() if root.outcome == "committed"]

    def touch(self, key: str, at: float) -> None:
        """Note that somebody is about to change a job by its row."""
        if (root := self.roots.get(root_of(key))) is not None:
            root.steer(at)


def root_of(key: str) -> str:
    """Return what a job is held with: its workflow, or itself."""
    return key.partition("/")[0]
