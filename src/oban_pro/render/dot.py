"""Graphviz DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .ids import Ids
from .vertex import INK, Vertex, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .graph import Graph

_INDENT = "    "

_HEAD = f"""\
digraph workflow {{
    compound=true;
    ranksep=1;
    fontname="Helvetica";
    node [fontname="Helvetica", fontcolor="{INK}"];
    node [shape=box, style="rounded,filled", fillcolor="white"];
"""

_SHAPES = {
    (True, False): ", shape=hexagon, style=filled",
    (False, True): ", shape=ellipse, style=filled",
}
"""Of waits and of final jobs; all others are boxes."""


class _Ends(NamedTuple):
    """Jobs that edges to and from a member attach to: Graphviz has no edges between clusters."""

    head: str
    tail: str
    height: int = 1
    cluster: str | None = None


def to_dot(graph: Graph) -> str:
    """Draw a graph in Graphviz DOT."""
    lines = _draw(graph, Ids(), "", _INDENT, {})

    return _HEAD + "".join(f"{line}\n" for line in lines) + "}\n"


def _draw(graph: Graph, ids: Ids, group: str, indent: str, ends: dict[str, _Ends]) -> Iterator[str]:
    """Draw what is in a group, and note the ends of all members."""
    own = ids.claim(group, graph.vertices)

    for name, vertex in graph.vertices.items():
        key = own[name]

        if isinstance(vertex, Vertex):
            ends[key] = _Ends(key, key)
            fill = f', fillcolor="{vertex.fill}"' if vertex.fill else ""
            shape = _SHAPES.get((vertex.is_wait, vertex.is_final), "")
            label = r"\n".join(vertex.label(_escape))
            yield f'{indent}"{key}" [label="{label}"{shape}{fill}];'
        else:
            yield f'{indent}subgraph "cluster_{key}" {{'
            label = r"\n".join(vertex.label(name, _escape))
            yield f'{indent}{_INDENT}label="{label}";'
            yield from _draw(vertex, ids, key, indent + _INDENT, ends)

            if not vertex.vertices:
                ends[key] = _Ends(key, key, cluster=f"cluster_{key}")
                yield f'{indent}{_INDENT}"{key}" [style=invis, shape=point];'

            yield f"{indent}}}"

    for upstream, downstream in graph.edges:
        yield f"{indent}{_edge(ends[own[upstream]], ends[own[downstream]])};"

    if group and graph.vertices:
        ends[group] = _ends_of(graph, own, ends, f"cluster_{group}")


def _ends_of(graph: Graph, own: dict[str, str], ends: dict[str, _Ends], cluster: str) -> _Ends:
    """Choose a job at the top of a group and one at its bottom, so that edges point down."""
    upstreams: dict[str, list[str]] = {name: [] for name in graph.vertices}

    for upstream, downstream in graph.edges:
        upstreams[downstream].append(upstream)

    depths: dict[str, int] = {}

    for name, above in upstreams.items():
        height = ends[own[name]].height
        depths[name] = height + max((depths.get(upstream, 0) for upstream in above), default=0)

    height = max(depths.values())
    top = [name for name, above in upstreams.items() if not above] or list(depths)
    bottom = [name for name, depth in depths.items() if depth == height]
    head, tail = (ends[own[names[len(names) // 2]]] for names in (top, bottom))

    return _Ends(head.head, tail.tail, height, cluster)


def _edge(upstream: _Ends, downstream: _Ends) -> str:
    clusters = {"ltail": upstream.cluster, "lhead": downstream.cluster}
    options = ", ".join(f'{key}="{cluster}"' for key, cluster in clusters.items() if cluster)

    return f'"{upstream.tail}" -> "{downstream.head}"' + (f" [{options}]" if options else "")


def _escape(text: str) -> str:
    return r"\n".join(_escape_line(line) for line in visible_lines(text))


def _escape_line(line: str) -> str:
    # Graphviz decodes HTML entities in labels, too.
    return line.replace("\\", r"\\").replace('"', r"\"").replace("&", "&amp;")
