"""The data that the page of a workflow draws: one structure for graph and timeline."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import values
from .live import fingerprint
from .phases import find_phases
from .statements import Drawing, wait_of
from .totals import Totals, sum_groups

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from .statements import Beside, MemberRow, PageStore, PathEdge, RetriedGroup
    from .totals import Retries

LIMIT = 150
"""How many members of one open group are drawn; what comes before and after is one box each."""

MOST_FAILED = 2_000
"""How many failed jobs are looked at for their errors."""

BEFORE, AFTER = "prev", "rest"
"""Which side of what is drawn a box stands for."""

LAST = 2**63
"""Sorts behind every id."""

type Edge = tuple[str, str]
type Member = dict[str, Any]


async def read_view(
    store: PageStore, workflow_id: str, drawing: Drawing | None = None
) -> dict[str, Any] | None:
    """Read a workflow as JSON for the page.

    Args:
        store: Statements on a connection.
        workflow_id: Which workflow; a nested one can be looked at by itself.
        drawing: What the reader has opened, and where in it he is.

    Returns:
        Members, the workflow itself first, and edges, and as ``seen`` what `live.changes` is to
        compare with; None where there is no such workflow.
    """
    drawing = drawing or Drawing()
    retries = await store.retried_groups(workflow_id)
    groups = await store.status(workflow_id)
    totals = sum_groups(groups, dict(_retries(retries)))
    path = await store.critical_path(workflow_id, drawing.opened, _ends(totals))
    rows = await store.drawn_members(workflow_id, drawing, [edge.member for edge in path], LIMIT)

    if not rows or not totals:
        return None

    drawn = [row["id"] for row in rows[1:]]
    beside = await store.beside(_firsts(rows, drawing), drawn)
    edges = await store.edges(drawn)

    failed = totals[groups[0].key].counts
    failures = await store.failure_kinds(workflow_id, MOST_FAILED) if _has_failed(failed) else []
    shown = {"seen": fingerprint(groups), "failures": failures}

    return {**shown, **_draw(rows, totals, beside, edges, path)}


def _has_failed(counts: Counter[str]) -> bool:
    return any(counts[state] for state in ("retryable", "cancelled", "discarded"))


def _firsts(rows: Sequence[MemberRow], drawing: Drawing) -> dict[int, int]:
    """Find the first member in order that is drawn of each group that may have more of them."""
    inside: dict[int, list[int]] = {}

    for row in rows[1:]:
        if row["extra"] is None and row["parent"] is not None:
            inside.setdefault(row["parent"], []).append(row["id"])

    return {
        group: min(members, key=lambda member: (member > 0, abs(member)))
        for group, members in inside.items()
        if group in drawing.windows or len(members) >= LIMIT
    }


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
    beside: Iterable[Beside],
    edges: Iterable[tuple[int | None, int | None]],
    path: Iterable[PathEdge],
) -> dict[str, Any]:
    now = datetime.now(UTC)
    parents = {row["id"]: row["parent"] for row in rows}
    fan_outs = {row["id"] for row in rows if row["kind"] == "fan_out"}
    members = [_member(row, totals, now) for row in rows]
    _add_phases(members, now)
    members += list(_rests(members, beside))
    critical, path_edges = _critical(parents, path)

    for member in members:
        member["critical"] = member["id"] in critical

    return {
        "id": rows[0]["workflow_id"],
        "now": now,
        "members": members,
        "edges": _edges(parents, fan_outs, edges),
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
            "paused_at": group.paused_at,
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
        # A phase that goes on has no end, so that the view stays equal while nothing changes.
        member["phases"] = [
            (kind, start, None if end == now else end) for kind, start, end in found
        ]


def _rests(members: Sequence[Member], beside: Iterable[Beside]) -> Iterable[Member]:
    """Make boxes for the members of a group before those that are drawn, and for those after."""
    groups = {int(member["id"]): member for member in members if member["kind"] != "job"}

    for group, before, after in beside:
        rest: Counter[str] = Counter(groups[group]["counts"])

        for member in members:
            if member["parent"] == str(group):
                rest -= member.get("counts") or Counter([member["state"]])

        for side, number in ((BEFORE, before), (AFTER, after)):
            if number:
                # With boxes on both sides only the sum of their states is known.
                yield _rest(group, side, number, rest if not (before and after) else Counter())


def _rest(group: int, side: str, number: int, counts: Counter[str]) -> Member:
    total = counts.total() or number

    return {
        "id": f"{side}{group}",
        "parent": str(group),
        "name": f"{total:,} {'before' if side == BEFORE else 'more'}",
        "kind": "rest",
        "open": False,
        "state": _dominant(counts) if counts else "suspended",
        "counts": counts,
        "total": total,
    }


def _dominant(counts: Counter[str]) -> str:
    for state in ("executing", "retryable", "available", "scheduled", "suspended"):
        if counts[state]:
            return state

    return max(counts, key=lambda state: counts[state])


def _edges(
    parents: dict[int, int | None],
    fan_outs: Collection[int | None],
    stored: Iterable[tuple[int | None, int | None]],
) -> list[Edge]:
    """Name the ends of edges. An end that is not drawn is in the box before or after its group.

    In a fan-out no job depends on another one, so that end is in a fan-out beside, and left out.
    They are sorted by their ends, because the layout keeps the order of equal edges.
    """

    def name(end: int | None, other: int | None, side: str) -> str:
        return f"{side}{parents[other or 0]}" if end is None else str(end)

    shown = (
        (up, down)
        for up, down in stored
        if None not in (up, down) or parents[up or down or 0] not in fan_outs
    )
    in_order = sorted(shown, key=lambda edge: [abs(end or LAST) for end in edge])

    return [(name(up, down, BEFORE), name(down, up, AFTER)) for up, down in in_order]


def _critical(
    parents: dict[int, int | None], path: Iterable[PathEdge]
) -> tuple[set[str], set[Edge]]:
    """Name what is on the critical path, and the edges that it takes."""
    on_path: set[str] = set()
    path_edges: set[Edge] = set()

    for member, group, downstream in path:
        is_drawn = member in parents
        # A member that is not drawn is in a box, before its downstream if that is drawn.
        side = BEFORE if downstream in parents else AFTER
        name = str(member) if is_drawn else f"{side}{group}"
        on_path.add(name)

        if downstream in parents:
            path_edges.add((name, str(downstream)))
        elif downstream is not None and is_drawn:
            path_edges.add((name, f"{AFTER}{group}"))

    return on_path, path_edges
