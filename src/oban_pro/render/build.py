"""From what was built, or what is stored, to a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro import meta
from oban_pro.plan import GRAFTED, GRAFTER, GroupSpec

from .graph import Graph
from .vertex import Vertex

if TYPE_CHECKING:
    from collections.abc import Iterable


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


def graph_of(spec: GroupSpec, name: str | None = None) -> Graph:
    """Turn what a builder collected into a graph.

    Nothing is checked: a cycle is drawn as it is, and a dependency that nobody added as a vertex
    without a worker.
    """
    graph = Graph(name, spec.kind)

    for key, member in spec.members.items():
        if isinstance(member, GroupSpec):
            graph.vertices[key] = graph_of(member, key)
        else:
            handler = member.job.meta.get(meta.HANDLER)
            graph.vertices[key] = Vertex(key, _short(member.job.worker, handler))

        graph.edges.extend((dep, key) for dep in member.deps)

    for dep, _ in graph.edges:
        graph.vertices.setdefault(dep, Vertex(dep))

    return graph


def stored_graph(rows: Iterable[Drawn]) -> Graph:
    """Turn rows into a graph.

    Args:
        rows: The outermost group first, and every group before what is in it.
    """
    root, *members = rows
    top = Graph(root.name)
    graphs = {root.id: top}
    names: dict[int, str] = {}

    for row in members:
        name = names[row.id] = row.name or ""
        vertices = graphs[row.parent or 0].vertices

        if row.kind == "job":
            vertices[name] = Vertex(name, _short(row.worker, row.handler), row.state)
        else:
            vertices[name] = graphs[row.id] = Graph(name, row.kind)

    for row in members:
        edges = graphs[row.parent or 0].edges
        edges.extend((names[upstream], names[row.id]) for upstream in row.upstreams)

    for graph in graphs.values():
        # The database needs no edge, but what was grafted came after.
        if graph.kind == "graft" and GRAFTED in graph.vertices:
            graph.edges.append((GRAFTER, GRAFTED))

    return top


def _short(worker: str | None, handler: object) -> str | None:
    """Name a worker by its class, one of ours by the function that it calls."""
    if worker is None:
        return None

    module, _, name = worker.rpartition(".")

    if module == "oban_pro.workers" and isinstance(handler, str):
        name = handler.rpartition(".")[2]

    return name
