"""Keeping large results in the store of a workflow.

An object is written when its job has run, before the ack that records a reference to it. If that
fails, so does the attempt. Objects of earlier attempts and turns are removed once the ack is
committed: only those that were there before this execution wrote its own.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oban import Cancel, Record, Snooze

from oban_pro import stores
from oban_pro.engine import inline
from oban_pro.model import job_notes, meta
from oban_pro.model.conditions import Skipped
from oban_pro.model.turns import AGAIN, NextTurn, turns_of
from oban_pro.values.recorded import is_large, keep_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from oban import Job

    from oban_pro import _host
    from oban_pro._host import AckAction

logger = logging.getLogger(__name__)

_removing: set[asyncio.Task[int]] = set()


async def keep(executor: _host.Executor) -> None:
    """Put a reference in the place of a result that is too large for the row of its job."""
    parts: Any = executor
    job, result = executor.job, parts.result
    store = job.meta.get(meta.STORE)

    # a job that runs inline is in no database
    if store is None or not job.id or inline.is_bound(job):
        return

    if isinstance(result, (BaseException, Snooze, Cancel, Skipped)):
        return

    try:
        folder = stores.folder(store, job.meta[meta.WORKFLOW_ID], job.id)

        if job.attempt > 1 or AGAIN in job.meta:
            job.extra[job_notes.OLDER_OBJECTS] = await stores.in_thread(_list, folder)

        if isinstance(result, (Record, NextTurn)) and is_large(result.encoded):
            url = f"{folder}/{_name(job)}"
            parts.result = _with(result, await stores.in_thread(keep_at, url, result.encoded))
    except Exception as error:
        parts.result, parts._traceback = error, traceback.format_exc()


def _name(job: Job) -> str:
    turn = turns_of(job.meta)

    return f"{turn}.{job.attempt}" if turn else str(job.attempt)


def _with(result: Record | NextTurn, reference: str) -> Record | NextTurn:
    if isinstance(result, NextTurn):
        return replace(result, encoded=reference)

    kept = copy.copy(result)
    kept.encoded = reference

    return kept


def _list(folder: str) -> list[str]:
    """Return the objects that a job had before this execution, without those of signals."""
    try:
        names = stores.names_in(folder)
    except Exception:
        logger.warning("Cannot list %s; the doctor will", folder, exc_info=True)
        return []

    return [f"{folder}/{name}" for name in names if not name.startswith(stores.SIGNAL)]


def remove_older(acks: Iterable[AckAction], acked: Collection[int]) -> None:
    """Remove in the background what earlier attempts and turns kept, once acks are committed."""
    urls = [
        url
        for ack in acks
        if job_notes.OLDER_OBJECTS in ack.job.extra and ack.id in acked
        for url in _replaced_by(ack)
    ]

    if urls:
        task = asyncio.get_running_loop().create_task(stores.in_thread(stores.delete, urls))
        _removing.add(task)
        task.add_done_callback(_removing.discard)


def _replaced_by(ack: AckAction) -> list[str]:
    # a loop that failed goes on with the value that its last turn left
    if ack.state != "completed" and AGAIN not in (ack.meta or {}):
        return []

    older: list[str] = ack.job.extra[job_notes.OLDER_OBJECTS]
    folder = stores.folder(ack.job.meta[meta.STORE], ack.job.meta[meta.WORKFLOW_ID], ack.id)

    return [url for url in older if url != f"{folder}/{_name(ack.job)}"]
