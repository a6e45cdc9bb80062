"""Run an audit from start to end, or on from where it was."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from oban import Oban
from rich.live import Live
from rich.text import Text

from oban_pro import schema
from oban_pro.cli.console import plain
from oban_pro.cli.database import Database
from oban_pro.cli.failures import CommandFailure
from oban_pro.engine.connecting import open_pool
from oban_pro.errors import SchemaError
from oban_pro.model import meta

from . import screen
from .claim import claim
from .flow import build_context, build_workflow
from .nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from psycopg_pool import AsyncConnectionPool
    from rich.console import Console

    from oban_pro import Workflow, WorkflowStatus

    from .report import Report

POLL = 0.1
"""Seconds between two looks at the workflow."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What to audit, and how.

    Args:
        id: The id of the workflow.
        paths: Site-packages directories, in the order Python searches them.
        output: The folder for the reports.
        workers: How many worker processes.
        logs: The folder for their logs.
    """

    id: str
    paths: Sequence[str]
    output: str
    workers: int
    logs: Path

    @property
    def queue(self) -> str:
        """A queue of its own: no other node takes its jobs, and its nodes take no others."""
        return f"demo-{self.id}"


async def run(audit: Audit, database: Database, console: Console) -> Report | None:
    """Run an audit until it has settled, and show how it goes.

    Args:
        audit: What to audit.
        database: Where the workflow is, or will be.
        console: Where to show it.

    Returns:
        The report, or None where it was interrupted.

    Raises:
        CommandFailure: If the audit could not be run to its end.
    """
    async with open_pool(database.dsn) as pool, claim(database, audit.queue) as claimed:
        await _ensure_schema(pool, database.prefix)
        workflow = await _enqueue(audit, Oban(pool=pool, prefix=database.prefix))
        _announce(audit, console)

        with _interruption() as interrupted:
            async with Nodes(database, claimed, audit.queue, audit.workers, audit.logs) as nodes:
                status = await _watch(workflow, nodes, interrupted, console)

                if status.state == "executing":
                    console.print("Running jobs finish first; interrupt again to kill them.")

        if status.state == "executing":
            return None

        return await _conclude(audit, workflow, status, console)


async def _ensure_schema(pool: AsyncConnectionPool, prefix: str) -> None:
    async with pool.connection() as conn:
        with suppress(SchemaError):
            await schema.verify(conn, prefix)
            return

    await schema.install(pool, prefix)


async def _enqueue(audit: Audit, oban: Oban) -> Workflow:
    workflow = build_workflow(audit.id, audit.queue, audit.paths, audit.output)
    asked = build_context(audit.paths, audit.output)
    await oban.enqueue_many(workflow)
    stored = await workflow.get_context()

    if asked != stored:
        raise CommandFailure(
            f"demo {audit.id!r} must go on with {stored}, got {asked}; choose another --id"
        )

    return workflow


def _announce(audit: Audit, console: Console) -> None:
    console.print(
        Text.assemble(("Audit of ", "bold"), plain(", ".join(audit.paths))), soft_wrap=True
    )
    processes = "1 worker process" if audit.workers == 1 else f"{audit.workers} worker processes"
    console.print(plain(f"Workflow {audit.id}, {processes}, logs in {audit.logs}"), soft_wrap=True)


@contextmanager
def _interruption() -> Iterator[asyncio.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second one acts as usual."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt() -> None:
        interrupted.set()
        release()

    def release() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, interrupt)

    try:
        yield interrupted
    finally:
        release()


async def _watch(
    workflow: Workflow, nodes: Nodes, interrupted: asyncio.Event, console: Console
) -> WorkflowStatus:
    status = await workflow.status()

    with Live(screen.progress(status), console=console, auto_refresh=False) as live:
        while status.state == "executing" and not interrupted.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(interrupted.wait(), POLL)

            await nodes.tend()
            status = await workflow.status()
            live.update(screen.progress(status), refresh=True)

    if not console.is_terminal:
        # Without a terminal the last line of the progress ends without a line break.
        console.print()

    return status


async def _conclude(
    audit: Audit, workflow: Workflow, status: WorkflowStatus, console: Console
) -> Report:
    console.print(screen.final(status), soft_wrap=True)

    if status.state != "completed":
        raise CommandFailure(f"audit must complete, got {await _broken(workflow)}")

    report: Report = await workflow.get_recorded("report")
    console.print(screen.outcome(report))
    console.print(plain(f"Report: {audit.output}/report.md and report.json"), soft_wrap=True)

    return report


async def _broken(workflow: Workflow) -> str:
    """Describe the first job that failed."""
    for job in await workflow.all_jobs(with_subs=True):
        if job.state in ("cancelled", "discarded"):
            # oban declares errors as strings; they are what its acks wrote, dicts.
            errors = cast("list[dict[str, str]]", job.errors)
            reason = errors[-1]["error"].strip().split("\n")[-1] if errors else "no reason given"

            return f"job {job.meta[meta.NAME]!r} {job.state}: {reason}"

    return "no job that failed"
