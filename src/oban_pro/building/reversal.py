"""A workflow in reverse: the undos of its jobs, in the order in which they have to run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from .plan import GRAFTED_NAME, Flags, GroupSpec, JobSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oban import Job


class Reversible(NamedTuple):
    """A job or a group as the database has it; ``parent`` is None for the outermost group."""

    id: int
    parent: int | None
    name: str
    kind: str
    upstreams: Sequence[int]


def reverse(members: Iterable[Reversible], undos: Mapping[int, Job]) -> GroupSpec | None:
    """Return the workflow that undoes another one: a mirror of it, nested as it is.

    The undo of a job waits for the undos of everything that depends on the job. If a member without
    an undo lies between two with one, an empty group stands in for it, unless as few edges can go
    past it: so a fan-in of N into M stays N + M edges.

    Args:
        members: The outermost group first, and every group before what is in it.
        undos: The undos, by the ids of their jobs.

    Returns:
        The mirror, or None if nothing is undone.
    """
    rows = _with_groups_beside([*members])
    children: dict[int | None, list[Reversible]] = defaultdict(list)
    mirrors: dict[int, GroupSpec | None] = {}

    for row in rows:
        children[row.parent].append(row)

    for row in reversed(rows):
        if row.kind == "graft":
            grafted = (one for one in children[row.id] if one.name == GRAFTED_NAME)
            mirrors[row.id] = next((mirrors[one.id] for one in grafted), None)
        elif row.kind != "job":
            mirrors[row.id] = _mirror(children[row.id], mirrors, undos)

    return mirrors[rows[0].id] if rows else None


def _with_groups_beside(rows: list[Reversible]) -> list[Reversible]:
    """Let a fan-out depend as a whole on the one that its jobs depend on, job by job."""
    parents = {row.id: row.parent for row in rows}
    beside: dict[int | None, set[int]] = defaultdict(set)

    for row in rows:
        for upstream in row.upstreams:
            group = parents.get(upstream)

            if group is not None and group != row.parent:
                beside[row.parent].add(group)

    return [
        row._replace(upstreams=[*row.upstreams, *beside[row.id]]) if row.id in beside else row
        for row in rows
    ]


def _mirror(
    members: Sequence[Reversible],
    mirrors: Mapping[int, GroupSpec | None],
    undos: Mapping[int, Job],
) -> GroupSpec | None:
    specs: dict[int, JobSpec | GroupSpec] = {}

    for member in members:
        if member.id in undos:
            specs[member.id] = JobSpec(undos[member.id])
        elif (mirror := mirrors.get(member.id)) is not None:
            specs[member.id] = mirror

    if not specs:
        return None

    names = {member.id: member.name for member in members}
    waits_for = _between(members, specs.keys())

    for stand_in in waits_for.keys() - specs.keys():
        specs[stand_in] = GroupSpec("sub", {}, Flags())

    return GroupSpec(
        "sub",
        {
            names[id]: replace(spec, deps=tuple(names[one] for one in sorted(waits_for[id])))
            for id, spec in specs.items()
        },
        Flags(),
    )


def _between(members: Sequence[Reversible], undone: Iterable[int]) -> dict[int, set[int]]:
    """Return by member what it waits for in the mirror, with members between two undos."""
    own = {*undone}
    known = {member.id for member in members}
    above = {member.id: {*member.upstreams} & known for member in members}
    below: dict[int, set[int]] = {id: set() for id in known}

    for id, ids in above.items():
        for upstream in ids:
            below[upstream].add(id)

    ordered = [*TopologicalSorter(above).static_order()]

    def cut(id: int) -> None:
        for upstream in above[id]:
            below[upstream].discard(id)

        for downstream in below[id]:
            above[downstream].discard(id)

        del above[id], below[id]

    # first drop members without any undo above them, then those without any below
    for id in ordered:
        if id not in own and not above[id]:
            cut(id)

    for id in reversed(ordered):
        if id in below and id not in own and not below[id]:
            cut(id)

    for id in ordered:
        if id not in below or id in own:
            continue

        ups, downs = above[id], below[id]

        if len(ups) * len(downs) <= len(ups) + len(downs):
            for upstream in ups:
                below[upstream] |= downs

            for downstream in downs:
                above[downstream] |= ups

            cut(id)

    return below
