"""What must be true in the end, judged by what the run remembers and what the jobs wrote.

It reads the rows of the jobs, and otherwise shares nothing with the engine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from oban._recorded import decode_recorded

from tests.chaos.client import MARK
from tests.chaos.node import ALLOWED, LIMITED, MOST, PATIENCE, PERIOD, RATED, RESCUED
from tests.chaos.record import FOREVER, Entry, Root, root_of
from tests.chaos.work import key_of
from tests.support import model
from tests.support.model import SETTLED, Group, Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import AsyncConnection

    from tests.chaos.journal import Line
    from tests.chaos.record import Record, Span

# How long a job may wait that nothing is wrong with, or whose node has died, while the server can
# be reached: what is promised to the jobs of a dead node, and some for a busy machine.
BOUND = RESCUED + 6

# How long it takes at most from when a node has taken a job until it starts.
TAKEN = 2.0

JOBS = """
SELECT id, state::text, attempt, max_attempts, jsonb_array_length(errors), meta,
  errors[jsonb_array_length(errors) - 1] ->> 'error' LIKE '%counts as dead', queue,
  EXTRACT(epoch FROM attempted_at)::float8
FROM oban_jobs ORDER BY id
"""


class Row(NamedTuple):
    """A job as the database has it."""

    id: int
    state: str
    attempt: int
    max_attempts: int
    errors: int
    meta: dict[str, Any]
    # whether its node counted as dead when it was discarded
    given_up: bool | None = None
    queue: str = "default"
    attempted_at: float | None = None


@dataclass
class Execution:
    """A job that ran, as it wrote itself."""

    id: str
    job: int
    key: str
    attempt: int
    pid: int
    received: dict[str, Any] | None
    began: float
    ended: float = FOREVER
    outcome: str | None = None


async def read_rows(conn: AsyncConnection) -> list[Row]:
    return [Row(*row) for row in await (await conn.execute(JOBS)).fetchall()]


def read_executions(lines: Iterable[Line]) -> list[Execution]:
    """Put the starts and the ends that jobs wrote together."""
    executions: dict[str, Execution] = {}

    for line in lines:
        if line["event"] == "start":
            names = ("id", "job", "key", "attempt", "pid", "received")
            values = {name: line[name] for name in names}
            executions[line["id"]] = Execution(**values, began=line["at"])
        elif line["event"] == "end":
            executions[line["id"]].ended = line["at"]
            executions[line["id"]].outcome = line["outcome"]

    return [*executions.values()]


class Oracle:
    """Judges a run that is over.

    Args:
        record: What the users built and did.
        executions: What the jobs wrote.
        rows: What the database holds.
        silent: When processes of nodes could not be heard.
        ended: When processes of nodes ended.
        outages: When the server could not be reached.
    """

    def __init__(
        self,
        record: Record,
        executions: list[Execution],
        rows: list[Row],
        silent: dict[int, list[Span]],
        ended: dict[int, float],
        outages: list[Span],
    ) -> None:
        self.record = record
        self.silent = silent
        self.ended = ended
        # Pools try again after pauses that grow, and find a server as late as it was away for.
        self.outages = _join((began, 2 * ended - began + 1) for began, ended in outages)
        self.rows = {key_of(row.meta): row for row in rows}
        self.counts = Counter(key_of(row.meta) for row in rows)
        self.executions = executions
        self.of: defaultdict[str, list[Execution]] = defaultdict(list)

        for execution in executions:
            self.of[execution.key].append(execution)

        for _, entry in record.entries():
            row = self.rows.get(entry.key)
            entry.job.state = row.state if row is not None else "deleted"

        for root in record.committed():
            for group in root.group.groups():
                # Nobody got so far as to graft.
                if group.kind == "graft" and not self._any_row(group.children["grafted"]):
                    del group.children["grafted"]

    def judge(self) -> list[str]:
        """Return everything that is wrong."""
        checks = (
            self.inserted_once,
            self.settled,
            self.states_follow,
            self.in_order,
            self.one_at_a_time,
            self.limits,
            self.rates,
            self.keys,
            self.pauses,
            self.idle,
            self.results,
            self.grafted_once,
            self.attempts,
            self.goes_on,
        )

        return [f"{check.__name__}: {wrong}" for check in checks for wrong in check()]

    def summary(self) -> str:
        """Say how much there was to judge."""
        states = Counter(row.state for row in self.rows.values())
        cut = sum(run.outcome is None for run in self.executions)

        waited = sum(entry.queue in LIMITED for _, entry in self.record.entries())
        keyed = sum(map(len, self._by_key.values()))
        spans = sum(map(len, self.record.paused.values()))
        kinds = f"{waited} in limited queues, {keyed} workflows with keys, {spans} pauses"

        return f"{len(self.executions)} executions, {cut} cut off, {kinds}; {dict(states)}"

    def _any_row(self, member: Member) -> bool:
        return any(key in self.rows for key in _jobs_of([member]))

    # Insertion

    def inserted_once(self) -> Iterator[str]:
        """What was committed is there once, what was rolled back is not and never ran."""
        record = self.record
        outcomes = {**record.plain, **dict.fromkeys(record.probes, "committed")}
        outcomes |= dict.fromkeys(record.never, "rolled back")

        for root in record.roots.values():
            for entry in root.entries.values():
                if root.outcome != "committed" or not _is_grafted(entry):
                    outcomes[entry.key] = root.outcome

        for key, outcome in outcomes.items():
            count = self.counts[key]

            if outcome == "committed" and count != 1:
                yield f"{key} was committed and is there {count} times"
            elif outcome == "rolled back" and (count or self.of[key]):
                yield f"{key} was rolled back and is there {count} times, {self.of[key]}"

        known = outcomes.keys() | {entry.key for _, entry in record.entries()}

        for key, count in self.counts.items():
            if key.startswith(MARK):
                if count != 1:
                    yield f"{key} is there {count} times"
            elif key not in known:
                yield f"{key} is there and nobody made it"

    # States

    def settled(self) -> Iterator[str]:
        """Nothing is left that moves, or that waits."""
        excused = {entry.key for _, entry in self.record.entries() if model.excused(entry.job)}

        for key, row in self.rows.items():
            if row.state not in SETTLED and key not in excused and not key.startswith(MARK):
                yield f"{key} ({row.id}) is {row.state} in the end"

    def states_follow(self) -> Iterator[str]:
        """A job is cancelled where something broke that it depends on, and else is not."""
        for key in (*self.record.probes, *self.record.plain):
            if key in self.rows and self.rows[key].state == "discarded":
                yield f"{key} is discarded"

        for root, entry in self.record.entries():
            if root.steered_at < FOREVER or entry.key not in self.rows:
                continue

            state = self.rows[entry.key].state
            causes = model.causes(entry.job)

            if causes and state != "cancelled":
                yield f"{entry.key} is {state} though broken by {causes}"
            elif causes and self.of[entry.key]:
                yield f"{entry.key} ran though broken by {causes}"
            elif not causes and state == "cancelled":
                yield f"{entry.key} is cancelled though nothing broke"
            elif not causes and state == "discarded" and not self._may_be_discarded(entry):
                yield f"{entry.key} is discarded, {self.of[entry.key]}"

    def _may_be_discarded(self, entry: Entry) -> bool:
        if entry.do.get("fail", 0) >= entry.max_attempts:
            return True

        if self.rows[entry.key].given_up or self._maps_nothing(entry):
            return True

        # What was interrupted has used up its only attempts.
        runs = self.of[entry.key]

        return entry.max_attempts <= 2 and len(runs) >= entry.max_attempts - bool(
            entry.do.get("fail")
        )

    def _maps_nothing(self, entry: Entry) -> bool:
        """Tell whether a mapper goes on without the list that it maps, and so fails each time."""
        deps = [*_jobs_of(model.upstream(entry.job))]

        return entry.kind == "Mapper" and any(self.rows[dep].state != "completed" for dep in deps)

    # Executions

    def in_order(self) -> Iterator[str]:
        """A job starts after everything it depends on has ended well."""
        for root, entry in self.record.entries():
            ignores = any(model._flags(entry.job))

            for run in self.of[entry.key]:
                for dep in _jobs_of(model.upstream(entry.job)):
                    if not self._had_ended(dep, run.began, root, ignores=ignores):
                        yield f"{entry.key} started before {dep} had ended: {run}, {self.of[dep]}"

    def _had_ended(self, key: str, by: float, root: Root, *, ignores: bool) -> bool:
        if key not in self.rows or self.record.completed_by_hand.get(key, FOREVER) < by:
            return True

        if self._writes_nothing(key):
            return True

        if any(run.outcome == "ok" and run.ended < by for run in self.of[key]):
            return True

        # What is ignored had been cancelled or discarded, and may have been retried since.
        return ignores and (root.steered_at < FOREVER or self.rows[key].state != "completed")

    def one_at_a_time(self) -> Iterator[str]:
        """A job does not start where it still runs, on a node that can be heard."""
        for key, runs in self.of.items():
            runs.sort(key=lambda run: run.began)

            for first, second in combinations(runs, 2):
                if second.began < self._end_of(first) and not self._is_excused(key, first, second):
                    yield f"{key} ran twice at once: {first}, {second}"

    def _end_of(self, run: Execution) -> float:
        return min(run.ended, self.ended.get(run.pid, FOREVER))

    def _is_excused(self, key: str, first: Execution, second: Execution) -> bool:
        if (first.pid, first.job) == (second.pid, second.job):
            return False

        # Cancelled, and started again before the first execution saw it; or removed, and another
        # grafted in its place.
        if self._steered_at(key) < second.began:
            return True

        return self._was_given_up(first, second.began)

    def _was_given_up(self, run: Execution, by: float) -> bool:
        """Tell whether a node was silent for so long that its jobs went to others."""
        return any(
            min(ended, by) - began > PATIENCE - 1 for began, ended in self.silent.get(run.pid, [])
        )

    def _steered_at(self, key: str) -> float:
        root = self.record.roots.get(root_of(key))

        if root is not None:
            return root.steered_at

        return 0.0 if key.startswith(MARK) else FOREVER

    # Limits

    def limits(self) -> Iterator[str]:
        """No more run at once than a fan-out lets, or a queue of all nodes."""
        for (queue, customer), runs in self._by_queue().items():
            yield from self._too_many(f"{queue} {customer}", runs, MOST[queue])

        for root in self.record.committed():
            # Who is cancelled leaves a slot before the execution has ended.
            if root.steered_at == FOREVER:
                for group in root.group.groups():
                    if group.limit is not None:
                        runs = [run for job in group.jobs() for run in self.of[job.path]]
                        yield from self._too_many(group.path, runs, group.limit)

    def _by_queue(self) -> dict[tuple[str, int], list[Execution]]:
        """Return what ran in each queue that lets few run at once, for each kind of its jobs."""
        runs: defaultdict[tuple[str, int], list[Execution]] = defaultdict(list)

        for _, entry in self.record.entries():
            if entry.queue in MOST and entry.key not in self.record.completed_by_hand:
                runs[_kind_of(entry)] += self.of[entry.key]

        return runs

    def _too_many(self, what: str, runs: list[Execution], most: int) -> Iterator[str]:
        for run in runs:
            at_once = {
                one.key: one
                for one in runs
                if one.began <= run.began < self._end_of(one)
                and not self._was_given_up(one, run.began)
            }

            if len(at_once) > most:
                yield f"{what} ran more than {most} at once: {at_once}"

    def rates(self) -> Iterator[str]:
        """No more start in a period than a queue lets, or a fan-out."""
        starts = sorted(
            row.attempted_at
            for row in self.rows.values()
            if row.queue == RATED and row.attempted_at is not None
        )

        # Any span of that length meets two periods at most.
        for first, last in zip(starts, starts[2 * ALLOWED :], strict=False):
            is_once = not any(began < last and first < ended for began, ended in self.record.again)

            if last - first < PERIOD and is_once:
                yield f"{RATED} started more than {2 * ALLOWED} from {first} to {last}"

        for root in self.record.committed():
            for path, (allowed, period) in root.rates.items():
                if root.steered_at == FOREVER:
                    yield from self._too_fast(root, path, allowed, period)

    def _too_fast(self, root: Root, path: str, allowed: int, period: float) -> Iterator[str]:
        entries = [entry for entry in root.entries.values() if entry.job.parent.path == path]
        firsts = sorted(
            (min(run.began for run in runs), entry.committed_at)
            for entry in entries
            if (runs := self.of[entry.key])
        )

        for count, (began, committed_at) in enumerate(firsts, 1):
            moves = [by for at, by in self.record.moves if committed_at - 1 < at < began]
            ahead = sum(max(by, period) for by in moves)
            # one that was open, and one that is
            periods = 2 + (began - committed_at + ahead) // period

            if count > allowed * periods:
                yield f"{path} started {count} by {began}, in {periods} periods: {firsts}"

    # Keys, pauses

    def keys(self) -> Iterator[str]:
        """Of all workflows with one key one runs at a time."""
        for roots in self._by_key.values():
            runs = sorted(
                (run.began, self._end_of(run), root.id, run.id)
                for root in roots
                for entry in root.entries.values()
                for run in self.of[entry.key]
            )
            by_id = {run.id: run for run in self.executions}

            for first, second in combinations(runs, 2):
                if second[0] >= first[1] or first[2] == second[2]:
                    continue

                if not self._was_given_up(by_id[first[3]], second[0]):
                    yield f"two ran at once that have one key: {first}, {second}"

    @cached_property
    def _by_key(self) -> dict[str, list[Root]]:
        roots: defaultdict[str, list[Root]] = defaultdict(list)

        for root in self.record.committed():
            if root.unique is not None:
                roots[root.unique].append(root)

        return roots

    def pauses(self) -> Iterator[str]:
        """Nothing starts of what is paused, but for what a node had taken before."""
        for path, spans in self.record.paused.items():
            for root, entry in self.record.entries():
                if root.id != root_of(path) or not f"{entry.key}/".startswith(f"{path}/"):
                    continue

                for run in self.of[entry.key]:
                    for began, ended in spans:
                        late = run.began - began - self._unheard(run, began)

                        if run.began < ended and late > TAKEN:
                            yield f"{path} was paused at {began} until {ended}: {run}"

    def _unheard(self, run: Execution, since: float) -> float:
        """Return for how long a node, or the server, could not be heard until a job ran."""
        away = [*self.outages, *self.silent.get(run.pid, [])]

        return _within(since, run.began, away)

    def idle(self) -> Iterator[str]:
        """No queue has a place to give for long while a job waits for one."""
        waits: defaultdict[tuple[str, int], list[tuple[str, float, float]]] = defaultdict(list)

        for root, entry in self.record.entries():
            since = self._could_start(root, entry)

            if entry.queue in MOST and since is not None:
                began = min(run.began for run in self.of[entry.key])
                waits[_kind_of(entry)].append((entry.key, since, began))

        for kind, runs in self._by_queue().items():
            for key, since, until in waits[kind]:
                # The dead hold their places until they are missed.
                spans = [(run.began, self._end_of(run)) for run in runs]
                free = _free(spans, MOST[kind[0]], since, until)

                for began, ended in free:
                    yield from self._late(key, began, ended, f"of {kind} had a free place")

    # Results

    def results(self) -> Iterator[str]:
        """What is recorded is what an execution returned, and is what followers received."""
        for root, entry in self.record.entries():
            row = self.rows.get(entry.key)

            if row is None or row.state != "completed":
                continue

            if entry.records and entry.key not in self.record.completed_by_hand:
                ids = {run.id for run in self.of[entry.key] if run.outcome == "ok"}

                if self._recorded_by(entry) not in ids:
                    yield f"{entry.key} recorded {row.meta.get('return')}, ran as {ids}"

            if root.steered_at == FOREVER and self.of[entry.key] and entry.records:
                yield from self._received(root, entry)

    def _recorded_by(self, entry: Entry) -> str | None:
        """Return the id of the execution whose result is recorded."""
        value = self._recorded(entry)

        if entry.kind == "items":
            return str(value[0]).partition("#")[2].partition(":")[0] if value else self._any(entry)

        return str(value).partition("#")[2]

    def _any(self, entry: Entry) -> str | None:
        """Return an id where an empty list was recorded, which names none."""
        return next((run.id for run in self.of[entry.key] if run.outcome == "ok"), None)

    def _recorded(self, entry: Entry) -> Any:
        row = self.rows.get(entry.key)

        if row is None or "return" not in row.meta:
            return None

        return decode_recorded(row.meta["return"])

    def _received(self, root: Root, entry: Entry) -> Iterator[str]:
        around = entry.job.parent.parent if _is_grafted(entry) else None
        # What is grafted onto receives what its grafter does.
        deps = model.upstream(around or entry.job)
        expected = {dep.path.rpartition("/")[2]: dep for dep in deps}

        for run in self.of[entry.key]:
            if run.outcome != "ok" or run.received is None:
                continue

            wanted = self._values(root, expected)

            if run.received != wanted:
                yield f"{entry.key} received {run.received} instead of {wanted}"

    def _values(self, root: Root, members: dict[str, Member]) -> dict[str, Any]:
        values: dict[str, Any] = {}

        for name, member in members.items():
            if isinstance(member, Group):
                children = dict(member.children)

                if member.kind == "graft":
                    grafted = children.get("grafted")
                    children = grafted.children if isinstance(grafted, Group) else {}

                values[name] = self._values(root, children)
            else:
                entry = root.entries[member.path]
                recorded = self._recorded(entry)

                if recorded is not None:
                    values[name] = recorded

        return values

    def grafted_once(self) -> Iterator[str]:
        """What was grafted comes from one execution."""
        for _, entry in self.record.entries():
            if entry.kind not in ("grow", "Grafting") or entry.key not in self.rows:
                continue

            keys = [f"{entry.key}/{n}" for n in range(entry.do["jobs"])]
            there = [key for key in keys if key in self.rows]
            by = {self.rows[key].meta["by"] for key in there}

            if len(by) > 1 or (there and there != keys):
                yield f"{entry.key} grafted {there} by {by}"

            completed = self.rows[entry.key].state == "completed"

            if completed and not there and entry.key not in self.record.completed_by_hand:
                yield f"{entry.key} has completed and grafted nothing"

    def attempts(self) -> Iterator[str]:
        """Who was discarded has run, and says why it was."""
        for key, row in self.rows.items():
            if row.state != "discarded":
                continue

            if not row.errors:
                yield f"{key} ({row.id}) is discarded without an error"

            # Nobody knows of a node that died whether it had started what it had taken.
            if (
                row.max_attempts == 1
                and not self.of[key]
                and not self._writes_nothing(key)
                and not row.given_up
            ):
                yield f"{key} ({row.id}) is discarded and never ran"

    def _writes_nothing(self, key: str) -> bool:
        """Tell whether a job runs nothing of ours, which would write when it starts."""
        root = self.record.roots.get(root_of(key))

        return root is not None and root.entries[key].kind == "Mapper"

    # Going on

    def goes_on(self) -> Iterator[str]:
        """What can start does, and what died with its node is started again."""
        for key, committed in self.record.probes.items():
            yield from self._first(key, committed, "was enqueued")

        for root, entry in self.record.entries():
            since = self._could_start(root, entry)

            # of a queue that is full nobody knows who is next
            if since is not None and entry.queue not in LIMITED:
                yield from self._first(entry.key, since, "could start")

        for key, runs in self.of.items():
            for first, second in pairwise(sorted(runs, key=lambda run: run.began)):
                died = self.ended.get(first.pid, FOREVER)

                is_limited = self._queue_of(key) in LIMITED

                if died < first.ended and self._steered_at(key) == FOREVER and not is_limited:
                    yield from self._late(key, died, second.began, "lost its node")

    def _could_start(self, root: Root, entry: Entry) -> float | None:
        """Return when a job could start that ran, or None where nobody knows."""
        runs = self.of[entry.key]

        if root.steered_at < FOREVER or not runs:
            return None

        began = min(run.began for run in runs)
        deps = [*_jobs_of(model.upstream(entry.job))]

        if _is_grafted(entry) and entry.job.parent.parent is not None:
            deps.append(entry.job.parent.parent.path)

        ends = [
            max(
                (run.ended for run in self.of[dep] if run.outcome == "ok" and run.ended < began),
                default=FOREVER,
            )
            for dep in deps
        ]

        # Whoever waits for a slot, or for a turn, has it when another has ended.
        keys = [job.path for job in entry.job.parent.jobs()]

        if root.unique is not None:
            keys = [key for other in self._by_key[root.unique] for key in other.entries]

        before = [run for key in keys for run in self.of[key] if run.began < began]

        if entry.job.parent.limit is not None or root.unique is not None:
            ends += [end for run in before if (end := self._end_of(run)) < began]

        if (rate := root.rates.get(entry.job.parent.path)) is not None:
            ends += [run.began + rate[1] for run in before]

        since = max([entry.committed_at, *ends])

        return since if since < FOREVER else None

    def _queue_of(self, key: str) -> str:
        root = self.record.roots.get(root_of(key))

        return root.entries[key].queue if root is not None else "default"

    def _last_end(self, key: str, by: float) -> float | None:
        ends = (run.ended for run in self.of[key] if run.outcome == "ok" and run.ended < by)

        return max(ends, default=None)

    def _first(self, key: str, since: float, what: str) -> Iterator[str]:
        if runs := self.of[key]:
            yield from self._late(key, since, min(run.began for run in runs), what)

    def _late(self, key: str, since: float, until: float, what: str) -> Iterator[str]:
        away = [*self.outages, *self._held(root_of(key))]
        waited = until - since - _within(since, until, away)

        if waited > BOUND:
            yield f"{key} {what} at {since:.2f} and started at {until:.2f}, after {waited:.1f} s"

    def _held(self, id: str) -> Iterator[Span]:
        """Return when a workflow was held, or another one that has its key."""
        root = self.record.roots.get(id)
        ids = [id] if root is None or root.unique is None else self._key_mates(root.unique)

        for one in ids:
            yield from self.record.held.get(one, [])

    def _key_mates(self, key: str) -> list[str]:
        return [root.id for root in self._by_key[key]]


def _kind_of(entry: Entry) -> tuple[str, int]:
    """Return what jobs share the limit of a queue with this one."""
    return entry.queue, entry.customer if "partition" in LIMITED[entry.queue] else 0


def _within(since: float, until: float, spans: Iterable[Span]) -> float:
    """Return how much of some time is in spans."""
    return sum(max(0.0, min(until, ended) - max(since, began)) for began, ended in _join(spans))


def _free(spans: list[Span], most: int, since: float, until: float) -> Iterator[Span]:
    """Return when fewer were there than may be."""
    inner = [(began, ended) for began, ended in spans if began < until and since < ended]
    moments = sorted({since, until, *(at for span in inner for at in span if since < at < until)})
    free = [
        (first, second)
        for first, second in pairwise(moments)
        if sum(began <= first < ended for began, ended in inner) < most
    ]

    return iter(_join(free))


def _is_grafted(entry: Entry) -> bool:
    return entry.job.parent.kind == "grafted"


def _jobs_of(members: Iterable[Member]) -> Iterator[str]:
    for member in members:
        if isinstance(member, model.Job):
            yield member.path
        else:
            yield from (job.path for job in member.jobs())


def _join(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap."""
    joined: list[Span] = []

    for began, ended in sorted(spans):
        if joined and began <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended))
        else:
            joined.append((began, ended))

    return joined
