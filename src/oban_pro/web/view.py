"""What the page of a workflow draws: one structure for graph, timeline and table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oban_pro.status import SETTLED

from .critical import Span, critical_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from oban_pro.status import GroupCounts
    from oban_pro.store import Store

LIMIT = 150
"""How many members of one open group are drawn; the rest is one box."""

LAST = 2**63
"""Sorts behind every id."""

type Edge = tuple[str, str]


@dataclass(slots=True)
class Totals:
    """Jobs of a group and of all nested in it."""

    state: str
    counts: Counter[str] = field(default_factory=Counter)
    started_at: datetime | None = None
    stopped_at: datetime | None = None

    @property
    def shown_state(self) -> str:
        """The state; of a group that executes by definition, whether anything does."""
        return "suspended" if self.counts and set(self.counts) == {"suspended"} else self.state


async def read_view(
    store: Store, workflow_id: str, opened: Sequence[int] = (), shut: Sequence[int] = ()
) -> dict[str, Any] | None:
    """Read a workflow as JSON for the page.

    Args:
        store: Statements on a connection.
        workflow_id: Which workflow; a nested one can be looked at by itself.
        opened: Keys of groups to open.
        shut: Keys of groups that would be open, to fold.

    Returns:
        Members, the workflow itself first, and edges; None where there is no such workflow.
    """
    totals = sum_groups(await store.status(workflow_id))
    rows = await store.web_members(workflow_id, opened, shut, LIMIT)

    if not rows or not totals:
        return None

    members = [_member(row, totals) for row in rows]
    members += list(_rests(members))
    edges = _edges(rows, await store.web_edges([row["id"] for row in rows[1:]]))
    now = datetime.now(UTC)
    path = critical_path([_span(member, now) for member in members], edges)

    for member in members:
        member["critical"] = member["id"] in path

    return {"id": workflow_id, "now": now, "members": members, "edges": edges}


def sum_groups(groups: Sequence[GroupCounts]) -> dict[int, Totals]:
    """Add up each group with all that is nested in it, by key.

    Args:
        groups: Every group after the one that holds it.
    """
    totals: dict[int, Totals] = {}

    for group in groups:
        totals[group.key] = Totals(
            group.state,
            Counter(group.counts),
            group.started_at,
            group.stopped_at,
        )

    for group in reversed(groups):
        if group.parent in totals:
            around, inner = totals[group.parent], totals[group.key]
            around.counts.update(inner.counts)
            around.started_at = _pick(min, around.started_at, inner.started_at)
            around.stopped_at = _pick(max, around.stopped_at, inner.stopped_at)

    return totals


def _pick(choose: Callable[..., datetime | None], *times: datetime | None) -> datetime | None:
    return choose((time for time in times if time), default=None)


def _member(row: dict[str, Any], totals: dict[int, Totals]) -> dict[str, Any]:
    parent = row["parent"]
    member = {**row, "id": str(row["id"]), "parent": None if parent is None else str(parent)}

    if row["kind"] != "job":
        group = totals.get(row["id"]) or Totals(row["state"])
        settled = group.state in SETTLED
        member |= {
            "state": group.shown_state,
            "counts": group.counts,
            "total": group.counts.total(),
            "attempted_at": group.started_at,
            "settled_at": group.stopped_at if settled else None,
        }

    return member


def _rests(members: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Make one box for what is in an open group and too much to draw."""
    inside = Counter(member["parent"] for member in members)

    for group in members:
        if not group["open"] or inside[group["id"]] < LIMIT:
            continue

        rest = Counter(group["counts"])

        for member in members:
            if member["parent"] == group["id"]:
                rest -= member.get("counts") or Counter([member["state"]])

        yield {
            "id": f"rest{group['id']}",
            "parent": group["id"],
            "name": f"{rest.total():,} more",
            "kind": "rest",
            "open": False,
            "state": _dominant(rest),
            "counts": rest,
            "total": rest.total(),
        }


def _dominant(counts: Counter[str]) -> str:
    for state in ("executing", "retryable", "available", "scheduled", "suspended"):
        if counts[state]:
            return state

    return max(counts, key=lambda state: counts[state], default="completed")


def _edges(
    rows: Sequence[dict[str, Any]], stored: Iterable[tuple[int | None, int | None]]
) -> list[Edge]:
    """Name the ends of edges; one that is not drawn is in the rest of the same group.

    They are in the order of their ends, as the layout keeps equals in the order it is given.
    """
    parents = {row["id"]: row["parent"] for row in rows}

    def name(end: int | None, other: int | None) -> str:
        return f"rest{parents[other]}" if end is None else str(end)

    in_order = sorted(stored, key=lambda edge: [abs(end or LAST) for end in edge])

    return [(name(up, down), name(down, up)) for up, down in in_order]


def _span(member: dict[str, Any], now: datetime) -> Span:
    started, settled = member.get("attempted_at"), member.get("settled_at")
    end = settled if settled and started else now if started else None

    return Span(member["id"], member["parent"], end)
