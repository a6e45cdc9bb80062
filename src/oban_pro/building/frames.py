"""Groups that are being planned, and what the members in them wait for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.model import meta

from .plan import Join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .plan import Cause, Flags, GroupSpec, JobSpec, Plan, PlannedGroup
    from .waits import Clock


class Needs(NamedTuple):
    """What a member waits for, how much of it is pending, and what of it has broken."""

    pending: int
    gated: bool
    upstream: list[int]
    spelled: list[meta.Dep]
    cause: Cause | None
    need: int | None
    join: Join | None = None


@dataclass(slots=True)
class Frame:
    """A group of a plan while its members are being added."""

    group: PlannedGroup
    index: int
    path: str
    names: Iterator[str]
    placement: dict[str, Any]
    outer: Frame | None = None
    pointers: dict[str, int] = field(default_factory=dict)
    # how meta spells dependencies, except jobs of this workflow, which go by their names
    deps: dict[str, meta.Dep] = field(default_factory=dict)
    # the groups in it
    nested: dict[str, Frame] = field(default_factory=dict)
    # what all members without deps and flags of their own wait for
    wait: Needs | None = None
    # the delays that put off the start of its members
    delay: tuple[Clock, ...] = ()

    def spell(self, name: str) -> meta.Dep:
        """Spell a dependency on a member, in the meta of another member."""
        return self.deps.get(name, name)

    def spell_outside(self, name: str) -> meta.Dep:
        """Spell a dependency on a member, in the meta of a workflow that is nested beside it."""
        dep = self.deps.get(name, name)

        return meta.dep_on_job(self.group.id, name) if dep is name else dep


def wait_for(
    plan: Plan,
    frame: Frame,
    pointer: int,
    spec: JobSpec | GroupSpec,
    flags: Flags,
    *,
    alone: bool = False,
) -> Needs:
    """Determine what a member waits for. If ``alone``, it does not share the gate."""
    group, deps, need = frame.group, spec.deps, spec.need
    shares = not group.gate or group.is_judged or flags == group.flags

    if not deps and shares and not alone:
        frame.wait = frame.wait or Needs(
            int(group.pending > 0),
            bool(group.gate),
            group.gate,
            group.gate_deps,
            group.cause,
            group.gate_need,
        )

        return frame.wait

    if deps:
        upstream = [frame.pointers[dep] for dep in deps]
        spelled = [frame.spell_outside(dep) for dep in deps]
    else:
        # It has flags of its own, so the count that members of a gate share would not fit it.
        upstream, spelled, need = group.gate, group.gate_deps, group.gate_need

    return _wait_on(plan, pointer, upstream, flags, need)._replace(spelled=spelled)


def wait_of_job(plan: Plan, frame: Frame, name: str, spec: JobSpec, flags: Flags) -> Needs:
    """Determine what the next job of a plan waits for."""
    pointer = len(plan.jobs)

    if frame.group.spec.along is not None:
        return _wait_along(plan, frame, pointer, name, flags)

    if spec.runs_on is not None:
        return _wait_for_the_rest(plan, frame, pointer, spec, flags)

    return wait_for(plan, frame, pointer, spec, flags)


def _wait_along(plan: Plan, frame: Frame, pointer: int, name: str, flags: Flags) -> Needs:
    """Wait for the job of that name in the fan-out beside, and for the deps of the own fan-out."""
    group, outer = frame.group, frame.outer
    assert outer is not None
    assert group.spec.along is not None
    beside = outer.nested[group.spec.along]
    upstream, spelled = [beside.pointers[name]], [meta.dep_on_job(beside.group.id, name)]

    if group.spec.deps:
        upstream += group.gate
        spelled += group.gate_deps

    return _wait_on(plan, pointer, upstream, flags, None)._replace(spelled=spelled)


def _wait_for_the_rest(
    plan: Plan, frame: Frame, pointer: int, spec: JobSpec, flags: Flags
) -> Needs:
    """Wait for everything else of the workflow, which counts as one, and for other final jobs."""
    waits = Needs(0, False, [], [], None, None)

    if spec.deps:
        waits = wait_for(plan, frame, pointer, spec, flags)

    return waits._replace(pending=waits.pending + 1, cause=frame.group.cause)


def _wait_on(
    plan: Plan, pointer: int, upstream: list[int], flags: Flags, need: int | None
) -> Needs:
    plan.edges.extend((up, pointer) for up in upstream)
    pending, cause, broken, skipped = plan.judge(upstream, flags, need)
    join = None if need is None else Join(need, len(upstream), broken, skipped)

    return Needs(pending, False, upstream, [], cause, need, join)
