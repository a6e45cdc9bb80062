"""Workflows for blocking code: twins of `Workflow` and its methods; enqueueing, searching.

Nothing here starts or needs an event loop. Inside a coroutine it blocks the loop that runs it: use
the methods of `oban_pro.Workflow` there.

Example:
    >>> from oban_pro import sync
    >>> with psycopg.connect(dsn) as conn:
    ...     conn.execute("INSERT INTO orders VALUES (17)")
    ...     sync.enqueue(workflow, conn)
    >>> sync.Handle(workflow.id, dsn).wait(timeout=60).state
    'completed'
"""

from .calls import enqueue, search, signal
from .twins import Handle, Workflow

__all__ = ["Handle", "Workflow", "enqueue", "search", "signal"]
