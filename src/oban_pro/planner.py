"""Turning what a builder collected into a plan: checked, numbered, upstream before downstream."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid5

from . import meta
from .garbage import uncollected
from .graph import check_known, order
from .plan import BOUND, EXTERNAL, KINDS, Flags, GroupSpec, Plan, PlannedGroup, PlannedJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oban import Job

    from .plan import Attachment, External, JobSpec

NESTED_IDS = UUID("6f1c3a52-7d0e-4c57-9a3b-2f6f7f0c9d41")


@uncollected()
def compile_plan(
    spec: GroupSpec, *, attachment: Attachment | None = None, grafter: Job | None = None
) -> Plan:
    """Check a workflow as a whole and lay it out in dependency order.

    Args:
        spec: The root, with its id.
        attachment: The workflow that the members of the root are added to.
        grafter: The job that the root is grafted by.

    Returns:
        The plan, with the meta of every job written and the job bound to it.

    Raises:
        UnknownDependencyError: If a dependency names nothing in its workflow.
        CycleError: If dependencies form a cycle.
    """
    assert spec.id is not None
    plan = Plan(attachment=attachment, grafter=grafter)
    frames = [_open_root(plan, spec, spec.id)]

    # Frames instead of recursion: workflows nest as deep as memory allows.
    while frames:
        frame = frames[-1]
        members = frame.group.spec.members

        for name in frame.names:
            member = members[name]

            if isinstance(member, GroupSpec):
                frames.append(_add_group(plan, frame, name, member))
                break

            _add_job(plan, frame, name, member)
        else:
            frames.pop()
            _close(plan, frame)

    return plan


@dataclass(slots=True)
class _Frame:
    group: PlannedGroup
    index: int
    path: str
    names: Iterator[str]
    placement: dict[str, Any]
    outer: _Frame | None = None
    pointers: dict[str, int] = field(default_factory=dict)
    # how meta spells dependencies other than on jobs of this workflow, which go by their names
    deps: dict[str, meta.Dep] = field(default_factory=dict)
    # what all members wait for that have neither deps nor flags of their own
    wait: _Wait | None = None

    def spell(self, name: str) -> meta.Dep:
        """Spell a dependency on a member, in the meta of another member."""
        return self.deps.get(name, name)

    def spell_outside(self, name: str) -> meta.Dep:
        """Spell a dependency on a member, in the meta of what is nested beside it."""
        dep = self.deps.get(name, name)

        return meta.dep_on_job(self.group.id, name) if dep is name else dep


def _open_root(plan: Plan, spec: GroupSpec, root_id: str) -> _Frame:
    group = PlannedGroup(spec, root_id, spec.flags)
    grafter, attachment = plan.grafter, plan.attachment

    if grafter is not None:
        sup_id, sub_name = grafter.meta[meta.WORKFLOW_ID], grafter.meta[meta.NAME]
        placement = meta.group_placement(root_id, spec.name, sup_id, sub_name)
        group.gate_deps = [
            meta.dep_on_job(sup_id, dep) if isinstance(dep, str) else dep
            for dep in grafter.meta[meta.DEPS]
        ]
    elif attachment is not None:
        placement = meta.group_placement(
            root_id, attachment.name, attachment.sup_workflow_id, attachment.sub_name
        )
    else:
        placement = meta.group_placement(root_id, spec.name, None, None)

    known = {} if attachment is None else attachment.members
    frame = _open(plan, group, "", placement, known)

    if attachment is not None:
        _attach(plan, frame, attachment)

    return frame


def _attach(plan: Plan, frame: _Frame, attachment: Attachment) -> None:
    """Make what is in the database known to the members that are added."""
    for external in attachment.members.values():
        name = external.name
        frame.pointers[name] = _point_at(plan, external)

        if external.kind != "job":
            frame.deps[name] = _spell(external)

    group = frame.group
    group.flags = attachment.flags
    group.gate = [_point_at(plan, external) for external in attachment.gate]
    group.gate_deps = [_spell(external) for external in attachment.gate]
    group.pending, group.cause = _judge(plan, group.gate, group.flags)


def _point_at(plan: Plan, external: External) -> int:
    plan.externals.append(external)

    return EXTERNAL + len(plan.externals) - 1


def _spell(external: External) -> meta.Dep:
    if external.kind == "job":
        return meta.dep_on_job(external.workflow_id, external.name)

    return meta.dep_on_group(external.workflow_id)


def _open(
    plan: Plan,
    group: PlannedGroup,
    path: str,
    placement: dict[str, Any],
    known: Mapping[str, External],
) -> _Frame:
    members = group.spec.members

    depending = {name: member.deps for name, member in members.items() if member.deps}

    for name, deps in depending.items():
        check_known(name, deps, {**members, **known} if known else members)

    if known:
        depending = {
            name: tuple(dep for dep in deps if dep in members) for name, deps in depending.items()
        }

    names = order(members, depending)
    plan.groups.append(group)

    return _Frame(group, len(plan.groups) - 1, path, iter(names), placement)


def _close(plan: Plan, frame: _Frame) -> None:
    group = frame.group

    if group.parent is not None:
        plan.groups[group.parent].subs_completed += group.state == "completed"
        plan.groups[group.parent].subs_cancelled += group.state == "cancelled"


def _add_group(plan: Plan, frame: _Frame, name: str, spec: GroupSpec) -> _Frame:
    path = f"{frame.path}\0{name}"
    nested_id = spec.id or str(uuid5(NESTED_IDS, plan.id + path))
    group = PlannedGroup(spec, nested_id, spec.flags, frame.index, name)
    placement = meta.group_placement(nested_id, spec.name, frame.group.id, name)
    inner = _open(plan, group, path, placement, {})
    inner.outer = frame
    waits = _wait(plan, frame, ~inner.index, spec.deps, spec.flags)
    group.pending, group.gated, group.cause = waits.pending, waits.gated, waits.cause
    group.gate, group.gate_deps = waits.upstream, waits.spelled
    frame.group.subs += 1
    frame.pointers[name] = ~inner.index
    frame.deps[name] = meta.dep_on_group(nested_id)

    return inner


def _add_job(plan: Plan, frame: _Frame, name: str, spec: JobSpec) -> None:
    group, index = frame.group, len(plan.jobs)
    flags = group.spec.flags.override(spec.ignore_cancelled, spec.ignore_discarded)
    waits = _wait(plan, frame, index, spec.deps, flags)
    job = _bind(plan, spec.job)
    deps = [frame.spell(dep) for dep in spec.deps] if spec.deps else waits.spelled

    if group.spec.kind == "graft" and frame.outer is not None:
        _place_grafter(job, frame, frame.outer)
    else:
        meta.place(job, frame.placement, name, deps)

    plan.jobs.append(
        PlannedJob(job, frame.index, name, flags, waits.pending, waits.gated, waits.cause)
    )
    group.total += 1
    group.suspended += waits.pending > 0
    frame.pointers[name] = index


def _place_grafter(job: Job, frame: _Frame, outer: _Frame) -> None:
    """Show a grafter where people look for it: in the workflow around, under the graft's name."""
    spec, name = frame.group.spec, frame.group.sub_name or ""
    deps = [outer.spell(dep) for dep in spec.deps] if spec.deps else frame.group.gate_deps
    meta.place(job, outer.placement, name, deps)
    job.meta[meta.GRAFT] = True


