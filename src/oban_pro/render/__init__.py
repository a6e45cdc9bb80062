"""Drawing workflows, as Graphviz DOT and as mermaid flowcharts: pure functions.

Names are data: a drawing shows any name as it is, and none can end a label or start a statement.
"""

from .build import Drawn, graph_of, stored_graph
from .graph import Graph
from .vertex import Vertex

__all__ = ["Drawn", "Graph", "Vertex", "graph_of", "stored_graph"]
