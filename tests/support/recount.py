"""A recount: computes from the states of jobs what all counters must be.

It reads the tables, and shares no code with the functions under test. It takes these as given: the
members of groups, the edges, the flags, the states, and which rows were deleted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
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
        return state in ("completed", "skipped") or self._ignores(state)

    def is_broken_by(self, state: str) -> bool:
        return state in ("cancelled", "discarded", "deleted") and not self._ignores(state)

    def _ignores(self, state: str) -> bool:
        cancelled, discarded = self.ignores

        return (state == "cancelled" and cancelled) or (state == "discarded" and discarded)


class Join(NamedTuple):
    id: int
    need: int
    deps: int
    broken: int
    skipped: int


class Group(NamedTuple):
    key: int
    parent: int | None
    counters: dict[str, int | str | None]


class End(NamedTuple):
    """A row about a workflow with final jobs."""

    finals: int
    completed: int
    cancelled: int
    discarded: int
    opened: bool
    outcome: str | None


@dataclass
class Books:
    """A snapshot of all counters, and the values that they should have."""

    groups: dict[int, Group]
    members: dict[int, Member]
    states: dict[int, str]
    upstream: dict[int, list[int]]
    _pending: dict[int, int] = field(default_factory=dict)
    # the root of each job whose execution has not ended; None for a plain job
    unended: dict[int, int | None] = field(default_factory=dict)
    # jobs of waits, and whether each wait is open
    waits: dict[int, bool] = field(default_factory=dict)
    # members that need only some of their dependencies
    joins: dict[int, Join] = field(default_factory=dict)
    # paused members, and their roots
    pauses: dict[int, int] = field(default_factory=dict)
    # fan-outs with members that wait for the next period of a rate
    windows: set[int] = field(default_factory=set)
    # how many failures a group tolerates, unless its tolerance was voided
    tolerances: dict[int, Decimal] = field(default_factory=dict)
    # jobs whose rows say that they were skipped; judges whose rows say that they refused
    skipped: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    # groups that have a judge
    judged: set[int] = field(default_factory=set)
    # roots with keys, and the roots that wait in line
    unique: dict[int, str] = field(default_factory=dict)
    queued: set[int] = field(default_factory=set)
    # final jobs, and the row about each group that has some
    finals: set[int] = field(default_factory=set)
    ends: dict[int, End] = field(default_factory=dict)
    # by job, the job that undoes it, if it was planned; by graft `undo`, its workflow
    undos: dict[int, int] = field(default_factory=dict)
    undoing: dict[int, int] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _group_states: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for member in self.members.values():
            self.children[member.group].append(member.id)

    def job_state(self, job_id: int) -> str:
        gone = self.members[job_id].gone
        state = self.states.get(job_id) or gone or "gone without a trace"

        return "completed" if state == "skipped" else state

    def was_skipped(self, member_id: int) -> bool:
        """Tell whether a member completed because it, or all of its jobs, were skipped."""
        if member_id > 0:
            return member_id in self.skipped or self.members[member_id].gone == "skipped"

        if self.group_state(member_id) != "completed":
            return False

        others = [one for one in self.children[member_id] if not self._judges(one)]
        is_empty = self.finals.issuperset(others)

        return self.skips(member_id) or (not is_empty and all(map(self.was_skipped, others)))

    def _judges(self, job_id: int) -> bool:
        member = self.members[job_id]

        return member.name == "when" and member.group in self.judged

    def skips(self, key: int) -> bool:
        """Tell whether the members that wait at the gate of a group are skipped."""
        if key not in self.members or self.pending(self.members[key]) > 0:
            return False

        if key in self.judged and all(self.members[up].gone for up in self.upstream[key]):
            # only the row of the judge has the answer of the condition
            return bool(self.groups[key].counters["skips"])

        if upstream := self.upstream[key]:
            return all(
                self.was_skipped(up) or (key in self.judged and up in self.refused)
                for up in upstream
            )

        return self.members[key].gated and self.skips(self.members[key].group)

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

        failures = [state for state in states if state != "completed"]
        limit = self.tolerances.get(key, Decimal(0))

        if len(failures) <= (limit * len(states) if limit < 1 else limit):
            return "completed"

        if "discarded" in states:
            return "discarded"

        return "completed" if set(states) == {"completed"} else "cancelled"

    def _empty_state(self, key: int) -> str:
        if key not in self.members:
            return "executing"

        if self.is_broken(self.members[key]):
            return "cancelled"

        return "executing" if self.pending(self.members[key]) > 0 else "completed"

    def pending(self, member: Member) -> int:
        """Count the dependencies that a member waits for, its own and those of its group."""
        # Groups may be nested hundreds of levels deep, and each member asks for all levels.
        if member.id not in self._pending:
            gate = member.gated and self.pending(self.members[member.group]) > 0
            self._pending[member.id] = self.own_pending(member) + gate

        return self._pending[member.id]

    def own_pending(self, member: Member) -> int:
        waits_for_all = member.id in self.finals and self.outcome(member.group) is None
        satisfied = sum(member.is_satisfied_by(self.state(up)) for up in self.upstream[member.id])
        # for a join, skipped dependencies do not count
        skipped = self.skipped_before(member) if member.id in self.joins else 0

        return waits_for_all + self.needed(member) - (satisfied - skipped)

    def needed(self, member: Member) -> int:
        if join := self.joins.get(member.id):
            return min(join.need, len(self.upstream[member.id]) - self.skipped_before(member))

        return len(self.upstream[member.id])

    def skipped_before(self, member: Member) -> int:
        return sum(self.was_skipped(up) for up in self.upstream[member.id])

    def broken(self, member: Member) -> int:
        return sum(member.is_broken_by(self.state(up)) for up in self.upstream[member.id])

    def outcome(self, key: int) -> str | None:
        """Return the outcome of a group without its final jobs, or None while it is open."""
        body = [child for child in self.children[key] if child not in self.finals]
        states = {self.state(child) for child in body}
        is_open = not states <= {*SETTLED, "deleted"}

        if is_open or not (body or self.ends[key].opened):
            return None

        if any(self._runs_in(child) for child in body):
            return None

        if "discarded" in states:
            return "discarded"

        return "completed" if states <= {"completed"} else "cancelled"

    def _runs_in(self, member_id: int) -> bool:
        return member_id in self.unended or any(map(self._runs_in, self.children[member_id]))

    def is_broken(self, member: Member) -> bool:
        skipped = self.skipped_before(member) if member.id in self.joins else 0

        if len(self.upstream[member.id]) - skipped - self.broken(member) < self.needed(member):
            return True

        gated = member.gated or self._is_unopened(member)

        return gated and member.group in self.members and self.is_broken(self.members[member.group])

    def _is_unopened(self, member: Member) -> bool:
        """Tell whether a job is a final job of an empty workflow that has never opened."""
        if member.id not in self.finals or self.ends[member.group].opened:
            return False

        return self.finals.issuperset(self.children[member.group])

    def _has_opened(self, key: int) -> bool:
        if key in self.members and self.members[key].pending > 0:
            return False

        return self.root(key) not in self.queued

    def end(self, key: int) -> End:
        finals = [child for child in self.children[key] if child in self.finals]
        states = Counter(self.state(child) for child in finals)

        return End(
            len(finals),
            states["completed"],
            states["cancelled"] + states["deleted"],
            states["discarded"],
            self.ends[key].opened or self._has_opened(key),
            self.outcome(key),
        )

    def counters(self, key: int) -> dict[str, int | str | None]:
        jobs = Counter(self.job_state(child) for child in self.children[key] if child > 0)
        subs = Counter(self.group_state(child) for child in self.children[key] if child < 0)
        expected: dict[str, int | str | None] = {
            "total": jobs.total(),
            "suspended": jobs["suspended"],
            "completed": jobs["completed"],
            "cancelled": jobs["cancelled"] + jobs["deleted"],
            "discarded": jobs["discarded"],
            "subs": subs.total(),
            "subs_completed": subs["completed"],
            "subs_cancelled": subs["cancelled"],
            "subs_discarded": subs["discarded"],
            "skipped": sum(self.was_skipped(one) for one in self.children[key] if one > 0) or None,
            "subs_skipped": sum(self.was_skipped(one) for one in self.children[key] if one < 0)
            or None,
            "skips": self.skips(key) or None,
            "state": self.group_state(key),
            "has_begun": self.has_begun(key) if self.is_item(key) else None,
        }

        if not self.children[key] and key in self.members:
            expected["empty_state"] = self.group_state(key)

        return expected

    # Limits

    def limiter(self, member: Member) -> int | None:
        """Return the fan-out whose limit holds for a job, or the graft of a mapped fan-out."""
        group = self.groups[member.group]
        around = self.groups.get(group.parent or 0)
        kinds = around and (around.counters["kind"], group.counters["kind"])

        if kinds in (("fan_out", "graft"), ("graft", "sub")):
            group = around or group
        elif group.counters["kind"] != "fan_out":
            return None

        has_limits = (group.counters["max_open"], group.counters["rate_allowed"]) != (None, None)

        return group.key if has_limits else None

    def is_item(self, key: int) -> bool:
        """Tell whether a group is a graft that takes a slot, or took one before."""
        group = self.groups[key]
        parent = self.groups.get(group.parent or 0)

        if group.counters["kind"] != "graft" or not parent:
            return False

        return group.counters["has_begun"] is not None or (
            parent.counters["kind"] == "fan_out"
            and (parent.counters["max_open"], parent.counters["rate_allowed"]) != (None, None)
        )

    def has_begun(self, key: int) -> bool:
        jobs = [self.job_state(child) for child in self.children[key] if child > 0]

        return self.group_state(key) == "executing" and "suspended" not in jobs

    def open(self, limiter: int) -> int:
        """Count the members of a fan-out that hold a slot."""
        open_states = ("available", "scheduled", "executing", "retryable")

        if self.groups[limiter].counters["kind"] == "fan_out":
            members = self.children[limiter]
        else:
            members = [one for key in self.children[limiter] for one in self.children[key]]

        return sum(
            self.job_state(one) in open_states
            if one > 0
            else self.is_item(one) and self.has_begun(one)
            for one in members
            if not self._judges(one)
        )

    def lacks_slot(self, member: Member) -> bool:
        """Tell whether a job without pending dependencies waits in line for a slot."""
        key = self.limiter(member)

        if key is None or member.id in self.waits or self._judges(member.id):
            return False

        first, last = (self.groups[key].counters[name] for name in ("next_waiting", "last_waiting"))
        is_in_line = first is not None and int(first) <= member.id <= int(last or 0)

        limit = self.groups[key].counters["max_open"]
        is_full = limit is not None and self.open(key) >= int(limit)

        return is_in_line and (is_full or key in self.windows)

    def differences(self) -> Iterator[str]:
        """List every counter that differs from what the states give."""
        for member in self.members.values():
            # Gated jobs share the count of their group.
            count = self.own_pending if member.id > 0 else self.pending

            if (pending := count(member)) != member.pending:
                yield f"pending of {self.path(member.id)} must be {pending}, got {member.pending}"

        for join in self.joins.values():
            member = self.members[join.id]
            expected = join._replace(
                deps=len(self.upstream[join.id]),
                broken=self.broken(member),
                skipped=self.skipped_before(member),
            )

            if join != expected:
                yield f"join of {self.path(join.id)} must be {expected}, got {join}"

        for key, end in self.ends.items():
            if (ending := self.end(key)) != end:
                yield f"the end of {self.path(key)} must be {ending}, got {end}"

        for graft, key in self.undoing.items():
            found = self.members.get(graft)

            if found is None or (found.group, found.name) != (key, "undo"):
                yield f"what undoes {self.path(key)} must be in it, got {graft}"

        for key, group in self.groups.items():
            # the bits of joins, waits, clocks, limits, tolerances and final jobs are never cleared
            rules = int(group.counters["rules"] or 0) & 319
            rules |= 64 * (key in self.pauses.values()) | 128 * (key in self.unended.values())
            rules |= 1024 * (key in self.unique)

            if (group.counters["rules"] or None) != (rules or None):
                yield f"rules of {self.path(key)} must be {rules}, got {group.counters['rules']}"

            for name, value in self.counters(key).items():
                if group.counters[name] != value:
                    got = group.counters[name]
                    yield f"{name} of {self.path(key)} must be {value!r}, got {got!r}"

        for target in self.pauses.keys() - self.members.keys() - self.groups.keys():
            yield f"a pause must be of something that is there, got {target}"

    def stuck(self, revived: Collection[int] = ()) -> Iterator[str]:
        """List every job that waits for nothing, or for a dependency that can never be satisfied.

        Args:
            revived: Jobs that were retried while a dependency stays cancelled or discarded. They
            wait until that dependency is retried too.
        """
        for job_id, state in self.states.items():
            member = self.members.get(job_id)

            if state != "suspended" or member is None:
                continue

            if self.root(job_id) in self.queued:
                if self.waits.get(job_id):
                    yield f"{self.path(job_id)} must not be open: its workflow waits in line"
            elif self.pending(member) <= 0 and job_id in self.waits:
                if not (self.waits[job_id] or self.is_held(member)):
                    yield f"{self.path(job_id)} must be open: nothing is pending"
            elif self.pending(member) <= 0:
                is_held = self.is_held(member) or self.is_paused(job_id)

                if not (is_held or self.lacks_slot(member)):
                    yield f"{self.path(job_id)} must not be suspended: nothing is pending"
            elif self.is_broken(member) and job_id not in revived:
                yield f"{self.path(job_id)} must not be suspended: a dependency is broken"

    def is_held(self, member: Member) -> bool:
        """Tell whether a member waits for the end of an execution, its own or an upstream one."""
        if member.id in self.unended or self.undos.get(member.id) in self.unended:
            return True

        if not self.unended:
            return False

        if member.group in self.undoing:
            # the job that plans the undo of a workflow waits for all other executions in it
            owner = self.undoing[member.group]

            return any(map(self._runs_in, {*self.children[owner]} - {member.group}))

        follows = any(not self.has_ended(up) for up in self.upstream[member.id])

        return follows or (member.gated and self.is_held(self.members[member.group]))

    def root(self, member_id: int) -> int:
        """Return the key of the root that a member belongs to."""
        while member_id in self.members:
            member_id = self.members[member_id].group

        return member_id

    def is_paused(self, member_id: int) -> bool:
        """Tell whether a member is paused, or a group around it."""
        if member_id in self.pauses:
            return True

        return member_id in self.members and self.is_paused(self.members[member_id].group)

    def has_ended(self, member_id: int) -> bool:
        """Tell whether the executions of a member, and of members that it replaces, have ended."""
        if member_id in self.unended:
            return False

        if self.children[member_id]:
            return all(map(self.has_ended, self.children[member_id]))

        did_not_run = member_id < 0 or self.job_state(member_id) not in (
            "suspended",
            "available",
            "scheduled",
            "executing",
            "retryable",
            "completed",
        )

        return not (did_not_run and self.is_held(self.members[member_id]))

    def is_excused(self, job_id: int) -> bool:
        """Tell whether a job may wait for a broken dependency."""
        return self.states.get(job_id) == "suspended" and self.is_broken(self.members[job_id])

    def path(self, member_id: int) -> str:
        """Return the names from the root down to the member, without the root's own name."""
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
  'skipped', skipped, 'subs_skipped', subs_skipped, 'skips', skips,
  'empty_state', empty_state, 'state', state, 'rules', rules, 'kind', kind, 'max_open', max_open,
  'rate_allowed', rate_allowed,
  'has_begun', has_begun, 'next_waiting', next_waiting, 'last_waiting', last_waiting)