class _Wait(NamedTuple):
    """What a member waits for: how many, by the gate or not, what, and what of it has broken."""

    pending: int
    gated: bool
    upstream: list[int]
    spelled: list[meta.Dep]
    cause: str | None


def _wait(plan: Plan, frame: _Frame, pointer: int, deps: Sequence[str], flags: Flags) -> _Wait:
    group = frame.group

    if not deps and (not group.gate or flags == group.flags):
        frame.wait = frame.wait or _Wait(
            int(group.pending > 0), bool(group.gate), group.gate, group.gate_deps, group.cause
        )

        return frame.wait

    if deps:
        upstream = [frame.pointers[dep] for dep in deps]
        spelled = [frame.spell_outside(dep) for dep in deps]
    else:
        # Flags of its own: the count that the members of a gate share would judge it wrongly.
        upstream, spelled = group.gate, group.gate_deps

    plan.edges.extend((up, pointer) for up in upstream)
    pending, cause = _judge(plan, upstream, flags)

    return _Wait(pending, False, upstream, spelled, cause)


def _judge(plan: Plan, upstream: Sequence[int], flags: Flags) -> tuple[int, str | None]:
    """Count what is not satisfied at the start, and describe what has broken already."""
    pending, cause = 0, None

    for pointer in upstream:
        state = plan.state_of(pointer)
        pending += not flags.satisfied_by(state)

        if flags.broken_by(state):
            cause = f"{KINDS[plan.kind_of(pointer)]} '{plan.name_of(pointer)}' was {state}"

    return pending, cause


def _bind(plan: Plan, job: Job) -> Job:
    """Return the job itself, or a copy where it has a place already: here, or in another plan.

    Two plans of one workflow may be on their way to the database at the same time.
    """
    if BOUND in job.extra:
        job = copy.copy(job)
        job.id = None
        job.extra = {}

    job.extra[BOUND] = plan

    return job
