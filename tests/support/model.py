"""A reference engine that has only names, dependencies, flags and states.

It keeps no counters. Each time, it computes from the states of jobs what a job waits for and which
state a group has. That is slow, but simple enough to be right. The property tests drive this model
and PostgreSQL with the same operations, and compare them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeGuard

SETTLED = ("completed", "cancelled", "discarded")

# kinds of groups that are undone by themselves
UNDOING = ("workflow", "sub", "grafted")

STARTING = ("available", "scheduled", "retryable")

# settled states of jobs that did not run to their end
SETTLED_BY_OTHERS = ("cancelled", "discarded", "deleted")

type Member = Job | Group
type Causes = dict[str, set[tuple[str, str]]]


@dataclass(eq=False)
class Job:
    path: str
    parent: Group
    deps: list[Member]
    ignores: tuple[bool, bool]
    state: str = "suspended"
    gone: bool = False
    later: bool = False
    grafter: bool = False
    attempt: int = 0
    max_attempts: int = 20
    # how many executions were stopped from outside and have not ended
    unended: int = 0
    # its deadline: None if it has none, else whether the clock runs
    deadline: bool | None = None
    delayed: bool = False
    wait: Wait | None = None
    # how many of its dependencies it needs; None for all
    need: int | None = None
    is_paused: bool = False
    # whether its pause has a time at which it ends
    until: bool = False
    # the state that it had before a pause suspended it
    paused_from: str | None = None
    # for a final job: the outcomes of its workflow after which it runs
    runs_on: str | None = None
    skipped: bool = False
    # whether it has a condition; for the judge of a group, the last answer of the condition
    asks: bool = False
    judges: bool = False
    # whether its meta still has the reason of an earlier skip
    noted: bool = False
    verdict: bool | None = None
    # whether a node has ever taken it
    has_begun: bool = False
    # of a loop: how many turns have ended since it began
    turns: int = 0
    # whether something can undo it; whether it did its work, or may have, although it was
    # cancelled; and what undoes it, or did
    has_undo: bool = False
    ran: bool = False
    undo: Job | None = None
    # of an undo, what it undoes; and whether it plans the undos of its workflow
    undoes: Job | None = None
    plans: bool = False

    def release(self) -> None:
        self.state = "scheduled" if self.later or self.delayed else "available"
        self.state = self.paused_from or self.state
        self.delayed = False
        self.paused_from = None
        self.start_clock()

    def start_clock(self) -> None:
        self.deadline = self.deadline is not None or None


@dataclass
class Wait:
    """The wait that belongs to a job which never runs."""

    wanted: int = 1
    # the state in which it settles when its time is up, if it has a clock
    on_timeout: str | None = None
    came: list[str] = field(default_factory=list)
    is_open: bool = False
    # whether it had opened or was refused before it settled
    had_opened: bool = False

    def take(self, sender: str) -> bool:
        """Take a signal, unless the wait has all signals that it needs."""
        if len(self.came) >= self.wanted or sender in self.came:
            return False

        self.came.append(sender)

        return True

    def forget(self) -> None:
        """Forget the signals that were used, after a retry."""
        if self.had_opened:
            self.came.clear()

        self.is_open = self.had_opened = False


@dataclass(eq=False)
class Group:
    path: str
    parent: Group | None
    deps: list[Member]
    ignores: tuple[bool, bool]
    kind: str = "sub"
    children: dict[str, Member] = field(default_factory=dict)
    free: bool = False  # ignores the gates of the groups around it
    deadline: bool | None = None
    need: int | None = None
    is_paused: bool = False
    until: bool = False
    # how many of its members may be open at once
    limit: int | None = None
    # how many failures it tolerates if it opened; whether more failures cancel its open jobs
    tolerates: float | None = None
    fail_fast: bool = False
    voided: bool = False
    # whether its judge had failed at the last look
    is_refused: bool = False
    # how many failures there were before the present operation
    seen: int = 0
    # whether its gate was ever open; the outcome of all jobs except its final jobs
    opened: bool = False
    outcome: str | None = None
    # whether what is in it shall not be undone, and undos that were removed while they executed
    waived: bool = False
    lingering: list[Job] = field(default_factory=list)

    @property
    def state(self) -> str:
        if not self.children:
            return self._empty_state

        worst = _worst({child.state for child in self.children.values()})
        is_tolerant = self.tolerates is not None and not self.voided

        if worst is not None and is_tolerant and self.failures <= self.most_failures:
            return "completed"

        return worst or "executing"

    @property
    def failures(self) -> int:
        return sum(child.state in SETTLED_BY_OTHERS for child in self.children.values())

    @property
    def most_failures(self) -> int:
        tolerates = self.tolerates or 0
        members = len(self.children) - (self.judge is not None)

        return int(tolerates * members if tolerates < 1 else tolerates)

    @property
    def judge(self) -> Job | None:
        """The job that asks its condition, if the group has one."""
        judge = self.children.get("when")

        return judge if isinstance(judge, Job) and judge.judges else None

    @property
    def has_crossed(self) -> bool:
        """Whether it fails fast and has more failures than it tolerates."""
        return self.fail_fast and self.failures > self.most_failures

    @property
    def _empty_state(self) -> str:
        if causes(self):
            return "cancelled"

        return "executing" if waits(self) else "completed"

    def finals(self) -> list[Job]:
        return [child for child in self.children.values() if is_final(child) and not child.gone]

    def body(self) -> list[Member]:
        return [child for child in self.children.values() if not is_final(child)]

    def body_state(self) -> str | None:
        """Return the outcome without final jobs, or None while a job is open or executes."""
        if not self.body():
            return "completed" if self.opened else None

        if any(map(runs, self.body())):
            return None

        return _worst({child.state for child in self.body()})

    @property
    def undoing(self) -> Group | None:
        """What undoes this workflow."""
        undo = self.children.get("undo")

        return undo if isinstance(undo, Group) and undo.kind == "undoing" else None

    def is_due(self) -> bool:
        """Tell whether something is to be undone, and nothing was done about it."""
        if self.kind not in UNDOING or self.undoing or self.waived or self.outcome is not None:
            return False

        state = self.own_state()

        return state not in (None, "completed") and any(map(_is_done, self.jobs()))

    def own_state(self) -> str | None:
        """Tell how everything but the final jobs and what undoes it has settled."""
        own = [child for child in self.body() if child is not self.undoing]

        if not own:
            return "completed" if self.opened else None

        return _worst({child.state for child in own})

    def jobs(self) -> Iterator[Job]:
        for child in self.children.values():
            if isinstance(child, Job):
                yield child
            else:
                yield from child.jobs()

    def grafted_jobs(self) -> Iterator[Job]:
        """Return the jobs that were grafted to this group."""
        grafted = self.children["grafted"]
        assert isinstance(grafted, Group)

        return grafted.jobs()

    def groups(self) -> Iterator[Group]:
        yield self

        for child in self.children.values():
            if isinstance(child, Group):
                yield from child.groups()


def _worst(states: set[str]) -> str | None:
    """Return the state of a group whose members have these states, or None while one is open."""
    if not states <= {*SETTLED, "deleted"}:
        return None

    if "discarded" in states:
        return "discarded"

    return "completed" if states == {"completed"} else "cancelled"


def is_final(member: Member) -> TypeGuard[Job]:
    return isinstance(member, Job) and member.runs_on is not None


def is_spared(job: Job) -> bool:
    """Tell whether a job runs although its workflow is cancelled."""
    return in_undo(job) or (is_final(job) and (job.parent.opened or bool(job.parent.body())))


def in_undo(member: Member) -> bool:
    """Tell whether a member is a part of what undoes a workflow."""
    around = member.parent

    return around is not None and (around.kind == "undoing" or in_undo(around))


def _is_done(job: Job) -> bool:
    """Tell whether a job did its work, or may have, and nothing undid it."""
    did = job.ran or job.unended > 0 or (job.state == "completed" and not job.skipped)

    return job.has_undo and job.undo is None and did


def was_undone(job: Job) -> bool:
    """Tell whether a job was undone, or is being undone."""
    undo = job.undo

    return undo is not None and (undo.state in ("executing", "completed") or undo.unended > 0)


def runs(member: Member) -> bool:
    """Tell whether a member has an execution that has not ended although its job was stopped."""
    if isinstance(member, Job):
        return member.unended > 0

    return any(map(runs, member.children.values()))


def _ignored(state: str, ignores: tuple[bool, bool]) -> bool:
    return (state == "cancelled" and ignores[0]) or (state == "discarded" and ignores[1])


def upstream(member: Member) -> list[Member]:
    """Return the dependencies of a member: its own, or else those of the group around it."""
    return _gate(member).deps


def _gate(member: Member) -> Member:
    """Return the member whose dependencies a member waits for: itself, or a group around it."""
    is_free = is_final(member) or (isinstance(member, Group) and member.free)
    # the group waits for its judge, so the judge does not wait at the gate
    around = member.parent.parent if _is_judge(member) else member.parent

    if is_free or member.deps or around is None:
        return member

    return _gate(around)


def _is_judge(member: Member) -> TypeGuard[Job]:
    return isinstance(member, Job) and member.judges


def was_skipped(member: Member) -> bool:
    """Tell whether a member completed because it, or all of its jobs, were skipped."""
    if isinstance(member, Job):
        return member.skipped and member.state == "completed"

    others = [child for child in member.children.values() if not _is_judge(child)]
    is_empty = all(map(is_final, others))

    return member.state == "completed" and (
        skips(member) or (not is_empty and all(map(was_skipped, others)))
    )


def skips(member: Member) -> bool:
    """Tell whether a member is skipped because of its dependencies, or its groups' ones."""
    deps = upstream(member)

    return bool(deps) and not waits(member) and all(map(_says_no, deps))


