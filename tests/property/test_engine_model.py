"""PostgreSQL against the reference engine: whatever happens, both hold a job in the same state."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
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

from oban_pro import Workflow, doctor, schema, workers
from oban_pro.building.waits import ON_TIMEOUT
from oban_pro.engine.session import session_of
from oban_pro.engine.store import Store
from oban_pro.errors import GraftError, IncompleteWorkflowError
from oban_pro.model import meta
from oban_pro.model.turns import AGAIN, TURN, turns_of
from tests.support import model
from tests.support.elixir import ELIXIR
from tests.support.engine import make_job
from tests.support.model import SETTLED, Group, Member, Model, is_final, is_spared
from tests.support.recount import recount
from tests.support.silence import HEARD, rescue

FLAGS = st.tuples(st.booleans(), st.booleans())
FAR = 3_600
RARELY = st.sampled_from([False] * 7 + [True])
LIMIT = st.sampled_from([None, None, 0, 1, 1, 2])
OPEN = ("suspended", "available", "scheduled", "retryable")
SECONDS = int(os.environ.get("SOAK_SECONDS", "0"))

AGE = [
    "UPDATE oban_workflow_groups SET inserted_at = inserted_at - interval '1 h',"
    " stopped_at = stopped_at - interval '1 h'",
]
SILENCE = [
    "DELETE FROM oban_workflow_hearing",
    HEARD,
    "UPDATE oban_producers SET updated_at = updated_at - interval '61 s'",
    "UPDATE oban_jobs SET attempted_at = attempted_at - interval '61 s' WHERE state = 'executing'",
]

LATE = "UPDATE oban_workflow_timers SET due = due - interval '1 day' WHERE due IS NOT NULL"

PATHS = """
WITH RECURSIVE tree AS (
  SELECT key, id AS path, id FROM oban_workflow_groups WHERE parent IS NULL
  UNION ALL
  SELECT g.key, tree.path || '/' || m.name, g.id
  FROM tree JOIN oban_workflow_groups g ON g.parent = tree.key
    JOIN oban_workflow_members m ON m.id = g.key
)
SELECT path, NULL AS job, id AS workflow, NULL AS state, NULL AS turns FROM tree
UNION ALL
SELECT tree.path || '/' || m.name, m.id, NULL, j.state::text, COALESCE(j.meta -> 'turn', '0')::int
FROM tree JOIN oban_workflow_members m ON m.group_key = tree.key AND m.id > 0
  LEFT JOIN oban_jobs j ON j.id = m.id
