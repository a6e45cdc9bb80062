"""Drawing workflows, as Graphviz DOT and as mermaid flowcharts: pure functions.

A drawing shows any name as it is; no name can end a label or start a statement.
"""

from .build import Drawn, graph_of, stored_graph
from .graph import Graph
from .vertex import Vertex

__all__ = ["Drawn", "Graph", "Vertex", "graph_of", "stored_graph"]
