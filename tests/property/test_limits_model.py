"""Limits and rates of queues and fan-outs, and lines behind a key, against a little reference.

Whatever happens, no slot is lost, none is given twice, and nobody waits for one that is free.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oban._executor import AckAction

from oban_pro import Workflow
from oban_pro._plugin import timers
from oban_pro.engine.session import session_of
from oban_pro.errors import UniqueConflictError
from tests.property.test_engine_model import COMMON, SILENCE, World, world
from tests.support.engine import make_job
from tests.support.recount import recount
from tests.support.silence import rescue

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from oban import Job

EMPTY = (
    "TRUNCATE oban_jobs, oban_producers",
    "DELETE FROM oban_workflow_producers",
    "DELETE FROM oban_workflow_queues",
    "DELETE FROM oban_workflow_windows",
)
PERIOD = "UPDATE oban_workflow_windows SET opened_at = opened_at - interval '2 hours'"
PASSED = (
    "UPDATE oban_workflow_groups SET window_from = window_from - interval '2 hours'",
    "UPDATE oban_workflow_timers SET due = due - interval '2 hours'",
)
NAMES = "SELECT meta->>'name', state::text FROM oban_jobs"
STATES = "SELECT meta->>'workflow_id', state::text FROM oban_jobs"
SOME = st.randoms(use_true_random=False)


class Machine(RuleBasedStateMachine):
    """Does one thing after another to a database and to its reference."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.oban = world.oban
        self.query = world.oban._query

    def run[Result](self, awaitable: Awaitable[Result]) -> Result:
        async def main() -> Result:
            return await awaitable

        return self.world.runner.run(main())

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.run(self.world.conn.execute(statement.encode()))

    def ack(self, jobs: list[Job], state: str = "completed", **opts: Any) -> None:
        self.run(self.query.ack_jobs([AckAction(job=job, state=state, **opts) for job in jobs]))


