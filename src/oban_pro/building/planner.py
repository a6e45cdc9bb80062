"""Turning what a builder collected into a plan: checked, numbered, upstream before downstream."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from oban_pro.errors import InvalidArgumentError
from oban_pro.gc_pause import uncollected
from oban_pro.model import job_notes, meta

from . import defaults
from .conditions import check_members
from .ends import ENDS, check_ends, finals_last, is_final_spec
from .frames import Frame, wait_for, wait_of_job
from .limits import LIMITS
from .names import check_known, order
from .plan import (
    EXTERNAL,
    JUDGE_NAME,
    Flags,
    GroupSpec,
    Plan,
    PlannedGroup,
    PlannedJob,
    comes_after,
)
from .undos import check_names, has_undo
from .uniqueness import KEYS
from .waits import CLOCKS, CONDITIONS, JOINS, TOLERANCES, WAITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

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
        The plan. It has written the meta of each job, and each job refers to it.

    Raises:
        UnknownDependencyError: If a dependency names nothing in its workflow.
        CycleError: If dependencies form a cycle.
        InvalidArgumentError: If the root is unique, and is to be grafted or added to a workflow.
    """
    assert spec.id is not None
    plan = Plan(attachment=attachment, grafter=grafter)
    frames = [_open_root(plan, spec, spec.id)]

    if grafter is not None and meta.JUDGED_GRAFT in grafter.meta:
        check_members(grafter.meta[meta.NAME], spec.members)

    # No recursion: workflows nest as deep as memory allows. `names` goes on where it was left.
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

    if spec.unique is not None:
        if grafter is not None or attachment is not None:
            reason = "it is grafted or added; only a root can be"
            raise InvalidArgumentError(f"workflow {spec.id!r} must not be unique: {reason}")

        plan.rules |= KEYS

    return plan


def _open_root(plan: Plan, spec: GroupSpec, root_id: str) -> Frame:
    group = PlannedGroup(spec, root_id, spec.flags)
    group.defaults, group.store = spec.defaults, spec.store
    grafter, attachment = plan.grafter, plan.attachment

    if grafter is not None:
        sup_id, sub_name = grafter.meta[meta.WORKFLOW_ID], grafter.meta[meta.NAME]
        group.store = spec.store or grafter.meta.get(meta.STORE)
        placement = meta.group_placement(root_id, spec.name, sup_id, sub_name, group.store)
        group.gate_deps = [
            meta.dep_on_job(sup_id, dep) if isinstance(dep, str) else dep
            for dep in grafter.meta[meta.DEPS]
        ]
        around = defaults.from_json(grafter.meta.get(meta.WORKFLOW_DEFAULTS))
        group.defaults = defaults.merge(around, spec.defaults)
    elif attachment is not None:
        group.store = attachment.store
        placement = meta.group_placement(
            root_id,
            attachment.name,
            attachment.sup_workflow_id,
            attachment.sub_name,
            attachment.store,
        )
    else:
        placement = meta.group_placement(root_id, spec.name, None, None, group.store)

    known = {} if attachment is None else attachment.members
    frame = _open(plan, group, "", placement, known)

    if attachment is not None:
        _attach(plan, frame, attachment)

    return frame


def _attach(plan: Plan, frame: Frame, attachment: Attachment) -> None:
    """Let the added members depend on members that are in the database."""
    for external in attachment.members.values():
        frame.pointers[external.name] = _point_at(plan, external)

        if external.kind != "job":
            frame.deps[external.name] = _spell(external)

    group = frame.group
    group.flags = attachment.flags
    group.defaults = defaults.merge(attachment.defaults, group.spec.defaults)
    group.gate = [_point_at(plan, external) for external in attachment.gate]
    group.gate_deps = [_spell(external) for external in attachment.gate]
    group.gate_need, group.is_judged = attachment.gate_need, attachment.is_judged
    flags = Flags() if group.is_judged else group.flags
    group.pending, group.cause, *_ = plan.judge(group.gate, flags, group.gate_need)


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
) -> Frame:
    members = group.spec.members

    depending = {name: deps for name, member in members.items() if (deps := comes_after(member))}

    for name, deps in depending.items():
        check_known(name, deps, {**members, **known} if known else members)

    if known:
        depending = {
            name: tuple(dep for dep in deps if dep in members) for name, deps in depending.items()
        }

    names = order(members, depending)

    if any(is_final_spec(member) for member in members.values()):
        for name, member in members.items():
            check_ends(name, member, members)

        names = finals_last(members, names)
        plan.rules |= ENDS | CONDITIONS

    plan.groups.append(group)
    plan.rules |= bool(group.spec.clocks) and CLOCKS
    plan.rules |= group.spec.limits is not None and LIMITS
    plan.rules |= group.spec.tolerance is not None and TOLERANCES
    index = len(plan.groups) - 1

    return Frame(group, index, path, iter(names), placement, delay=group.spec.delay)


def _close(plan: Plan, frame: Frame) -> None:
    group = frame.group

    if group.parent is not None:
        plan.groups[group.parent].subs_completed += group.state == "completed"
        plan.groups[group.parent].subs_cancelled += group.state == "cancelled"


