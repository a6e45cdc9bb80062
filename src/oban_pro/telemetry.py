"""Events about workflows, beside those of oban and through the same handlers.

Attach to them with `oban.telemetry.attach`:

- ``oban.workflow.inserted``: ``workflow_id``, ``name``, ``count`` of jobs. In a transaction of the
  caller's it is sent before that commits.
- ``oban.workflow.settled``: ``workflow_id``, ``name``, ``state``, ``total``, ``counts`` by state,
  ``duration_seconds`` from the first start to the last end, None where no job was started. Once
  for each time that a root workflow settles, whoever settled it, on one of the nodes that run
  queues.
- ``oban.workflow.broken``: ``workflow_id``, ``name``, ``count`` of jobs that were cancelled because
  something that they depend on broke, counted up to 1,000; ``path``, ``state`` and ``error``, in a
  line, of the first job that broke by itself. Once for each time that a root workflow with such
  jobs settles, after ``settled``.
- ``oban.workflow.grafted``: ``workflow_id`` of what was grafted, ``job``, ``count`` of jobs.
- ``oban.workflow.undoing``: ``workflow_id`` of a workflow, nested ones too, that did not complete
  and is undone, ``job`` that planned it, ``count`` of undos.
- ``oban.workflow.appended``: ``workflow_id``, ``count`` of jobs.
- ``oban.workflow.cancelled``: ``workflow_id``, ``names``, ``count``, ``reason`` and ``by`` as the
  caller gave them.
- ``oban.workflow.retried``: ``workflow_id``, ``names``, ``count``, and ``downstream``, whether what
  depends on the names runs again as well.
- ``oban.workflow.paused``, ``oban.workflow.resumed``: ``workflow_id``, ``path`` of a member, None
  for the workflow itself, ``by``, ``count`` of the jobs held back or brought back. Nothing where a
  pause ends by itself.
- ``oban.workflow.operated``: somebody acted on the dashboard, or tried to: ``workflow_id`` of the
  root or ``schedule``, ``path`` of a job or None, ``action``, ``by``, ``client`` address, ``at`` in
  UTC, ``outcome``, ``said``.
- ``oban.workflow.limited``: ``workflow_id``, ``path`` of a fan-out, its new ``limit``.
- ``oban.workflow.waiting``: ``workflow_id`` and ``name`` of a root workflow, ``path`` of a wait for
  signals that has opened, and still is open at the next tick; ``by`` is None. Once for each time
  that it opens, on one of the nodes.
- ``oban.workflow.signalled``, ``oban.workflow.rejected``: ``workflow_id``, ``path``, ``by``, as the
  sender gave them, where somebody took it. In a transaction of the caller's they are sent before
  that commits.
- ``oban.workflow.timed_out``: ``workflow_id`` and ``name`` of a root workflow, ``path`` of a wait
  for signals that nobody signalled in time; ``by`` is None.
- ``oban.workflow.scheduled``: ``workflow_id``, ``schedule``, ``tick`` in UTC.
- ``oban.workflow.schedule_skipped``: ``schedule``, ``tick`` in UTC, ``workflow_id`` of the workflow
  that is there instead, and the ``reason``: ``"overlap"``, it is of an earlier tick and open;
  ``"unique"``, it holds the key; ``"exists"``, it has the id.
- ``oban.workflow.schedule_failed``: ``schedule``, ``tick`` in UTC, ``error``: the function of a
  schedule raised for an hour, and the tick was given up.
- ``oban.workflow.schedule_missed``: ``schedule``, ``count`` of ticks that passed while no node ran
  or the function raised, and that ``catch_up`` leaves out; ``first`` and ``last`` of them in UTC.
- ``oban.workflow.rescued``: ``count`` of jobs, plain ones too, that a node took back from dead
  nodes.
- ``oban.workflow.deferred``: ``workflow_id``, None for a plain job, the ``job``, ``code`` that this
  node does not have, ``delay_seconds`` until the job comes again.
- ``oban.workflow.repaired``: ``workflow_id``, ``count`` of rows that were wrong.

`log_events` writes a line of JSON for each of them, and for each execution of a job.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import oban.telemetry
import orjson

from . import settings
from .model import meta
from .model.links import page_of, trace_of
from .model.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oban import Job

EVENTS = (
    "oban.workflow.inserted",
    "oban.workflow.settled",
    "oban.workflow.broken",
    "oban.workflow.grafted",
    "oban.workflow.undoing",
    "oban.workflow.appended",
    "oban.workflow.cancelled",
    "oban.workflow.retried",
    "oban.workflow.paused",
    "oban.workflow.resumed",
    "oban.workflow.operated",
    "oban.workflow.limited",
    "oban.workflow.waiting",
    "oban.workflow.signalled",
    "oban.workflow.rejected",
    "oban.workflow.timed_out",
    "oban.workflow.scheduled",
    "oban.workflow.schedule_skipped",
    "oban.workflow.schedule_failed",
    "oban.workflow.schedule_missed",
    "oban.workflow.rescued",
    "oban.workflow.deferred",
    "oban.workflow.repaired",
)


JOB_EVENTS = ("oban.job.stop", "oban.job.exception")
"""Events of oban that end an execution."""

LOGGER = "oban_pro.events"
"""The logger that `log_events` writes to."""


def log_events(level: int = logging.INFO) -> None:
    """Write a line of JSON to the logger ``oban_pro.events`` for each event of this process.

    Each line has ``event``, and what it is about as far as there is such a thing: ``workflow_id``,
    ``path``, ``attempt``, ``trace_id``, and with the setting ``web_url`` the ``url`` of its page.
    Durations are in seconds. Calling it again changes the level.

    Args:
        level: Of all events but failures: an attempt that failed is a warning; a job that was
            discarded and a workflow that settled without completing are errors.

    Example:
        >>> logging.basicConfig(format="%(message)s", level=logging.INFO)
        >>> telemetry.log_events()
    """
    stop_logging()

    def log(event: str, metadata: Mapping[str, Any]) -> None:
        line = {"event": event, **_line_of(metadata)}
        text = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        logging.getLogger(LOGGER).log(_level_of(event, metadata, level), "%s", text)

    oban.telemetry.attach(LOGGER, [*EVENTS, *JOB_EVENTS], log)


def stop_logging() -> None:
    """Undo `log_events`."""
    oban.telemetry.detach(LOGGER)


def _line_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the metadata of an event into what its line says."""
    line = {key: value for key, value in metadata.items() if key not in _UNTOLD}

    if (job := metadata.get("job")) is not None and hasattr(job, "meta"):
        del line["job"]
        line = {**_describe(job), **line}

    for key in ("duration", "queue_time"):
        if key in line:
            line[f"{key}_seconds"] = line.pop(key) / 1e9

    workflow_id, dashboard = line.get("workflow_id"), settings.current().web_url

    if workflow_id is not None and dashboard is not None:
        line["url"] = page_of(dashboard, workflow_id, job_id=line.get("job_id"))

    return line


