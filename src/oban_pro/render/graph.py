"""What a drawing is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .dot import to_dot
from .mermaid import to_mermaid
from .vertex import Vertex

if TYPE_CHECKING:
    from oban_pro.plan import Kind


@dataclass(frozen=True, slots=True)
class Graph:
    """What a workflow looks like: its jobs, and what waits for what.

    Args:
        name: The name a nested workflow was added under; of the outermost, the workflow name.
        kind: ``"workflow"``, or of a nested one ``"sub"``, ``"fan_out"`` or ``"graft"``.
        vertices: Jobs and nested workflows, by name.
        edges: Pairs of names in this graph: what is waited for, and what waits.

    Example:
        >>> graph = Workflow().add("a", job).add("b", job, deps="a").to_graph()
        >>> graph.edges
        [('a', 'b')]
    """

    name: str | None = None
    kind: Kind = "workflow"
    vertices: dict[str, Vertex | Graph] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

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
            # where only Markdown knows mermaid
            "text/markdown": f"```mermaid\n{text}```\n",
        }
