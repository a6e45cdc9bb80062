"""Running one workflow in a test that is not asynchronous."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from uuid import uuid4

from oban import Oban

from oban_pro import _host
from oban_pro.engine.connecting import open_pool
from oban_pro.engine.synchronous import dsn_of
from oban_pro.workflow import Workflow

from .runner import run_workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oban_pro import sync
    from oban_pro.engine.synchronous import Caller
    from oban_pro.model.status import WorkflowStatus


class RunOptions(TypedDict, total=False):
    """Options of `run_workflow`."""

    with_safety: bool
    concurrency: int
    max_runs: int
    signals: Mapping[str, object]
    timeouts: Iterable[str]


def run_workflow_sync(
    workflow: Workflow | sync.Workflow | sync.Handle,
    conn_or_dsn: Caller | str,
    *,
    prefix: str = "public",
    **options: Unpack[RunOptions],
) -> WorkflowStatus:
    """Run a workflow as `run_workflow` does, from a test that is not asynchronous.

    Its jobs run on an event loop in another thread, over connections of their own. So what the test
    has written must be committed: in Django that takes a `TransactionTestCase`.

    Args:
        workflow: A workflow, or a handle to one that is in the database.
        conn_or_dsn: A connection to the database, or its DSN.
        prefix: The schema of the tables.
        options: Those of `run_workflow`.

    Returns:
        The final status.

    Raises:
        AssertionError: If the workflow cannot come to its end, saying why.
        InTransactionError: If the connection is in a transaction.

    Example:
        >>> status = run_workflow_sync(sync.Handle("order-17", connection), connection)
        >>> assert status.state == "completed"
    """
    dsn = conn_or_dsn if isinstance(conn_or_dsn, str) else dsn_of(conn_or_dsn)
    given: Any = workflow
    known = given if isinstance(given, Workflow) else Workflow(id=given.id)
    ended: list[WorkflowStatus | BaseException] = []

    def run() -> None:
        try:
            ended.append(asyncio.run(_run(known, dsn, prefix, options)))
        except BaseException as error:
            ended.append(error)

    thread = Thread(target=copy_context().run, args=(run,), name="run_workflow_sync")
    thread.start()
    thread.join()
    (end,) = ended

    if isinstance(end, BaseException):
        raise end

    return end


async def _run(workflow: Workflow, dsn: str, prefix: str, options: RunOptions) -> WorkflowStatus:
    name = f"testing-{uuid4()}"

    async with open_pool(dsn) as pool:
        try:
            return await run_workflow(
                workflow, Oban(pool=pool, prefix=prefix, name=name), **options
            )
        finally:
            _host.forget_instance(name)