def _says_no(dep: Member) -> bool:
    return was_skipped(dep) or (_is_judge(dep) and dep.verdict is False)


def _flags(member: Member) -> tuple[bool, bool]:
    """Return the flags by which a member judges its dependencies.

    A graft's dependencies were satisfied, by its flags, when its jobs were grafted.
    """
    gate = _gate(member)

    if isinstance(gate, Group) and gate.judge is not None:
        return False, False

    if not member.deps and member.parent is not None and member.parent.kind == "grafted":
        return member.parent.ignores

    return member.ignores


def waits(member: Member) -> bool:
    """Tell whether fewer dependencies of a member are satisfied than it needs."""
    if is_final(member) and member.parent.outcome is None:
        return True

    satisfied = [
        dep
        for dep in _counted(member)
        if dep.state == "completed" or _ignored(dep.state, _flags(member))
    ]

    return len(satisfied) < _needed(member)


def _counted(member: Member) -> list[Member]:
    """Return the dependencies of a member; for a join, without those that were skipped."""
    gate = _gate(member)

    return [dep for dep in gate.deps if gate.need is None or not was_skipped(dep)]


def _needed(member: Member) -> int:
    need, deps = _gate(member).need, len(_counted(member))

    return deps if need is None else min(need, deps)


def causes(member: Member) -> set[tuple[str, str]]:
    """Return the dependencies that break a member, and their states."""
    is_unopened = is_final(member) and not member.parent.opened
    around = causes(member.parent) if is_unopened and member.parent else set()
    deps = _counted(member)
    broken = {
        (dep.path, dep.state)
        for dep in deps
        if dep.state in ("cancelled", "discarded", "deleted")
        and not _ignored(dep.state, _flags(member))
    }

    return around | (broken if len(deps) - len(broken) < _needed(member) else set())


