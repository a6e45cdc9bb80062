"""The data that the page of a workflow draws: one structure for graph and timeline."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import values
from .phases import find_phases
from .statements import wait_of
from .totals import Totals, sum_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .statements import MemberRow, PageStore, PathEdge, RetriedGroup
    from .totals import Retries

LIMIT = 150
"""How many members of one open group are drawn; the rest is one box."""

LAST = 2**63
"""Sorts behind every id."""

type Edge = tuple[str, str]
type Member = dict[str, Any]


async def read_view(
    store: PageStore, workflow_id: str, opened: Sequence[int] = (), shut: Sequence[int] = ()
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
    retries = await store.retried_groups(workflow_id)
    totals = sum_groups(await store.status(workflow_id), dict(_retries(retries)))
    path = await store.critical_path(workflow_id, opened, _ends(totals))
    rows = await store.drawn_members(
        workflow_id, opened, shut, [edge.member for edge in path], LIMIT
    )

    if not rows or not totals:
        return None

    edges = await store.edges([row["id"] for row in rows[1:]])

    return _draw(rows, totals, edges, path)


def _retries(groups: Iterable[RetriedGroup]) -> Iterator[tuple[int, Retries]]:
    for group in groups:
        if group.attempted_at is not None:
            # An attempt that plain oban rescued left no error.
            failed_at = values.parse_times([group.failed_at])
            first = failed_at[0] if failed_at else group.attempted_at

            yield group.key, (first, group.attempted_at)


def _ends(totals: dict[int, Totals]) -> dict[int, str]:
    """Tell when groups ended that have started, as PostgreSQL writes it."""
    return {
        key: group.settled_at.isoformat() if group.settled_at else "infinity"
        for key, group in totals.items()
        if group.started_at
    }


def _draw(
    rows: Sequence[MemberRow],
    totals: dict[int, Totals],
    edges: Iterable[tuple[int | None, int | None]],
    path: Iterable[PathEdge],
) -> dict[str, Any]:
    now = datetime.now(UTC)
    parents = {row["id"]: row["parent"] for row in rows}
    members = [_member(row, totals, now) for row in rows]
    _add_phases(members, now)
    members += list(_rests(members))
    critical, path_edges = _critical(parents, path)

    for member in members:
        member["critical"] = member["id"] in critical

    return {
        "id": rows[0]["workflow_id"],
        "now": now,
        "members": members,
        "edges": _edges(parents, edges),
        "path": sorted(path_edges),
    }


def _member(row: MemberRow, totals: dict[int, Totals], now: datetime) -> Member:
    parent, wait = row["parent"], wait_of(row)
    member: Member = {
        **{name: value for name, value in row.items() if not name.startswith("wait_")},
        "id": str(row["id"]),
        "parent": None if parent is None else str(parent),
        "failed_at": values.parse_times(row["failed_at"] or ()),
        "wait": None if wait is None else {"long": wait.tell(now), "short": wait.tell_short(now)},
    }

    if row["kind"] != "job":
        group = totals.get(row["id"]) or Totals(row["state"])
        member |= {
            "state": group.shown_state,
            "counts": group.counts,
            "total": group.counts.total(),
            "attempted_at": group.started_at,
            "settled_at": group.settled_at,
            "retries": group.retries,
        }

    return member


def _add_phases(members: Sequence[Member], now: datetime) -> None:
    """Add the phases of members. A member without dependencies is released with its group."""
    released: dict[str | None, datetime | None] = {}

    for member in members:
        around = released.get(member["parent"], member["inserted_at"])
        held, own = member.pop("held"), member.pop("released_at")
        released[member["id"]] = None if held else own or around
        found = find_phases(member, released[member["id"]], now)
        member["phases"] = [tuple(phase) for phase in found]


def _rests(members: Sequence[Member]) -> Iterable[Member]:
    """Make one box for the members of an open group that are too many to draw."""
    inside = Counter(member["parent"] for member in members)

    for group in members:
        if not group["open"] or inside[group["id"]] < LIMIT:
            continue

        rest: Counter[str] = Counter(group["counts"])

        for member in members:
            if member["parent"] == group["id"]:
                rest -= member.get("counts") or Counter([member["state"]])

        if rest:
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

    return max(counts, key=lambda state: counts[state])


def _edges(
    parents: dict[int, int | None], stored: Iterable[tuple[int | None, int | None]]
) -> list[Edge]:
    """Name the ends of edges; one that is not drawn is in the rest of the same group.

    They are sorted by their ends, because the layout keeps the order of equal edges.
    """

    def name(end: int | None, other: int | None) -> str:
        return f"rest{parents[other or 0]}" if end is None else str(end)

    in_order = sorted(stored, key=lambda edge: [abs(end or LAST) for end in edge])

    return [(name(up, down), name(down, up)) for up, down in in_order]


def _critical(
    parents: dict[int, int | None], path: Iterable[PathEdge]
) -> tuple[set[str], set[Edge]]:
    """Name what is on the critical path, and the edges that it takes."""

    def name(member: int, group: int | None) -> str:
        return str(member) if member in parents else f"rest{group}"

    on_path = {name(member, group) for member, group, _ in path}
    path_edges = {
        (name(member, group), name(downstream, group))
        for member, group, downstream in path
        if downstream is not None
    }

    return on_path, path_edges
