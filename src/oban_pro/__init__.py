"""Durable workflows for oban: jobs with dependencies, on PostgreSQL.

Importing this package hooks it into oban; ``import oban`` does so by itself.
"""

from . import errors, schema
from ._plugin import register
from .building.cascades import from_result
from .engine.database import dsn
from .errors import NotInJobError, SignalTimeout, UniqueConflictError
from .handles.awaiting import await_signal, wait_signal
from .handles.signalling import Signal, signal
from .model.explanation import Explanation
from .model.outcome import Failure, Outcome
from .model.status import WorkflowStatus
from .model.timing import Timing
from .model.turns import Again
from .render import Graph, Vertex
from .settings import configure, renamed
from .values.context import Context
from .values.lazy import LazyResults
from .workflow import Workflow

__all__ = [
    "Again",
    "Context",
    "Explanation",
    "Failure",
    "Graph",
    "LazyResults",
    "NotInJobError",
    "Outcome",
    "Signal",
    "SignalTimeout",
    "Timing",
    "UniqueConflictError",
    "Vertex",
    "Workflow",
    "WorkflowStatus",
    "await_signal",
    "configure",
    "dsn",
    "errors",
    "from_result",
    "renamed",
    "schema",
    "signal",
    "wait_signal",
]

__version__ = "0.1.0"

register()
