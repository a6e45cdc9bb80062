"""Reading drawings back with the real Graphviz and mermaid, and what they must show."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from oban_pro import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator

MERMAID = Path(__file__).parents[1] / "mermaid"

# The place of an element: the labels of the groups around it, then its own label.
type Place = tuple[str, ...]


@dataclass
class Drawing:
    """Everything that a drawing shows, by the kind of the element."""

    jobs: Counter[Place] = field(default_factory=Counter)
    groups: Counter[Place] = field(default_factory=Counter)
    edges: Counter[tuple[Place, Place]] = field(default_factory=Counter)
    hexagons: Counter[Place] = field(default_factory=Counter)
    round_ends: Counter[Place] = field(default_factory=Counter)
    fills: dict[Place, str] = field(default_factory=dict, compare=False)


def expected(graph: Graph) -> Drawing:
    """Return what a drawing of a graph has to show."""
    drawing = Drawing()
    _expect(drawing, graph, ())

    return drawing


def _expect(drawing: Drawing, graph: Graph, outer: Place) -> None:
    paths: dict[str, Place] = {}

    for name, vertex in graph.vertices.items():
        if isinstance(vertex, Graph):
            paths[name] = (*outer, spelled(name))
            drawing.groups[paths[name]] += 1
            _expect(drawing, vertex, paths[name])
        else:
            label = name if vertex.worker is None else f"{name} ({vertex.worker})"
            state = "" if vertex.state is None else f"\n{vertex.state}"
            paths[name] = (*outer, spelled(label + state))
            drawing.jobs[paths[name]] += 1
            drawing.hexagons[paths[name]] += vertex.is_wait
            drawing.round_ends[paths[name]] += vertex.is_final

    for upstream, downstream in graph.edges:
        drawing.edges[paths[upstream], paths[downstream]] += 1


def spelled(label: str) -> str:
    """Write invisible characters as escapes, and drop empty lines."""
    lines = label.split("\n")

    return "\n".join("".join(map(_spelled, line)) for line in lines if line)


def _spelled(char: str) -> str:
    return char if char.isprintable() or char in "\u200c\u200d" else ascii(char)[1:-1]


class Mermaid:
    """The real mermaid, as one process that reads all drawings."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(MERMAID / "serve.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate(timeout=20)

    def parse(self, text: str) -> Drawing:
        """Read a drawing back."""
        answer = self._ask("parse", text)
        nodes = {node["id"]: node for node in answer["nodes"]}
        assert len(nodes) == len(answer["nodes"])
        assert not any(node["link"] for node in nodes.values())
        paths = {key: _path(nodes, key) for key in nodes}
        drawing = Drawing(edges=Counter((paths[a], paths[b]) for a, b in answer["edges"]))

        for key, node in nodes.items():
            (drawing.groups if node["group"] else drawing.jobs)[paths[key]] += 1
            drawing.hexagons[paths[key]] += node["shape"] == "hexagon"
            drawing.round_ends[paths[key]] += node["shape"] == "stadium"
            fills = [style for style in node["styles"] if style.startswith("fill:")]

            if fills:
                drawing.fills[paths[key]] = fills[0].removeprefix("fill:")

        return drawing

    def render(self, text: str) -> tuple[list[str], set[str]]:
        """Draw, and return the labels as a browser shows them, and the tags of all elements."""
        answer = self._ask("render", text)

        return [_bare(label) for label in answer["labels"]], set(answer["tags"])

    def _ask(self, task: str, text: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, "text": text}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, f"{answer['error']}\n{text}"

        return answer


def _path(nodes: dict[str, Any], key: str) -> Place:
    node = nodes[key]
    outer = () if node["parent"] is None else _path(nodes, node["parent"])

    return (*outer, _decode(node["label"]))


def _decode(label: str) -> str:
    # Mermaid's own form of entities, before it draws.
    entities = label.replace("ﬂ°°", "&#").replace("ﬂ°", "&").replace("¶ß", ";")
    lines = entities.replace("<br/>", "<br>").split("<br>")

    return _bare("\n".join(html.unescape(line) for line in lines))


def _bare(label: str) -> str:
    """Drop word joiners and empty lines."""
    return "\n".join(line for line in label.replace("\u2060", "").split("\n") if line)


def parse_dot(text: str) -> Drawing:
    """Let Graphviz lay out a drawing, and read its result."""
    done = subprocess.run(
        ["dot", "-Tjson"], input=text.encode(), capture_output=True, check=True, timeout=50
    )
    assert b"syntax" not in done.stderr, done.stderr
    # Graphviz does not escape some control characters in its JSON.
    answer = json.loads(done.stdout, strict=False)
    objects = {one["_gvid"]: one for one in answer.get("objects", [])}
    outer = _holders(objects)
    paths = {key: tuple(_drawn(objects, outer, key)) for key in objects}
    drawing = Drawing()

    for key, one in objects.items():
        if one.get("style") != "invis":
            is_group = one["name"].startswith("cluster_")
            (drawing.groups if is_group else drawing.jobs)[paths[key]] += 1
            drawing.hexagons[paths[key]] += one.get("shape") == "hexagon"
            drawing.round_ends[paths[key]] += one.get("shape") == "ellipse"
            drawing.fills[paths[key]] = one.get("fillcolor", "")

    ids = {one["name"]: key for key, one in objects.items()}

    for edge in answer.get("edges", []):
        tail = ids[edge["ltail"]] if "ltail" in edge else edge["tail"]
        head = ids[edge["lhead"]] if "lhead" in edge else edge["head"]
        drawing.edges[paths[tail], paths[head]] += 1

    return drawing


def _holders(objects: dict[int, Any]) -> dict[int, int]:
    """Find the innermost cluster of each element. Outer clusters come first in the list."""
    holders: dict[int, int] = {}

    for key, one in objects.items():
        for member in (*one.get("subgraphs", ()), *one.get("nodes", ())):
            holders[member] = key

    return holders


def _drawn(objects: dict[int, Any], outer: dict[int, int], key: int) -> Iterator[str]:
    if key in outer:
        yield from _drawn(objects, outer, outer[key])

    texts = [one["text"] for one in objects[key].get("_ldraw_", ()) if one["op"] == "T"]
    yield "\n".join(text for text in texts if text)


needs_graphviz = pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz must be installed, got no `dot`"
)
needs_mermaid = pytest.mark.skipif(
    shutil.which("node") is None or not (MERMAID / "node_modules" / "mermaid").exists(),
    reason="mermaid must be installed: npm install --prefix tests/mermaid --no-package-lock",
)
