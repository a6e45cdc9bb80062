"""The plan of a workflow: flat, ordered, checked, ready to be inserted.

A plan numbers its jobs 0, 1, 2, … and its groups (the root first) ~0, ~1, ~2, …, so that one
integer can point at either; the database keeps the same convention with real ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from oban_pro.model import job_notes, meta
from oban_pro.model.wording import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from oban import Job

    from .limits import Limits
    from .reuse import Reuse
    from .tolerance import Tolerance
    from .uniqueness import Unique
    from .waits import Clock, WaitSpec

type GroupKind = Literal["workflow", "sub", "fan_out", "graft"]

# Pointers from here on stand for members that are in the database already.
EXTERNAL = 1 << 48

# The names of the members of a graft. No user adds members to it.
GRAFTER_NAME = "grafter"
GRAFTED_NAME = "grafted"

# The name of the job that asks the condition of a group.
JUDGE_NAME = "when"


class Flags(NamedTuple):
    """Which ends of its dependencies a job ignores."""

    ignore_cancelled: bool = False
    ignore_discarded: bool = False

    def satisfied_by(self, state: str) -> bool:
        """Tell whether a dependency in this state lets the job go on."""
        return (
            state in ("completed", "skipped")
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
    wait: WaitSpec | None = None
    clocks: tuple[Clock, ...] = ()
    # of a function: the options that were given for it; None for a job that somebody else made
    options: Mapping[str, Any] | None = None
    # how many of its deps must be satisfied; None for all
    need: int | None = None
    # what decides whether it runs: the import path of a function, or an encoded placeholder
    when: str | dict[str, Any] | None = None
    # of a final job: after which outcomes of its workflow it runs
    runs_on: str | None = None
    # its undo
    undo: Job | None = None


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A workflow as it stood when it was added to another, or enqueued."""

    kind: GroupKind
    members: Mapping[str, JobSpec | GroupSpec]
    flags: Flags
    id: str | None = None
    name: str | None = None
    deps: tuple[str, ...] = ()
    context: Any = None
    clocks: tuple[Clock, ...] = ()
    # the delay of the members that start first in it
    delay: tuple[Clock, ...] = ()
    # default options of the functions in it
    defaults: Mapping[str, Any] | None = None
    # of a root: its attributes, by which it is found
    attributes: Mapping[str, Any] | None = None
    # of a root: the key that it holds
    unique: Unique | None = None
    # of a root: the workflow whose results it reuses
    reuse: Reuse | None = None
    # how many of its deps must be satisfied; None for all
    need: int | None = None
    # of a fan-out, or of the graft that one is mapped to
    limits: Limits | None = None
    # of a fan-out: how many of its direct members may fail
    tolerance: Tolerance | None = None
    # the job that asks its condition
    judge: JobSpec | None = None
    # the URL of where large recorded values are kept
    store: str | None = None
    # of a fan-out whose jobs each wait only for the job of the same name in another fan-out: the
    # name of that other fan-out
    along: str | None = None


def comes_after(member: JobSpec | GroupSpec) -> tuple[str, ...]:
    """Return what a member, or what is in it, waits for in its workflow."""
    if isinstance(member, GroupSpec) and member.along is not None:
        return (*dict.fromkeys((*member.deps, member.along)),)

    return member.deps


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

    ``members`` are the stored members that new ones may depend on. ``gate`` is what new members
    without deps wait for.
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
    rules: int = 0
    defaults: Mapping[str, Any] | None = None
    # how many of the gate are needed; None for all
    gate_need: int | None = None
    is_limited: bool = False
    # whether the gate is a judge
    is_judged: bool = False
    store: str | None = None


class Join(NamedTuple):
    """A member that needs some of its dependencies, and how many of them have broken already."""

    need: int
    deps: int
    broken: int
    skipped: int = 0


