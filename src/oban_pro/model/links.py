"""Addresses of pages: of the dashboard, and of the traces of others."""

from __future__ import annotations

from urllib.parse import quote

TRACE_ID = "{trace_id}"
"""What stands for the id of a trace in the address of its page."""


def quote_id(workflow_id: str) -> str:
    """Spell the id of a workflow as one part of a path, whatever is in it.

    It is quoted twice, because servers undo the first quoting: an id that ends in ``/jobs`` must
    not be taken for a page.
    """
    once = quote(workflow_id, safe="")

    # browsers read "." and ".." as folders
    return quote(once if once.strip(".") else once.replace(".", "%2E"), safe="")


def page_of(
    dashboard: str, workflow_id: str, *, path: str | None = None, job_id: int | None = None
) -> str:
    """Return the address of the page of a workflow.

    Args:
        dashboard: The address of the dashboard.
        workflow_id: The id of the workflow.
        path: Of what is to be found in its table of jobs.
        job_id: The id of the job that is to be selected.

    Example:
        >>> page_of("https://shop.example/workflows", "nightly-7", path="load")
        'https://shop.example/workflows/workflows/nightly-7?q=load'
    """
    query = "" if path is None else f"?q={quote(path, safe='/')}"
    selected = "" if job_id is None else f"#{job_id}"

    return f"{dashboard.rstrip('/')}/workflows/{quote_id(workflow_id)}{query}{selected}"


def trace_of(traceparent: object) -> str | None:
    """Return the id of the trace that a job carries, whatever is in its row."""
    # version, trace, parent, flags
    parts = str(traceparent or "").split("-")

    return parts[1] if len(parts) == 4 else None
