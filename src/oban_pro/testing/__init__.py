"""Helpers for tests of workflows: run one to its end, and say what it should have come to.

No worker is started: jobs run in the test's own event loop, on the real database and engine.

Example:
    >>> from oban_pro.testing import assert_workflow, run_workflow
    >>>
    >>> async def test_nightly(oban):
    ...     workflow = build_nightly()
    ...     await run_workflow(workflow)
    ...     await assert_workflow(workflow, state="completed", completed=4)
"""

from .assertions import assert_job, assert_order, assert_workflow, refute_ran
from .runner import run_workflow
from .without_asyncio import run_workflow_sync

__all__ = [
    "assert_job",
    "assert_order",
    "assert_workflow",
    "refute_ran",
    "run_workflow",
    "run_workflow_sync",
]
