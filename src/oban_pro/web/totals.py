"""Adding up groups with everything that is nested in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oban_pro.model.wording import SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from oban_pro.model.status import GroupCounts

type Retries = tuple[datetime, datetime]
"""When the first attempt of some jobs failed, and when the last of the others began."""


@dataclass(slots=True)
class Totals:
    """Jobs of a group and of all nested in it."""

    state: str
    counts: Counter[str] = field(default_factory=Counter)
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    retries: Retries | None = None
    paused_at: datetime | None = None

    @property
    def shown_state(self) -> str:
        """The state; ``"suspended"`` if every job in it is."""
        return "suspended" if self.counts and set(self.counts) == {"suspended"} else self.state

    @property
    def settled_at(self) -> datetime | None:
        """When the last job settled, None where one has not."""
        return self.stopped_at if self.state in SETTLED else None

    def add(self, inner: Totals) -> None:
        """Add a group that is nested in this one."""
        self.counts.update(inner.counts)
        self.started_at = _pick(min, self.started_at, inner.started_at)
        self.stopped_at = _pick(max, self.stopped_at, inner.stopped_at)
        self.retries = _join(self.retries, inner.retries)


def sum_groups(
    groups: Sequence[GroupCounts], retries: Mapping[int, Retries] | None = None
) -> dict[int, Totals]:
    """Add up each group with all that is nested in it, by key.

    Args:
        groups: Every group after the one that holds it.
        retries: Those of the jobs that are directly in a group, by its key.
    """
    totals: dict[int, Totals] = {}

    for group in groups:
        totals[group.key] = Totals(
            group.state,
            Counter(group.counts),
            group.started_at,
            group.stopped_at,
            (retries or {}).get(group.key),
            group.paused_at,
        )

    for group in reversed(groups):
        if group.parent in totals:
            totals[group.parent].add(totals[group.key])

    return totals


def _pick(choose: Callable[..., datetime | None], *times: datetime | None) -> datetime | None:
    return choose((time for time in times if time), default=None)


def _join(one: Retries | None, other: Retries | None) -> Retries | None:
    if one is None or other is None:
        return one or other

    return min(one[0], other[0]), max(one[1], other[1])