"""


@st.composite
def members(draw: st.DrawFn, depth: int = 0, fewest: int = 0) -> list[dict[str, Any]]:
    """Describe the members of a workflow, each by a dict."""
    described: list[dict[str, Any]] = []

    for name in "abcde"[: draw(st.integers(fewest, 5 - depth))]:
        kinds = ["job"] * 4 + ["wait", "graft", "many", "items"]
        kinds += ["sub"] * 2 if depth < 3 else []
        kind = draw(st.sampled_from(kinds))
        names = [one["name"] for one in described]
        one: dict[str, Any] = {"name": name, "kind": kind, "deps": []}

        if names:
            one["deps"] = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))

        one["need"] = draw(need_of(one["deps"]))
        one["when"] = kind != "wait" and draw(st.sampled_from([False, False, True]))

        one["undo"] = kind in ("job", "many") and draw(st.booleans())

        if kind == "job":
            one["ignores"] = draw(st.none() | FLAGS)
            one["later"] = draw(st.sampled_from([False, False, False, True]))
            one["max_attempts"] = draw(st.sampled_from([20, 20, 1, 2]))
            one["deadline"] = draw(RARELY)
            one["delay"] = draw(RARELY)
        elif kind == "wait":
            one["ignores"] = draw(st.none() | FLAGS)
            one["wanted"] = draw(st.sampled_from([1, 1, 2]))
            one["on_timeout"] = draw(st.none() | st.sampled_from(["cancel", "discard", "complete"]))
        elif kind == "graft":
            one["ignores"] = draw(st.none() | FLAGS)
        elif kind in ("many", "items"):
            one["limit"] = draw(LIMIT)
            one["size"] = draw(st.integers(0, 2 if one["limit"] is None else 4))
            one["tolerate"] = draw(st.sampled_from([None, 0, 1, 2, 0.4, 0.7]))
            one["fail_fast"] = draw(st.booleans())
        else:
            one["ignores"] = draw(FLAGS)
            one["members"] = draw(members(depth + 1))
            one["deadline"] = draw(RARELY)

        described.append(one)

    for name in "yz"[: draw(st.sampled_from([0, 0, 0, 1, 2]))]:
        runs_on = draw(st.sampled_from(["always", "always", "completed", "failed"]))
        deps = draw(st.sampled_from([[], ["y"]])) if name == "z" else []
        final = {"name": name, "kind": "final", "deps": deps, "need": None, "runs_on": runs_on}
        described.append(final)

    return described


def is_met(_context: dict[str, Any]) -> bool:
    """Stand for a condition; the machine says what comes of it."""
    return True


def need_of(deps: list[str]) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(1, len(deps)) if deps else st.none()


def build(workflow: Workflow, described: list[dict[str, Any]]) -> Workflow:
    """Build a workflow as described."""
    for one in described:
        name, kind = one["name"], one["kind"]
        deps: dict[str, Any] = {"deps": one["deps"], "need": one["need"]}
        ignores = one.get("ignores")
        flags = {} if ignores is None else _flags(ignores)
        when: Any = {"when": is_met} if one.get("when") else {}
        undo: Any = {"undo": make_job()} if one.get("undo") else {}

        if kind == "job":
            clocks: Any = {key: FAR for key in ("deadline", "delay") if one[key]}
            workflow.add(name, _job(**one), **deps, **flags, **clocks, **when, **undo)
        elif kind == "wait":
            timeout = one["on_timeout"]
            clock: Any = {} if timeout is None else {"wait_for": FAR, "on_timeout": timeout}
            workflow.add_signal(name, count=one["wanted"], **deps, **flags, **clock)
        elif kind == "graft":
            workflow.add_graft(name, make_job(), **deps, **flags, **when)
        elif kind == "final":
            workflow.add_final(name, make_job(), on=one["runs_on"], deps=one["deps"])
        elif kind == "many" and undo:
            items: Any = ([*range(one["size"])], work)
            fails = _fails(one)
            workflow.add_cascade(
                name, items, **deps, limit=one["limit"], **fails, **when, undo=take_back
            )
        elif kind == "many":
            jobs = [make_job() for _ in range(one["size"])]
            workflow.add_many(name, jobs, **deps, limit=one["limit"], **_fails(one), **when)
        elif kind == "items":
            many: Any = ([*range(one["size"])], graft_item)
            workflow.add_graft(name, many, **deps, limit=one["limit"], **_fails(one), **when)
        else:
            inner = build(Workflow(**flags), one["members"])
            deadline = FAR if one["deadline"] else None
            workflow.add_workflow(name, inner, deadline=deadline, **deps, **when)

    return workflow


def work(_item: int, _context: dict[str, Any]) -> None: ...


def take_back(_item: int, _context: dict[str, Any]) -> None: ...


def graft_item(_item: int, _context: dict[str, Any]) -> None:
    """Stand for a grafter; the machine grafts in its place."""


def _fails(one: dict[str, Any]) -> dict[str, Any]:
    return {"tolerate": one["tolerate"], "fail_fast": one["fail_fast"]}


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
                deadline=False if one["deadline"] else None,
                delayed=one["delay"],
                asks=one["when"],
                has_undo=one["undo"],
            )
        elif one["kind"] == "wait":
            timeout = one["on_timeout"] and ON_TIMEOUT[one["on_timeout"]]
            wait = model.Wait(one["wanted"], timeout)
            member = model.Job(path, group, deps, ignores, wait=wait)
        elif one["kind"] == "final":
            member = model.Job(path, group, deps, flags, runs_on=one["runs_on"])
        else:
            member = Group(path, group, deps, ignores, one["kind"])
            # Groups that are grafted wait for nothing but what was grafted with them.
            member.free = group.kind == "grafted" and not deps
            member.deadline = False if one.get("deadline") else None

            if one["when"]:
                judge = model.Job(f"{path}/when", member, deps, ignores if deps else flags)
                judge.judges, judge.need = True, one["need"]
                member.children["when"], member.deps = judge, [judge]

            if one["kind"] == "graft":
                grafter = model.Job(f"{path}/grafter", member, [], ignores, grafter=True)
                member.children["grafter"] = grafter
            elif one["kind"] in ("many", "items"):
                fails = one["tolerate"] is not None or one["fail_fast"]
                member.tolerates = (one["tolerate"] or 0) if fails else None
                member.fail_fast = one["fail_fast"]
                member.limit = one["limit"]

                for n in range(one["size"]):
                    item = _item(f"{path}/{n}", member, one["kind"])
                    member.children[str(n)] = item

                    if isinstance(item, model.Job):
                        item.has_undo = one["undo"]
            else:
                grow(member, one["members"], ignores)

        member.need = None if one.get("when") and isinstance(member, Group) else one["need"]
        group.children[one["name"]] = member


def _item(path: str, parent: Group, kind: str) -> Member:
    if kind == "many":
        return model.Job(path, parent, [], parent.ignores)

    point = Group(path, parent, [], parent.ignores, "graft")
    grafter = model.Job(f"{path}/grafter", point, [], parent.ignores, grafter=True)
    point.children["grafter"] = grafter

    return point


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
        self.turns: dict[str, int] = {}
        self.running: dict[str, Job] = {}
        self.stale: list[Job] = []
        # executions that were stopped and have not ended, by the jobs as they were fetched
        self.unended: dict[int, model.Job] = {}
        self.is_ours = False
        self.enqueued: list[tuple[list[Job], Callable[[], Group]]] = []
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

    @initialize(is_ours=st.booleans())
    def start(self, is_ours: bool) -> None:
        self.is_ours = self.model.is_ours = is_ours
        self.run(self.execute("TRUNCATE oban_jobs", "TRUNCATE oban_producers"))
        self.node = self.run(self._join())

    async def _join(self) -> str:
        uuid = str(uuid4())
        meta = {"oban_workflows_patience": 60.0} if self.is_ours else {}
        await self.query.insert_producer(
            uuid=uuid, name="Oban", node="node", queue="default", meta=meta
        )

        return uuid

    @precondition(lambda self: len(self.model.roots) < 3)
    @rule(described=members(fewest=1), flags=FLAGS, deadline=RARELY)
    def enqueue(
        self, described: list[dict[str, Any]], flags: tuple[bool, bool], deadline: bool
    ) -> None:
        self.names += 1
        limit = FAR if deadline else None
        root_id = f"w{self.names}"
        workflow = build(Workflow(id=root_id, deadline=limit, **_flags(flags)), described)
        jobs = [*workflow]

        if not jobs:
            return

        def make() -> Group:
            root = Group(workflow.id, None, [], flags, "workflow")
            root.deadline = False if deadline else None
            grow(root, described, flags)

            return root

        self.run(self.oban.enqueue_many(jobs))
        self.enqueued.append((jobs, make))
        self.model.enqueue(make())

    @precondition(lambda self: self.enqueued)
    @rule()
    def enqueue_again(self) -> None:
        """Enqueue once more: it inserts where nothing is left, and refuses where some jobs are."""
        jobs, make = self.enqueued[-1]
        root = self.model.roots.get(make().path)
        gone = {job.gone for job in root.jobs()} if root else {True}

        if gone == {True, False}:
            with pytest.raises(IncompleteWorkflowError):
                self.run(self.oban.enqueue_many(jobs))
        else:
            self.run(self.oban.enqueue_many(jobs))

        if gone == {True}:
            self.model.enqueue(make())

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data(), described=members(depth=2, fewest=1), flags=FLAGS)
    def append(
        self, data: st.DataObject, described: list[dict[str, Any]], flags: tuple[bool, bool]
    ) -> None:
        groups = [one for one in self.model.known() if one.kind in ("workflow", "sub")]
        by_path = {group.path: group for group in groups}
        group = by_path[data.draw(st.sampled_from(sorted(by_path)))]
        described = [one for one in described if one["kind"] != "final"]
        rename = {one["name"]: f"{one['name']}{self.names}" for one in described}
        self.names += 1
        known = sorted(
            name
            for name, child in group.children.items()
            if not is_final(child) and name not in ("when", "undo")
        )

        for one in described:
            one["name"] = rename[one["name"]]
            one["deps"] = [rename[dep] for dep in one["deps"]]

            if one["kind"] in ("job", "graft", "wait"):
                one["ignores"] = one["ignores"] or flags

            if known:
                there = st.lists(st.sampled_from(known), unique=True, max_size=2)
                one["deps"] += data.draw(there)
                one["need"] = data.draw(need_of(one["deps"]))

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

    @precondition(lambda self: any("grafted" in job.parent.children for job in self._grafters()))
    @rule()
    def complete_grafters(self) -> None:
        jobs = [job for job in self._grafters() if "grafted" in job.parent.children]
        self._ack(jobs, "completed")
        self.model.settle(jobs, "completed")

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
            started.has_begun = True
            assert (job.attempt, job.max_attempts) == (started.attempt, started.max_attempts)
            self.running[started.path] = job

    @precondition(lambda self: self.model.jobs("available"))
    @rule()
    def advance(self) -> None:
        """Complete all that can start, and plan what is to be undone."""
        self.fetch(100)
        self._complete_all()

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
        # the trigger takes most of that for somebody else's doing
        self._ack(jobs, outcome, plainly=True, unended=outcome != "completed")
        self.model.settle(jobs, outcome)

    @precondition(lambda self: any(job.asks for job in self.model.jobs("executing")))
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        jobs = self.some(data, [job for job in self.model.jobs("executing") if job.asks])

        for job in jobs:
            why = {meta.SKIPPED: "its condition was not met"}
            self._ack([job], "completed", attempt_change=-job.attempt, meta=why)
            self.model.skip([job])

    @precondition(lambda self: any(job.judges for job in self.model.jobs("executing")))
    @rule(data=st.data(), verdict=st.booleans())
    def judge(self, data: st.DataObject, verdict: bool) -> None:
        judges = {job.path: job for job in self.model.jobs("executing") if job.judges}
        job = judges[data.draw(st.sampled_from(sorted(judges)))]
        self._ack([job], "completed", meta={meta.JUDGED: verdict})
        self.model.judge(job, verdict)

    @precondition(lambda self: self.model.jobs("executing"))
    @rule(data=st.data())
    def snooze(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs("executing"))
        self._ack(jobs, "scheduled", attempt_change=-1, schedule_in=FAR)
        self._put_off(jobs, "scheduled")

        for job in jobs:
            job.attempt -= 1

    @precondition(lambda self: self._planning())
    @rule(data=st.data())
    def plan_undo(self, data: st.DataObject) -> None:
        jobs = {job.path: job for job in self._planning()}
        self._plan_undo(jobs[data.draw(st.sampled_from(sorted(jobs)))])

    def _plan_undo(self, job: model.Job) -> None:
        self.run(workers.Undoer().process(self.running[job.path]))
        self._ack([job], "completed")
        self.model.plan_undo(job)

    def _planning(self) -> list[model.Job]:
        return [
            job for job in self.model.jobs("executing") if job.plans and job.path in self.running
        ]

    @precondition(lambda self: self._looping())
    @rule(data=st.data(), delay=st.sampled_from([0, FAR]))
    def turn(self, data: st.DataObject, delay: int) -> None:
        jobs = self.some(data, self._looping())

        for job in jobs:
            running = self.running[job.path]
            kept = {TURN: turns_of(running.meta) + 1, AGAIN: "g2E"}
            self._ack([job], "scheduled", attempt_change=-job.attempt, meta=kept, schedule_in=delay)
            self.model.turn(job, "scheduled" if delay else "available")

    def _looping(self) -> list[model.Job]:
        return [
            job
            for job in self.model.jobs("executing")
            if not (job.grafter or job.plans or job.judges)
        ]

    @precondition(lambda self: self._failing())
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        jobs = self.some(data, self._failing())
        self._ack(jobs, "retryable", error={"error": "boom"}, schedule_in=FAR)
        self._put_off(jobs, "retryable")

    def _put_off(self, jobs: list[model.Job], state: str) -> None:
        cut_short = [*filter(model.is_cut_short, jobs)]
        others = [job for job in jobs if job not in cut_short]
        self.model.settle(others, state)
        self.model.hold_paused(others)
        self.model.settle(cut_short, "cancelled")

    def _failing(self) -> list[model.Job]:
        return [job for job in self.model.jobs("executing") if job.attempt < job.max_attempts]

    def _ack(
        self,
        jobs: list[model.Job],
        state: str,
        *,
        plainly: bool = False,
        unended: bool = False,
        **opts: Any,
    ) -> None:
        acks = [AckAction(job=self.running[job.path], state=state, **opts) for job in jobs]
        acked = self.run(plain_ack(self.query, acks) if plainly else self.query.ack_jobs(acks))
        assert {*acked} == {*self.ids(jobs)}
        self._stop(jobs, unended=unended)

    def _stop(self, jobs: list[model.Job], *, unended: bool = False, counted: bool = False) -> None:
        """Note that executions are over; or that they were stopped and go on, on a node of ours."""
        for job in jobs:
            if (stale := self.running.pop(job.path, None)) is not None:
                self.stale.append(stale)

                if unended and self.is_ours:
                    job.unended += not counted
                    self.unended[id(stale)] = job

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), outcome=st.sampled_from(SETTLED))
    def ack_late_or_twice(self, data: st.DataObject, outcome: str) -> None:
        job = data.draw(st.sampled_from(self.stale))
        ack = AckAction(job=job, state=outcome)
        self._ack_late(job, ack)

    def _ack_late(self, job: Job, ack: AckAction) -> None:
        assert self.run(self.query.ack_jobs([ack, ack])) == []

        if (ended := self.unended.pop(id(job), None)) is not None:
            self.model.end(ended, ack.state)

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
    @rule(data=st.data(), finals=st.booleans())
    def cancel_jobs(self, data: st.DataObject, finals: bool) -> None:
        handle, names, jobs = self._target(data)
        path = next(path for path, id in self.workflows.items() if id == handle.id)
        group = next(group for group in self.model.groups() if group.path == path)
        inside = [group] if names is None else [group.children[name] for name in names]
        groups = [one for one in inside if isinstance(one, Group)]
        named = [job for job in jobs if self.workflows[job.parent.path] == handle.id]
        named = [job for job in named if names and job.path.rpartition("/")[2] in names]
        jobs = [job for job in jobs if job.state in (*OPEN, "executing")]
        # what undoes a workflow is spared unless it is named
        whole = [*group.undoing.jobs()] if group.undoing and names and "undo" in names else []
        jobs = [job for job in jobs if finals or not is_spared(job) or job in [*named, *whole]]
        assert self.run(handle.cancel_jobs(names=names, finals=finals)) == len(jobs)
        self._stop(jobs, unended=True)
        self.model.cancel(jobs, groups, waives=finals)

    # Waits and clocks

    @precondition(lambda self: self._waits())
    @rule(data=st.data(), sender=st.sampled_from(["ada", "bob"]))
    def signal(self, data: st.DataObject, sender: str) -> None:
        waits = {job.path: job for job in self._waits()}
        job = waits[data.draw(st.sampled_from(sorted(waits)))]
        handle, name = self._parent(job)
        taken = self.run(handle.signal(name, {"by": sender}, by=sender))
        assert taken == self.model.signal(job, sender)

    @precondition(lambda self: self._waits())
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        waits = {job.path: job for job in self._waits()}
        job = waits[data.draw(st.sampled_from(sorted(waits)))]
        handle, name = self._parent(job)
        assert self.run(handle.reject(name)) == self.model.reject(job)

    @rule()
    def pass_time(self) -> None:
        async def tick() -> None:
            await self.execute(LATE)
            await session_of(self.query).execute(lambda store: store.tick())

        self.run(tick())
        self._stop(self.model.pass_time(), unended=True, counted=True)

    def _waits(self) -> list[model.Job]:
        return [job for job in self.model.jobs() if job.wait]

    def _parent(self, member: Member) -> tuple[Workflow, str]:
        path, _, name = member.path.rpartition("/")

        return Workflow(id=self.workflows[path], oban=self.oban._name), name

    # Pauses

    @precondition(lambda self: self.model.known())
    @rule(data=st.data(), until=st.booleans())
    def pause(self, data: st.DataObject, until: bool) -> None:
        groups = {group.path: group for group in self.model.known()}
        group = groups[data.draw(st.sampled_from(sorted(groups)))]
        handle = Workflow(id=self.workflows[group.path], oban=self.oban._name)
        names = sorted(name for name in group.children if name not in ("grafter", "grafted"))
        name = data.draw(st.none() | st.sampled_from(names)) if names else None
        member = group if name is None else group.children[name]
        count = self.run(handle.pause(name, until=FAR if until else None))
        assert count == self.model.pause(member, until=until)

    @precondition(lambda self: self.model.paused())
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        paused = {member.path: member for member in self.model.paused()}
        self._resume(paused[data.draw(st.sampled_from(sorted(paused)))])

    def _resume(self, member: Member) -> None:
        if member.path in self.workflows:
            handle = Workflow(id=self.workflows[member.path], oban=self.oban._name)
            assert self.run(handle.resume()) == self.model.resume(member)
        else:
            handle, name = self._parent(member)
            assert self.run(handle.resume(name)) == self.model.resume(member)

    @precondition(lambda self: self._fan_outs())
    @rule(data=st.data(), limit=LIMIT)
    def set_limit(self, data: st.DataObject, limit: int | None) -> None:
        groups = {group.path: group for group in self._fan_outs()}
        group = groups[data.draw(st.sampled_from(sorted(groups)))]
        self._set_limit(group, limit)

    def _set_limit(self, group: Group, limit: int | None) -> None:
        around, _, name = group.path.rpartition("/")
        handle = Workflow(id=self.workflows[around], oban=self.oban._name)
        self.run(handle.set_limit(name, limit))
        self.model.set_limit(group, limit)

    def _fan_outs(self) -> list[Group]:
        return [group for group in self.model.known() if group.kind in ("many", "items")]

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
        self._retry(*self._target(data))

    @precondition(lambda self: self._regrafted(self.model.jobs()))
    @rule(data=st.data())
    def graft_anew(self, data: st.DataObject) -> None:
        points = {point.path: point for point in self._regrafted(self.model.jobs())}
        around, _, name = data.draw(st.sampled_from(sorted(points))).rpartition("/")
        group = next(group for group in self.model.groups() if group.path == around)
        self._retry(*self._members(group, [name]))

    def _retry(self, handle: Workflow, names: list[str] | None, jobs: list[model.Job]) -> None:
        jobs, anew = self.model.forward(jobs, is_named=names is not None)
        states = ("cancelled", "discarded", "retryable")
        jobs = [
            job for job in jobs if job.state in states or (job.state == "completed" and job in anew)
        ]
        regraft = self._regrafted([job for job in jobs if job in anew])
        removed = {job for point in regraft for job in point.grafted_jobs()}
        jobs = [job for job in jobs if job not in removed]
        assert self.run(handle.retry_jobs(names=names)) == len(jobs)
        self._stop([*removed])
        self.model.revive(jobs, hold=True, anew=anew, regraft=regraft)

    @precondition(lambda self: self.model.jobs())
    @rule(data=st.data())
    def rerun(self, data: st.DataObject) -> None:
        groups = {group.path: group for group in self.model.known() if group.children}
        group = groups[data.draw(st.sampled_from(sorted(groups)))]
        some = st.lists(st.sampled_from(sorted(group.children)), min_size=1, max_size=2)
        names = data.draw(some)
        handle = Workflow(id=self.workflows[group.path], oban=self.oban._name)
        count, removed = self.model.rerun([group.children[name] for name in names])
        assert self.run(handle.retry_jobs(names=names, downstream=True)) == count
        self._stop(removed)

    @staticmethod
    def _regrafted(jobs: list[model.Job]) -> list[Group]:
        """Find where grafters that had completed graft anew."""
        return [
            job.parent
            for job in jobs
            if job.grafter and job.state == "completed" and "grafted" in job.parent.children
        ]

    def _target(self, data: st.DataObject) -> tuple[Workflow, list[str] | None, list[model.Job]]:
        """Draw a workflow, and perhaps members of it."""
        by_path = {group.path: group for group in self.model.known()}
        group = by_path[data.draw(st.sampled_from(sorted(by_path)))]
        names: list[str] | None = None

        if group.children:
            some = st.lists(st.sampled_from(sorted(group.children)), min_size=1, max_size=2)
            names = data.draw(st.none() | some)

        return self._members(group, names)

    def _members(
        self, group: Group, names: list[str] | None
    ) -> tuple[Workflow, list[str] | None, list[model.Job]]:
        handle = Workflow(id=self.workflows[group.path], oban=self.oban._name)
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

    async def _unseen(self, statement: str, params: list[Any]) -> None:
        """Execute a statement that no trigger sees, and have the doctor mend what follows."""
        async with self.world.conn.transaction():
            await self.world.conn.execute("SET LOCAL session_replication_role = replica")
            await self.world.conn.execute(statement.encode(), params)

        await doctor.repair(self.oban._name)

    @precondition(lambda self: self.model.jobs(*OPEN, "executing"))
    @rule(data=st.data(), outcome=st.sampled_from(SETTLED))
    def settle_unseen(self, data: st.DataObject, outcome: str) -> None:
        jobs = self.some(data, self.model.jobs(*OPEN, "executing"))
        # a row that looks as if it had been skipped was
        jobs = [job for job in jobs if not (job.noted and job.attempt == 0)]

        if outcome != "completed":
            # final jobs behind a judge that failed unseen are told at the end
            jobs = [job for job in jobs if not job.judges]

        statement = "UPDATE oban_jobs SET state = %s::oban_job_state WHERE id = ANY(%s)"
        self.run(self._unseen(statement, [outcome, self.ids(jobs)]))
        self._stop(jobs)
        self.model.settle(jobs, outcome, unseen=True)

    @precondition(lambda self: self.model.jobs("completed"))
    @rule(data=st.data())
    def delete_completed_unseen(self, data: st.DataObject) -> None:
        jobs = self.some(data, self.model.jobs("completed"))
        # how they had completed is forgotten
        jobs = [job for job in jobs if not job.skipped]

        # else an id is free
        if self._homes(self.model.jobs()) == self._homes({*self.model.jobs()} - {*jobs}):
            self.run(self._unseen("DELETE FROM oban_jobs WHERE id = ANY(%s)", [self.ids(jobs)]))
            self.model.delete(jobs)

    @staticmethod
    def _homes(jobs: Iterable[model.Job]) -> set[str]:
        return {job.path.split("/")[0] for job in jobs}

    # Keeping

    @precondition(lambda self: self.model.roots)
    @rule(limit=st.sampled_from([1, 2, 100]))
    def prune(self, limit: int) -> None:
        async def prune() -> None:
            await self.execute(*AGE)
            start: str | None = '{"stage": "workflows"}'

            while start is not None:
                step = partial(Store.prune, max_age=60, limit=limit, start=start)
                start = (await session_of(self.query).execute(step)).next

                # the bookkeeping of one whose jobs are gone goes bit by bit
                if start is None or '"members"' not in start:
                    assert await recount(self.world.conn) == []

        self.run(prune())
        self.model.prune()

    @precondition(lambda self: self.model.jobs("executing"))
    @rule()
    def kill(self) -> None:
        """Let the node die that runs everything, and another take over."""
        jobs = self.model.jobs("executing")
        self.run(self.execute(*SILENCE))
        assert self.run(rescue(self.query)) == len(jobs)
        self._stop(jobs)
        self.unended.clear()
        self.model.end_all()
        self.node = self.run(self._join())
        exhausted = [job for job in jobs if job.attempt >= job.max_attempts]

        for job in jobs:
            job.state = "available" if job not in exhausted else job.state

        self.model.hold_paused(jobs)
        self.model.settle(exhausted, "discarded")

    # Judging

    @invariant()
    def both_agree(self) -> None:
        if not self.model.roots and not self.jobs:
            return

        self._stop(self.model.stopped, unended=True, counted=True)
        self._stop(self.model.removed)
        self.model.stopped.clear()
        self.model.removed.clear()
        self.run(self._look())
        expected = self.model.states()
        differing = {
            path: (self.states.get(path), expected.get(path))
            for path in self.states.keys() | expected.keys()
            if self.states.get(path) != expected.get(path)
        }
        assert not differing, f"engine and model must agree, got {differing}"
        assert self.turns == {job.path: job.turns for job in self.model.jobs() if job.turns}
        assert self.run(recount(self.world.conn)) == []
        assert self.run(doctor.audit(self.oban._name)) == []

    async def _look(self) -> None:
        rows = await (await self.world.conn.execute(PATHS.encode())).fetchall()
        self.jobs = {path: job for path, job, *_ in rows if job is not None}
        self.workflows = {path: workflow for path, _, workflow, *_ in rows if workflow is not None}
        self.states = {path: state for path, _, _, state, _ in rows if state is not None}
        self.turns = {path: turns for path, *_, turns in rows if turns}

    def teardown(self) -> None:
        """Run what is left to its end: nothing must be stuck."""
        for stale in self.stale:
            self._ack_late(stale, AckAction(job=stale, state="completed"))

        for member in self.model.paused():
            self._resume(member)

        for group in self._fan_outs():
            if group.limit == 0:
                self._set_limit(group, 1)

        for _ in range(400):
            if waits := [job for job in self._waits() if job.state == "suspended"]:
                for job in waits:
                    self._answer(job)

                self.both_agree()

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

    def _answer(self, job: model.Job) -> None:
        handle, name = self._parent(job)

        for sender in ("ada", "bob"):
            assert self.run(handle.signal(name, by=sender)) == self.model.signal(job, sender)

    def _complete_all(self) -> None:
        for job in self._planning():
            self._plan_undo(job)

        jobs = self.model.jobs("executing")

        if jobs:
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
        explore(dsn, max_examples=12, stateful_step_count=30, derandomize=True, database=None)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_do_so_in_many_more_histories(self, dsn: str) -> None:
        explore(dsn, max_examples=60, stateful_step_count=40, derandomize=True, database=None)

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
