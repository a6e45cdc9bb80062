"""Jobs whose code this node does not have are left to other nodes for some time.

In a rolling deployment nodes with old code take jobs that only new code can run. Such a job is
snoozed, its attempt given back, until a node that has the code takes it. Only jobs that a producer
took are left: a program that drains a queue, and a test, have no other node.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from oban import Snooze

from oban_pro import _host, settings, telemetry
from oban_pro.model import meta
from oban_pro.model.absence import absent_code

from . import lost_jobs

if TYPE_CHECKING:
    from oban import Job

logger = logging.getLogger(__name__)

SHORTEST = 1.0
"""Seconds until a deferred job is due again, the first time."""

LONGEST = 15.0
"""The most seconds until a deferred job is due again."""

# Paths that were logged already.
_told: set[str] = set()


def defer(executor: _host.Executor) -> None:
    """Snooze the job of an execution that failed because this node does not have its code."""
    parts: Any = executor
    path = absent_code(parts.result)
    job = executor.job
    query = _host.query_running(job)

    if path is None or query is None or not lost_jobs.is_taken(query, job):
        return

    now, since = _now(job), _since(job)
    left = settings.unknown_for() - (now - since)

    if left <= timedelta():
        return

    # The longer no node has the code, the less often the job is tried.
    seconds = min(max(SHORTEST, (now - since).total_seconds() / 4), LONGEST, left.total_seconds())
    noted = {meta.UNKNOWN_SINCE: since.isoformat(), meta.UNKNOWN_CODE: path}
    parts.result, parts._traceback = Snooze(math.ceil(seconds), meta=noted), None
    _tell(job, path, parts.result.seconds)


def forget(executor: _host.Executor) -> None:
    """Forget that a job was deferred, once its code was found or its attempt failed.

    One that is tried again although its time is over fails each time.
    """
    parts: Any = executor
    job, action = executor.job, parts.action

    if action is None or job.meta.get(meta.UNKNOWN_SINCE) is None:
        return

    is_absent = absent_code(parts.result) is not None and action.state != "discarded"

    if not is_absent and meta.UNKNOWN_SINCE not in (action.meta or {}):
        gone = {meta.UNKNOWN_SINCE: None, meta.UNKNOWN_CODE: None}
        parts.action = replace(action, meta={**(action.meta or {}), **gone})


def _now(job: Job) -> datetime:
    # by the clock of the database
    assert job.attempted_at is not None

    return job.attempted_at


def _since(job: Job) -> datetime:
    """Return when a job was first deferred; now, if it never was."""
    now = _now(job)

    try:
        since = datetime.fromisoformat(job.meta[meta.UNKNOWN_SINCE])
        # the clock may have been set back, and meta may hold anything
        return min(since, now)
    except (KeyError, TypeError, ValueError):
        return now


def _tell(job: Job, path: str, seconds: float) -> None:
    telemetry.execute(
        "oban.workflow.deferred",
        {
            "workflow_id": meta.workflow_id(job),
            "job": job,
            "code": path,
            "delay_seconds": seconds,
        },
    )

    if path not in _told:
        _told.add(path)
        logger.warning(
            "This node does not have %s, which job %s names; leaving such jobs to other nodes",
            path,
            job.id,
        )