def has_slot(job: Job) -> bool:
    """Tell whether the limit of its fan-out lets one more job be open."""
    around = job.parent

    if job.judges:
        return True

    if around.kind == "graft" and around.parent is not None:
        around = around.parent

    if around.kind not in ("many", "items") or around.limit is None:
        return True

    members = [child for child in around.children.values() if not _is_judge(child)]

    return sum(map(_holds_slot, members)) < around.limit


def _holds_slot(member: Member) -> bool:
    if isinstance(member, Group):
        has_begun = member.children["grafter"].state != "suspended"

        return has_begun and member.state == "executing"

    return member.state in ("available", "scheduled", "executing", "retryable")


def held(member: Member) -> bool:
    """Tell whether a member follows an execution that has not ended, though its job was stopped."""
    if isinstance(member, Job) and member.plans:
        undoing = member.parent
        owner = undoing.parent
        assert owner is not None

        return any(runs(child) for child in owner.children.values() if child is not undoing)

    return any(not ended(dep) for dep in upstream(member))


def lingers(job: Job) -> bool:
    """Tell whether an execution of a job, or of its undo, has not ended."""
    return job.unended > 0 or (job.undo is not None and job.undo.unended > 0)


def ended(member: Member) -> bool:
    """Tell whether the executions of a member, and of members that it replaces, have ended.

    A member that settled without running stands for the dependencies that it would have waited for.
    """
    if isinstance(member, Group) and member.children:
        return all(map(ended, member.children.values()))

    if isinstance(member, Job) and (member.unended or member.state not in SETTLED_BY_OTHERS):
        return not member.unended

    return not held(member)


def paused(member: Member) -> bool:
    """Tell whether a member or a group around it is paused."""
    return member.is_paused or (member.parent is not None and paused(member.parent))


def excused(member: Member) -> bool:
    """Tell whether a member may wait for a broken dependency, directly or indirectly.

    That is so only after a retry of this member alone. A retry of the broken dependency ends it.
    """
    if isinstance(member, Group) and member.children:
        return any(excused(child) for child in member.children.values())

    if member.state not in ("suspended", "executing"):
        return False

    if is_final(member):
        gate = [] if member.parent.opened else upstream(member.parent)

        if any(map(excused, [*member.parent.body(), *gate])):
            return True

    return bool(causes(member)) or any(excused(dep) for dep in upstream(member))


