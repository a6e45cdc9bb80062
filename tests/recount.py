"""The oracle: what the bookkeeping must say, computed anew from the states of the jobs.

It reads the tables as they are, and shares no code with the functions under test. What it takes for
given: who is a member of what, the edges, the flags, the states, and which rows are gone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from psycopg import AsyncConnection

SETTLED = ("completed", "cancelled", "discarded")


class Member(NamedTuple):
    id: int
    group: int
    name: str
    pending: int
    gated: bool
    ignores: tuple[bool, bool]
    gone: str | None

    def is_satisfied_by(self, state: str) -> bool:
        return state == "completed" or self._ignores(state)

    def is_broken_by(self, state: str) -> bool:
        return state in ("cancelled", "discarded", "deleted") and not self._ignores(state)

    def _ignores(self, state: str) -> bool:
        cancelled, discarded = self.ignores

        return (state == "cancelled" and cancelled) or (state == "discarded" and discarded)


class Group(NamedTuple):
    key: int
    parent: int | None
    counters: dict[str, int | str]


@dataclass
class Books:
    """A snapshot of the bookkeeping, and what it should have been."""

    groups: dict[int, Group]
    members: dict[int, Member]
    states: dict[int, str]
    upstream: dict[int, list[int]]
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _group_states: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for member in self.members.values():
            self.children[member.group].append(member.id)

    def job_state(self, job_id: int) -> str:
        return self.states.get(job_id) or self.members[job_id].gone or "gone without a trace"

    def state(self, member_id: int) -> str:
        return self.job_state(member_id) if member_id > 0 else self.group_state(member_id)

    def group_state(self, key: int) -> str:
        if key not in self._group_states:
            self._group_states[key] = self._group_state(key)

        return self._group_states[key]

    def _group_state(self, key: int) -> str:
        states = [self.state(child) for child in self.children[key]]

        if not states:
            return self._empty_state(key)

        if any(state not in (*SETTLED, "deleted") for state in states):
            return "executing"

        if "discarded" in states:
            return "discarded"

        return "completed" if set(states) == {"completed"} else "cancelled"

    def _empty_state(self, key: int) -> str:
        if key not in self.members:
            return "executing"

        if self.is_broken(self.members[key]):
            return "cancelled"

        return "executing" if self.pending(self.members[key]) else "completed"

    def pending(self, member: Member) -> int:
        """Count what a member waits for, by itself and with its group."""
        gate = member.gated and self.pending(self.members[member.group]) > 0

        return self.own_pending(member) + gate

    def own_pending(self, member: Member) -> int:
        return sum(not member.is_satisfied_by(self.state(up)) for up in self.upstream[member.id])

    def is_broken(self, member: Member) -> bool:
        if any(member.is_broken_by(self.state(up)) for up in self.upstream[member.id]):
            return True

        return member.gated and self.is_broken(self.members[member.group])

    def counters(self, key: int) -> dict[str, int | str]:
        jobs = Counter(self.job_state(child) for child in self.children[key] if child > 0)
        subs = Counter(self.group_state(child) for child in self.children[key] if child < 0)
        expected: dict[str, int | str] = {
            "total": jobs.total(),
            "suspended": jobs["suspended"],
            "completed": jobs["completed"],
            "cancelled": jobs["cancelled"] + jobs["deleted"],
            "discarded": jobs["discarded"],
            "subs": subs.total(),
            "subs_completed": subs["completed"],
            "subs_cancelled": subs["cancelled"],
            "subs_discarded": subs["discarded"],
            "state": self.group_state(key),
        }

        if not self.children[key] and key in self.members:
            expected["empty_state"] = self.group_state(key)

        return expected

    def differences(self) -> Iterator[str]:
        """Tell every counter that is not what the states make it."""
        for member in self.members.values():
            # Jobs share the count of their group.
            count = self.own_pending if member.id > 0 else self.pending

            if (pending := count(member)) != member.pending:
                yield f"pending of {self.path(member.id)} must be {pending}, got {member.pending}"

        for key, group in self.groups.items():
            for name, value in self.counters(key).items():
                if group.counters[name] != value:
                    got = group.counters[name]
                    yield f"{name} of {self.path(key)} must be {value!r}, got {got!r}"

    def stuck(self, revived: Collection[int] = ()) -> Iterator[str]:
        """Tell every job that waits for nothing, or for what will not come.

        Args:
            revived: Jobs that somebody retried while what they depend on stays cancelled or
                discarded. They wait for that to be retried too.
        """
        for job_id, state in self.states.items():
            member = self.members.get(job_id)

            if state != "suspended" or member is None:
                continue

            if self.pending(member) == 0:
                yield f"{self.path(job_id)} must not be suspended: nothing is pending"
            elif self.is_broken(member) and job_id not in revived:
                yield f"{self.path(job_id)} must not be suspended: a dependency is broken"

    def is_excused(self, job_id: int) -> bool:
        """Tell whether a job waits for something that is broken."""
        return self.states.get(job_id) == "suspended" and self.is_broken(self.members[job_id])

    def path(self, member_id: int) -> str:
        """Spell the names from the root down, the root's own left out."""
        names = []

        while (member := self.members.get(member_id)) is not None:
            names.append(member.name)
            member_id = member.group

        return "/".join(reversed(names))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of every job and the key of every group, by path."""
        return {self.path(member_id): member_id for member_id in self.members}


GROUPS = """
SELECT key, parent, json_build_object(
  'total', total, 'suspended', suspended, 'completed', completed, 'cancelled', cancelled,
  'discarded', discarded, 'subs', subs, 'subs_completed', subs_completed,
  'subs_cancelled', subs_cancelled, 'subs_discarded', subs_discarded,
  'empty_state', empty_state, 'state', state)
FROM {schema}.oban_workflow_groups
"""

MEMBERS = """
SELECT id, group_key, name, pending, gated, ARRAY[ignore_cancelled, ignore_discarded], gone
FROM {schema}.oban_workflow_members
"""


async def read(conn: AsyncConnection, schema: str = "public") -> Books:
    """Read the books, all of one moment where the connection is in a repeatable transaction."""

    async def rows(statement: str) -> list[tuple[Any, ...]]:
        return await (await conn.execute(statement.format(schema=schema).encode())).fetchall()

    upstream: dict[int, list[int]] = defaultdict(list)

    for up, down in await rows("SELECT upstream, downstream FROM {schema}.oban_workflow_edges"):
        upstream[down].append(up)

    return Books(
        groups={key: Group(key, *rest) for key, *rest in await rows(GROUPS)},
        members={id: Member(id, *rest) for id, *rest in await rows(MEMBERS)},
        states=dict(await rows("SELECT id, state::text FROM {schema}.oban_jobs")),
        upstream=upstream,
    )


async def recount(conn: AsyncConnection, schema: str = "public") -> list[str]:
    """Return every difference between the counters and the states they count."""
    return list((await read(conn, schema)).differences())


async def assert_consistent(
    conn: AsyncConnection, schema: str = "public", revived: Collection[int] = ()
) -> Books:
    """Fail unless all counters are right and no job is stuck.

    Returns:
        The books that were found right.
    """
    books = await read(conn, schema)
    wrong = [*books.differences(), *books.stuck(revived)]
    assert not wrong, "\n".join(wrong)

    return books