class Cause(NamedTuple):
    """What a member depends on that broke before the member was added.

    Args:
        pointer: Where it stands.
        text: Its label and how it ended, as in ``job 'a' was discarded``.
    """

    pointer: int
    text: str


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
    # jobs whose results are reused
    completed: int = 0
    subs_completed: int = 0
    subs_cancelled: int = 0
    # what members without deps of their own wait for: pointers, and how meta spells them
    gate: list[int] = field(default_factory=list)
    gate_deps: list[meta.Dep] = field(default_factory=list)
    # how many of these they need; None for all
    gate_need: int | None = None
    join: Join | None = None
    # whether the gate is a judge, which no flags ignore: its own, or that of a group around it
    is_judged: bool = False
    # what has broken the gate already, if anything
    cause: Cause | None = None
    # the defaults of its spec, merged into those of the workflows around it
    defaults: Mapping[str, Any] | None = None
    # the store of its spec, or that of the workflow around it
    store: str | None = None

    @property
    def empty_state(self) -> str:
        """Its state while it holds neither jobs nor groups."""
        if self.cause is not None:
            return "cancelled"

        return "executing" if self.pending > 0 else "completed"

    @property
    def state(self) -> str:
        """Its state at the start."""
        if self.total + self.subs == 0:
            return self.empty_state

        if self.total > self.completed or self.subs > self.subs_completed + self.subs_cancelled:
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
    cause: Cause | None
    # whether it is inserted as suspended
    suspended: bool
    wait: WaitSpec | None = None
    clocks: tuple[Clock, ...] = ()
    join: Join | None = None
    runs_on: str | None = None
    # the job whose result stands for its own
    source: int | None = None
    undo: Job | None = None


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
    # whether it was inserted, rather than found to exist already
    is_inserted: bool = False
    # bits of the rare rules that its jobs and groups use
    rules: int = 0
    # whether results that it reuses may be objects in a store
    copies_objects: bool = False
    # which of the jobs are judges
    judges: set[int] = field(default_factory=set)
    # the workflow that it replaces, and how many jobs that cancelled
    replaced: tuple[str | None, int] | None = None
    # told which workflow stands for it once it was enqueued, and whether that existed already
    learn: Callable[[str, bool], None] | None = None
    # what the jobs have recorded that ran in place
    memory: object = None

    @property
    def id(self) -> str:
        """The id of the root workflow."""
        return self.groups[0].id

    @property
    def reuse(self) -> Reuse | None:
        """The workflow whose results it reuses."""
        return self.groups[0].spec.reuse

    def __iter__(self) -> Iterator[Job]:
        return (planned.job for planned in self.jobs)

    def suspend_all(self) -> None:
        """Let all jobs be inserted as suspended: the database decides which of them start."""
        for planned in self.jobs:
            planned.suspended = planned.source is None

        for group in self.groups:
            group.suspended = group.total - group.completed

    def name_of(self, pointer: int) -> str:
        """Return the name of a member."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].name

        if pointer < 0:
            return self.groups[~pointer].sub_name or ""

        return self.jobs[pointer].name

    def judge(
        self, upstream: Sequence[int], flags: Flags, need: int | None
    ) -> tuple[int, Cause | None, int, int]:
        """Judge the dependencies of a member as they are when the member is inserted.

        Args:
            upstream: What the member depends on.
            flags: Which ends of a dependency the member ignores.
            need: How many of the dependencies have to be satisfied; None for all.

        Returns:
            How many are still missing; what broke the member already, or None; how many of the
            dependencies are broken; how many were skipped.
        """
        states = [self.state_of(pointer) for pointer in upstream]
        skipped = states.count("skipped")
        # of a join, what was skipped is taken out
        left = len(upstream) - (0 if need is None else skipped)
        needed = left if need is None else min(need, left)
        pending, broken = needed, 0
        cause: Cause | None = None

        for pointer, state in zip(upstream, states, strict=True):
            pending -= flags.satisfied_by(state) and (need is None or state != "skipped")

            if flags.broken_by(state):
                broken += 1
                cause = Cause(pointer, f"{self.label_of(pointer)} was {state}")

        if broken <= left - needed:
            cause = None
        elif cause and need is not None:
            note = f"; {needed} of {left} were needed, {broken} broke"
            cause = Cause(cause.pointer, cause.text + note)

        return pending, cause, broken, skipped

    def label_of(self, pointer: int) -> str:
        """Return what errors call a member, as in ``job 'a'``."""
        return f"{KINDS[self.kind_of(pointer)]} '{self.name_of(pointer)}'"

    def kind_of(self, pointer: int) -> str:
        """Return ``"job"``, or the kind of a group."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].kind

        return self.groups[~pointer].spec.kind if pointer < 0 else "job"

    def state_of(self, pointer: int) -> str:
        """Return the state of a member at the start. Jobs that are being inserted are open."""
        if pointer >= EXTERNAL:
            return self.externals[pointer - EXTERNAL].state

        return self.groups[~pointer].state if pointer < 0 else "executing"


def plan_of(job: Job) -> Plan | None:
    """Return the plan that a job was bound to when its workflow was last iterated."""
    plan: Plan | None = job.extra.get(job_notes.PLAN)

    return plan