def _surroundings(member: Member) -> Iterator[Member]:
    """Return a member, all members inside it, and the groups around it."""
    around: Member | None = member

    while around is not None:
        yield around
        around = around.parent

    if isinstance(member, Group):
        yield from member.groups()
        yield from member.jobs()


def _reruns(job: Job, *, follows: bool) -> bool:
    """Tell whether running a job again changes its row, so that the job counts."""
    remembers = job.paused_from is not None or job.verdict is not None

    match job.state:
        case "available":
            return follows or remembers
        case "scheduled":
            return follows or job.has_begun
        case "suspended":
            return remembers and (follows or job.has_begun)
        case _:
            return True


def _inside(member: Member) -> Iterator[Job]:
    if isinstance(member, Job):
        yield member
    else:
        yield from member.jobs()


def mirror(group: Group, parent: Group, path: str) -> Group | None:
    """Return what undoes a group, nested as it is; None if nothing is to be undone."""
    mirrored = Group(path, parent, [], (False, False), "mirror")
    names: dict[Member, str] = {}

    for name, child in group.children.items():
        inner = child

        if isinstance(child, Group) and child.kind == "graft":
            inner = child.children.get("grafted", child.children["grafter"])

        undo = _undo_of(inner, mirrored, f"{path}/{name}")

        if undo is not None:
            mirrored.children[name] = undo
            names[child] = name

    for child, name in names.items():
        after = [names[one] for one in names if one is not child and _follows(one, child)]
        mirrored.children[name].deps = [mirrored.children[one] for one in after]

    return mirrored if mirrored.children else None


def _undo_of(member: Member, parent: Group, path: str) -> Member | None:
    if isinstance(member, Group):
        return None if member.kind == "undoing" else mirror(member, parent, path)

    if not member.has_undo or (member.undo and member.undo.state == "completed"):
        return None

    if member.undo is not None:
        # it was tried elsewhere, in vain
        return Job(path, parent, [], (False, False))

    if not (member.ran or (member.state == "completed" and not member.skipped)):
        return None

    member.undo = Job(path, parent, [], (False, False), undoes=member)

    return member.undo


def _follows(member: Member, other: Member) -> bool:
    """Tell whether a member depends on another one of its group, at any distance."""
    judge = member.judge if isinstance(member, Group) else None
    deps = judge.deps if judge else member.deps

    return any(dep is other or _follows(dep, other) for dep in deps)


def _is_lost(job: Job) -> bool:
    """Tell whether a final job cannot run again: what it depends on is gone."""
    return any(
        isinstance(dep, Job)
        and (dep.path, dep.state) in causes(job)
        and (dep.gone or _is_lost(dep))
        for dep in job.deps
    )


def _root(group: Group) -> Group:
    return group if group.parent is None else _root(group.parent)


def is_cut_short(job: Job) -> bool:
    """Tell whether a job is in a group that failed fast, so that it is not tried again."""
    if is_spared(job):
        return False

    group: Group | None = job.parent

    while group is not None and not group.has_crossed:
        group = group.parent

    return group is not None


def _void(job: Job) -> None:
    """Let groups tolerate no failures if their gates broke: their jobs could not start."""
    gate = _gate(job)
    member: Member = job

    while member is not gate:
        assert member.parent is not None
        member = member.parent
        assert isinstance(member, Group)
        member.voided = member.tolerates is not None


def _has_failed(judge: Job | None) -> bool:
    return judge is not None and judge.state in SETTLED_BY_OTHERS


