"""The database that a test names, and a table of the jobs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban import Oban

from oban_pro import _host
from oban_pro.engine.session import session_of
from oban_pro.engine.store import Store
from oban_pro.errors import message_of
from oban_pro.model.paths import join_path
from oban_pro.model.status import WorkflowStatus, build_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oban_pro.model.explanation import JobLine

MAX_LISTED = 50


def query_of(oban: str | Oban) -> _host.Query:
    """Return the query of an Oban instance, or of the one with a name."""
    return _host.query_of_instance(oban) if isinstance(oban, Oban) else _host.query_named(oban)


async def with_store[Result](
    oban: str | Oban, body: Callable[[Store], Awaitable[Result]]
) -> Result:
    """Run statements on a connection of an Oban instance."""
    return await with_query(query_of(oban), body)


async def with_query[Result](
    query: _host.Query, body: Callable[[Store], Awaitable[Result]]
) -> Result:
    """Run statements on a connection of an Oban instance.

    Raises:
        SchemaError: If its schema is not installed.
    """
    async with session_of(query).connect() as store:
        return await body(store)


async def read_status(store: Store, workflow_id: str) -> WorkflowStatus:
    """Read the status of a workflow."""
    groups = await store.status(workflow_id)

    return build_status(groups) if groups else WorkflowStatus(workflow_id)


def job_table(lines: Sequence[JobLine]) -> str:
    """Write jobs as a table: path, state, attempts, last error."""
    if not lines:
        return "  (no jobs)"

    rows = [
        (
            join_path(line.path),
            line.state,
            f"{line.attempt}/{line.max_attempts}",
            message_of(line.error or ""),
        )
        for line in lines[:MAX_LISTED]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

    return "\n".join(texts + (["  …"] if len(lines) > MAX_LISTED else []))