class Queues(Machine):
    """A queue with a limit and a rate, of all jobs or of each kind."""

    @initialize(
        limit=st.none() | st.integers(1, 3),
        allowed=st.none() | st.integers(1, 4),
        is_partitioned=st.booleans(),
    )
    def announce(self, limit: int | None, allowed: int | None, is_partitioned: bool) -> None:
        self.execute(*EMPTY)
        self.limit, self.allowed, self.is_partitioned = limit, allowed, is_partitioned
        self.waiting: dict[int, str] = {}
        self.executing: dict[int, Job] = {}
        # stopped from outside, and still counted
        self.unended: dict[int, Job] = {}
        self.started: Counter[str] = Counter()
        self._join()

    def _join(self) -> None:
        meta: dict[str, Any] = {"oban_workflows_patience": 60.0}

        if self.limit is not None:
            meta["global_limit"] = self.limit

        if self.allowed is not None:
            meta["rate_limit"] = {"allowed": self.allowed, "period": 3_600}

        if self.is_partitioned and len(meta) > 1:
            meta["partition"] = {"fields": ["args"], "keys": ["kind"]}

        self.node = str(uuid4())
        producer = {"uuid": self.node, "name": "Oban", "node": "node", "queue": "default"}
        self.run(self.query.insert_producer(**producer, meta=meta))

    def kind(self, name: str) -> str:
        return name if self.is_partitioned else ""

    def kinds(self, *some: dict[int, Job]) -> Counter[str]:
        return Counter(self.kind(job.args["kind"]) for jobs in some for job in jobs.values())

    def free(self) -> Counter[str]:
        """Count the jobs of each kind that may start now."""
        held = self.kinds(self.executing, self.unended)
        free = Counter(map(self.kind, self.waiting.values()))

        for kind in free:
            if self.limit is not None:
                free[kind] = min(free[kind], self.limit - held[kind])

            if self.allowed is not None:
                free[kind] = min(free[kind], self.allowed - self.started[kind])

        return free

    @rule(kinds=st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
    def add(self, kinds: list[str]) -> None:
        jobs = self.run(self.oban.enqueue_many([make_job(args={"kind": one}) for one in kinds]))
        self.waiting |= {job.id or 0: job.args["kind"] for job in jobs}

    @rule(demand=st.integers(1, 6))
    def take(self, demand: int) -> None:
        free = self.free()
        signature = ["node", self.node]
        jobs: list[Job] = self.run(
            session_of(self.query).execute(lambda store: store.fetch("default", demand, signature))
        )
        taken = {job.id or 0: job for job in jobs}
        assert len(taken) == min(demand, free.total()), "nobody waits for what is free"
        assert self.kinds(taken) <= free

        for job_id in taken:
            del self.waiting[job_id]

        self.executing |= taken
        self.started += self.kinds(taken)

    @precondition(lambda self: self.executing)
    @rule(rng=SOME, state=st.sampled_from(["completed", "discarded", "scheduled"]))
    def end(self, rng: Any, state: str) -> None:
        job = self.executing.pop(rng.choice([*self.executing]))
        again = {"schedule_in": 0, "attempt_change": -1} if state == "scheduled" else {}
        self.ack([job], state, **again)

        if again:
            self.execute("UPDATE oban_jobs SET state = 'available' WHERE state = 'scheduled'")
            self.waiting[job.id or 0] = job.args["kind"]

    @precondition(lambda self: self.executing)
    @rule(rng=SOME)
    def stop(self, rng: Any) -> None:
        job_id = rng.choice([*self.executing])
        stop = "UPDATE oban_jobs SET state = 'cancelled', cancelled_at = now() WHERE id = "
        self.execute(f"{stop}{job_id}")
        self.unended[job_id] = self.executing.pop(job_id)

    @precondition(lambda self: self.unended)
    @rule(rng=SOME)
    def end_late(self, rng: Any) -> None:
        self.ack([self.unended.pop(rng.choice([*self.unended]))])

    @precondition(lambda self: self.executing)
    @rule()
    def kill(self) -> None:
        """Let the node die; it counts until its jobs are taken back."""
        assert len(self.run(self._held())) == len(self.executing)
        self.execute(*SILENCE)
        self.run(rescue(self.query))
        self.waiting |= {job_id: job.args["kind"] for job_id, job in self.executing.items()}
        self.executing.clear()
        self.unended.clear()
        self._join()

    async def _held(self) -> list[Any]:
        held = "SELECT id FROM oban_jobs WHERE state = 'executing'"

        return await (await self.world.conn.execute(held.encode())).fetchall()

    @rule()
    def begin_a_period(self) -> None:
        self.execute(PERIOD)
        self.started.clear()

    def teardown(self) -> None:
        for _ in range(200):
            if not self.waiting:
                return

            self.begin_a_period()
            self.take(6)
            self.ack([*self.executing.values(), *self.unended.values()])
            self.executing.clear()
            self.unended.clear()

        assert not self.waiting, "nothing must be stuck"


class Rates(Machine):
    """A fan-out with a rate, and perhaps a limit, under a clock that moves."""

    @initialize(
        size=st.integers(1, 7), limit=st.none() | st.integers(0, 3), allowed=st.integers(1, 3)
    )
    def start(self, size: int, limit: int | None, allowed: int) -> None:
        self.execute(*EMPTY)
        self.limit, self.allowed = limit, allowed
        self.waiting = [*range(size)]
        self.open: set[int] = set()
        self.settled: set[int] = set()
        self.released = 0
        self.handle = Workflow(id="w", oban=self.oban._name)
        jobs = [make_job() for _ in self.waiting]
        self.run(
            self.oban.enqueue_many(
                self.handle.add_many("call", jobs, limit=limit, rate=(allowed, 3_600))
            )
        )
        self.serve()

    def serve(self) -> None:
        while self.waiting and self.released < self.allowed:
            if self.limit is not None and len(self.open) >= self.limit:
                return

            self.open.add(self.waiting.pop(0))
            self.released += 1

    @precondition(lambda self: self.open)
    @rule(rng=SOME, state=st.sampled_from(["completed", "discarded", "scheduled"]))
    def end(self, rng: Any, state: str) -> None:
        jobs = self.run(self.query.fetch_jobs(9, "default", "node", str(uuid4())))
        assert {int(job.meta["name"]) for job in jobs} == self.open
        job = rng.choice(sorted(jobs, key=lambda one: one.id or 0))
        others = [one for one in jobs if one is not job]
        again = {"schedule_in": 0, "attempt_change": -1}
        self.ack([job], state, **(again if state == "scheduled" else {}))
        self.ack(others, "scheduled", **again)
        self.execute("UPDATE oban_jobs SET state = 'available' WHERE state = 'scheduled'")

        if state != "scheduled":
            self.open.remove(name := int(job.meta["name"]))
            self.settled.add(name)
            self.serve()

    @precondition(lambda self: self.settled)
    @rule(rng=SOME)
    def retry(self, rng: Any) -> None:
        name = rng.choice(sorted(self.settled))
        self.run(self.handle.retry_jobs(names=[f"call/{name}"]))
        self.settled.remove(name)
        self.waiting = sorted([*self.waiting, name])
        self.serve()

    @rule(limit=st.none() | st.integers(0, 3))
    def set_limit(self, limit: int | None) -> None:
        self.run(self.handle.set_limit("call", limit))
        self.limit = limit
        self.serve()

    @rule()
    def tick(self) -> None:
        self.run(timers.tick(self.query))

    @rule()
    def begin_a_period(self) -> None:
        self.execute(*PASSED)
        self.released = 0
        self.tick()
        self.serve()

    @invariant()
    def as_many_are_open_as_may_be(self) -> None:
        async def states() -> dict[str, str]:
            rows = await (await self.world.conn.execute(NAMES.encode())).fetchall()

            return dict(rows)

        if hasattr(self, "open"):
            waiting = {str(name): "suspended" for name in self.waiting}
            opened = {str(name): "available" for name in self.open}
            found = self.run(states())
            assert {name: found[name] for name in waiting | opened} == waiting | opened
            assert self.run(recount(self.world.conn)) == []

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.set_limit(None)

            for _ in range(30):
                self.begin_a_period()

            assert not self.waiting, "nothing must be stuck"


class Keys(Machine):
    """Workflows with one key: one is open and started, the others wait in the order of the line."""

    @initialize()
    def start(self) -> None:
        self.execute(*EMPTY)
        self.count = 0
        self.line: list[str] = []
        # settled ones, and whether each had been started
        self.settled: dict[str, bool] = {}

    def handle(self, root: str) -> Workflow:
        return Workflow(id=root, oban=self.oban._name)

    def settle(self, root: str) -> None:
        self.settled[root] = self.line.index(root) == 0
        self.line.remove(root)

    @rule(mode=st.sampled_from(["existing", "raise", "replace", "queue", "queue"]))
    def enqueue(self, mode: Any) -> None:
        self.count += 1
        root = f"w{self.count}"
        workflow = Workflow(id=root, unique="k", on_conflict=mode, oban=self.oban._name)
        workflow.add("a", make_job())

        if self.line and mode == "raise":
            with pytest.raises(UniqueConflictError, match=f"'{self.line[0]}'"):
                self.run(self.oban.enqueue_many(workflow))

            return

        self.run(self.oban.enqueue_many(workflow))

        if self.line and mode == "existing":
            assert workflow.id == self.line[0]
        elif self.line and mode == "replace":
            self.settled[self.line[0]] = True
            self.line[0] = root
        else:
            self.line.append(root)

    @precondition(lambda self: self.line)
    @rule()
    def complete(self) -> None:
        (job,) = self.run(self.query.fetch_jobs(5, "default", "node", str(uuid4())))
        assert job.meta["workflow_id"] == self.line[0]
        self.ack([job])
        self.settle(self.line[0])

    @precondition(lambda self: self.line)
    @rule(rng=SOME)
    def cancel(self, rng: Any) -> None:
        root = rng.choice(self.line)
        assert self.run(self.handle(root).cancel_jobs()) == 1
        self.settle(root)

    @precondition(lambda self: self.settled)
    @rule(rng=SOME)
    def retry(self, rng: Any) -> None:
        root = rng.choice([*self.settled])
        retry = partial(self.handle(root).retry_jobs, names=["a"])

        if self.line and self.settled[root]:
            with pytest.raises(UniqueConflictError, match=f"workflow '{self.line[0]}' holds"):
                self.run(retry())
        else:
            assert self.run(retry()) == 1
            self.line.append(root)
            del self.settled[root]

    @rule()
    def tick(self) -> None:
        self.run(timers.tick(self.query))

    @invariant()
    def one_is_started(self) -> None:
        async def states() -> dict[str, str]:
            rows = await (await self.world.conn.execute(STATES.encode())).fetchall()

            return {root: state for root, state in rows if state in ("available", "suspended")}

        if hasattr(self, "line"):
            waiting = dict.fromkeys(self.line[1:], "suspended")
            assert self.run(states()) == dict.fromkeys(self.line[:1], "available") | waiting
            assert self.run(recount(self.world.conn)) == []

    def teardown(self) -> None:
        while getattr(self, "line", []):
            self.complete()
            self.one_is_started()


def explore(dsn: str, kind: type[Machine], **opts: Any) -> None:
    with world(dsn) as one:
        factory: Any = partial(kind, one)
        chosen = settings(**COMMON, **opts, derandomize=True, database=None)
        run_state_machine_as_test(factory, settings=chosen)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [Queues, Rates, Keys])
def test_no_slot_is_lost_or_given_twice(dsn: str, kind: type[Machine]) -> None:
    explore(dsn, kind, max_examples=12, stateful_step_count=25)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [Queues, Rates, Keys])
def test_none_is_in_more_histories(dsn: str, kind: type[Machine]) -> None:
    explore(dsn, kind, max_examples=60, stateful_step_count=40)