class Model:
    """All workflows of a database, by the id of their root."""

    def __init__(self) -> None:
        self.roots: dict[str, Group] = {}
        # whether nodes report the end of stopped executions
        self.is_ours = False
        # final jobs that were stopped because another job of their workflow runs again
        self.stopped: list[Job] = []
        # jobs of undos that were removed while they executed
        self.removed: list[Job] = []
        # jobs that had settled and were retried just now, and members that were added
        self.reopened: list[Job] = []
        self.added: list[Member] = []

    def jobs(self, *states: str) -> list[Job]:
        """Return the jobs that have rows, in the given states or in any state."""
        return [
            job
            for root in self.roots.values()
            for job in root.jobs()
            if not job.gone and (not states or job.state in states)
        ]

    def groups(self) -> list[Group]:
        return [group for root in self.roots.values() for group in root.groups()]

    def known(self) -> list[Group]:
        """Return the groups of all roots that still have a job."""
        return [
            group
            for root in self.roots.values()
            if any(not job.gone for job in root.jobs())
            for group in root.groups()
        ]

    def states(self) -> dict[str, str]:
        return {job.path: job.state for job in self.jobs()}

    def causes(self) -> Causes:
        return {job.path: causes(job) for root in self.roots.values() for job in root.jobs()}

    # What can happen

    def enqueue(self, root: Group) -> None:
        before = self.causes()
        self.roots[root.path] = root
        self._carry(before)

    def extend(self, add: Callable[[], None]) -> None:
        """Add members, which opens groups that had settled."""
        before = self.causes()
        known = {*self.groups(), *self.jobs()}
        add()
        members: list[Member] = [*self.groups(), *self.jobs()]
        self.added = [one for one in members if one not in known]
        opened = self.causes()
        self._carry({path: before[path] & opened[path] for path in before})

    def settle(self, jobs: Iterable[Job], state: str, *, unseen: bool = False) -> None:
        """Settle jobs. Unseen jobs are counted later, and never make a group fail fast."""
        before = self.causes()

        for job in jobs:
            self._set(job, state)

        if unseen:
            for group in self.groups():
                group.seen = group.failures
                group.is_refused = _has_failed(group.judge)

        self._carry(before)

    def skip(self, jobs: Iterable[Job]) -> None:
        """Complete jobs whose conditions were not met."""
        before = self.causes()

        for job in jobs:
            self._skip(job)

        self._carry(before)

    def _skip(self, job: Job) -> None:
        self._set(job, "completed")
        job.skipped = job.noted = True
        job.attempt = 0

    def judge(self, job: Job, verdict: bool) -> None:
        """Let a judge say whether the condition of its group is met."""
        job.verdict = verdict
        self.settle([job], "completed")

    @staticmethod
    def _set(job: Job, state: str) -> None:
        job.state = state

        if job.wait is not None and state in SETTLED_BY_OTHERS + SETTLED:
            job.wait.is_open = False

    def delete(self, jobs: Iterable[Job]) -> None:
        before = self.causes()

        for job in jobs:
            job.gone = True
            self._set(job, job.state if job.state in SETTLED else "deleted")

        self._carry(before)

    def revive(
        self,
        jobs: Iterable[Job],
        *,
        hold: bool,
        anew: Iterable[Job] = (),
        regraft: Iterable[Group] = (),
    ) -> None:
        """Retry jobs. Scheduled jobs are suspended only if a dependency or a hold requires it.

        Those that run anew are judged again, and begin with their first turn. From the graft points
        given what was grafted is removed.
        """
        before = self.causes()
        anew = {*anew}

        for point in regraft:
            del point.children["grafted"]

        for job in jobs:
            if job.wait is not None and job.state in SETTLED:
                job.wait.forget()

            self._unvoid(job)
            self._reopen(job)
            job.later = job.skipped = False
            job.verdict = None if job in anew else job.verdict
            job.turns = 0 if job in anew else job.turns
            job.paused_from = "available" if job.paused_from else None
            job.max_attempts = max(job.max_attempts, job.attempt + 1)
            waiting = job.state in ("scheduled", "retryable") and not hold
            job.state = "available" if waiting else "suspended"

        for job in jobs:
            # a job that is made available by hand is neither delayed again nor skipped again
            is_limited = job.parent.limit is not None
            is_kept = waits(job) or held(job) or lingers(job) or paused(job) or is_limited
            is_judged = hold or is_kept or job.runs_on

            if (job.delayed or skips(job)) and job.state == "suspended" and not is_judged:
                job.state = "available"

        # a member that settles again at once breaks its dependents again
        opened = self.causes()
        self._carry({path: before[path] & opened.get(path, set()) for path in before})

    def rerun(self, named: list[Member]) -> tuple[int, list[Job]]:
        """Run members again, with all of their dependents.

        Returns:
            How many jobs were reopened or suspended, and the grafted jobs that were removed.
        """
        before = self.causes()
        after = self._downstream(named)
        found = {job for one in [*named, *after] for job in _inside(one) if not job.gone}
        found -= {*filter(in_undo, found)}
        points = [
            job.parent
            for job in found
            if job.grafter
            and "grafted" in job.parent.children
            and (job.state == "completed" or job in after)
        ]
        removed = [job for point in points for job in point.grafted_jobs()]
        jobs = [job for job in found if job not in removed and _reruns(job, follows=job in after)]
        count = sum(job.state != "suspended" and not is_final(job) for job in jobs)

        for point in points:
            point.children.pop("grafted", None)

        for job in jobs:
            self._start_over(job)

        for group in self.groups():
            # it counts as never opened
            if not group.body() and waits(group) and any(job in after for job in group.finals()):
                group.opened = False
                group.outcome = None

                for job in group.finals():
                    before[job.path] |= causes(group)

        opened = self.causes()
        self._carry({path: before[path] & opened.get(path, set()) for path in before})

        return count, removed

    def _downstream(self, named: list[Member]) -> set[Member]:
        """Return all direct and indirect dependents of members, and of the members inside them."""
        members: list[Member] = [
            *self.groups(),
            *(j for r in self.roots.values() for j in r.jobs()),
        ]
        reached = {one for member in named for one in _surroundings(member)}
        after: set[Member] = set()

        while True:
            more = {
                member
                for member in members
                if member not in after
                and (member.parent in after or any(dep in reached for dep in member.deps))
            }

            if not more:
                return after

            after |= more
            reached |= {one for member in more for one in _surroundings(member)}

    def _start_over(self, job: Job) -> None:
        if job.wait is not None and job.state in SETTLED:
            job.wait.forget()

        self._unvoid(job)
        self._reopen(job)
        was = job.paused_from or job.state

        if job.state == "executing":
            job.unended += self.is_ours
            self.stopped.append(job)

        job.later = was == "scheduled" and not job.has_begun
        job.paused_from = job.verdict = None
        job.skipped = False
        job.turns = 0
        job.max_attempts = max(job.max_attempts, job.attempt + 1)
        job.state = "suspended"

    def _reopen(self, job: Job) -> None:
        if job.state in SETTLED:
            self.reopened.append(job)

    @staticmethod
    def _unvoid(job: Job) -> None:
        """Let groups that a retry opens tolerate failures again."""
        member: Member = job

        while member.state in SETTLED and member.parent is not None:
            member = member.parent
            opens = member.state in SETTLED
            member.voided = False

            if not opens:
                break

    def cancel(self, jobs: Iterable[Job], groups: Iterable[Group], *, waives: bool) -> None:
        """Cancel jobs, all that are open in some groups, which perhaps nothing shall undo."""
        for group in groups:
            self._void_whole(group)

            for one in group.groups() if waives else ():
                one.waived = one.waived or (one.undoing is None and one.outcome is None)

        self.settle(jobs, "cancelled")

    @staticmethod
    def _void_whole(group: Group) -> None:
        for one in group.groups():
            if one.state == "executing" and one.tolerates is not None:
                one.voided = True

    def prune(self) -> None:
        self.roots = {
            id: root
            for id, root in self.roots.items()
            if root.state == "executing"
            or any(job.unended for job in (*root.jobs(), *root.lingering))
        }

    def set_limit(self, group: Group, limit: int | None) -> None:
        group.limit = limit
        self._carry(self.causes())

    def end(self, job: Job, outcome: str) -> None:
        """End an execution that somebody had stopped."""
        self._end_execution(job, outcome)
        self._carry(self.causes())

    def end_all(self) -> None:
        """End all executions that somebody had stopped: their node is given up."""
        lingering = [job for root in self.roots.values() for job in root.lingering]

        for job in [*self.jobs(), *lingering]:
            if job.unended:
                # it may have done its work
                self._end_execution(job, "completed")
                job.unended = 0

        self._carry(self.causes())

    @staticmethod
    def _end_execution(job: Job, outcome: str) -> None:
        job.unended -= 1

        if outcome == "completed" and job.state in ("cancelled", "discarded") and not job.gone:
            job.ran = job.has_undo

        undone = job.undoes

        if undone and undone.undo is job and not undone.gone and undone.state not in SETTLED:
            undone.undo = None

    def reject(self, job: Job) -> bool:
        """Refuse a wait, and return whether it was still waiting."""
        assert job.wait is not None

        if job.state != "suspended" or len(job.wait.came) >= job.wait.wanted:
            return False

        job.wait.had_opened = True
        self.settle([job], "cancelled")

        return True

    def signal(self, job: Job, sender: str) -> bool:
        """Send a signal to a wait, and return whether the wait took it."""
        assert job.wait is not None

        if job.state != "suspended" or not job.wait.take(sender):
            return False

        self._carry(self.causes())

        return True

    def pass_time(self) -> list[Job]:
        """Let all running clocks run out: those of waits first, then pauses, then deadlines.

        Returns:
            The executing jobs whose deadline passed.
        """
        groups = [group for group in self.groups() if group.deadline]
        own = [job for job in self.jobs() if job.deadline]
        before = self.causes()

        for job in self.jobs("suspended"):
            if job.wait is not None and job.wait.is_open and job.wait.on_timeout is not None:
                self._set(job, job.wait.on_timeout)

        self._carry(before)
        self.resume_all(member for member in self.paused() if member.until)
        before = self.causes()
        late = [job for group in groups for job in group.jobs() if not is_spared(job)] + own
        late = [job for job in self.jobs() if job in late and job.state not in SETTLED]
        executing = [job for job in late if job.state == "executing"]

        for group in groups:
            group.deadline = None
            self._void_whole(group)

        for job in own:
            job.deadline = None

        for job in late:
            self._set(job, "cancelled")

        for job in executing:
            job.unended += self.is_ours

        self._carry(before)

        return executing

    def pause(self, member: Member, *, until: bool = False) -> int:
        """Pause a member, perhaps until a time, and return how many jobs that holds back."""
        if member.is_paused or member.state in (*SETTLED, "deleted"):
            return 0

        member.is_paused, member.until = True, until
        jobs = [job for job in _inside(member) if job.state in STARTING and not job.gone]
        self._hold(jobs)
        # other members get their slots
        self._carry(self.causes())

        return len(jobs)

    def paused(self) -> list[Member]:
        """Return the members that are paused themselves."""
        members: list[Member] = [*self.groups(), *self.jobs()]

        return [member for member in members if member.is_paused]

    def hold_paused(self, jobs: Iterable[Job]) -> None:
        """Suspend jobs that could start and are paused."""
        self._hold(job for job in jobs if job.state in STARTING and paused(job))

    @staticmethod
    def _hold(jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.paused_from, job.state = job.state, "suspended"

    def resume(self, member: Member) -> int:
        """Resume a member, and return how many jobs that brings back."""
        return self.resume_all([member])

    def resume_all(self, members: Iterable[Member]) -> int:
        members = [member for member in members if member.is_paused]
        jobs = {job for one in members for job in _inside(one) if job.state == "suspended"}

        for member in members:
            member.is_paused = False

        self._carry(self.causes())

        for job in jobs:
            if not paused(job):
                job.paused_from = None

        return len([job for job in jobs if job.state in STARTING])

    def _carry(self, before: Causes) -> None:
        """Release members that no longer wait and cancel broken ones, until nothing changes."""
        armed = True

        while armed:
            armed = False

            for group in self.groups():
                self._take_undo_back(group)
                armed = self._arm(group) or armed

        for member in (*self.reopened, *self.added):
            for around in _surroundings(member):
                if isinstance(around, Group) and around.own_state() is None:
                    around.waived = False

        for job in self.reopened:
            job.ran = False
            job.undo = job.undo if lingers(job) else None

        self.reopened.clear()
        self.added.clear()
        # what was armed and settles again breaks anew
        opened = self.causes()
        before = {path: before[path] & opened.get(path, set()) for path in before}
        moved = True

        while moved:
            moved = False
            self._void_refused()

            self._insert_undos()

            for group in self.groups():
                group.opened = group.opened or not waits(group)
                moved = self._end(group) or moved

                if group.deadline is False and not waits(group):
                    group.deadline = True

            for job in self.jobs("suspended"):
                if causes(job) - before.get(job.path, set()):
                    job.state = "cancelled"
                    _void(job)
                    self._insert_undos()
                    moved = True

            self._void_refused()
            moved = self._fail_fast() or moved
            self._insert_undos()

            # slots are given out when nothing else changes
            for job in self._waiting() if not moved else ():
                if job.runs_on is not None:
                    self._judge(job)
                elif skips(job):
                    self._skip(job)
                elif job.wait is not None:
                    self._open(job, job.wait)
                elif not (waits(job) or held(job) or lingers(job) or paused(job)) and has_slot(job):
                    job.release()

                if job.state != "suspended":
                    self._insert_undos()
                    moved = True

    def _insert_undos(self) -> None:
        """Insert what undoes groups that have just failed, before anybody is told."""
        for group in reversed(self.groups()):
            if group.is_due():
                self._insert_undo(group)

    def _void_refused(self) -> None:
        """Let groups whose judges have just failed tolerate no failures."""
        for group in self.groups():
            has_failed = _has_failed(group.judge)

            if has_failed and not group.is_refused:
                group.voided = group.tolerates is not None

            group.is_refused = has_failed

    def _waiting(self) -> list[Job]:
        """Return waiting jobs, first those that could have started before they were paused."""
        return sorted(self.jobs("suspended"), key=lambda job: job.paused_from is None)

    def _fail_fast(self) -> bool:
        """Cancel open jobs in groups that have just exceeded the failures that they tolerate."""
        moved = False

        for group in self.groups():
            crosses = group.has_crossed and group.seen <= group.most_failures
            group.seen = group.failures

            if crosses and group.state == "executing":
                for job in group.jobs():
                    is_open = job.state in ("suspended", *STARTING)

                    if is_open and not is_spared(job):
                        self._set(job, "cancelled")
                        moved = True

        return moved

    def _open(self, job: Job, wait: Wait) -> None:
        """Open a wait whose dependencies are satisfied, and settle it if its signals have come."""
        if waits(job):
            wait.had_opened = wait.had_opened and not wait.is_open
            wait.is_open = False
        elif not held(job):
            wait.is_open = wait.had_opened = True

        if wait.is_open and len(wait.came) >= wait.wanted:
            self._set(job, "completed")

    @staticmethod
    def _insert_undo(group: Group) -> None:
        path = f"{group.path}/undo"
        undoing = Group(path, group, [], (False, False), "undoing", free=True)
        grafter = Job(f"{path}/grafter", undoing, [], (False, False), plans=True)
        undoing.children["grafter"] = grafter
        group.children["undo"] = undoing

    def _take_undo_back(self, group: Group) -> None:
        """Remove what undoes a group if something else in it is open again."""
        if group.own_state() is not None:
            return

        if group.undoing is None:
            return

        for job in group.undoing.jobs():
            undone = job.undoes if job.undoes and job.undoes.undo is job else None

            if undone is not None and not was_undone(undone):
                undone.undo = None

            if job.state == "executing":
                job.unended += self.is_ours and undone is not None
                (self.removed if undone is None else self.stopped).append(job)

            if undone is not None and undone.undo is not None:
                # it counts as done until the job runs again
                job.state = "completed"

            if job.unended:
                _root(group).lingering.append(job)

        del group.children["undo"]

    def plan_undo(self, grafter: Job) -> None:
        """Plan the undos of a workflow, unless that was done, and complete who plans them."""
        undoing = grafter.parent

        if "grafted" not in undoing.children and undoing.parent is not None:
            grafted = mirror(undoing.parent, undoing, f"{undoing.path}/grafted")

            if grafted is not None:
                undoing.children["grafted"] = grafted

        self.settle([grafter], "completed")

    def turn(self, job: Job, state: str) -> None:
        """End a turn of a loop that goes on."""
        job.turns += 1
        job.attempt = 0
        is_over = is_cut_short(job)
        self.settle([job], "cancelled" if is_over else state)

        if not is_over:
            self.hold_paused([job])

    def forward(self, jobs: list[Job], *, is_named: bool) -> tuple[list[Job], set[Job]]:
        """Return what a retry of some jobs concerns, and what of that runs anew.

        Without names these are the jobs that were undone too, and what depends on them, but not the
        undos. A named undo goes with those that it had broken.
        """
        members: set[Member] = {job for job in jobs if in_undo(job) if is_named}
        members |= {job for job in jobs if was_undone(job) if not is_named}
        after = {job for one in self._downstream([*members]) for job in _inside(one)}

        if is_named:
            more = {job for job in after if in_undo(job) and not job.gone} - {*jobs}

            return [*jobs, *more], {job for job in jobs if not in_undo(job)}

        jobs = [job for job in jobs if not in_undo(job)]
        anew = {job for job in jobs if (job in after or job in members) and not is_final(job)}

        return jobs, anew

    def _arm(self, group: Group) -> bool:
        """Let the final jobs of a group wait again if another job of it is open again."""
        if group.outcome is None or group.body_state() is not None:
            return False

        group.outcome = None

        for job in group.finals():
            if job.state == "suspended" or _is_lost(job):
                continue

            if job.state == "executing":
                job.unended += self.is_ours
                self.stopped.append(job)

            job.state = "suspended"
            job.later = job.skipped = False
            job.max_attempts = max(job.max_attempts, job.attempt + 1)

        return True

    @staticmethod
    def _end(group: Group) -> bool:
        """Note how everything but the final jobs of a group has settled."""
        if group.outcome is not None or group.kind not in UNDOING:
            return False

        group.outcome = group.body_state()

        return group.outcome is not None

    @staticmethod
    def _judge(job: Job) -> None:
        """Start a final job, or skip it."""
        if waits(job) or held(job) or job.unended:
            return

        outcome, group = job.parent.outcome, job.parent
        concerned = {"always": True, "completed": outcome == "completed"}
        runs = concerned.get(job.runs_on or "", outcome != "completed")
        all_skipped = job.deps and all(isinstance(dep, Job) and dep.skipped for dep in job.deps)

        if not group.opened:
            job.state = "completed" if outcome == "completed" else "cancelled"
            job.skipped = outcome == "completed"
        elif not runs or all_skipped or skips(group):
            job.state = "completed"
            job.skipped = job.noted = True
        elif not paused(job):
            job.release()
