"""The jobs of the audit, and the workflow they form.

Each job reads what the jobs before it recorded, so that any process can run it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from oban import Cancel, Record, Worker, worker

from oban_pro import Workflow, codec, meta

from . import environment
from .report import Report, build_report, write_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oban import Job

    from .environment import Installed

MAX_ATTEMPTS = 3


@worker(max_attempts=MAX_ATTEMPTS)
class ListDistributions(Worker):
    """Record the distributions in ``paths``, by name."""

    async def process(self, job: Job) -> Record:
        """List them off the event loop."""
        return Record(await asyncio.to_thread(environment.list_installed, job.args["paths"]))


@worker(max_attempts=MAX_ATTEMPTS)
class CheckFiles(Worker):
    """Hash the files of one distribution, and record what does not match."""

    async def process(self, job: Job) -> Record | Cancel:
        """Check the distribution as the inventory lists it."""
        name = job.meta[meta.NAME]
        inventory = (await upstream(job))["inventory"]

        if name not in inventory:
            return Cancel(f"{name} was uninstalled before the audit began")

        return Record(await asyncio.to_thread(environment.check, inventory[name]))


@worker(max_attempts=MAX_ATTEMPTS)
class CollectLicences(Worker):
    """Record the licence of each distribution."""

    async def process(self, job: Job) -> Record:
        """Read them from the metadata of what the inventory lists."""
        return Record(await _for_each(environment.licence, job))


@worker(max_attempts=MAX_ATTEMPTS)
class MeasureSizes(Worker):
    """Record how many bytes each distribution takes."""

    async def process(self, job: Job) -> Record:
        """Measure what the inventory lists."""
        return Record(await _for_each(environment.size, job))


@worker(max_attempts=MAX_ATTEMPTS)
class WriteReport(Worker):
    """Write the report to the folder ``output``, and record it."""

    async def process(self, job: Job) -> Record:
        """Sum up what all other jobs recorded."""
        found = await upstream(job)
        report = build_report(found["inventory"], found.get("check", {}), **found["facts"])
        await asyncio.to_thread(write_report, report, job.args["output"])

        return Record(report)


def build_workflow(id: str, queue: str, paths: Sequence[str], output: str) -> Workflow:
    """Build the audit of site-packages directories.

    Args:
        id: The id of the workflow; enqueueing it again goes on where it was.
        queue: The queue of all its jobs.
        paths: The directories, in the order Python searches them.
        output: The folder to write the report to.

    Returns:
        A workflow with one job for each distribution that is there now.
    """
    checks = {name: CheckFiles.new(queue=queue) for name in environment.list_installed(paths)}
    facts = (
        Workflow()
        .add("licences", CollectLicences.new(queue=queue))
        .add("sizes", MeasureSizes.new(queue=queue))
    )

    return (
        Workflow(id=id, name="audit")
        .add("inventory", ListDistributions.new({"paths": list(paths)}, queue=queue))
        .add_many("check", checks, deps="inventory")
        .add_workflow("facts", facts, deps="inventory")
        .add(
            "report",
            WriteReport.new({"output": output}, queue=queue),
            deps=["inventory", "check", "facts"],
        )
    )


async def upstream(job: Job) -> dict[str, Any]:
    """Collect what the jobs that a job depends on recorded, by name, and within groups by group."""
    found: dict[str, Any] = {}

    for dep in await Workflow.for_job(job).all_jobs(deps_of=job):
        group = dep.meta.get(meta.SUB_NAME)
        place = found.setdefault(group, {}) if group else found
        place[dep.meta[meta.NAME]] = recorded(dep)

    return found


def recorded(job: Job) -> Any:
    """Decode what a job returned."""
    return codec.decode(job.meta["return"])


async def read_report(workflow: Workflow) -> Report:
    """Read the report that a completed audit recorded."""
    job = await workflow.get_job("report")
    assert job is not None
    report: Report = recorded(job)

    return report


async def _for_each[T](look: Callable[[Installed], T], job: Job) -> dict[str, T]:
    inventory = (await upstream(job))["inventory"]

    return await asyncio.to_thread(lambda: {name: look(one) for name, one in inventory.items()})
