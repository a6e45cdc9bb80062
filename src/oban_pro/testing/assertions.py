"""Assertions about a workflow and its jobs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from oban.job import JobState

from oban_pro.errors import message_of
from oban_pro.handles.locating import require_one
from oban_pro.model.status import WorkflowStatus

from .access import MAX_LISTED, job_table, read_status, with_store

if TYPE_CHECKING:
    from oban import Job, Oban

    from oban_pro.engine.store import Store
    from oban_pro.workflow import Workflow


async def assert_workflow(
    workflow: Workflow | WorkflowStatus,
    *,
    state: str | None = None,
    total: int | None = None,
    oban: str | Oban = "Oban",
    **counts: int,
) -> WorkflowStatus:
    """Assert how a workflow stands, nested ones included.

    Args:
        workflow: A workflow, a handle to one, or a status that was fetched before.
        state: The state it must be in.
        total: The number of jobs it must have.
        oban: An Oban instance, or its name.
        counts: The number of jobs that must be in a state, as in ``completed=3``.

    Returns:
        The status.

    Raises:
        AssertionError: If it stands otherwise, with a table of its jobs.

    Example:
        >>> await assert_workflow(workflow, state="discarded", completed=1, cancelled=2)
    """
    if unknown := counts.keys() - set(JobState):
        raise TypeError(f"counts must be of states of jobs, got {min(unknown)!r}")

    if isinstance(workflow, WorkflowStatus):
        status = workflow
    else:
        status = await with_store(oban, lambda store: read_status(store, workflow.id))

    expected: dict[str, Any] = {"state": state, "total": total, **counts}
    actual: dict[str, Any] = {"state": status.state, "total": status.total}
    wrong = [
        f"{field} must be {value!r}, got {actual.get(field, status.counts[field])!r}"
        for field, value in expected.items()
        if value is not None and actual.get(field, status.counts[field]) != value
    ]

    if wrong:
        await _fail(oban, status.id, f"workflow {status.id!r}: {'; '.join(wrong)}")

    return status


async def assert_job(
    workflow: Workflow,
    name: str,
    *,
    oban: str | Oban = "Oban",
    state: str | None = None,
    attempt: int | None = None,
    error_contains: str | None = None,
    **fields: Any,
) -> Job:
    """Assert how a job of a workflow stands.

    Args:
        workflow: A workflow, or a handle to one.
        name: The name of the job, or its path, as in ``"notify/email"``.
        oban: An Oban instance, or its name.
        state: The state it must be in.
        attempt: How often it must have been started.
        error_contains: What one of its errors must contain.
        fields: Other fields of the job, with the values that they must have.

    Returns:
        The job.

    Raises:
        AssertionError: If there is no such job, or it stands otherwise.

    Example:
        >>> await assert_job(workflow, "load", state="cancelled", error_contains="extract")
    """
    job = await _find(oban, workflow.id, name)
    given = {"state": state, "attempt": attempt}
    expected = {field: value for field, value in given.items() if value is not None} | fields
    actual = {field: getattr(job, field) for field in expected} | {"state": str(job.state)}
    wrong = [
        f"{field} must be {value!r}, got {actual[field]!r}"
        for field, value in expected.items()
        if actual[field] != value
    ]
    entries: list[Any] = job.errors
    errors = [str(entry["error"]) for entry in entries]

    if error_contains is not None and not any(error_contains in error for error in errors):
        got = ", ".join(repr(message_of(error)) for error in errors) or "none"
        wrong.append(f"an error must contain {error_contains!r}, got {got}")

    if wrong:
        await _fail(oban, workflow.id, f"job {name!r}: {'; '.join(wrong)}")

    return job


async def assert_order(workflow: Workflow, *names: str, oban: str | Oban = "Oban") -> None:
    """Assert that jobs ran one after the other: each started when the one before was completed.

    Args:
        workflow: A workflow, or a handle to one.
        names: Names or paths of jobs.
        oban: An Oban instance, or its name.

    Raises:
        AssertionError: If one of them was not completed, or started too early.

    Example:
        >>> await assert_order(workflow, "extract", "transform", "load")
    """
    jobs = [await assert_job(workflow, name, oban=oban, state="completed") for name in names]

    for (before, first), (after, second) in pairwise(zip(names, jobs, strict=True)):
        completed_at, started_at = first.completed_at, second.attempted_at

        if completed_at and started_at and started_at < completed_at:
            raise AssertionError(
                f"job {after!r} must start after {before!r} is completed,"
                f" got {(completed_at - started_at).total_seconds():.3f} s before"
            )


async def refute_ran(workflow: Workflow, *names: str, oban: str | Oban = "Oban") -> None:
    """Assert that jobs were never started.

    Args:
        workflow: A workflow, or a handle to one.
        names: Names or paths of jobs.
        oban: An Oban instance, or its name.

    Raises:
        AssertionError: If one of them was started.

    Example:
        >>> await refute_ran(workflow, "load", "notify/email")
    """
    for name in names:
        job = await _find(oban, workflow.id, name)

        if job.attempted_at is not None:
            await _fail(oban, workflow.id, f"job {name!r} must not have run, it is {job.state}")


async def _find(oban: str | Oban, workflow_id: str, path: str) -> Job:
    async def find(store: Store) -> list[Job]:
        try:
            owner, name, _ = await require_one(store, workflow_id, path)
        except LookupError as error:
            raise AssertionError(str(error)) from None

        return await store.jobs(owner, [name])

    jobs = await with_store(oban, find)

    if not jobs:
        await _fail(oban, workflow_id, f"{path!r} must be a job, and still be there")

    return jobs[0]


async def _fail(oban: str | Oban, workflow_id: str, message: str) -> NoReturn:
    lines = await with_store(oban, lambda store: store.tree(workflow_id, None, MAX_LISTED + 1))

    raise AssertionError(f"{message}\n\n{job_table(lines)}")
