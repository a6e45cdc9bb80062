"""From what a builder collected to what is inserted: a flat, ordered, checked plan.

A plan numbers its jobs 0, 1, 2, … and its groups (the root first) ~0, ~1, ~2, …, so that one
integer can point at either; the database keeps the same convention with real ids.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID, uuid5

from . import meta
from .graph import check_known, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oban import Job

type Kind = Literal["workflow", "sub", "fan_out", "graft"]

# Where a job remembers the plan that it was bound to last; not persisted.
BOUND = "oban_workflows"

NESTED_IDS = UUID("6f1c3a52-7d0e-4c57-9a3b-2f6f7f0c9d41")


class Flags(NamedTuple):
    """How a job treats what it depends on."""

    ignore_cancelled: bool = False
    ignore_discarded: bool = False

    def override(self, ignore_cancelled: bool | None, ignore_discarded: bool | None) -> Flags:
        """Return these flags, except where another value is given."""
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


@dataclass(slots=True)
class PlannedGroup:
    """A workflow to insert, and its counters as they are at the start."""

    spec: GroupSpec
    id: str
    parent: int | None = None
    sub_name: str | None = None
    pending: int = 0
    gated: bool = False
    total: int = 0
    suspended: int = 0
    subs: int = 0
    subs_completed: int = 0
    # what members without deps of their own wait for: pointers, and how meta spells them
    gate: list[int] = field(default_factory=list)
    gate_deps: list[meta.Dep] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether it holds neither jobs nor groups."""
        return self.total + self.subs == 0

    @property
    def is_completed(self) -> bool:
        """Whether nothing in it is left to do from the start."""
        if self.is_empty:
            return self.pending == 0

        return self.total == 0 and self.subs == self.subs_completed


@dataclass(slots=True)
class PlannedJob:
    """A job to insert, and what it waits for."""

    job: Job
    group: int
    name: str
    flags: Flags
    pending: int
    gated: bool


@dataclass(slots=True)
class Plan:
    """All jobs and groups of a workflow, upstream before downstream."""

    groups: list[PlannedGroup] = field(default_factory=list)
    jobs: list[PlannedJob] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    # what running the jobs in place keeps here
    memory: object = None
    _waiting: set[int] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The id of the root workflow."""
        return self.groups[0].id

    def __iter__(self) -> Iterator[Job]:
        return (planned.job for planned in self.jobs)

    def add(self, planned: PlannedJob) -> None:
        """Append a job."""
        self.jobs.append(planned)

        if planned.pending:
            self._waiting.add(id(planned.job))

    def is_waiting(self, job: Job) -> bool:
        """Tell whether one of the jobs starts suspended."""
        return id(job) in self._waiting


def plan_of(job: Job) -> Plan | None:
    """Return the plan that a job was bound to when its workflow was last iterated."""
    plan = job.extra.get(BOUND)

    return plan if isinstance(plan, Plan) else None


def compile_plan(spec: GroupSpec) -> Plan:
    """Check a workflow as a whole and lay it out in dependency order.

    Args:
        spec: The root, with its id.

    Returns:
        The plan, with the meta of every job written and the job bound to it.

    Raises:
        UnknownDependencyError: If a dependency names nothing in its workflow.
        CycleError: If dependencies form a cycle.
    """
    assert spec.id is not None
    plan = Plan()
    seen: set[int] = set()
    frames = [_open(plan, PlannedGroup(spec, spec.id), path="")]

    # Frames instead of recursion: workflows nest as deep as memory allows.
    while frames:
        frame = frames[-1]
        name = next(frame.names, None)

        if name is None:
            frames.pop()
            _close(plan, frame)
            continue

        member = frame.group.spec.members[name]

        if isinstance(member, GroupSpec):
            frames.append(_add_group(plan, frame, name, member))
        else:
            _add_job(plan, frame, name, member, seen)

    return plan


@dataclass(slots=True)
class _Frame:
    group: PlannedGroup
    index: int
    path: str
    names: Iterator[str]
    placement: dict[str, Any]
    pointers: dict[str, int] = field(default_factory=dict)
    deps: dict[str, meta.Dep] = field(default_factory=dict)
    outer_deps: dict[str, meta.Dep] = field(default_factory=dict)


def _open(plan: Plan, group: PlannedGroup, path: str) -> _Frame:
    members = group.spec.members

    for name, member in members.items():
        check_known(name, member.deps, members)

    names = order({name: member.deps for name, member in members.items()})
    sup_id = None if group.parent is None else plan.groups[group.parent].id
    placement = meta.group_placement(group.id, group.spec.name, sup_id, group.sub_name)
    plan.groups.append(group)

    return _Frame(group, len(plan.groups) - 1, path, iter(names), placement)


def _close(plan: Plan, frame: _Frame) -> None:
    group = frame.group

    if group.parent is not None and group.is_completed:
        plan.groups[group.parent].subs_completed += 1


def _add_group(plan: Plan, frame: _Frame, name: str, spec: GroupSpec) -> _Frame:
    path = f"{frame.path}\0{name}"
    nested_id = spec.id or str(uuid5(NESTED_IDS, plan.id + path))
    group = PlannedGroup(spec, nested_id, parent=frame.index, sub_name=name)
    inner = _open(plan, group, path)
    waits = _wait(plan, frame, ~inner.index, spec.deps, spec.flags)
    group.pending, group.gated, group.gate, group.gate_deps = waits
    frame.group.subs += 1
    frame.pointers[name] = ~inner.index
    frame.deps[name] = frame.outer_deps[name] = meta.dep_on_group(nested_id)

    return inner


def _add_job(plan: Plan, frame: _Frame, name: str, spec: JobSpec, seen: set[int]) -> None:
    group, index = frame.group, len(plan.jobs)
    flags = group.spec.flags.override(spec.ignore_cancelled, spec.ignore_discarded)
    pending, gated, _, outer_deps = _wait(plan, frame, index, spec.deps, flags)
    job = _bind(plan, spec.job, seen)
    deps = [frame.deps[dep] for dep in spec.deps] if spec.deps else outer_deps
    meta.place(job, frame.placement, name, deps)
    plan.add(PlannedJob(job, frame.index, name, flags, pending, gated))
    group.total += 1
    group.suspended += pending > 0
    frame.pointers[name] = index
    frame.deps[name] = name
    frame.outer_deps[name] = meta.dep_on_job(group.id, name)


def _wait(
    plan: Plan, frame: _Frame, pointer: int, deps: Sequence[str], flags: Flags
) -> tuple[int, bool, list[int], list[meta.Dep]]:
    """Decide what a member waits for: how many, by the gate or not, pointers, their spelling."""
    group = frame.group

    if not deps and group.gate and flags == group.spec.flags:
        return int(group.pending > 0), True, group.gate, group.gate_deps

    if deps:
        upstream = [frame.pointers[dep] for dep in deps]
        spelled = [frame.outer_deps[dep] for dep in deps]
    else:
        # Flags of its own: the count that the members of a gate share would judge it wrongly.
        upstream, spelled = group.gate, group.gate_deps

    plan.edges.extend((up, pointer) for up in upstream)
    pending = sum(up >= 0 or not plan.groups[~up].is_completed for up in upstream)

    return pending, False, upstream, spelled


def _bind(plan: Plan, job: Job, seen: set[int]) -> Job:
    """Return the job itself, or a copy where it already has a place elsewhere."""
    bound = plan_of(job)

    if id(job) in seen or (bound is not None and bound.id != plan.id):
        job = copy.copy(job)
        job.id = None
        job.extra = {}

    seen.add(id(job))
    job.extra[BOUND] = plan

    return job
