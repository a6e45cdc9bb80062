"""Undo: what takes back a job that completed, if its workflow does not complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from oban import Job

from oban_pro.errors import InvalidArgumentError, InvalidJobError
from oban_pro.model import meta

from .arguments import check_job
from .batches import ITEMS_IN_BATCH, KEYS
from .bounds import BOUNDS
from .cascades import ITEM, cascade_job
from .functions import CONTEXT, ITEM_AND_CONTEXT, check_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .calls import Call
    from .plan import JobSpec, Plan

UNDO_WORKER = "oban_pro.workers.Undo"
"""Path of the worker that calls the function of an undo, as rows name it."""

UNDOER_WORKER = "oban_pro.workers.Undoer"
"""Path of the worker that plans how a workflow is undone; the database spells it, too."""

UNDO_NAME = "undo"
"""How the graft is called that undoes a workflow."""

UNDO = "undo"
"""Key of the args of a mapper: the undo of the cascades that it makes."""

BLOCKED = "blocked"
"""Key of the args of what stands for an undo that was tried in vain: how that ended."""

_KEPT = ("worker", "queue", "args", "meta", "max_attempts", "priority", "tags")


def check_undo_job(name: str, undo: object) -> Job | None:
    """Return the job that undoes a job, if it has one.

    Raises:
        InvalidJobError: If it is no job, or its args or meta cannot be stored.
    """
    if undo is None:
        return None

    job = check_job(f"undo of {name}", undo)

    try:
        to_json(job)
    except TypeError as error:
        raise InvalidJobError(f"undo of {name!r} cannot be stored: {error}") from None

    return job


def check_undo_function(name: str, undo: object, call: Call) -> str | None:
    """Return the import path of the function that undoes a cascade; None if there is none.

    Raises:
        InvalidFunctionError: If another process could not import it, or it cannot take what the
            function of the cascade takes.
    """
    if undo is None:
        return None

    takes_item = call.items is not None or call.is_mapped

    return check_function(name, undo, ITEM_AND_CONTEXT if takes_item else CONTEXT, "way to undo it")


def undo_job(
    path: str | None, args: Mapping[str, Any], bounds: Mapping[str, Any], options: Mapping[str, Any]
) -> Job | None:
    """Build the job that calls the function of an undo.

    Args:
        path: Import path of the function.
        args: Those of the job that it undoes.
        bounds: What bounds the executions of that job.
        options: Checked options of that job.
    """
    if path is None:
        return None

    items = {key: args[key] for key in (ITEM, ITEMS_IN_BATCH, KEYS) if key in args}
    own = {key: value for key, value in options.items() if not key.startswith("scheduled_")}

    return cascade_job(UNDO_WORKER, path, {**items, **bounds}, own)


def undo_call(call: Call, undone: Job, options: Mapping[str, Any]) -> Job:
    """Build the job that calls the function of an undo with arguments of its own.

    Args:
        call: The function and its arguments.
        undone: The job that it undoes.
        options: Checked options of that job.
    """
    bounds = {key: undone.args[key] for key in BOUNDS if key in undone.args}
    own = {key: value for key, value in options.items() if not key.startswith("scheduled_")}

    return cascade_job(UNDO_WORKER, call.path, {**call.args, **bounds}, own)


def to_json(job: Job) -> dict[str, Any]:
    """Encode the job of an undo for the row that keeps it.

    Raises:
        TypeError: If its args or meta cannot be stored.
    """
    kept = {key: getattr(job, key) for key in _KEPT}
    kept["tags"] = list(kept["tags"] or ())
    encoded: dict[str, Any] = orjson.loads(orjson.dumps(kept))

    return encoded


def from_json(spec: Mapping[str, Any], job_id: int) -> Job:
    """Build the job of an undo from the row that keeps it.

    Args:
        spec: What `to_json` returned.
        job_id: Of the job that it undoes.
    """
    return Job(**{**spec, "meta": {**spec["meta"], meta.UNDOES: job_id}})


def blocked_job(undo: Job, state: str) -> Job:
    """Build the job that stands for an undo which has failed in a nested workflow.

    Args:
        undo: The undo of the job.
        state: How that ended.
    """
    return Job(UNDO_WORKER, args={BLOCKED: state}, queue=undo.queue)


def check_names(name: str, plan: Plan, group: int) -> None:
    """Raise if a member has the name of the graft that undoes a workflow.

    Args:
        name: Of a job with an undo.
        plan: The plan that it is in.
        group: Which of the groups of the plan it is in.

    Raises:
        InvalidArgumentError: Naming the job.
    """
    around: int | None = group

    while around is not None:
        planned = plan.groups[around]

        if planned.spec.kind in ("workflow", "sub") and UNDO_NAME in planned.spec.members:
            raise InvalidArgumentError(
                f"a member must not be called {UNDO_NAME!r} in a workflow with an undo, that of"
                f" {name!r}: the graft that undoes the workflow has this name"
            )

        around = planned.parent


def has_undo(member: JobSpec) -> bool:
    """Tell whether a job has an undo, or is one."""
    return member.undo is not None or meta.UNDOES in member.job.meta