FROM {schema}.oban_workflow_groups
"""

UNIQUE = """
SELECT key, unique_key FROM {schema}.oban_workflow_groups WHERE unique_key IS NOT NULL
"""

QUEUED = """
SELECT key FROM {schema}.oban_workflow_groups WHERE queued_at IS NOT NULL
"""

MEMBERS = """
SELECT id, group_key, name, pending, gated, ARRAY[ignore_cancelled, ignore_discarded], gone
FROM {schema}.oban_workflow_members
"""


CONDITIONS = """
SELECT id, meta ? 'skipped' AND attempt = 0 FROM {schema}.oban_jobs
WHERE state = 'completed' AND (meta ? 'skipped' OR meta -> 'workflow_judged' = 'false')
"""

JUDGED = "SELECT downstream FROM {schema}.oban_workflow_edges WHERE judges AND downstream < 0"

JOINS = "SELECT id, need, deps, broken, skipped FROM {schema}.oban_workflow_joins"

UNDOS = "SELECT id, undo_id FROM {schema}.oban_workflow_undos WHERE undo_id IS NOT NULL"

UNDOING = "SELECT undo, group_key FROM {schema}.oban_workflow_ends WHERE undo < 0"

ENDS = """
SELECT group_key, finals, completed, cancelled, discarded, opened, outcome
FROM {schema}.oban_workflow_ends
"""


TOLERANCES = """
SELECT key, tolerates FROM {schema}.oban_workflow_groups
WHERE tolerates IS NOT NULL AND voided IS NULL
"""


async def read(conn: AsyncConnection, schema: str = "public") -> Books:
    """Read the counters. In a REPEATABLE READ transaction all of them are of one moment."""

    async def rows(statement: str) -> list[tuple[Any, ...]]:
        return await (await conn.execute(statement.format(schema=schema).encode())).fetchall()

    upstream: dict[int, list[int]] = defaultdict(list)

    for up, down in await rows("SELECT upstream, downstream FROM {schema}.oban_workflow_edges"):
        upstream[down].append(up)

    conditions = await rows(CONDITIONS)

    return Books(
        groups={key: Group(key, *rest) for key, *rest in await rows(GROUPS)},
        members={id: Member(id, *rest) for id, *rest in await rows(MEMBERS)},
        states=dict(await rows("SELECT id, state::text FROM {schema}.oban_jobs")),
        upstream=upstream,
        unended=dict(await rows("SELECT id, root FROM {schema}.oban_workflow_unended")),
        windows={
            target
            for (target,) in await rows(
                "SELECT target FROM {schema}.oban_workflow_timers WHERE kind = 'window'"
            )
        },
        waits=dict(await rows("SELECT id, is_open FROM {schema}.oban_workflow_waits")),
        skipped={id for id, was_skipped in conditions if was_skipped},
        refused={id for id, was_skipped in conditions if not was_skipped},
        judged={key for (key,) in await rows(JUDGED)},
        joins={id: Join(id, *rest) for id, *rest in await rows(JOINS)},
        pauses=dict(await rows("SELECT target, root FROM {schema}.oban_workflow_pauses")),
        tolerances=dict(await rows(TOLERANCES)),
        unique=dict(await rows(UNIQUE)),
        queued={key for (key,) in await rows(QUEUED)},
        finals={id for (id,) in await rows("SELECT id FROM {schema}.oban_workflow_finals")},
        undos=dict(await rows(UNDOS)),
        undoing=dict(await rows(UNDOING)),
        ends={key: End(*end) for key, *end in await rows(ENDS)},
    )


async def recount(conn: AsyncConnection, schema: str = "public") -> list[str]:
    """Return every difference between the counters and the states of jobs."""
    return list((await read(conn, schema)).differences())


async def assert_consistent(
    conn: AsyncConnection, schema: str = "public", revived: Collection[int] = ()
) -> Books:
    """Fail unless all counters are right and no job is stuck.

    Returns:
        The counters, which were right.
    """
    books = await read(conn, schema)
    cursor = await conn.execute(f"SELECT * FROM {schema}.oban_workflow_audit_v1(NULL)".encode())
    found = [f"the doctor finds {row}" for row in await cursor.fetchall()]
    wrong = [*books.differences(), *books.stuck(revived), *found]
    assert not wrong, "\n".join(wrong)

    return books
