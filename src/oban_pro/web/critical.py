"""The critical path: what a workflow took as long as it did for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """When a job or a group ended; None while it has not started."""

    id: str
    parent: str | None
    end: datetime | None


def critical_path(spans: Sequence[Span], edges: Iterable[tuple[str, str]]) -> set[str]:
    """Find the chain in which each waited for the one before it longest, in every group.

    It is followed from what ended last, through the upstream that ended last, to the start; and
    inside each group on it likewise.

    Args:
        spans: Jobs and groups, the outermost group first.
        edges: Pairs of upstream and downstream.

    Returns:
        Ids of the jobs and groups on it.
    """
    inside: defaultdict[str | None, list[Span]] = defaultdict(list)
    upstreams: defaultdict[str, list[Span]] = defaultdict(list)
    ended = {span.id: span for span in spans if span.end is not None}

    for span in ended.values():
        inside[span.parent].append(span)

    for upstream, downstream in edges:
        if upstream in ended:
            upstreams[downstream].append(ended[upstream])

    path: set[str] = set()
    found = _latest(inside[None])

    while found:
        span = found.pop()

        if span.id not in path:
            path.add(span.id)
            found += _latest(upstreams[span.id]) + _latest(inside[span.id])

    return path


def _latest(spans: Sequence[Span]) -> list[Span]:
    latest = max((span.end for span in spans if span.end), default=None)

    return [span for span in spans if span.end == latest][:1]
