"""Types of what statements return, one for each read. Times are aware, in UTC."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

import orjson
from oban import Job

from oban_pro.model import job_notes
from oban_pro.model.status import GroupCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from oban.job import JobState

    from oban_pro.model.status import WorkflowState
    from oban_pro.stores import Stored


class Acks(NamedTuple):
    """Acks of one statement.

    Args:
        ids: Jobs that have completed and leave nothing else, as the literal of an array.
        stamps: When these were attempted, likewise.
        others: All other acks, as a JSON array; or None.
    """

    ids: str
    stamps: str
    others: str | None


class Acked(NamedTuple):
    """The result of settling acks.

    Args:
        acked: Ids of the jobs that these acks have settled, retried or snoozed.
        held: Ids of the jobs that were passed over, because somebody holds them or their workflow.
        jobs: The jobs that were taken.
    """

    acked: list[int]
    held: list[int]
    jobs: list[Job]


class Reserved(NamedTuple):
    """Ids of jobs and keys of groups that are to be inserted, and the time of the transaction."""

    ids: list[int]
    keys: list[int]
    now: datetime


class GraftPoint(NamedTuple):
    """Where a grafter grafts.

    Args:
        key: Of the group that is grafted to.
        root: Key of the root of that group.
        grafted: Id of the workflow that was grafted, or None.
        satisfied: Whether everything that the graft depends on still is satisfied.
        state: Of the grafter.
        attempted_at: When the grafter was last started.
        rules: Bits of the rare rules that the root uses.
    """

    key: int
    root: int
    grafted: str | None
    satisfied: bool
    state: str
    attempted_at: datetime | None
    rules: int


class StoredGroup(NamedTuple):
    """A workflow that is to be extended, and the flags that its gate is judged by."""

    key: int
    root: int
    id: str
    name: str | None
    kind: str
    parent_id: str | None
    sub_name: str | None
    ignore_cancelled: bool
    ignore_discarded: bool
    rules: int
    # as JSON
    defaults: str | None
    gate_need: int | None
    is_limited: bool
    is_judged: bool
    store: str | None


class StoredMember(NamedTuple):
    """A job or group within its group; ``workflow_id`` is that of a group, None for a job."""

    id: int
    name: str
    state: str
    kind: str
    workflow_id: str | None


class RootLine(NamedTuple):
    """A root workflow as lists show it, with the jobs of all that is nested in it counted."""

    id: str
    name: str | None
    state: WorkflowState
    inserted_at: datetime
    total: int
    suspended: int
    completed: int
    cancelled: int
    discarded: int
    started_at: datetime | None
    stopped_at: datetime | None
    unique_key: str | None
    is_queued: bool


class Sent(TypedDict):
    """The content of a signal: encoded payload, choice, name of the calls, sender."""

    payload: str
    choice: str | None
    sender: str | None
    name: str | None


class Answer(NamedTuple):
    """The answer to a call of await_signal.

    Args:
        answer: ``"signal"``, ``"timeout"`` or ``"waiting"``.
        payload: Of the signal, encoded.
        seconds: Until the call times out; None without an end.
    """

    answer: str
    payload: str | None
    seconds: float | None


class Due(NamedTuple):
    """A wait that timed out; or the key of a root that was skipped because it is locked."""

    held_root: int | None
    workflow_id: str | None
    name: str | None
    path: list[str] | None


class Announced(NamedTuple):
    """A wait that has opened and is to be announced, by its path from the root workflow."""

    workflow_id: str
    name: str | None
    path: list[str]


class SettledGroups(NamedTuple):
    """Keys of the workflows of a root that have settled, whether it has a key, or any a store."""

    keys: list[int]
    is_unique: bool
    is_stored: bool


class SettledRoot(NamedTuple):
    """A root workflow that has settled and is to be announced.

    Args:
        id: Its id.
        name: Its name.
        state: Its state.
        counts: How many jobs are completed, cancelled, discarded, skipped, in this order.
        seconds: From the first start to the last end; None if no job was started.
    """

    id: str
    name: str | None
    state: WorkflowState
    counts: list[int]
    seconds: float | None


class Execution(NamedTuple):
    """One execution of a job. The id alone would not tell two executions apart."""

    id: int
    attempted_at: datetime


class Taken(NamedTuple):
    """An execution of a producer, as the database shows it.

    Args:
        id: Of the job.
        attempted_at: When it began.
        producer: Which producer runs it.
        stopped: Whether somebody stopped the job, and the execution has not ended yet.
        recent: Whether the job was taken only just now.
    """

    id: int
    attempted_at: datetime
    producer: str
    stopped: bool
    recent: bool

    @property
    def execution(self) -> Execution:
        """The execution itself."""
        return Execution(self.id, self.attempted_at)


class Lost(NamedTuple):
    """An execution that nobody runs any more.

    Args:
        id: Of the job.
        attempted_at: When it began.
        reason: Why it is taken back; None if it never began, so that the attempt does not count.
    """

    id: int
    attempted_at: datetime | None
    reason: str | None


class Serving(NamedTuple):
    """A producer: a node that serves a queue.

    Args:
        node: Its name.
        queue: The queue.
        is_paused: Whether it takes no jobs at present.
        silence: Seconds since its last heartbeat.
        is_alive: Whether it may be silent for that long.
    """

    node: str
    queue: str
    is_paused: bool
    silence: float
    is_alive: bool


class Pulse(NamedTuple):
    """What shows that nodes look after each other.

    Args:
        leader: The node that leads, or was the last to do so.
        overdue: Seconds since its lease was over; negative while it leads.
        unheard: Seconds since a node looked for dead ones.
    """

    leader: str | None
    overdue: float | None
    unheard: float | None


class Pruned(NamedTuple):
    """The result of a batch of the pruner. Only the database reads the texts.

    Args:
        jobs: How many jobs it removed.
        next: Where the next batch begins, if there is any.
        before: What had settled before that time had aged.
        stored: Workflows that it removed and that may have objects.
    """

    jobs: int
    next: str | None
    before: str
    stored: list[Stored]


def by_path[R](make: Callable[..., R]) -> Callable[..., R]:
    """Build an object whose first column is a path: an array in the database, a tuple in Python."""
    return lambda path, *rest: make(tuple(path), *rest)


_decode = json.JSONDecoder().raw_decode


def _loads(text: str) -> Any:
    # orjson is faster, but makes floats of integers beyond 64 bits; a short text holds none
    return orjson.loads(text) if len(text) < 20 else _decode(text)[0]


def taken_job(row: tuple[Any, ...], queue: str, attempted_by: Sequence[str]) -> Job:
    """Build a job that was taken. It executes already, so this must not fail.

    A job whose JSON Python cannot read gets none, and says so.

    Args:
        row: What the node does not know; tags and errors are NULL if there are none.
        queue: The queue it was taken from.
        attempted_by: Who took it: node and producer.
    """
    worker, args, meta, errors, tags, job_id, attempt, max_attempts, priority, *times = row
    inserted_at, attempted_at, cancelled_at, completed_at, discarded_at, scheduled_at = times
    job = Job(
        worker,
        id=job_id,
        # as oban reads it
        state=cast("JobState", "executing"),
        queue=queue,
        attempt=attempt,
        max_attempts=max_attempts,
        priority=priority,
        tags=tags,
        attempted_by=[*attempted_by],
        inserted_at=inserted_at,
        attempted_at=attempted_at,
        cancelled_at=cancelled_at,
        completed_at=completed_at,
        discarded_at=discarded_at,
        scheduled_at=scheduled_at,
        _validate=False,
    )

    try:
        job.args, job.meta = _loads(args), _loads(meta)

        if errors is not None:
            job.errors = _loads(errors)
    except (ValueError, RecursionError) as error:
        job.extra[job_notes.UNREADABLE] = error

    return job


def group_counts(*columns: Any) -> GroupCounts:
    """Build the counters of a group from a row of the status."""
    group = _GroupRow(*columns)
    counts = Counter({state: getattr(group, state) for state in _COUNTED if getattr(group, state)})

    if available := group.total - counts.total():
        counts["available"] = available

    if group.skipped:
        counts += Counter(skipped=group.skipped)
        counts -= Counter(completed=group.skipped)

    return GroupCounts(
        key=group.key,
        parent=group.parent,
        id=group.id,
        name=group.name,
        sub_name=group.sub_name,
        kind=group.kind,
        state=group.state,
        counts=counts,
        started_at=group.started_at,
        stopped_at=group.stopped_at,
        retried_at=group.retried_at,
        waits=group.waits,
        paused_at=group.paused_at,
        paused_by=group.paused_by,
        limit=group.max_open,
        attributes=orjson.loads(group.attributes) if group.attributes else {},
    )


class _GroupRow(NamedTuple):
    key: int
    parent: int | None
    id: str
    name: str | None
    sub_name: str | None
    kind: str
    state: WorkflowState
    total: int
    suspended: int
    scheduled: int
    executing: int
    retryable: int
    completed: int
    cancelled: int
    discarded: int
    started_at: datetime | None
    stopped_at: datetime | None
    retried_at: datetime | None
    waits: int
    paused_at: datetime | None
    paused_by: str | None
    max_open: int | None
    attributes: str | None
    skipped: int


# A job that is in no other state is available.
_COUNTED = (
    "suspended",
    "scheduled",
    "executing",
    "retryable",
    "completed",
    "cancelled",
    "discarded",
)
