"""Running one workflow in the event loop of a test."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

from oban_pro import _host
from oban_pro.handles.explaining import explain_in
from oban_pro.model import meta
from oban_pro.model.parking import may_block
from oban_pro.model.paths import join_path
from oban_pro.model.wording import SETTLED

from .access import job_table, query_of, read_status, with_query
from .outside import Outside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from oban import Job, Oban

    from oban_pro.engine.store import Store
    from oban_pro.model.status import WorkflowStatus
    from oban_pro.workflow import Workflow

NODE = "testing"
"""The node in ``attempted_by`` of jobs that ran in a test."""


async def run_workflow(
    workflow: Workflow,
    oban: str | Oban = "Oban",
    *,
    with_safety: bool = False,
    concurrency: int = 100,
    max_runs: int = 100,
    signals: Mapping[str, object] | None = None,
    timeouts: Iterable[str] = (),
) -> WorkflowStatus:
    """Enqueue a workflow, unless it is, and run all its jobs: nested, grafted and appended ones.

    Only jobs of this workflow run, whatever their queue. Those that wait for a time, because they
    are scheduled, snoozed or retried, run as soon as nothing else can, in the order of their
    times. Timers end in that order, too. A handle to a nested workflow runs the whole that it
    belongs to.

    Args:
        workflow: A workflow, or a handle to one that is in the database.
        oban: An Oban instance, or its name. It needs no queues, and need not be started.
        with_safety: Whether exceptions are recorded, and the jobs retried, as by a worker.
            Otherwise the first one is raised, once its job has been recorded as failed.
        concurrency: How many jobs run at a time.
        max_runs: How often one job may run, before the test fails.
        signals: By path what to send once something listens there: to a wait, to all waits in a
            group, or to a job that calls `await_signal`, which is parked at once. A list holds
            several payloads where a wait has a count, each from another sender, and where a job
            has several calls; to any other wait it is one payload.
        timeouts: Paths of waits, and of jobs that call `await_signal`, whose ``wait_for`` is up
            before anybody signals them.

    Returns:
        The final status.

    Raises:
        AssertionError: If the workflow cannot come to its end, saying why: that nobody signals a
            wait, for example.
        InvalidSignalError: If a payload is none of the choices.

    Example:
        >>> status = await run_workflow(workflow, with_safety=True)
        >>> assert status.counts["discarded"] == 1
        >>> await run_workflow(order, signals={"approval": {"choice": "approve"}})
    """
    query = query_of(oban)
    outside = Outside(query, workflow.id, signals, timeouts)
    runner = _Runner(query, workflow.id, outside, concurrency, max_runs, with_safety=with_safety)
    await runner.enqueue(workflow)
    await runner.run()
    await outside.check()

    return await runner.settled()


class _Runner:
    """Runs the jobs of one workflow in this event loop."""

    def __init__(
        self,
        query: _host.Query,
        workflow_id: str,
        outside: Outside,
        concurrency: int,
        max_runs: int,
        *,
        with_safety: bool,
    ) -> None:
        self._query = query
        self._workflow_id = workflow_id
        self._outside = outside
        self._concurrency = concurrency
        self._max_runs = max_runs
        self._with_safety = with_safety
        self._attempted_by = [NODE, str(uuid4())]
        self._runs: Counter[int | None] = Counter()

    async def enqueue(self, workflow: Workflow) -> None:
        """Enqueue a workflow that is not yet in the database."""
        if (await self._store(lambda store: read_status(store, workflow.id))).state != "unknown":
            return

        if not (jobs := list(workflow)):
            raise AssertionError(
                f"workflow {workflow.id!r} must be in the database or have jobs, got neither"
            )

        await self._query.insert_jobs(jobs)

    async def run(self) -> None:
        """Run jobs until nothing of the workflow can move any more."""
        running: set[asyncio.Task[tuple[_host.AckAction, Exception | None]]] = set()
        token = may_block.set(False)

        try:
            while True:
                for job in await self._fetch(self._concurrency - len(running)):
                    running.add(asyncio.create_task(_host.execute(job, self._query)))

                if running:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    await self._settle([task.result() for task in done])
                elif not await self._move():
                    return
        finally:
            may_block.reset(token)

            for task in running:
                task.cancel()

    async def _move(self) -> bool:
        """Play an event from outside, or let the next scheduled time come."""
        if await self._outside.move():
            return True

        return await self._store(lambda store: store.stage_workflow(self._workflow_id)) > 0

    async def settled(self) -> WorkflowStatus:
        """Return the final status, or raise and explain why it is not final."""
        status = await self._store(lambda store: read_status(store, self._workflow_id))

        if status.state == "executing":
            raise AssertionError(await self._store(self._explain))

        return status

    async def _fetch(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []

        jobs = await self._store(
            lambda store: store.fetch_workflow(self._workflow_id, limit, self._attempted_by)
        )

        for job in jobs:
            self._runs[job.id] += 1

            if self._runs[job.id] > self._max_runs:
                name = job.meta.get(meta.NAME)
                raise AssertionError(f"job {name!r} must settle within {self._max_runs} runs")

        return jobs

    async def _settle(self, done: list[tuple[_host.AckAction, Exception | None]]) -> None:
        await self._query.ack_jobs([action for action, _ in done])

        if not self._with_safety:
            for _, raised in done:
                if raised is not None:
                    raise raised

    async def _explain(self, store: Store) -> str:
        stuck = [
            line
            for line in await store.tree(self._workflow_id, None, None)
            if line.state not in (*SETTLED, "skipped", "deleted")
        ]
        causes = {
            (await explain_in(store, self._workflow_id, join_path(line.path))).summary
            for line in stuck[:3]
        }

        return "\n".join(
            [
                f"workflow {self._workflow_id!r} must come to its end, but nothing can move:",
                *(f"  {cause}" for cause in sorted(causes)),
                "",
                job_table(stuck),
            ]
        )

    async def _store[Result](self, body: Callable[[Store], Awaitable[Result]]) -> Result:
        return await with_query(self._query, body)