_UNTOLD = frozenset({"monotonic_time", "system_time", "traceback"})


def _describe(job: Job) -> dict[str, Any]:
    name = job.meta.get(meta.NAME)

    return {
        "workflow_id": meta.workflow_id(job),
        "path": join_path([name]) if isinstance(name, str) else None,
        "job_id": job.id,
        "worker": job.worker,
        "queue": job.queue,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "trace_id": trace_of(job.meta.get(meta.TRACE[0])),
    }


def _level_of(event: str, metadata: Mapping[str, Any], level: int) -> int:
    state = metadata.get("state")

    if event == "oban.job.exception":
        return logging.ERROR if state == "discarded" else logging.WARNING

    return logging.ERROR if event == "oban.workflow.settled" and state != "completed" else level


def execute(event: str, metadata: Mapping[str, Any]) -> None:
    """Send an event to whoever attached to it."""
    oban.telemetry.execute(event, dict(metadata))


class Tracing(Protocol):
    """An interface for tracing workflows from their enqueueing; `oban_pro.otel` implements it."""

    def enqueue(self, workflow_id: str, name: str | None, jobs: int) -> Mapping[str, str]:
        """Note that a workflow is enqueued; returns what the meta of all its jobs is to carry."""


_tracing: Tracing | None = None


def trace_with(tracing: Tracing | None) -> None:
    """Follow workflows that are enqueued from now on; None follows none."""
    global _tracing  # noqa: PLW0603
    _tracing = tracing


def tracing() -> Tracing | None:
    """Return what follows workflows, if anything does."""
    return _tracing
