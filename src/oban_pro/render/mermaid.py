"""Mermaid flowcharts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .ids import Ids
from .vertex import FILLS, INK, Vertex, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .graph import Graph

_INDENT = "    "

# All but letters and digits, and single spaces, "_" and "-" between two of them, could be markup.
_MARKUP = re.compile(r"[^\w -]|(?<![^\W_])[ _-]|[ _-](?![^\W_])")

# Mermaid decodes labels before it looks for line breaks, formulas, icons and escapes of its own.
# An invisible word joiner keeps these characters from being read together.
_COMBINING = re.compile(r"\\(?=n)|\$(?=\$)|:(?=fa-)|ﬂ(?=°)|¶(?=ß)")
_WORD_JOINER = "\u2060"


def to_mermaid(graph: Graph) -> str:
    """Draw a graph as a mermaid flowchart."""
    states: set[str | None] = set()
    lines = ["flowchart TD", *_draw(graph, Ids(), "", _INDENT, states)]
    lines += (
        f"{_INDENT}classDef {state} fill:{fill},color:{INK}"
        for state, fill in FILLS.items()
        if state in states
    )

    return "\n".join(lines) + "\n"


def _draw(
    graph: Graph, ids: Ids, group: str, indent: str, states: set[str | None]
) -> Iterator[str]:
    own = ids.claim(group, graph.vertices)

    for name, vertex in graph.vertices.items():
        if isinstance(vertex, Vertex):
            states.add(vertex.state)
            suffix = f":::{vertex.state}" if vertex.fill else ""
            label = f'"{"<br/>".join(vertex.label(_escape))}"'
            shape = f"[{label}]"

            if vertex.is_wait:
                shape = f"{{{{{label}}}}}"
            elif vertex.is_final:
                shape = f"([{label}])"

            yield f"{indent}{own[name]}{shape}{suffix}"
        else:
            label = "<br/>".join(vertex.label(name, _escape))
            yield f'{indent}subgraph {own[name]}["{label}"]'
            yield from _draw(vertex, ids, own[name], indent + _INDENT, states)
            yield f"{indent}end"

    for upstream, downstream in graph.edges:
        yield f"{indent}{own[upstream]} --> {own[downstream]}"


def _escape(text: str) -> str:
    return "<br/>".join(_escape_line(line) for line in visible_lines(text))


def _escape_line(line: str) -> str:
    apart = _COMBINING.sub(rf"\g<0>{_WORD_JOINER}", line)

    return _MARKUP.sub(lambda match: f"#{ord(match[0])};", apart)
