"""PostgreSQL against the reference engine: whatever happens, both hold a job in the same state."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oban import Job, Oban
from oban._executor import AckAction
from oban._query import _ack_jobs as plain_ack
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, meta, schema
from oban_pro.errors import GraftError
from oban_pro.transactions import run
from tests.elixir import ELIXIR
from tests.engine import make_job
from tests.property import model
from tests.property.model import SETTLED, Group, Member, Model
from tests.recount import recount

FLAGS = st.tuples(st.booleans(), st.booleans())
FAR = 3_600
OPEN = ("suspended", "available", "scheduled", "retryable")
SECONDS = int(os.environ.get("SOAK_SECONDS", "0"))

AGE = [
    "UPDATE oban_workflow_groups SET inserted_at = inserted_at - interval '1 h',"
    " stopped_at = stopped_at - interval '1 h'",
]
SILENCE = [
    "UPDATE oban_producers SET updated_at = updated_at - interval '61 s'",
    "UPDATE oban_jobs SET attempted_at = attempted_at - interval '61 s' WHERE state = 'executing'",
]

PATHS = """
WITH RECURSIVE tree AS (
  SELECT key, id AS path, id FROM oban_workflow_groups WHERE parent IS NULL
  UNION ALL
  SELECT g.key, tree.path || '/' || m.name, g.id
  FROM tree JOIN oban_workflow_groups g ON g.parent = tree.key
    JOIN oban_workflow_members m ON m.id = g.key
)
SELECT path, NULL AS job, id AS workflow, NULL AS state FROM tree
UNION ALL
SELECT tree.path || '/' || m.name, m.id, NULL, j.state::text
FROM tree JOIN oban_workflow_members m ON m.group_key = tree.key AND m.id > 0
  LEFT JOIN oban_jobs j ON j.id = m.id
"""


@st.composite
def members(draw: st.DrawFn, depth: int = 0, fewest: int = 0) -> list[dict[str, Any]]:
    """Describe the members of a workflow, each by a dict."""
    described: list[dict[str, Any]] = []

    for name in "abcde"[: draw(st.integers(fewest, 5 - depth))]:
        kinds = ["job", "job", "job", "graft", "many", *(["sub"] * 2 if depth < 3 else [])]
        kind = draw(st.sampled_from(kinds))
        names = [one["name"] for one in described]
        one: dict[str, Any] = {"name": name, "kind": kind, "deps": []}

        if names:
            one["deps"] = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))

        if kind == "job":
            one["ignores"] = draw(st.none() | FLAGS)
            one["later"] = draw(st.sampled_from([False, False, False, True]))
            one["max_attempts"] = draw(st.sampled_from([20, 20, 1, 2]))
        elif kind == "graft":
            one["ignores"] = draw(st.none() | FLAGS)
        elif kind == "many":
            one["size"] = draw(st.integers(0, 2))
        else:
            one["ignores"] = draw(FLAGS)
            one["members"] = draw(members(depth + 1))

        described.append(one)

    return described


def build(workflow: Workflow, described: list[dict[str, Any]]) -> Workflow:
    """Build a workflow as described."""
    for one in described:
        name, deps, kind = one["name"], one["deps"], one["kind"]
        ignores = one.get("ignores")
        flags = {} if ignores is None else _flags(ignores)

        if kind == "job":
            workflow.add(name, _job(**one), deps=deps, **flags)
        elif kind == "graft":
            workflow.add_graft(name, make_job(), deps=deps, **flags)
        elif kind == "many":
            workflow.add_many(name, [make_job() for _ in range(one["size"])], deps=deps)
        else:
            workflow.add_workflow(name, build(Workflow(**flags), one["members"]), deps=deps)

    return workflow


def _job(*, max_attempts: int, later: bool, **_: Any) -> Job:
    job = make_job(max_attempts=max_attempts)
    job.scheduled_at = datetime.now(UTC) + timedelta(seconds=FAR) if later else None

    return job


def _flags(ignores: tuple[bool, bool]) -> dict[str, Any]:
    return {"ignore_cancelled": ignores[0], "ignore_discarded": ignores[1]}


def grow(group: Group, described: list[dict[str, Any]], flags: tuple[bool, bool]) -> None:
    """Add to a group of the model what was described."""
    for one in described:
        path = f"{group.path}/{one['name']}"
        deps = [group.children[name] for name in one["deps"]]
        ignores = flags if one.get("ignores") is None else one["ignores"]
        member: Member

        if one["kind"] == "job":
            member = model.Job(
                path,
                group,
                deps,
                ignores,
                later=one["later"],
                max_attempts=one["max_attempts"],
            )
        else:
            member = Group(path, group, deps, ignores, one["kind"])
            # Groups that are grafted wait for nothing but what was grafted with them.
            member.free = group.kind == "grafted" and not deps

            if one["kind"] == "graft":
                grafter = model.Job(f"{path}/grafter", member, [], ignores, grafter=True)
                member.children["grafter"] = grafter
            elif one["kind"] == "many":
                for n in range(one["size"]):
                    job = model.Job(f"{path}/{n}", member, [], ignores)
                    member.children[str(n)] = job
            else:
                grow(member, one["members"], ignores)

        group.children[one["name"]] = member


class World:
    """The database, and a loop to talk to it from."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.runner = asyncio.Runner()
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.pool = AsyncConnectionPool(self.dsn, min_size=1, open=False)
        await self.pool.open()
        self.conn = await AsyncConnection.connect(self.dsn, autocommit=True)
        self.oban = Oban(pool=self.pool)

    def close(self) -> None:
        async def close() -> None:
            await self.conn.close()
            await self.pool.close()

        self.runner.run(close())
        self.runner.close()


