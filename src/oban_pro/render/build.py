"""Building the graph of a workflow, from a builder or from rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.building.plan import (
    GRAFTED_NAME,
    GRAFTER_NAME,
    JUDGE_NAME,
    GroupSpec,
    comes_after,
)
from oban_pro.building.waits import SIGNAL_WORKER, TIMER_WORKER
from oban_pro.model import meta

from .graph import Graph
from .vertex import Vertex

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from oban import Job

WAITS = (SIGNAL_WORKER, TIMER_WORKER)
"""Workers of waits and timers, which no node runs."""


class Drawn(NamedTuple):
    """A job or a group as the database has it; ``parent`` is None for the outermost group."""

    id: int
    parent: int | None
    name: str | None
    kind: Any
    worker: str | None
    handler: str | None
    state: str | None
    upstreams: list[int]
    need: int | None = None
    tolerates: Decimal | None = None
    fail_fast: bool | None = None
    is_final: bool | None = None


def graph_of(spec: GroupSpec, name: str | None = None) -> Graph:
    """Turn what a builder collected into a graph.

    Nothing is checked: a cycle is drawn as a cycle, and an unknown dependency as a vertex without a
    worker.
    """
    graph = Graph(
        name,
        spec.kind,
        needs=_needs(spec.need, len(spec.deps)),
        tolerates=spec.tolerance and _tolerates(*spec.tolerance),
    )

    if spec.judge is not None:
        graph.vertices[JUDGE_NAME] = _vertex(JUDGE_NAME, spec.judge.job)

    for key, member in spec.members.items():
        if isinstance(member, GroupSpec):
            graph.vertices[key] = graph_of(member, key)
        else:
            needs = _needs(member.need, len(member.deps))
            graph.vertices[key] = _vertex(
                key, member.job, needs, is_final=member.runs_on is not None
            )

        graph.edges.extend((dep, key) for dep in comes_after(member))

    for dep, _ in graph.edges:
        graph.vertices.setdefault(dep, Vertex(dep))

    return graph


def _vertex(name: str, job: Job, needs: str | None = None, *, is_final: bool = False) -> Vertex:
    worker = _short(job.worker, job.meta.get(meta.HANDLER))

    return Vertex(name, worker, is_wait=job.worker in WAITS, needs=needs, is_final=is_final)


def stored_graph(rows: Iterable[Drawn]) -> Graph:
    """Turn rows into a graph.

    Args:
        rows: The outermost group first, and every group before what is in it.
    """
    root, *members = rows
    top = Graph(root.name)
    graphs = {root.id: top}
    names: dict[int, str] = {}
    parents = {row.id: row.parent for row in members}

    for row in members:
        name = names[row.id] = row.name or ""
        needs = _needs(row.need, len(row.upstreams))
        vertices = graphs[row.parent or 0].vertices

        if row.kind == "job":
            worker = _short(row.worker, row.handler)
            vertices[name] = Vertex(
                name, worker, row.state, row.worker in WAITS, needs, bool(row.is_final)
            )
        else:
            tolerates = None

            if row.tolerates is not None:
                tolerates = _tolerates(row.tolerates, fail_fast=bool(row.fail_fast))

            graph = Graph(name, row.kind, needs=needs, tolerates=tolerates)
            vertices[name] = graphs[row.id] = graph

    # fan-outs along which other ones run, item by item
    along: dict[tuple[int, int], None] = {}

    for row in members:
        group = row.parent or 0

        for upstream in row.upstreams:
            beside = parents.get(upstream)

            # a job may itself depend on what its group depends on
            if beside == group:
                graphs[group].edges.append((names[upstream], names[row.id]))
            elif beside in graphs and graphs[beside].kind == "fan_out":
                along[beside, group] = None

    for beside, group in along:
        graphs[parents[group] or 0].edges.append((names[beside], names[group]))

    for graph in graphs.values():
        # The database needs no edge, but what was grafted came after.
        if graph.kind == "graft" and GRAFTED_NAME in graph.vertices:
            graph.edges.append((GRAFTER_NAME, GRAFTED_NAME))

    return top


def _needs(need: int | None, deps: int) -> str | None:
    return None if need is None else f"{need} of {deps}"


def _tolerates(limit: Decimal, fail_fast: bool) -> str:
    spelled = f"{(limit * 100).normalize():f}%" if 0 < limit < 1 else f"{limit:f}"

    return f"{spelled}, fails fast" if fail_fast else spelled


def _short(worker: str | None, handler: object) -> str | None:
    """Name a worker by its class; a worker of ours by the function that it calls."""
    if worker is None:
        return None

    module, _, name = worker.rpartition(".")

    if module == "oban_pro.workers" and isinstance(handler, str):
        name = handler.rpartition(".")[2]

    return name
