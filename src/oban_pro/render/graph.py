"""The graph that drawings are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .dot import to_dot
from .mermaid import to_mermaid
from .vertex import Vertex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oban_pro.building.plan import GroupKind


@dataclass(frozen=True, slots=True)
class Graph:
    """What a workflow looks like: its jobs, and what waits for what.

    Args:
        name: The name a nested workflow was added under; of the outermost, the workflow name.
        kind: ``"workflow"``, or of a nested one ``"sub"``, ``"fan_out"`` or ``"graft"``.
        vertices: Jobs and nested workflows, by name.
        edges: Pairs of names in this graph: upstream, then downstream.
        needs: How many of its dependencies it needs, where that is not all: ``"2 of 4"``.
        tolerates: How many failures it tolerates: ``"10"``, ``"25%"``, or ``"0, fails fast"``.

    Example:
        >>> graph = Workflow().add("a", job).add("b", job, deps="a").to_graph()
        >>> graph.edges
        [('a', 'b')]
    """

    name: str | None = None
    kind: GroupKind = "workflow"
    vertices: dict[str, Vertex | Graph] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    needs: str | None = None
    tolerates: str | None = None

    def label(self, name: str, escape: Callable[[str], str]) -> Iterator[str]:
        """Say what a nested workflow is, in lines: its name, what it needs and tolerates.

        Args:
            name: The name it was added under.
            escape: Makes a text harmless in the language that is drawn in.
        """
        yield escape(name)

        if self.needs is not None:
            yield f"needs {self.needs}"

        if self.tolerates is not None:
            yield escape(f"tolerates {self.tolerates}")

    def to_dot(self) -> str:
        """Draw in Graphviz DOT: nested workflows are clusters, states are colours.

        Example:
            >>> Path("workflow.dot").write_text(graph.to_dot())
        """
        return to_dot(self)

    def to_mermaid(self) -> str:
        """Draw as a mermaid flowchart: nested workflows are subgraphs, states are colours.

        Example:
            >>> print(graph.to_mermaid())
        """
        return to_mermaid(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = self.to_mermaid()

        return {
            "text/plain": text,
            "text/vnd.mermaid": text,
            # for viewers that draw mermaid only in Markdown
            "text/markdown": f"```mermaid\n{text}```\n",
        }