@contextmanager
def world(dsn: str) -> Iterator[World]:
    one = World(dsn)

    try:
        yield one
    finally:
        one.close()


class Machine(RuleBasedStateMachine):
    """Does one thing after another to both engines."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.oban = world.oban
        self.query = world.oban._query
        self.model = Model()
        self.jobs: dict[str, int] = {}
        self.workflows: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.running: dict[str, Job] = {}
        self.stale: list[Job] = []
        self.enqueued: list[list[Job]] = []
        self.names = 0

    def run[Result](self, awaitable: Awaitable[Result]) -> Result:
        async def main() -> Result:
            return await awaitable

        return self.world.runner.run(main())

    async def execute(self, *statements: str) -> None:
        for statement in statements:
            await self.world.conn.execute(statement.encode())

    def some(self, data: st.DataObject, jobs: list[model.Job]) -> list[model.Job]:
        """Draw one job or more of several."""
        by_path = {job.path: job for job in jobs}
        paths = data.draw(
            st.lists(st.sampled_from(sorted(by_path)), min_size=1, max_size=4, unique=True)
        )

        return [by_path[path] for path in paths]

    def ids(self, jobs: list[model.Job]) -> list[Job | int]:
        return [self.jobs[job.path] for job in jobs]

    # Growing

    @initialize()
    def start(self) -> None:
        self.run(self.execute("TRUNCATE oban_jobs", "TRUNCATE oban_producers"))
        self.node = self.run(self._join())

    async def _join(self) -> str:
        uuid = str(uuid4())
        await self.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta={}
        )

        return uuid

    @precondition(lambda self: len(self.model.roots) < 3)
    @rule(described=members(fewest=1), flags=FLAGS)
    def enqueue(self, described: list[dict[str, Any]], flags: tuple[bool, bool]) -> None:
        self.names += 1
        workflow = build(Workflow(id=f"w{self.names}", **_flags(flags)), described)
        jobs = [*workflow]

        if not jobs:
            return

        self.run(self.oban.enqueue_many(jobs))
        self.enqueued.append(jobs)
        root = Group(workflow.id, None, [], flags, "workflow")
        grow(root, described, flags)
        self.model.enqueue(root)

    @precondition(lambda self: self.enqueued and self.model.roots)
    @rule()
    def enqueue_again(self) -> None:
        jobs = self.enqueued[-1]

        if str(jobs[0].meta["workflow_id"]) in self.workflows.values():
            self.run(self.oban.enqueue_many(jobs))

    @precondition(lambda self: self.model.roots)
    @rule(data=st.data(), described=members(depth=2, fewest=1), flags=FLAGS)
    def append(
        self, data: st.DataObject, described: list[dict[str, Any]], flags: tuple[bool, bool]
    ) -> None:
        groups = [one for one in self.model.groups() if one.kind in ("workflow", "sub")]
        by_path = {group.path: group for group in groups}
        group = by_path[data.draw(st.sampled_from(sorted(by_path)))]
        rename = {one["name"]: f"{one['name']}{self.names}" for one in described}
        self.names += 1
        known = sorted(name for name in group.children)

        for one in described:
            one["name"] = rename[one["name"]]
            one["deps"] = [rename[dep] for dep in one["deps"]]

            if one["kind"] in ("job", "graft"):
                one["ignores"] = one["ignores"] or flags

            if known:
                there = st.lists(st.sampled_from(known), unique=True, max_size=2)
                one["deps"] += data.draw(there)

        addition = build(Workflow(check_deps=False, **_flags(flags)), described)
        handle = Workflow(id=self.workflows[group.path], oban=self.oban._name)
        self.run(handle.append(addition))
        self.model.extend(lambda: grow(group, described, flags))

    @precondition(lambda self: self._grafters())
    @rule(data=st.data(), described=members(depth=1, fewest=1))
    def graft(self, data: st.DataObject, described: list[dict[str, Any]]) -> None:
        grafters = {job.path: job for job in self._grafters()}
        grafter = grafters[data.draw(st.sampled_from(sorted(grafters)))]
        point = grafter.parent
        job = self.running[grafter.path]
        workflow = build(Workflow(**_flags(point.ignores)), described)

        if not [*workflow]:
            return

        job.extra.clear()
        self.run(self.oban.enqueue_many(Workflow.apply_graft(job, workflow)))

        if "grafted" not in point.children:
            grafted = Group(f"{point.path}/grafted", point, [], point.ignores, "grafted")
            grafted.free = model.waits(point)

            def add() -> None:
                grow(grafted, described, point.ignores)
                point.children["grafted"] = grafted

            self.model.extend(add)

    def _grafters(self) -> list[model.Job]:
        return [
            job for job in self.model.jobs("executing") if job.grafter and job.path in self.running
        ]

    @precondition(lambda self: any(job.meta.get(meta.GRAFT) for job in self.stale))
    @rule(data=st.data())
    def graft_too_late(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.stale if job.meta.get(meta.GRAFT)]))
        workflow = Workflow().add("late", make_job())
        job.extra.clear()

        with pytest.raises(GraftError):
            self.run(self.oban.enqueue_many(Workflow.apply_graft(job, workflow)))

    # Running

    @precondition(lambda self: self.model.jobs("available"))
    @rule(demand=st.sampled_from([1, 2, 5]))
    def fetch(self, demand: int) -> None:
        ready = {self.jobs[job.path]: job for job in self.model.jobs("available")}
        fetched = self.run(self.query.fetch_jobs(demand, "default", "node", self.node))
        assert len(fetched) == min(demand, len(ready))

        for job in fetched:
            assert job.id in ready, f"{job.meta['name']} ran before what it depends on"
            started = ready[job.id]
            started.state = "executing"
            started.attempt += 1
            assert (job.attempt, job.max_attempts) == (started.attempt, started.max_attempts)
            self.running[started.path] = job

    @precondition(lambda self: self.model.jobs("executing"))
    @rule(data=st.data(), outcome=st.sampled_from(["completed"] * 5 + ["cancelled", "discarded"]))
    def settle(self, data: st.DataObject, outcome: str) -> None:
        jobs = self.some(data, self.model.jobs("executing"))
        self._ack(jobs, outcome)
        self.model.settle(jobs, outcome)

    @precondition(lambda self: self.model.jobs("executing"))
    @rule(data=st.data(), outcome=st.sampled_from(SETTLED))
    def settle_on_plain_oban(self, data: st.DataObject, outcome: str) -> None:
        jobs = self.some(data, self.model.jobs("executing"))
        self._ack(jobs, outcome, plainly=True)
        self.model.settle(jobs, outcome)

    @precondition(lambda self: self.model.jobs("executing"))
    @rule(data=st.data())
    def snooze(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs("executing"))
        self._ack(jobs, "scheduled", attempt_change=-1, schedule_in=FAR)
        self.model.settle(jobs, "scheduled")

        for job in jobs:
            job.attempt -= 1

    @precondition(lambda self: self._failing())
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        jobs = self.some(data, self._failing())
        self._ack(jobs, "retryable", error={"error": "boom"}, schedule_in=FAR)
        self.model.settle(jobs, "retryable")

    def _failing(self) -> list[model.Job]:
        return [job for job in self.model.jobs("executing") if job.attempt < job.max_attempts]

    def _ack(
        self, jobs: list[model.Job], state: str, *, plainly: bool = False, **opts: Any
    ) -> None:
        acks = [AckAction(job=self.running[job.path], state=state, **opts) for job in jobs]
        acked = self.run(plain_ack(self.query, acks) if plainly else self.query.ack_jobs(acks))
        assert {*acked} == {*self.ids(jobs)}
        self._stop(jobs)

    def _stop(self, jobs: list[model.Job]) -> None:
        self.stale += [self.running.pop(job.path) for job in jobs if job.path in self.running]

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), outcome=st.sampled_from(SETTLED))
    def ack_late_or_twice(self, data: st.DataObject, outcome: str) -> None:
        job = data.draw(st.sampled_from(self.stale))
        ack = AckAction(job=job, state=outcome)
        assert self.run(self.query.ack_jobs([ack, ack])) == []

    @precondition(lambda self: self.model.jobs("scheduled", "retryable"))
    @rule()
    def stage(self) -> None:
        before = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
        self.run(self.query.stage_jobs(1_000, ["default"], before))

        for job in self.model.jobs("scheduled", "retryable"):
            job.state = "available"

    # Steering

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def cancel_by_oban(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs())
        self.run(self.oban.cancel_many_jobs(self.ids(jobs)))
        self.model.settle([job for job in jobs if job.state in OPEN], "cancelled")

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def cancel_jobs(self, data: st.DataObject) -> None:
        handle, names, jobs = self._target(data)
        jobs = [job for job in jobs if job.state in (*OPEN, "executing")]
        assert self.run(handle.cancel_jobs(names=names)) == len(jobs)
        self._stop(jobs)
        self.model.settle(jobs, "cancelled")

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def retry_by_oban(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs())
        self.run(self.oban.retry_many_jobs(self.ids(jobs)))
        jobs = [job for job in jobs if job.state not in ("available", "executing")]
        self.model.revive(jobs, hold=False)

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def retry_jobs(self, data: st.DataObject) -> None:
        handle, names, jobs = self._target(data)
        states = {"cancelled", "discarded", "retryable"} | ({"completed"} if names else set())
        jobs = [job for job in jobs if job.state in states]
        assert self.run(handle.retry_jobs(names=names)) == len(jobs)
        self.model.revive(jobs, hold=True)

    def _target(self, data: st.DataObject) -> tuple[Workflow, list[str] | None, list[model.Job]]:
        """Draw a workflow, and perhaps members of it."""
        by_path = {group.path: group for group in self.model.groups()}
        group = by_path[data.draw(st.sampled_from(sorted(by_path)))]
        handle = Workflow(id=self.workflows[group.path], oban=self.oban._name)
        names: list[str] | None = None

        if group.children:
            some = st.lists(st.sampled_from(sorted(group.children)), min_size=1, max_size=2)
            names = data.draw(st.none() | some)

        jobs: dict[str, model.Job] = {}

        for name in group.children if names is None else names:
            child = group.children[name]
            inside = [child] if isinstance(child, model.Job) else child.jobs()
            jobs |= {job.path: job for job in inside if not job.gone}

        return handle, names, [*jobs.values()]

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs())
        self.run(self.oban.delete_many_jobs(self.ids(jobs)))
        self.model.delete([job for job in jobs if job.state != "executing"])

    # Keeping

    @precondition(lambda self: self.model.roots)
    @rule(limit=st.sampled_from([1, 2, 100]))
    def prune(self, limit: int) -> None:
        async def prune() -> None:
            await self.execute(*AGE)
            partial, roots = True, 1

            while partial or roots:
                _, roots, partial = await run(
                    self.query, lambda store: store.prune_workflows(60, limit)
                )
                assert await recount(self.world.conn) == []

        self.run(prune())
        self.model.prune()

    @precondition(lambda self: self.model.jobs("executing"))
    @rule()
    def kill(self) -> None:
        """Let the node die that runs everything, and another take over."""
        jobs = self.model.jobs("executing")
        self.run(self.execute(*SILENCE))
        assert self.run(run(self.query, lambda store: store.rescue(60))) == len(jobs)
        self._stop(jobs)
        self.node = self.run(self._join())
        exhausted = [job for job in jobs if job.attempt >= job.max_attempts]

        for job in jobs:
            job.state = "available" if job not in exhausted else job.state

        self.model.settle(exhausted, "discarded")

    # Judging

    @invariant()
    def both_agree(self) -> None:
        if not self.model.roots and not self.jobs:
            return

        self.run(self._look())
        expected = self.model.states()
        differing = {
            path: (self.states.get(path), expected.get(path))
            for path in self.states.keys() | expected.keys()
            if self.states.get(path) != expected.get(path)
        }
        assert not differing, f"engine and model must agree, got {differing}"
        assert self.run(recount(self.world.conn)) == []

    async def _look(self) -> None:
        rows = await (await self.world.conn.execute(PATHS.encode())).fetchall()
        self.jobs = {path: job for path, job, _, _ in rows if job is not None}
        self.workflows = {path: workflow for path, _, workflow, _ in rows if workflow is not None}
        self.states = {path: state for path, _, _, state in rows if state is not None}

    def teardown(self) -> None:
        """Run what is left to its end: nothing must be stuck."""
        for _ in range(200):
            if self.model.jobs("scheduled", "retryable"):
                self.stage()
            elif self.model.jobs("available"):
                self.fetch(100)
                self._complete_all()
            elif self.model.jobs("executing"):
                self._complete_all()
            else:
                break

            self.both_agree()

        stuck = [job.path for job in self.model.jobs("suspended") if not model.excused(job)]
        assert not stuck, f"nothing must be stuck, got {stuck}"

    def _complete_all(self) -> None:
        jobs = self.model.jobs("executing")
        self._ack(jobs, "completed")
        self.model.settle(jobs, "completed")


COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def explore(dsn: str, **opts: Any) -> None:
    with world(dsn) as one:
        factory: Any = partial(Machine, one)
        run_state_machine_as_test(factory, settings=settings(**COMMON, **opts))


class TestEngines:
    @pytest.mark.timeout(300)
    def test_hold_every_job_in_the_same_state(self, dsn: str) -> None:
        explore(dsn, max_examples=80, stateful_step_count=30, derandomize=True, database=None)

    @pytest.mark.timeout(200)
    def test_do_so_on_tables_made_by_oban_for_elixir(self, empty_dsn: str) -> None:
        async def install() -> None:
            async with AsyncConnectionPool(empty_dsn, min_size=1, open=False) as pool:
                async with pool.connection() as conn:
                    await conn.execute(ELIXIR.encode())

                await schema.install(pool)

        asyncio.run(install())
        explore(empty_dsn, max_examples=8, stateful_step_count=25, derandomize=True, database=None)

    @pytest.mark.slow
    @pytest.mark.skipif(not SECONDS, reason="make soak says for how long")
    @pytest.mark.timeout(0)
    def test_do_so_for_as_long_as_told(self, dsn: str) -> None:
        deadline = time.monotonic() + SECONDS

        while time.monotonic() < deadline:
            explore(dsn, max_examples=50, stateful_step_count=50, database=None)