def _add_group(plan: Plan, frame: Frame, name: str, spec: GroupSpec) -> Frame:
    path = f"{frame.path}\0{name}"
    nested_id = spec.id or str(uuid5(NESTED_IDS, plan.id + path))
    group = PlannedGroup(spec, nested_id, spec.flags, frame.index, name)
    group.defaults = defaults.merge(frame.group.defaults, spec.defaults)
    group.store = spec.store or frame.group.store
    placement = meta.group_placement(nested_id, spec.name, frame.group.id, name, group.store)
    inner = _open(plan, group, path, placement, {})
    inner.outer = frame
    inner.delay += () if comes_after(spec) else frame.delay

    if spec.judge is None:
        waits = wait_for(plan, frame, ~inner.index, spec, spec.flags)
        group.pending, group.gated, group.cause = waits.pending, waits.gated, waits.cause
        group.gate, group.gate_deps = waits.upstream, waits.spelled
        group.gate_need, group.join = waits.need, waits.join
        group.is_judged = waits.gated and frame.group.is_judged
        plan.rules |= waits.join is not None and JOINS
    else:
        _add_judge(plan, frame, inner, spec.judge)

    frame.group.subs += 1
    frame.pointers[name] = ~inner.index
    frame.deps[name] = meta.dep_on_group(nested_id)
    frame.nested[name] = inner

    return inner


def _add_judge(plan: Plan, outer: Frame, frame: Frame, judge: JobSpec) -> None:
    """Add the job that asks the condition of a group: it waits for what the group depends on.

    The group itself waits for this job alone, whatever the flags.
    """
    group, index = frame.group, len(plan.jobs)
    spec = group.spec
    flags = spec.flags if spec.deps else Flags() if outer.group.is_judged else outer.group.flags
    waits = wait_for(plan, outer, index, spec, flags, alone=True)
    job = judge.job

    if group.defaults:
        job = defaults.with_defaults(job, judge.options or {}, group.defaults)

    job = _bind(plan, job)
    meta.place(job, frame.placement, JUDGE_NAME, waits.spelled)
    is_waiting = waits.pending > 0
    planned = PlannedJob(
        job, frame.index, JUDGE_NAME, flags, waits.pending, False, waits.cause, is_waiting
    )
    planned.join = waits.join
    plan.jobs.append(planned)
    plan.edges.append((index, ~frame.index))
    plan.judges.add(index)
    plan.rules |= CONDITIONS | (waits.join is not None and JOINS)
    group.total += 1
    group.suspended += is_waiting
    group.pending, group.cause, group.is_judged = 1, waits.cause, True
    group.gate, group.gate_deps = [index], waits.spelled


def _add_job(plan: Plan, frame: Frame, name: str, spec: JobSpec) -> None:
    group, index = frame.group, len(plan.jobs)
    flags = group.spec.flags.override(spec.ignore_cancelled, spec.ignore_discarded)
    job = spec.job
    waits = wait_of_job(plan, frame, name, spec, flags)

    if group.defaults and spec.options is not None:
        job = defaults.with_defaults(job, spec.options, group.defaults)

    job = _bind(plan, job)
    deps = [frame.spell(dep) for dep in spec.deps] if spec.deps else waits.spelled

    if group.spec.kind == "graft" and frame.outer is not None:
        _place_grafter(job, frame, frame.outer)
    else:
        meta.place(job, frame.placement, name, deps)

    if spec.when is not None:
        job.meta[meta.WHEN] = spec.when
        plan.rules |= CONDITIONS

    if spec.runs_on is not None:
        job.meta[meta.FINAL] = spec.runs_on

    # a wait opens at once
    delay = () if spec.deps or spec.wait or spec.runs_on else frame.delay
    clocks = spec.clocks + delay
    plan.jobs.append(
        PlannedJob(
            job,
            frame.index,
            name,
            flags,
            waits.pending,
            waits.gated,
            waits.cause,
            waits.pending > 0,
            spec.wait,
            clocks,
            waits.join,
            spec.runs_on,
            undo=_undo(plan, frame, name, spec),
        )
    )
    plan.rules |= (spec.wait is not None and WAITS) | (bool(clocks) and CLOCKS)
    plan.rules |= waits.join is not None and JOINS
    group.total += 1
    group.suspended += waits.pending > 0
    frame.pointers[name] = index


def _undo(plan: Plan, frame: Frame, name: str, spec: JobSpec) -> Job | None:
    """Return the undo of a job, if it has one, with the defaults of the workflows around it."""
    plan.rules |= has_undo(spec) and ENDS
    undo, around, options = spec.undo, frame.group.defaults, spec.options

    if undo is None:
        return None

    check_names(name, plan, frame.index)

    return undo if options is None or not around else defaults.with_defaults(undo, options, around)


def _place_grafter(job: Job, frame: Frame, outer: Frame) -> None:
    """Show a grafter where people look for it: in the workflow around, under the graft's name."""
    spec, name = frame.group.spec, frame.group.sub_name or ""
    deps = [outer.spell(dep) for dep in spec.deps] if spec.deps else frame.group.gate_deps
    meta.place(job, outer.placement, name, deps)
    job.meta[meta.GRAFT] = True

    if spec.judge is not None:
        job.meta[meta.JUDGED_GRAFT] = True

    if frame.group.defaults:
        job.meta[meta.WORKFLOW_DEFAULTS] = defaults.to_json(frame.group.defaults)


def _bind(plan: Plan, job: Job) -> Job:
    """Return the job itself, or a copy if it has a place already, in this plan or another one.

    Two plans of one workflow may be inserted at the same time.
    """
    if job_notes.PLAN in job.extra:
        job = copy.copy(job)
        job.id = None
        job.extra = {key: job.extra[key] for key in (job_notes.DELAY,) if key in job.extra}

    job.extra[job_notes.PLAN] = plan

    return job
