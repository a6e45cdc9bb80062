"""From what a builder collected to what is inserted: a flat, ordered, checked plan.

A plan numbers its jobs 0, 1, 2, … and its groups (the root first) ~0, ~1, ~2, …, so that one
integer can point at either; the database keeps the same convention with real ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import meta

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oban import Job

type Kind = Literal["workflow", "sub", "fan_out", "graft"]

# Where a job remembers the plan that it was bound to last; not persisted.
BOUND = "oban_workflows"

# Pointers from here on stand for members that are in the database already.
EXTERNAL = 1 << 48

# How the members of a graft are called; nobody else adds to it.
GRAFTER = "grafter"
GRAFTED = "grafted"


# How errors call members of each kind.
KINDS = {
    "job": "job",
    "sub": "sub-workflow",
    "fan_out": "fan-out",
    "graft": "graft",
    "workflow": "workflow",
}


class Flags(NamedTuple):
    """How a job treats what it depends on."""

    ignore_cancelled: bool = False
    ignore_discarded: bool = False

    def satisfied_by(self, state: str) -> bool:
        """Tell whether a dependency in this state lets the job go on."""
        return (
            state == "completed"
            or (state == "cancelled" and self.ignore_cancelled)
            or (state == "discarded" and self.ignore_discarded)
        )

    def broken_by(self, state: str) -> bool:
        """Tell whether a dependency in this state can no longer be satisfied."""
        return state in ("cancelled", "discarded", "deleted") and not self.satisfied_by(state)

    def override(self, ignore_cancelled: bool | None, ignore_discarded: bool | None) -> Flags:
        """Return these flags, except where another value is given."""
        if ignore_cancelled is None and ignore_discarded is None:
            return self

        return Flags(
            self.ignore_cancelled if ignore_cancelled is None else ignore_cancelled,
            self.ignore_discarded if ignore_discarded is None else ignore_discarded,
        )


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it was added."""

    job: Job
    deps: tuple[str, ...] = ()
    ignore_cancelled: bool | None = None
    ignore_discarded: bool | None = None


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A workflow as it stood when it was added to another, or enqueued."""

    kind: Kind
    members: Mapping[str, JobSpec | GroupSpec]
    flags: Flags
    id: str | None = None
    name: str | None = None
    deps: tuple[str, ...] = ()
    context: Any = None


class External(NamedTuple):
    """A member that is in the database already."""

    id: int
    name: str
    state: str
    kind: str
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """The workflow in the database that a plan adds to.

    ``members`` are those that new ones may depend on, ``gate`` is what members without deps wait
    for.
    """

    key: int
    root: int
    id: str
    name: str | None
    sup_workflow_id: str | None
    sub_name: str | None
    flags: Flags
    members: Mapping[str, External]
    gate: Sequence[External]


@dataclass(slots=True)
class PlannedGroup:
    """A workflow to insert, and its counters as they are at the start."""

    spec: GroupSpec
    id: str
    flags: Flags
    parent: int | None = None
    sub_name: str | None = None
    pending: int = 0
    gated: bool = False
    total: int = 0
    suspended: int = 0
    subs: int = 0
    subs_completed: int = 0
    subs_cancelled: int = 0
    # what members without deps of their own wait for: pointers, and how meta spells them
    gate: list[int] = field(default_factory=list)
    gate_deps: list[meta.Dep] = field(default_factory=list)
    # what among that has broken already
    cause: str | None = None

    @property
    def empty_state(self) -> str:
        """What it counts as while it holds neither jobs nor groups."""
        if self.cause is not None:
            return "cancelled"

        return "executing" if self.pending else "completed"

    @property
    def state(self) -> str:
        """Its state at the start."""
        if self.total + self.subs == 0:
            return self.empty_state

        if self.total or self.subs > self.subs_completed + self.subs_cancelled:
            return "executing"

        return "cancelled" if self.subs_cancelled else "completed"


@dataclass(slots=True)
class PlannedJob:
    """A job to insert, and what it waits for."""

    job: Job
    group: int
    name: str
    flags: Flags
    pending: int
    gated: bool
    cause: str | None


@dataclass(slots=True)
class Plan:
    """All jobs and groups of a workflow, upstream before downstream."""

    groups: list[PlannedGroup] = field(default_factory=list)
    jobs: list[PlannedJob] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    externals: list[External] = field(default_factory=list)
    attachment: Attachment | None = None
    # the job that grafts it
    grafter: Job | None = None
    # whether it was written, and not found to exist already
    is_inserted: bool = False
    # what running the jobs in place keeps here
    memory: object = None

    @property
    def id(self) -> str:
        """The id of the root workflow."""
        return self.groups[0].id

    def __iter__(self) -> Iterator[Job]:
        return (planned.job for planned in self.jobs)

    def name_of(self, pointer: int) -> str:
        """Return the name of a member."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].name

        if pointer < 0:
            return self.groups[~pointer].sub_name or ""

        return self.jobs[pointer].name

    def kind_of(self, pointer: int) -> str:
        """Return ``"job"``, or the kind of a group."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].kind

        return self.groups[~pointer].spec.kind if pointer < 0 else "job"

    def state_of(self, pointer: int) -> str:
        """Return the state of a member at the start; jobs that are inserted are open."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].state

        return self.groups[~pointer].state if pointer < 0 else "executing"


def plan_of(job: Job) -> Plan | None:
    """Return the plan that a job was bound to when its workflow was last iterated."""
    plan: Plan | None = job.extra.get(BOUND)

    return plan
