"""The status of a workflow: its state, and its jobs counted by state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from .paths import join_path

type WorkflowState = Literal["executing", "completed", "cancelled", "discarded", "unknown"]


@dataclass(frozen=True, slots=True)
class WorkflowStatus:
    """The status of a workflow and of all workflows nested in it, at one moment.

    Args:
        id: The workflow id.
        name: The workflow name, or None.
        state: ``"executing"`` while any job is not settled; then ``"discarded"`` if any job was,
            else ``"cancelled"`` if any was, else ``"completed"``. ``"unknown"`` if there is no
            such workflow.
        total: Number of jobs, nested ones included.
        counts: Number of jobs by state, nested ones included; a state without jobs reads 0. Jobs
            that were skipped count as ``"skipped"`` instead of ``"completed"``.
        duration: From the first start to the last stop, once all jobs have settled.
        started_at: When the first job started.
        stopped_at: When the last job stopped, once all jobs have settled.
        subs: The status of each nested workflow, by name.
        retried_at: When it was retried last although it had settled; None if it never was. If it
            was, ``duration`` has the time in between in it.
        waits: Number of waits that listen for signals, nested ones included; no timers.
        paused_at: Since when it is paused itself; None if it is not. What is around it, or nested
            in it, is paused by itself.
        paused_by: Who paused it, where somebody said so.
        limit: Of a fan-out: how many of its members may be open at once; None for any number.
        attributes: What a root workflow is found by.

    Example:
        >>> status = await workflow.status()
        >>> if status.state == "completed":
        ...     print(f"{status.total} jobs in {status.duration}")
    """

    id: str
    name: str | None = None
    state: WorkflowState = "unknown"
    total: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    duration: timedelta | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    subs: dict[str, WorkflowStatus] = field(default_factory=dict)
    retried_at: datetime | None = None
    waits: int = 0
    paused_at: datetime | None = None
    paused_by: str | None = None
    limit: int | None = None
    attributes: dict[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """The counters of one group alone, as the database keeps them."""

    key: int
    parent: int | None
    id: str
    name: str | None
    sub_name: str | None
    kind: str
    state: WorkflowState
    counts: Counter[str]
    started_at: datetime | None
    stopped_at: datetime | None
    retried_at: datetime | None = None
    waits: int = 0
    paused_at: datetime | None = None
    paused_by: str | None = None
    limit: int | None = None
    attributes: dict[str, str | int | float | bool | None] = field(default_factory=dict)


def build_status(groups: list[GroupCounts]) -> WorkflowStatus:
    """Sum up the groups of a tree.

    Args:
        groups: The group that is asked for first, and every group after the one that holds it.

    Returns:
        The status of the first one.
    """
    built: dict[int, WorkflowStatus] = {}
    nested: dict[int, dict[str, WorkflowStatus]] = {group.key: {} for group in groups}

    for group in reversed(groups):
        subs = dict(reversed(nested[group.key].items()))
        status = built[group.key] = _sum(group, subs)

        if group.parent in nested:
            nested[group.parent][group.sub_name or ""] = status

    return built[groups[0].key]


def paths_of(groups: list[GroupCounts]) -> list[tuple[GroupCounts, str]]:
    """Tell where each group of a tree stands: the beginning of the paths of its members.

    What was grafted stands where its graft does.

    Args:
        groups: The group that is asked for first, and every group after the one that holds it.
    """
    first, *nested = groups
    kinds = {group.key: group.kind for group in groups}
    prefixes = {first.key: ""}

    for group in nested:
        parent = group.parent or 0
        own = "" if kinds[parent] == "graft" else f"{join_path([group.sub_name or ''])}/"
        prefixes[group.key] = prefixes[parent] + own

    return [(group, prefixes[group.key]) for group in groups]


def _sum(group: GroupCounts, subs: dict[str, WorkflowStatus]) -> WorkflowStatus:
    counts = Counter(group.counts)

    for sub in subs.values():
        counts.update(sub.counts)

    # What was grafted appears as the graft itself.
    shown = subs if group.kind != "graft" else _unwrap(subs)
    settled = group.state != "executing"
    starts = [group.started_at, *(sub.started_at for sub in subs.values())]
    stops = [group.stopped_at, *(sub.stopped_at for sub in subs.values())]
    started_at = min((at for at in starts if at), default=None)
    stopped_at = max((at for at in stops if at), default=None) if settled else None

    return WorkflowStatus(
        id=group.id,
        name=group.name,
        state=group.state,
        total=counts.total(),
        counts=counts,
        duration=stopped_at - started_at if started_at and stopped_at else None,
        started_at=started_at,
        stopped_at=stopped_at,
        subs=shown,
        retried_at=group.retried_at,
        waits=group.waits + sum(sub.waits for sub in subs.values()),
        paused_at=group.paused_at,
        paused_by=group.paused_by,
        limit=group.limit,
        attributes=group.attributes,
    )


def _unwrap(subs: dict[str, WorkflowStatus]) -> dict[str, WorkflowStatus]:
    return {name: nested for sub in subs.values() for name, nested in sub.subs.items()}
