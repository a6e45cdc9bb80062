"""The functions of the audit, and the workflow they form.

Each function receives what those before it returned, so that any process can run it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oban_pro import Workflow, from_result

from . import environment
from .report import Report, build_report, write_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .environment import Checked, Installed

ATTEMPTS = 3

type Context = dict[str, Any]


def inventory(context: Context) -> dict[str, Installed]:
    """List the distributions in the directories, by name."""
    return environment.list_installed(context["paths"])


def check(installed: Installed, _: Context) -> Checked:
    """Hash the files of one distribution."""
    return environment.check(installed)


def licences(context: Context) -> dict[str, str]:
    """Read the licence of each distribution from its metadata."""
    return {name: environment.licence(one) for name, one in context["inventory"].items()}


def sizes(context: Context) -> dict[str, int]:
    """Measure how many bytes each distribution takes."""
    return {name: environment.size(one) for name, one in context["inventory"].items()}


def report(context: Context) -> Report:
    """Sum up what all others found, and write it down."""
    found = build_report(context["inventory"], context["check"], **context["facts"])
    write_report(found, context["output"])

    return found


def build_context(paths: Sequence[str], output: str) -> Context:
    """Build what all functions receive: the directories, and the folder for the report."""
    return {"paths": list(paths), "output": output}


def build_workflow(id: str, queue: str, paths: Sequence[str], output: str) -> Workflow:
    """Build the audit of site-packages directories.

    Args:
        id: The id of the workflow; enqueueing it again goes on where it was.
        queue: The queue of all its jobs.
        paths: The directories, in the order Python searches them.
        output: The folder to write the report to.

    Returns:
        A workflow that grows by one job for each distribution that the inventory finds.
    """
    facts = (
        Workflow()
        .add_cascade("licences", licences, queue=queue, max_attempts=ATTEMPTS)
        .add_cascade("sizes", sizes, queue=queue, max_attempts=ATTEMPTS)
    )
    each = (from_result("inventory"), check)

    return (
        Workflow(id=id, name="audit")
        .add_context(build_context(paths, output))
        .add_cascade("inventory", inventory, queue=queue, max_attempts=ATTEMPTS)
        .add_cascade("check", each, deps="inventory", queue=queue, max_attempts=ATTEMPTS)
        .add_workflow("facts", facts, deps="inventory")
        .add_cascade(
            "report",
            report,
            deps=["inventory", "check", "facts"],
            queue=queue,
            max_attempts=ATTEMPTS,
        )
    )
