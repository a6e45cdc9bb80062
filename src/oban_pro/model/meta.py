"""The keys that workflows keep in `job.meta`. No other module spells them.

Oban Web reads the same keys, so they are part of the contract with other programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban import Job

WORKFLOW = "workflow"
WORKFLOW_ID = "workflow_id"
WORKFLOW_NAME = "workflow_name"
NAME = "name"
DEPS = "deps"
SUP_WORKFLOW_ID = "sup_workflow_id"
SUB_NAME = "sub_name"
HANDLER = "handler"
GRAFT = "graft"
FINAL = "final"
WORKFLOW_DEFAULTS = "workflow_defaults"
WHEN = "workflow_when"
JUDGED = "workflow_judged"
SKIPPED = "skipped"
REUSED = "reused"
JUDGED_GRAFT = "workflow_judged_graft"
UNDOES = "workflow_undoes"
"""Of a job that undoes another one: the id of that."""
STORE = "workflow_store"
"""Where large recorded values of the workflow are kept: a URL."""
RECORDED = "recorded"
RETURN = "return"
UNKNOWN_SINCE = "unknown_since"
UNKNOWN_CODE = "unknown_code"

# Keys of the W3C trace context that a job belongs to.
TRACE = ("traceparent", "tracestate")

ALL_JOBS = "*"

PLACEMENT = frozenset(
    {
        WORKFLOW,
        WORKFLOW_ID,
        WORKFLOW_NAME,
        NAME,
        DEPS,
        SUP_WORKFLOW_ID,
        SUB_NAME,
        WORKFLOW_DEFAULTS,
        WHEN,
        JUDGED,
        SKIPPED,
        REUSED,
        JUDGED_GRAFT,
        FINAL,
        STORE,
    }
)

type Dep = str | list[str]


def dep_on_job(workflow_id: str, name: str) -> Dep:
    """Spell a dependency on a job of another workflow."""
    return [workflow_id, name]


def dep_on_group(workflow_id: str) -> Dep:
    """Spell a dependency on a whole nested workflow."""
    return [workflow_id, ALL_JOBS]


def group_placement(
    workflow_id: str,
    name: str | None,
    sup_workflow_id: str | None,
    sub_name: str | None,
    store: str | None,
) -> dict[str, Any]:
    """Build the part of the meta that all jobs of one workflow share."""
    placement: dict[str, Any] = {WORKFLOW: True, WORKFLOW_ID: workflow_id}

    if name is not None:
        placement[WORKFLOW_NAME] = name

    if sup_workflow_id is not None:
        placement[SUP_WORKFLOW_ID] = sup_workflow_id
        placement[SUB_NAME] = sub_name

    if store is not None:
        placement[STORE] = store

    return placement


def place(job: Job, placement: dict[str, Any], name: str, deps: Sequence[Dep]) -> None:
    """Write the place of a job in its workflow into its meta, replacing an earlier place."""
    own = job.meta and {key: value for key, value in job.meta.items() if key not in PLACEMENT}
    job.meta = {**own, **placement, NAME: name, DEPS: deps}


def workflow_id(job: Job) -> str | None:
    """Read the id of the workflow that a job belongs to, or None where there is none."""
    value = job.meta.get(WORKFLOW_ID)

    return value if isinstance(value, str) else None


def label_of(job: Job) -> str:
    """Name a job in an error. An undo has the name of its job, so say which of the two it is."""
    return f"{'the undo of ' if UNDOES in job.meta else ''}job {job.meta.get(NAME)!r}"


def trace_of(job: Job) -> dict[str, str]:
    """Return the trace that a job carries, or nothing."""
    return {key: job.meta[key] for key in TRACE if isinstance(job.meta.get(key), str)}
