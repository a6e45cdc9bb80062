"""Durable workflows for oban: jobs with dependencies, on PostgreSQL.

Importing this package hooks it into oban; ``import oban`` does so by itself.
"""

from . import errors, schema
from ._plugin import register
from .cascades import from_result
from .explanation import Explanation
from .render import Graph, Vertex
from .status import WorkflowStatus
from .workflow import Workflow

__all__ = [
    "Explanation",
    "Graph",
    "Vertex",
    "Workflow",
    "WorkflowStatus",
    "errors",
    "from_result",
    "schema",
]

__version__ = "0.1.0"

register()
