"""A reference engine: names, dependencies, flags and states, and nothing else.

It keeps no counters. What a job waits for, and what a group is, is read off the states each time:
slow, and hardly wrong. The state machine beside it drives it and PostgreSQL side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SETTLED = ("completed", "cancelled", "discarded")

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

    def release(self) -> None:
        self.state = "scheduled" if self.later else "available"


@dataclass(eq=False)
class Group:
    path: str
    parent: Group | None
    deps: list[Member]
    ignores: tuple[bool, bool]
    kind: str = "sub"
    children: dict[str, Member] = field(default_factory=dict)
    free: bool = False  # waits for nothing, whatever is around it

    @property
    def state(self) -> str:
        if not self.children:
            return self._empty_state

        states = {child.state for child in self.children.values()}

        if not states <= {*SETTLED, "deleted"}:
            return "executing"

        if "discarded" in states:
            return "discarded"

        return "completed" if states == {"completed"} else "cancelled"

    @property
    def _empty_state(self) -> str:
        if causes(self):
            return "cancelled"

        return "executing" if waits(self) else "completed"

    def jobs(self) -> Iterator[Job]:
        for child in self.children.values():
            if isinstance(child, Job):
                yield child
            else:
                yield from child.jobs()

    def groups(self) -> Iterator[Group]:
        yield self

        for child in self.children.values():
            if isinstance(child, Group):
                yield from child.groups()


def _ignored(state: str, ignores: tuple[bool, bool]) -> bool:
    return (state == "cancelled" and ignores[0]) or (state == "discarded" and ignores[1])


def upstream(member: Member) -> list[Member]:
    """Return what a member depends on: its own, else what the group around it does."""
    if member.deps or member.parent is None or (isinstance(member, Group) and member.free):
        return member.deps

    return upstream(member.parent)


def _flags(member: Member) -> tuple[bool, bool]:
    """Return by which flags a member judges what it depends on.

    What a graft depends on was satisfied when its jobs came, by the flags of the graft.
    """
    if not member.deps and member.parent is not None and member.parent.kind == "grafted":
        return member.parent.ignores

    return member.ignores


def waits(member: Member) -> bool:
    """Tell whether anything that a member depends on is not satisfied."""
    return any(
        dep.state != "completed" and not _ignored(dep.state, _flags(member))
        for dep in upstream(member)
    )


def causes(member: Member) -> set[tuple[str, str]]:
    """Return what breaks a member, and how it had settled."""
    return {
        (dep.path, dep.state)
        for dep in upstream(member)
        if dep.state in ("cancelled", "discarded", "deleted")
        and not _ignored(dep.state, _flags(member))
    }


def excused(member: Member) -> bool:
    """Tell whether a member waits for something broken, itself or by way of what it depends on.

    That takes a retry of it alone; who retries what broke as well sets it free.
    """
    if isinstance(member, Group) and member.children:
        return any(excused(child) for child in member.children.values())

    if member.state not in ("suspended", "executing"):
        return False

    return bool(causes(member)) or any(excused(dep) for dep in upstream(member))


class Model:
    """All workflows of a database, by the id of their root."""

    def __init__(self) -> None:
        self.roots: dict[str, Group] = {}

    def jobs(self, *states: str) -> list[Job]:
        """Return the jobs whose row is there, in some states or in any."""
        return [
            job
            for root in self.roots.values()
            for job in root.jobs()
            if not job.gone and (not states or job.state in states)
        ]

    def groups(self) -> list[Group]:
        return [group for root in self.roots.values() for group in root.groups()]

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
        add()
        opened = self.causes()
        self._carry({path: before[path] & opened[path] for path in before})

    def settle(self, jobs: Iterable[Job], state: str) -> None:
        before = self.causes()

        for job in jobs:
            job.state = state

        self._carry(before)

    def delete(self, jobs: Iterable[Job]) -> None:
        before = self.causes()

        for job in jobs:
            job.gone = True
            job.state = job.state if job.state in SETTLED else "deleted"

        self._carry(before)

    def revive(self, jobs: Iterable[Job], *, hold: bool) -> None:
        """Retry jobs; those that wait for a time are put back to wait for others only to hold."""
        before = self.causes()

        for job in jobs:
            job.later = False
            job.max_attempts = max(job.max_attempts, job.attempt + 1)
            waiting = job.state in ("scheduled", "retryable") and not hold
            job.state = "available" if waiting else "suspended"

        self._carry(before)

    def prune(self) -> None:
        self.roots = {id: root for id, root in self.roots.items() if root.state == "executing"}

    def _carry(self, before: Causes) -> None:
        """Release what waits no more and cancel what broke just now, until nothing moves."""
        moved = True

        while moved:
            moved = False

            for job in self.jobs("suspended"):
                if causes(job) - before.get(job.path, set()):
                    job.state = "cancelled"
                elif not waits(job):
                    job.release()

                moved = moved or job.state != "suspended"
