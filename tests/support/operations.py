"""Every operation of the package: each first arranges its data, then runs while it is recorded."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from oban import Job, Oban, Record
from oban._executor import AckAction
from oban._extensions import use_ext
from oban._lifeline import _rescue as plain_rescue
from oban._pruner import _prune as plain_prune

from oban_pro import Workflow, doctor, signal, stores, workers
from oban_pro._plugin import before_stage, fire_schedules, housekeeping, rescue
from oban_pro.building.attributes import attributes_json
from oban_pro.cli.commands import show
from oban_pro.engine import partition_index, undoing
from oban_pro.engine.context_loader import context_of
from oban_pro.engine.ending import what_ended
from oban_pro.engine.lazy_context import lazy_context_of
from oban_pro.engine.results import Lost
from oban_pro.engine.search_statements import Filters, RootFilters
from oban_pro.engine.session import session_of
from oban_pro.errors import InvalidArgumentError, JobFailedError
from oban_pro.handles.stats import read_stats
from oban_pro.schedules import Schedule
from oban_pro.testing import run_workflow
from oban_pro.values.recorded import keep_at
from oban_pro.web import create_app
from tests.support import flows, growth
from tests.support.dashboard import TOKEN, browse
from tests.support.engine import make_job
from tests.support.graphs import diamond, work
from tests.support.stored import BROKEN, CROWDED, LARGE, WIDE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro.engine.store import Store
    from tests.support.explained import Recorder

MANY = [str(n) for n in range(20)]
"""Names of jobs in a workflow of very many."""

CONNECTIONS = 4
"""How many connections a node has at most."""

type Operation = Callable[["Node"], Awaitable[None]]


@dataclass
class Node:
    """A node without background tasks, with its own queue."""

    oban: Oban
    recorder: Recorder
    queue: str = field(default_factory=lambda: f"queue-{uuid4()}")

    @property
    def query(self) -> Any:
        return self.oban._query

    def looked_at(self) -> AbstractContextManager[None]:
        """Record the statements that are executed in the block."""
        return self.recorder.recording()

    async def call[R](self, body: Callable[[Store], Awaitable[R]]) -> R:
        """Call a method of the store, as the hooks in oban do."""
        return await session_of(self.query).execute(body)

    async def execute(self, statement: str, params: Any) -> None:
        """Execute any statement, as psql can."""
        async with self.query.connection() as conn:
            await conn.execute(statement.encode(), params)

    async def value(self, statement: str, params: Any) -> Any:
        """Return the first column of the first row of any statement."""
        async with self.query.connection() as conn:
            row = await (await conn.execute(statement.encode(), params)).fetchone()

        assert row is not None

        return row[0]

    def job(self, **opts: Any) -> Job:
        return make_job(self.queue, **opts)

    def chain(self) -> Workflow:
        return Workflow().add("a", self.job()).add("b", self.job(), deps="a")

    def nested(self) -> Workflow:
        """Build a workflow with every kind of member."""
        sub = Workflow().add("x", self.job()).add("y", self.job(), deps="x")

        return (
            Workflow(name="nested")
            .add_context({"a": 1})
            .add("first", self.job())
            .add_workflow("sub", sub, deps="first")
            .add_many("many", [self.job() for _ in range(5)], deps="first")
            .add_workflow("empty", Workflow(), deps="first")
            .add("last", self.job(), deps=["sub", "many", "empty"])
        )

    def waiting(self) -> Workflow:
        """Build a workflow with every kind of wait and clock."""
        reviews = Workflow(deadline=7_200).add_signal("law").add_signal("tax", wait_for=3_600)

        return (
            Workflow(name="waiting", deadline=86_400)
            .add("first", self.job())
            .add_signal("approval", wait_for=3_600, choices=["yes", "no"])
            .add_signal("votes", count=2)
            .add_timer("pause", 3_600)
            .add_workflow("reviews", reviews, deps="first")
            .add("after", self.job(), deps="approval", deadline=60)
            .add("last", self.job(), deps=["after", "votes", "pause", "reviews"], delay=60)
        )

    def joined(self) -> Workflow:
        """Build a workflow with joins, and with fan-outs that tolerate failures."""
        deps = ["a", "b", "c"]
        workflow = Workflow(name="joined")

        for name in deps:
            workflow.add(name, self.job())

        return (
            workflow.add("end", self.job(), deps=deps, need=2)
            .add_many("closed", [self.job()], deps=deps, need=2, tolerate=0.5)
            .add_many("call", [self.job() for _ in range(4)], tolerate=1, fail_fast=True)
        )

    async def enqueue(self, workflow: Workflow) -> list[Job]:
        return await self.oban.enqueue_many(workflow)

    async def fetch(self, demand: int = 10) -> list[Job]:
        jobs: list[Job] = await self.query.fetch_jobs(demand, self.queue, "node", str(uuid4()))

        return jobs

    async def take(self, producer: str) -> list[Job]:
        """Take jobs as our own nodes do."""
        return await self.call(lambda store: store.fetch(self.queue, 5, ["node", producer]))

    async def ack(self, jobs: list[Job], state: str = "completed", **opts: Any) -> None:
        assert jobs
        await self.query.ack_jobs([AckAction(job=job, state=state, **opts) for job in jobs])

    async def start(self, workflow: Workflow) -> list[Job]:
        await self.enqueue(workflow)

        return await self.fetch()

    async def settle(self, workflow: Workflow, state: str = "completed") -> None:
        jobs = await self.start(workflow)

        while jobs:
            await self.ack(jobs, state)
            jobs = await self.fetch()


OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    """Register an operation under its name."""
    OPERATIONS[function.__name__] = function

    return function


# Inserting


@operation
async def enqueue_plain_jobs(node: Node) -> None:
    with node.looked_at():
        await node.oban.enqueue_many([node.job() for _ in range(10)])


@operation
async def enqueue_a_chain(node: Node) -> None:
    with node.looked_at():
        await node.enqueue(node.chain())


@operation
async def enqueue_a_nested_workflow(node: Node) -> None:
    with node.looked_at():
        await node.enqueue(node.nested())


@operation
async def enqueue_in_the_transaction_of_the_caller(node: Node) -> None:
    with node.looked_at():
        async with node.query.connection() as conn:
            await node.oban.enqueue_many(node.nested(), conn=conn)


@operation
async def enqueue_what_reuses_another_workflow(node: Node) -> None:
    await node.settle(old := node.nested())

    for rerun in ([], ["first"]):
        with node.looked_at():
            await node.enqueue(node.nested().reuse(old.id, rerun))


@operation
async def reuse_and_signal_what_is_kept_in_a_store(node: Node) -> None:
    store = f"memory://{node.queue}"

    def build() -> Workflow:
        return Workflow(store=store).add("a", node.job())

    (job,) = await node.start(old := build())
    url = f"{stores.folder(store, old.id, job.id)}/1"
    reference = await stores.in_thread(keep_at, url, Record("large").encoded)
    await node.ack([job], meta={"recorded": True, "return": reference})

    with node.looked_at():
        await node.enqueue(new := build().reuse(old.id))
        assert await new.get_recorded("a") == "large"
        assert not await doctor.audit(workflow_id=old.id)
        (waiting,) = await node.start(build())
        assert await signal(waiting.id or 0, "x" * 1_100_000) == 1


@operation
async def enqueue_a_workflow_again(node: Node) -> None:
    workflow = node.nested()
    await node.enqueue(workflow)

    with node.looked_at():
        await node.enqueue(workflow)


@operation
async def enqueue_a_workflow_anew_of_which_no_job_is_left(node: Node) -> None:
    workflow = node.nested()
    await node.enqueue(workflow)
    await node.execute(DELETE_ALL, [workflow.id])

    with node.looked_at():
        assert (await workflow.status()).state == "unknown"
        await node.enqueue(workflow)
        assert (await workflow.status()).total


DELETE_ALL = """
DELETE FROM oban_jobs WHERE id IN (
  SELECT m.id
  FROM oban_workflow_groups r
    JOIN oban_workflow_groups g ON g.root = r.key
    JOIN oban_workflow_members m ON m.group_key = g.key
  WHERE r.id = %s
)
"""


@operation
async def append_to_an_open_workflow(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        await workflow.append(_addition(node))


@operation
async def append_to_a_settled_workflow(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        await workflow.append(_addition(node))


@operation
async def append_in_the_transaction_of_the_caller(node: Node) -> None:
    await node.settle(workflow := node.nested(), "discarded")

    with node.looked_at():
        async with node.query.connection() as conn:
            await workflow.append(_addition(node), conn=conn)


@operation
async def append_in_a_transaction_with_a_snapshot(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        async with node.query.connection() as conn:
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await workflow.append(_addition(node), conn=conn)


@operation
async def append_to_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        for workflow_id, upstream in ((LARGE, ["each"]), (WIDE, MANY)):
            addition = Workflow(check_deps=False).add(str(uuid4()), node.job(), deps=upstream)
            await Workflow(id=workflow_id).append(addition)


def _addition(node: Node) -> Workflow:
    sub = Workflow().add("x", node.job()).add("y", node.job(), deps="x")

    return (
        Workflow(check_deps=False)
        .add("after", node.job(), deps=["last", "many"])
        .add_workflow("more", sub, deps="first")
    )


@operation
async def graft(node: Node) -> None:
    workflow = Workflow().add_graft("grow", node.job()).add("last", node.job(), deps="grow")
    (grafter,) = await node.start(workflow)

    with node.looked_at():
        await node.enqueue(Workflow.apply_graft(grafter, node.nested()))


@operation
async def graft_what_a_cascade_returns(node: Node) -> None:
    workflow = Workflow().add_graft("grow", growth.graft_pair).add("last", work(), deps="grow")

    with node.looked_at():
        await run_workflow(workflow, node.oban)


# Running


@operation
async def fetch(node: Node) -> None:
    await node.oban.enqueue_many([node.job() for _ in range(20)])
    attempted_by = ["node", str(uuid4())]

    with node.looked_at():
        await node.fetch()
        jobs = await node.call(lambda store: store.fetch(node.queue, 10, attempted_by))
        # queues whose names come later have jobs
        none = await node.call(lambda store: store.fetch(node.queue, 10, attempted_by))

    assert len(jobs) == 10
    assert not none


@operation
async def complete_plain_jobs(node: Node) -> None:
    await node.oban.enqueue_many([node.job() for _ in range(10)])
    jobs = await node.fetch()

    with node.looked_at():
        await node.ack(jobs)


@operation
async def complete_a_job_that_releases_one(node: Node) -> None:
    jobs = await node.start(node.chain())

    with node.looked_at():
        await node.ack(jobs)


@operation
async def complete_the_last_job(node: Node) -> None:
    await node.ack(await node.start(node.chain()))
    jobs = await node.fetch()

    with node.looked_at():
        await node.ack(jobs)


@operation
async def complete_all_of_a_nested_workflow(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        while jobs:
            await node.ack(jobs)
            jobs = await node.fetch()


@operation
async def complete_jobs_of_many_workflows(node: Node) -> None:
    await node.oban.enqueue_many([job for _ in range(10) for job in node.chain()])
    jobs = await node.fetch()

    with node.looked_at():
        await node.ack(jobs)


@operation
async def discard_a_job_and_cancel_what_depends_on_it(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        await node.ack(jobs, "discarded", error={"error": "boom"})


@operation
async def cancel_a_job_by_its_ack(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        await node.ack(jobs, "cancelled", error={"error": "enough"})


@operation
async def retry_a_job_by_its_ack(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        await node.ack(jobs, "retryable", error={"error": "boom"}, schedule_in=60)


@operation
async def snooze_a_job(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        await node.ack(jobs, "scheduled", attempt_change=-1, schedule_in=60)


@operation
async def complete_a_job_of_a_large_workflow(node: Node) -> None:
    addition = Workflow(check_deps=False).add(node.queue, node.job(), deps="first")
    await Workflow(id=LARGE).append(addition)
    jobs = await node.fetch()

    with node.looked_at():
        await node.ack(jobs)


@operation
async def load_the_contexts_of_many_jobs(node: Node) -> None:
    workflow = (
        Workflow()
        .add_context({"a": 1})
        .add("first", node.job())
        .add_many("many", [node.job() for _ in range(20)], deps="first")
    )
    jobs = await node.start(workflow)
    await node.ack(jobs, meta={"recorded": True, "return": "g2EB"})
    jobs = await node.fetch(20)

    with node.looked_at():
        await asyncio.gather(*map(context_of, jobs))


@operation
async def load_the_contexts_of_jobs_of_many_workflows(node: Node) -> None:
    workflows = [
        Workflow()
        .add_context({"a": 1})
        .add("first", node.job())
        .add_many("many", [node.job()], deps="first")
        for _ in range(100)
    ]
    await node.oban.enqueue_many([job for workflow in workflows for job in workflow])
    await node.ack(await node.fetch(100), meta={"recorded": True, "return": "g2EB"})
    jobs = await node.fetch(100)

    with node.looked_at():
        await asyncio.gather(*map(context_of, jobs))


@operation
async def load_a_context_with_results_of_a_nested_workflow(node: Node) -> None:
    jobs = await node.start(node.nested())

    while jobs[0].meta["name"] != "last":
        await node.ack(jobs, meta={"recorded": True, "return": "g2EB"})
        jobs = await node.fetch()

    with node.looked_at():
        await asyncio.gather(*map(context_of, jobs))


@operation
async def run_a_workflow_in_a_test(node: Node) -> None:
    with node.looked_at():
        await run_workflow(diamond(), node.oban)


@operation
async def run_a_workflow_of_cascades_in_a_test(node: Node) -> None:
    workflow = (
        Workflow()
        .add_cascade("first", flows.nothing)
        .add_cascade("many", ([1, 2, 3], flows.keep_item), deps="first")
        .add_cascade("last", flows.see, deps="many")
    )

    with node.looked_at():
        await run_workflow(workflow, node.oban)


@operation
async def run_a_workflow_with_retries_in_a_test(node: Node) -> None:
    workflow = Workflow().add("a", work("snooze", max_attempts=2)).add("b", work(), deps="a")

    with node.looked_at():
        await run_workflow(workflow, node.oban, with_safety=True)


# Looking


@operation
async def status(node: Node) -> None:
    await node.start(workflow := node.nested())

    with node.looked_at():
        await workflow.status()


@operation
async def status_of_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        for workflow_id in (LARGE, BROKEN, WIDE):
            await Workflow(id=workflow_id).status()


@operation
async def wait(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        await workflow.wait()


@operation
async def get_a_job(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        await workflow.get_job("last")


@operation
async def get_jobs_of_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        for workflow in (Workflow(id=LARGE), Workflow(id=WIDE)):
            await workflow.get_job("last")
            await workflow.get_recorded("first")
            await workflow.all_recorded(names=MANY)
            await workflow.all_jobs(names=MANY)


@operation
async def get_all_jobs(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        await workflow.all_jobs()
        await workflow.all_jobs(with_subs=True)
        await workflow.all_jobs(names=["first", "last"])


@operation
async def get_the_jobs_that_one_depends_on(node: Node) -> None:
    await node.enqueue(workflow := node.nested())
    first, *_, last = await workflow.all_jobs()
    nested = await Workflow(id=last.meta["deps"][0][0]).get_job("x")

    with node.looked_at():
        for job in (first, last, nested):
            await workflow.all_jobs(deps_of=job)


@operation
async def get_the_jobs_that_the_last_of_a_large_workflow_depends_on(node: Node) -> None:
    last = await Workflow(id=LARGE).get_job("last")

    with node.looked_at():
        await Workflow(id=LARGE).all_jobs(deps_of=last)


@operation
async def get_results(node: Node) -> None:
    workflow = await _recorded(node)
    last = await workflow.get_job("last")
    batched = Workflow().add_cascade("each", (MANY, flows.keep_item), batch=5)
    await node.enqueue(batched)

    with node.looked_at():
        await workflow.get_recorded("first")
        await workflow.get_recorded("many/99")
        await batched.get_recorded("each/7")
        await workflow.all_recorded()
        await workflow.all_recorded(names=["sub"])
        await workflow.all_recorded(deps_of=last)


@operation
async def stream_results(node: Node) -> None:
    workflow = await _recorded(node)

    with node.looked_at():
        for path in (None, "first", "sub"):
            found = [one async for one in workflow.stream_recorded(path)]
            followed = [one async for one in workflow.stream_recorded(path, follow=True)]
            assert found == followed != []

        assert [one async for one in Workflow(id=BROKEN).stream_recorded("each/7")] == []


@operation
async def load_a_lazy_context(node: Node) -> None:
    workflow = await _recorded(node)
    jobs = [await workflow.get_job("last"), await Workflow(id=BROKEN).get_job("last")]

    with node.looked_at():
        for job in jobs:
            assert job is not None
            context = await lazy_context_of(job)

            for name in ("sub", "many"):
                if name in context:
                    assert [one async for one in context[name].items()]
                    await context[name].fetch("0" if name == "many" else "x")


@operation
async def wait_for_results(node: Node) -> None:
    workflow = await _recorded(node)

    with node.looked_at():
        await workflow.result("first", as_=object)
        await workflow.result("sub", as_=dict)

        for path in ("each", "each/7", "last"):
            with suppress(JobFailedError):
                await Workflow(id=BROKEN).result(path)


async def _recorded(node: Node) -> Workflow:
    jobs = await node.start(workflow := node.nested())

    while jobs:
        await node.ack(jobs, meta={"recorded": True, "return": "g2EB"})
        jobs = await node.fetch()

    return workflow


@operation
async def get_the_context(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        await workflow.get_context()


@operation
async def explain_what_waits(node: Node) -> None:
    await node.start(workflow := node.nested())

    with node.looked_at():
        for name in ("first", "sub", "many", "last", "sub/y"):
            await workflow.explain(name)


@operation
async def explain_what_broke(node: Node) -> None:
    jobs = await node.start(workflow := node.nested())
    await node.ack(jobs, "discarded", error={"error": "boom"})

    with node.looked_at():
        for name in ("first", "sub", "many", "last", "sub/y"):
            await workflow.explain(name)


@operation
async def look_at_what_waits_for_signals_and_times(node: Node) -> None:
    workflow = (
        Workflow()
        .add_signal("a", count=2, wait_for=3600)
        .add_timer("b", 3600)
        .add("c", node.job(), deps=["a", "b"])
    )
    await node.enqueue(workflow)
    await workflow.signal("a", by="ada")

    with node.looked_at():
        assert (await workflow.status()).waits == 1
        assert (await workflow.explain("c")).cause.wait
        assert await node.call(lambda store: store.inbox(10))
        assert len(await node.call(lambda store: store.open_waits(workflow.id))) == 2

    await workflow.cancel_jobs()


@operation
async def tell_what_waits(node: Node) -> None:
    workflow = Workflow().add_signal("a")
    await node.enqueue(workflow)

    with node.looked_at():
        told = await node.call(lambda store: store.claim_waiting())

    assert workflow.id in {one.workflow_id for one in told}
    await workflow.cancel_jobs()


@operation
async def read_traces(node: Node) -> None:
    await node.start(workflow := node.nested())
    last = await workflow.get_job("last")
    large = await Workflow(id=LARGE).get_job("last")

    with node.looked_at():
        async with session_of(node.query).connect() as store:
            for id, job in ((workflow.id, last), (LARGE, large)):
                assert job is not None
                await store.carried_trace(await node.value(ROOT, [id]))
                await store.upstream_executions(job.id or 0, 20)


ROOT = "SELECT key FROM oban_workflow_groups WHERE id = %s"


@operation
async def compare_timings(node: Node) -> None:
    await node.settle(first := node.nested())
    await node.enqueue(second := node.nested())

    with node.looked_at():
        await second.timings(compare=first.id)
        await Workflow(id=LARGE).timings()


@operation
async def search_workflows(node: Node) -> None:
    attributes = {"queue": node.queue}
    workflow = Workflow(name="found", attributes=attributes).add("a", node.job())
    await node.enqueue(workflow)
    now = datetime.now(UTC)
    searches = (
        Filters(attributes=attributes_json(attributes)),
        Filters(name="found", states=["executing"]),
        Filters(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1)),
    )

    with node.looked_at():
        async with session_of(node.query).connect() as store:
            for filters in searches:
                hits = await store.search(filters, None, 20)
                assert workflow.id in {hit.id for hit in hits}

            assert await store.list_roots(RootFilters(attributes=attributes), 20)


@operation
async def count_what_is_open(node: Node) -> None:
    with node.looked_at():
        assert (await node.call(read_stats)).queues


async def _start_on_a_node(node: Node, workflow: Workflow) -> list[Job]:
    """Start jobs on a node with this package, which reports the end of executions."""
    producer = str(uuid4())
    patient = {"oban_workflows_patience": 1e9}
    await node.query.insert_producer(producer, "Oban", "node", node.queue, patient)
    await node.enqueue(workflow)

    jobs: list[Job] = await node.query.fetch_jobs(10, node.queue, "node", producer)

    return jobs


@operation
async def explain_what_follows_an_execution(node: Node) -> None:
    workflow = Workflow(ignore_cancelled=True)
    workflow.add("a", node.job()).add("b", node.job(), deps="a")
    await _start_on_a_node(node, workflow)
    await workflow.cancel_jobs(names=["a"])

    with node.looked_at():
        assert (await workflow.explain("b")).cause.unended


@operation
async def run_a_workflow_that_waits(node: Node) -> None:
    workflow = (
        Workflow()
        .add_signal("a")
        .add_timer("b", 3600)
        .add_cascade("c", flows.ask, deps=["a", "b"], queue=node.queue)
    )

    with node.looked_at():
        await run_workflow(workflow, node.oban, signals={"a": 1}, timeouts=["c"])


@operation
async def explain_what_waits_in_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        for name in ("last", "each", "each/7", "first"):
            await Workflow(id=LARGE).explain(name)

        for name in ("last", "7"):
            await Workflow(id=WIDE).explain(name)


@operation
async def explain_what_broke_in_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        for name in ("last", "each", "each/7", "each/8"):
            await Workflow(id=BROKEN).explain(name)


@operation
async def fetch_the_graph(node: Node) -> None:
    await node.enqueue(workflow := node.nested())

    with node.looked_at():
        await workflow.fetch_graph()


@operation
async def list_jobs_in_some_states(node: Node) -> None:
    jobs = await node.start(workflow := node.nested())
    await node.ack(jobs, "discarded", error={"error": "boom"})
    await _list_jobs(node, workflow.id)


@operation
async def list_jobs_of_a_large_workflow_in_some_states(node: Node) -> None:
    await _list_jobs(node, LARGE, BROKEN)


async def _list_jobs(node: Node, *workflow_ids: str) -> None:
    with node.looked_at():
        async with session_of(node.query).connect() as store:
            for workflow_id in workflow_ids:
                for states in (["executing"], [*show.FAILED]):
                    await store.tree(workflow_id, states, 10)


@operation
async def list_the_newest_workflows(node: Node) -> None:
    async with browse(create_app(node.query._pool)) as client:
        with node.looked_at():
            for page in (
                "/",
                "/?state=executing",
                "/?state=discarded",
                "/?order=ended",
                "/waits",
                "/queues",
                "/schedules",
            ):
                assert (await client.get(page)).status_code == 200


@operation
async def pages(node: Node) -> None:
    jobs = await node.start(workflow := node.nested())
    await _browse(node, workflow.id, jobs[0].id)


@operation
async def pages_of_a_large_workflow(node: Node) -> None:
    last = await Workflow(id=LARGE).get_job("last")
    assert last is not None
    await _browse(node, LARGE, last.id)


@operation
async def pages_of_a_large_workflow_that_broke(node: Node) -> None:
    last = await Workflow(id=BROKEN).get_job("last")
    assert last is not None
    await _browse(node, BROKEN, last.id)


@operation
async def pages_about_the_runs_of_a_name(node: Node) -> None:
    await node.settle(old := node.nested())
    await node.enqueue(new := node.nested())

    async with browse(create_app(node.query._pool)) as client:
        with node.looked_at():
            for path in ("/history?name=nested", f"/workflows/{new.id}/compare?with={old.id}"):
                assert (await client.get(path)).status_code == 200


async def _browse(node: Node, workflow_id: str, job_id: int | None) -> None:
    async with browse(create_app(node.query._pool)) as client:
        with node.looked_at():
            for path in (
                *("", "/holds", "/view.json", "/jobs", f"/jobs?job={job_id}"),
                *(f"/jobs/{job_id}", f"/jobs/{job_id}/holds"),
            ):
                response = await client.get(f"/workflows/{workflow_id}{path}")
                assert response.status_code == 200


# Waiting


@operation
async def enqueue_a_workflow_that_waits(node: Node) -> None:
    with node.looked_at():
        await node.enqueue(workflow := node.waiting())

    await workflow.cancel_jobs()


@operation
async def append_what_waits(node: Node) -> None:
    await node.enqueue(workflow := node.waiting())
    late = Workflow(deadline=60).add_signal("x").add("y", node.job(), deps="x", delay=60)
    addition = (
        Workflow(check_deps=False)
        .add_signal("again", deps=["first", "approval"], wait_for=60)
        .add_timer("later", 60)
        .add_workflow("late", late, deps="later")
    )

    with node.looked_at():
        await workflow.append(addition)

    await workflow.cancel_jobs()


@operation
async def cancel_joins(node: Node) -> None:
    with node.looked_at():
        await node.enqueue(workflow := node.joined())
        await workflow.cancel_jobs()


@operation
async def append_joins(node: Node) -> None:
    await node.enqueue(workflow := node.joined())
    addition = Workflow(check_deps=False).add("x", node.job(), deps=["a", "call"], need=1)
    addition.add_many("y", [node.job()], deps=["a", "x"], need=1, tolerate=1)

    with node.looked_at():
        await workflow.append(addition)

    await workflow.cancel_jobs()


@operation
async def break_joins_and_fail_fast(node: Node) -> None:
    workflow = node.joined()
    jobs = {job.meta["name"]: job for job in await node.start(workflow)}

    with node.looked_at():
        await node.ack([jobs["a"], jobs["b"]], "discarded", error={"error": "boom"})
        # the last job, the closed fan-out, and their dependencies
        assert await workflow.retry_jobs() == 4
        await node.ack([jobs["0"], jobs["1"]], "discarded", error={"error": "boom"})
        await node.ack([jobs["2"]], "retryable", error={"error": "boom"}, schedule_in=60)
        assert (await workflow.explain("call")).subject.failures
        assert (await workflow.explain("closed/0")).needs == 2

    job = await workflow.get_job("call/2")
    assert job is not None
    assert job.state == "cancelled"
    await workflow.cancel_jobs()


@operation
async def signal_waits(node: Node) -> None:
    await node.ack(await node.start(workflow := node.waiting()))

    with node.looked_at():
        assert await workflow.signal("approval", {"choice": "yes"}, by="ada") == 1
        assert await workflow.signal("reviews/law") == 1
        # the open jobs of a group
        assert await workflow.signal("reviews") == 1
        assert await workflow.signal("pause") == 1
        assert await workflow.signal("votes", by="ada") == 1
        assert await workflow.signal("votes", by="bob") == 1

    await node.ack(await node.fetch())
    assert (await workflow.status()).counts["scheduled"] == 1


@operation
async def signal_a_wait_that_is_closed(node: Node) -> None:
    await node.start(workflow := node.waiting())

    with node.looked_at():
        assert await workflow.signal("reviews") == 2

    await workflow.cancel_jobs()


@operation
async def signal_with_psql(node: Node) -> None:
    await node.enqueue(workflow := node.waiting())

    with node.looked_at():
        payload = '{"lines": [1, 2.5, "x"]}'
        await node.execute("SELECT oban_workflow_signal(%s, 'pause', %s)", [workflow.id, payload])

    await workflow.cancel_jobs()


@operation
async def signal_a_wait_of_a_stored_workflow(node: Node) -> None:
    workflow = Workflow(id=await node.value(STORED, []))

    with node.looked_at():
        assert await workflow.signal("approval", by=node.queue) == 1


@operation
async def signal_one_of_very_many_waits(node: Node) -> None:
    name = await node.value(LISTENING, [CROWDED])

    with node.looked_at():
        assert await Workflow(id=CROWDED).signal(name) == 1


# A workflow that waits for one more signal, with a time-out in years.
STORED = """
SELECT r.id
FROM oban_workflow_waits w JOIN oban_workflow_groups r ON r.key = w.root
WHERE w.is_open AND w.kind = 'signal' AND r.name = 'open'
LIMIT 1
"""

LISTENING = """
SELECT m.name
FROM
  oban_workflow_groups g
  JOIN oban_workflow_waits w ON w.root = g.key
  JOIN oban_workflow_members m ON m.id = w.id
WHERE g.id = %s AND w.is_open
ORDER BY w.id DESC
LIMIT 1
"""


@operation
async def reject_waits(node: Node) -> None:
    await node.start(workflow := node.waiting())

    with node.looked_at():
        assert await workflow.reject("approval", "too expensive", by="ada") == 1
        assert await workflow.reject("reviews") == 2

    await workflow.cancel_jobs()


@operation
async def reject_a_wait_of_a_stored_workflow(node: Node) -> None:
    workflow = Workflow(id=await node.value(STORED, []))

    with node.looked_at():
        assert await workflow.reject("approval") == 1


@operation
async def reject_one_of_very_many_waits(node: Node) -> None:
    name = await node.value(LISTENING, [CROWDED])

    with node.looked_at():
        assert await Workflow(id=CROWDED).reject(name) == 1


@operation
async def answer_waits_on_the_page(node: Node) -> None:
    await node.enqueue(workflow := node.waiting())
    app = create_app(node.query._pool, allow_operations=True, token=TOKEN)

    async with browse(app) as client:
        await client.get("/unlock", params={"token": TOKEN})
        client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")

        for name, action in (("approval", "signal"), ("votes", "reject")):
            job = await workflow.get_job(name)
            assert job is not None

            with node.looked_at():
                path = f"/workflows/{workflow.id}/jobs/{job.id}"
                assert (await client.get(path)).status_code == 200
                response = await client.post(f"{path}/{action}", data={"choice": "yes"})
                assert response.status_code == 200

    await workflow.cancel_jobs()


@operation
async def read_the_signals_of_waits(node: Node) -> None:
    await node.enqueue(workflow := node.waiting())
    await workflow.signal("votes", 1, by="ada")
    stored = Workflow(id=await node.value(STORED, []))

    with node.looked_at():
        assert len(await workflow.signals("votes")) == 1
        assert await stored.signals("approval")

    await workflow.cancel_jobs()


@operation
async def look_at_waits_of_stored_workflows(node: Node) -> None:
    workflow = Workflow(id=await node.value(STORED, []))

    with node.looked_at():
        assert (await workflow.status()).waits == 1
        assert (await workflow.explain("last")).summary
        assert (await Workflow(id=CROWDED).status()).waits
        assert (await Workflow(id=CROWDED).explain("last")).cause.wait
        assert await node.call(lambda store: store.open_waits(workflow.id))


@operation
async def list_what_waits(node: Node) -> None:
    with node.looked_at():
        assert await node.call(lambda store: store.inbox(10))
        assert await node.call(lambda store: store.open_waits(CROWDED, 10))


@operation
async def await_signals(node: Node) -> None:
    await node.oban.enqueue_many([node.job()])
    (plain,), (first,) = await node.fetch(), await node.start(workflow := node.waiting())

    for job in (plain, first):
        await _await_signal(node, job)

    await workflow.cancel_jobs()


async def _await_signal(node: Node, job: Job) -> None:
    assert job.id is not None
    job_id = job.id

    async def answer(call: int, seconds: float | None = None) -> str:
        found = await node.call(lambda store: store.answer(job_id, "", call, seconds, None))

        return found.answer

    with node.looked_at():
        assert await answer(1) == "waiting"
        assert await signal(job_id, {"n": 1}) == 1
        assert await answer(1) == "signal"
        assert await answer(2, 0) == "timeout"
        assert await answer(3) == "waiting"


@operation
async def signal_jobs_that_are_parked(node: Node) -> None:
    await node.oban.enqueue_many([node.job()])
    (plain,), (first,) = await node.fetch(), await node.start(workflow := node.waiting())
    parked = {"wait": {"name": "", "call": 1}, "wait_until": None}

    async with session_of(node.query).connect() as store:
        for job in (plain, first):
            await store.answer(job.id or 0, "", 1, None, None)

    with node.looked_at():
        await node.ack([plain, first], "scheduled", attempt_change=-1, schedule_in=60, meta=parked)
        assert (await workflow.explain("first")).cause.wait
        assert await signal([plain.id or 0, first.id or 0]) == 2

    assert len(await node.fetch()) == 2
    await workflow.cancel_jobs()


def _with_key(node: Node, on_conflict: Any = "queue") -> Workflow:
    return Workflow(unique=node.queue, on_conflict=on_conflict).add("a", node.job())


@operation
async def enqueue_unique_workflows(node: Node) -> None:
    with node.looked_at():
        await node.enqueue(_with_key(node))
        await node.enqueue(_with_key(node))
        await node.enqueue(same := _with_key(node, "existing"))
        assert same.is_duplicate
        await node.enqueue(_with_key(node, "replace"))


@operation
async def hand_a_key_over(node: Node) -> None:
    jobs = await node.start(_with_key(node))
    await node.enqueue(second := _with_key(node))

    with node.looked_at():
        assert (await second.explain("a")).reason == "lined_up"
        await node.ack(jobs)
        await node.ack(await node.fetch())
        await second.retry_jobs(names=["a"])
        await node.call(lambda store: store.list_roots(RootFilters(key=node.queue), 20))

    await second.cancel_jobs()


@operation
async def pause_and_resume(node: Node) -> None:
    jobs = await node.start(workflow := node.waiting())
    stored = Workflow(id=await node.value(STORED, []))
    listening = await node.value(LISTENING, [CROWDED])

    with node.looked_at():
        assert await workflow.pause(until=60) == 0
        await node.ack(jobs, "retryable", error={"error": "boom"}, schedule_in=60)
        assert await workflow.pause("first") == 0
        assert (await workflow.status()).paused_at is not None
        assert (await workflow.explain("first")).reason == "held"
        await workflow.append(Workflow().add("more", node.job()))
        assert await workflow.resume() == 1
        assert await workflow.resume("first") == 1

        await stored.pause()
        await stored.resume()

        # a pause of everything in them would change all of their jobs
        for each, path in ((Workflow(id=LARGE), "each/7"), (Workflow(id=CROWDED), listening)):
            await each.pause(path)
            await each.resume(path)

    await workflow.cancel_jobs()


@operation
async def set_deadlines(node: Node) -> None:
    await node.start(workflow := node.waiting())
    stored = Workflow(id=await node.value(STORED, []))

    with node.looked_at():
        await workflow.set_deadline(60)
        await workflow.set_deadline(60, "reviews/law")
        await workflow.set_deadline(None, "reviews")

        for each in (stored, Workflow(id=LARGE), Workflow(id=CROWDED)):
            await each.set_deadline(3_600)
            await each.set_deadline(None)

    await workflow.cancel_jobs()


def graft_nothing(_item: int, _context: dict[str, Any]) -> None:
    """Stand for the grafter of an item."""


@operation
async def run_a_limited_fan_out(node: Node) -> None:
    workflow = Workflow().add_many("call", [node.job() for _ in range(30)], limit=5)

    with node.looked_at():
        await node.settle(workflow)

    assert (await workflow.status()).state == "completed"


@operation
async def steer_a_limited_fan_out(node: Node) -> None:
    jobs = [node.job() for _ in range(10)]
    workflow = Workflow().add_many("call", jobs, limit=3)
    workflow.add_graft("load", ([*range(4)], graft_nothing), limit=1, queue=node.queue)
    workflow.add_many("slow", [node.job() for _ in range(4)], rate=(2, 3_600))
    await node.start(workflow)

    with node.looked_at():
        assert (await workflow.explain("call/7")).reason == "limited"
        assert (await workflow.explain("load/3")).subject.state == "executing"
        await workflow.status()
        await workflow.cancel_jobs(names=["call/0", "load/0"])
        await workflow.retry_jobs()
        await node.oban.retry_many_jobs([*jobs[:5]])
        await workflow.set_limit("call", 5)
        await workflow.set_limit("load", None)
        await node.execute(DUE, [[workflow.id]])
        await node.call(lambda store: store.tick())
        await doctor.audit(node.oban._name, workflow.id)

    await workflow.cancel_jobs()


@operation
async def take_jobs_of_limited_queues(node: Node) -> None:
    kinds = {"fields": ["args", "worker"], "keys": ["customer"]}
    rate = {"allowed": 3, "period": 60}
    # jobs that an earlier call started count for their queue
    node.queue = f"queue-{uuid4()}"

    for limits in (
        {"global_limit": 3, "rate_limit": rate},
        {"global_limit": 2, "rate_limit": rate, "partition": kinds},
    ):
        producer = str(uuid4())
        jobs = [node.job(args={"customer": n % 2}) for n in range(50)]
        await node.oban.enqueue_many(jobs)

        with node.looked_at():
            await node.query.insert_producer(producer, "Oban", "node", node.queue, limits)
            await node.query.update_producer(producer, {"global_limit": 2})
            taken = await node.take(producer)
            await node.ack(taken)
            await node.take(producer)

        # The owner of the tables does this.
        if "partition" in limits:
            async with node.query.connection() as conn:
                await partition_index.build(conn, node.queue, "public")

        with node.looked_at():
            await node.take(producer)
            await node.query.delete_producer(producer)

        # the first producer still runs a job
        assert len(taken) == (2 if "partition" not in limits else 3)


@operation
async def tick_over_waits_that_are_due(node: Node) -> None:
    workflow = Workflow().add_signal("a", wait_for=60, on_timeout="complete").add_timer("b", 60)
    await node.enqueue(workflow.add("c", node.job(), deps=["a", "b"]))
    await node.execute(DUE, [[workflow.id]])

    with node.looked_at():
        await node.call(lambda store: store.tick())

    assert (await workflow.status()).counts["available"] == 1


@operation
async def tick_over_many_workflows_that_are_due(node: Node) -> None:
    workflows = [Workflow().add_signal("a", wait_for=60) for _ in range(100)]
    await node.oban.enqueue_many([job for workflow in workflows for job in workflow])
    await node.execute(DUE, [[workflow.id for workflow in workflows]])

    with node.looked_at():
        await node.call(lambda store: store.tick())

    for workflow in workflows:
        assert (await workflow.status()).state == "cancelled"


@operation
async def tick_over_a_deadline_that_has_come(node: Node) -> None:
    await node.start(workflow := node.waiting())
    await node.execute(DUE, [[workflow.id]])

    with node.looked_at():
        await node.call(lambda store: store.tick())

    assert (await workflow.status()).state == "cancelled"


@operation
async def tick_over_one_of_very_many_waits(node: Node) -> None:
    name = await node.value(LISTENING, [CROWDED])
    job = await Workflow(id=CROWDED).get_job(name)
    assert job is not None
    await node.execute(ONE_DUE, [job.id])

    with node.looked_at():
        await node.call(lambda store: store.tick())

    job = await Workflow(id=CROWDED).get_job(name)
    assert job is not None
    assert job.state == "cancelled"


@operation
async def tick_over_a_workflow_that_somebody_holds(node: Node) -> None:
    await node.enqueue(workflow := Workflow().add_timer("a", 60))
    await node.execute(DUE, [[workflow.id]])

    async with node.query.connection() as conn:
        await conn.execute(HOLD, [workflow.id])

        with node.looked_at():
            (held,) = await node.call(lambda store: store.tick())

    assert held.held_root

    with node.looked_at():
        await node.call(lambda store: store.tick(held.held_root))

    assert (await workflow.status()).state == "completed"


DUE = """
UPDATE oban_workflow_timers SET due = timezone('UTC', now()) - interval '1 second'
WHERE due IS NOT NULL AND root IN (SELECT key FROM oban_workflow_groups WHERE id = ANY(%s))
"""

ONE_DUE = """
UPDATE oban_workflow_timers SET due = timezone('UTC', now()) - interval '1 second'
WHERE target = %s
"""

HOLD = "SELECT FROM oban_workflow_groups WHERE id = %s FOR NO KEY UPDATE"


@operation
async def retry_what_waited(node: Node) -> None:
    await node.ack(await node.start(workflow := node.waiting()))
    await workflow.signal("approval", {"choice": "yes"})
    await workflow.signal("reviews/law")

    with node.looked_at():
        assert await workflow.retry_jobs(names=["approval"]) == 1
        assert await workflow.retry_jobs(names=["first"], deadline=60) == 1

    await workflow.cancel_jobs()


@operation
async def prune_a_workflow_that_waited(node: Node) -> None:
    await node.enqueue(workflow := node.waiting())
    await workflow.signal("votes", by="ada")
    await workflow.cancel_jobs()
    await node.execute(AGED, [workflow.id])

    with node.looked_at():
        await use_ext("pruner.prune", plain_prune, node.query, 86_400, 10_000)

    assert (await workflow.status()).state == "unknown"


# Final jobs

BOOM = {"error": "boom"}


def _ending(node: Node) -> Workflow:
    inner = Workflow().add("x", node.job()).add_final("last", node.job(), on="completed")

    return (
        Workflow()
        .add("a", node.job())
        .add_workflow("sub", inner, deps="a")
        .add_final("b", node.job())
        .add_final("c", node.job(), deps="b", on="failed")
    )


@operation
async def end_a_workflow_with_final_jobs(node: Node) -> None:
    with node.looked_at():
        await node.ack(await node.start(workflow := _ending(node)), "discarded", error=BOOM)
        outcome = await workflow.outcome()
        assert (outcome.state, outcome.failed_total) == ("discarded", 3)

        while jobs := await node.fetch():
            await what_ended(jobs[0])
            await node.ack(jobs)

    assert (await workflow.status()).state == "discarded"


@operation
async def open_a_workflow_with_final_jobs_again(node: Node) -> None:
    await node.ack(await node.start(workflow := _ending(node)), "discarded", error=BOOM)
    assert (await workflow.get_job("b") or node.job()).state == "available"

    with node.looked_at():
        assert await workflow.retry_jobs(names=["a"]) == 1

    await workflow.cancel_jobs(names=["a"])

    with node.looked_at():
        await workflow.append(Workflow().add("more", node.job()))
        assert (await workflow.explain("b")).subject.comes_last

    with node.looked_at():
        await workflow.cancel_jobs(finals=True)

    assert (await workflow.status()).state == "cancelled"


def _undoable(node: Node) -> Workflow:
    inner = Workflow().add("x", node.job(), undo=node.job())

    return (
        Workflow()
        .add("a", node.job(), undo=node.job())
        .add_workflow("sub", inner, deps="a")
        .add("last", node.job(), deps="sub")
    )


async def _undo(node: Node, workflow: Workflow) -> None:
    """Let a workflow fail after jobs with an undo completed, and plan the undo."""
    await node.ack(await node.start(workflow))
    await node.ack(await node.fetch())
    await node.ack(await node.fetch(), "discarded", error=BOOM)
    (grafter,) = await node.fetch()
    await workers.Undoer().process(grafter)
    await node.ack([grafter])


@operation
async def undo_a_workflow(node: Node) -> None:
    workflow = _undoable(node)

    with node.looked_at():
        await _undo(node, workflow)

        while jobs := await node.fetch():
            await undoing.context_of(jobs[0])
            await node.ack(jobs)

        assert await node.call(lambda store: store.ends(workflow.id, 10))

    assert (await workflow.status()).state == "discarded"


@operation
async def complete_a_job_with_an_undo_that_was_cancelled(node: Node) -> None:
    jobs = await _start_on_a_node(node, workflow := _undoable(node))

    with node.looked_at():
        with suppress(InvalidArgumentError):
            await workflow.append(Workflow().add("undo", node.job()))

        await workflow.cancel_jobs()
        await node.ack(jobs)


@operation
async def go_forward_after_an_undo(node: Node) -> None:
    await _undo(node, workflow := _undoable(node))
    await node.ack(await node.fetch())

    with node.looked_at():
        assert await workflow.retry_jobs() == 2
        await workflow.append(Workflow().add("undone", node.job(), undo=node.job()))
        await workflow.cancel_jobs(finals=True)


@operation
async def prune_a_workflow_with_final_jobs(node: Node) -> None:
    await node.enqueue(workflow := _ending(node))
    await workflow.cancel_jobs(finals=True)
    await node.execute(AGED, [workflow.id])

    with node.looked_at():
        await use_ext("pruner.prune", plain_prune, node.query, 86_400, 10_000)

    assert (await workflow.status()).state == "unknown"


# Conditions


def is_never_met(_context: dict[str, Any]) -> bool:
    """A condition that is never met, so its member is skipped."""
    return False


@operation
async def skip_jobs_and_groups(node: Node) -> None:
    inner = Workflow().add("x", node.job()).add("y", node.job(), deps="x")
    workflow = (
        Workflow()
        .add_cascade("a", flows.nothing, when=is_never_met)
        .add_cascade("b", flows.nothing, when=is_never_met)
        .add_cascade("c", flows.nothing)
        .add_cascade("limited", ([1, 2], graft_nothing), when=is_never_met, limit=1)
        .add_workflow("sub", inner, when=is_never_met)
        .add_workflow("finals", Workflow().add_final("f", node.job(), on="failed"))
        .add_cascade("end", flows.nothing, deps=["a", "b", "c"], need=1)
        .add_cascade("last", flows.nothing, deps="sub")
    )

    with node.looked_at():
        counts = (await run_workflow(workflow, node.oban)).counts
        assert counts["skipped"] > 3
        assert (await workflow.explain("last")).summary
        assert await workflow.retry_jobs(names=["a", "b"])

    await workflow.cancel_jobs()


# Schedules


def _build(tick: datetime) -> Workflow:
    if tick.minute % 2:
        raise ValueError("odd")

    return Workflow(name="minutely").add("a", work())


@operation
async def fire_a_schedule(node: Node) -> None:
    minutely = Schedule(
        _build, "* * * * *", name=node.queue, timezone="UTC", catch_up="latest", overlap="skip"
    )
    tick = datetime.now(UTC).replace(second=0, microsecond=0)
    even = tick - timedelta(minutes=tick.minute % 2)

    with node.looked_at():
        await fire_schedules.look(node.query, minutely)
        await node.execute(LAST_TICK, [node.queue])
        assert await fire_schedules.fire(node.query, minutely, even - timedelta(minutes=2))
        assert not await fire_schedules.fire(node.query, minutely, even - timedelta(minutes=1))
        assert await node.call(lambda store: store.pause_schedule(node.queue, paused=True))
        assert await node.call(lambda store: store.schedules())

    await node.call(lambda store: store.pause_schedule(node.queue, paused=False))


LAST_TICK = """
UPDATE oban_workflow_schedules SET last_tick = last_tick - interval '1 hour' WHERE name = %s
"""


@operation
async def delete_a_job_that_got_a_signal(node: Node) -> None:
    (job,) = await node.oban.enqueue_many([node.job()])
    assert await signal(job.id or 0) == 1

    with node.looked_at():
        await node.oban.delete_many_jobs([job])


# Steering


@operation
async def cancel_a_workflow(node: Node) -> None:
    await node.start(workflow := node.nested())

    with node.looked_at():
        await workflow.cancel_jobs()


@operation
async def cancel_some_jobs(node: Node) -> None:
    await node.start(workflow := node.nested())

    with node.looked_at():
        await workflow.cancel_jobs(names=["sub"])


@operation
async def cancel_some_jobs_of_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        await Workflow(id=WIDE).cancel_jobs(names=MANY)


@operation
async def retry_some_jobs_of_a_large_workflow(node: Node) -> None:
    with node.looked_at():
        await Workflow(id=WIDE).retry_jobs(names=MANY)


@operation
async def retry_a_workflow(node: Node) -> None:
    await node.settle(workflow := node.nested(), "discarded")

    with node.looked_at():
        await workflow.retry_jobs()


@operation
async def retry_some_jobs(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        await workflow.retry_jobs(names=["first", "many"])


@operation
async def run_a_part_of_a_workflow_again(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        assert await workflow.retry_jobs(names=["first"], downstream=True) > 1


@operation
async def run_a_part_of_a_large_workflow_again(node: Node) -> None:
    with node.looked_at():
        await Workflow(id=WIDE).retry_jobs(names=MANY, downstream=True)


@operation
async def run_final_jobs_of_empty_workflows_again(node: Node) -> None:
    workflow = Workflow().add("a", node.job()).add("b", node.job())

    for name, need in ("all", None), ("one", 1):
        empty = Workflow().add_final("final", node.job())
        workflow.add_workflow(name, empty, deps=["a", "b"], need=need)

    await node.settle(workflow)

    with node.looked_at():
        assert await workflow.retry_jobs(names=["a"], downstream=True) == 1


@operation
async def steer_and_read_by_path(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        assert await workflow.retry_jobs(names=["first", "sub/x", "many/3"]) == 3
        assert await workflow.cancel_jobs(names=["last", "sub/y", "many/3"]) == 1
        assert await workflow.get_job("sub/x") is not None
        await workflow.all_jobs(names=["first", "many/3", "sub/x"])
        await workflow.all_recorded(names=["first", "many/3", "sub/x"])
        await workflow.explain("sub/x")


@operation
async def graft_anew(node: Node) -> None:
    workflow = Workflow().add_graft("grow", node.job()).add("last", node.job(), deps="grow")
    (grafter,) = await node.start(workflow)
    await node.enqueue(Workflow.apply_graft(grafter, node.nested()))
    await node.ack([grafter])
    await node.fetch()

    with node.looked_at():
        assert await workflow.retry_jobs(names=["grow"]) == 1


@operation
async def retry_a_job_whose_dependency_broke(node: Node) -> None:
    await node.settle(workflow := node.chain(), "discarded")

    with node.looked_at():
        assert await workflow.retry_jobs(names=["b"]) == 1


@operation
async def retry_from_a_job_on(node: Node) -> None:
    await node.settle(workflow := node.nested())
    first = await workflow.get_job("first")
    assert first is not None
    app = create_app(node.query._pool, allow_operations=True, token=TOKEN)

    async with browse(app) as client:
        await client.get("/unlock", params={"token": TOKEN})
        client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")

        with node.looked_at():
            for action in ("cancel", "retry", "retry-from"):
                path = f"/workflows/{workflow.id}/jobs/{first.id}/{action}"
                assert (await client.post(path)).status_code == 200


@operation
async def act_on_a_settled_workflow_and_its_groups(node: Node) -> None:
    await node.settle(workflow := node.nested())
    app = create_app(node.query._pool, allow_operations=True, token=TOKEN)

    async with browse(app) as client:
        await client.get("/unlock", params={"token": TOKEN})
        client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
        view = (await client.get(f"/workflows/{workflow.id}/view.json")).json()
        many = next(one["id"] for one in view["members"] if one["name"] == "many")

        with node.looked_at():
            for path in ("start-again", f"jobs/{many}/cancel", "cancel", "delete"):
                answer = await client.post(f"/workflows/{workflow.id}/{path}")
                assert answer.status_code == 200, answer.text


@operation
async def act_on_several_jobs_and_workflows(node: Node) -> None:
    await node.settle(workflow := node.nested())
    ids = [job.id for job in await workflow.all_jobs()][:2]
    app = create_app(node.query._pool, allow_operations=True, token=TOKEN)

    async with browse(app) as client:
        await client.get("/unlock", params={"token": TOKEN})
        client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")

        with node.looked_at():
            for path, given in (
                (f"/workflows/{workflow.id}/act/retry", ids),
                ("/act/cancel", [workflow.id]),
            ):
                answer = await client.post(path, json=given)
                assert answer.status_code == 200, answer.text


# Statements of other programs, which the triggers see


@operation
async def cancel_as_oban_does(node: Node) -> None:
    jobs = await node.start(node.nested())

    with node.looked_at():
        await node.oban.cancel_many_jobs([*jobs])


@operation
async def retry_as_oban_does(node: Node) -> None:
    await node.settle(workflow := node.nested(), "discarded")
    jobs = await workflow.all_jobs(with_subs=True)

    with node.looked_at():
        await node.oban.retry_many_jobs([*jobs])


@operation
async def delete_a_job(node: Node) -> None:
    jobs = await node.enqueue(node.nested())

    with node.looked_at():
        await node.oban.delete_many_jobs([jobs[0]])


@operation
async def delete_settled_jobs(node: Node) -> None:
    await node.settle(workflow := node.nested())
    jobs = await workflow.all_jobs(with_subs=True)

    with node.looked_at():
        await node.oban.delete_many_jobs([*jobs])


@operation
async def complete_with_psql(node: Node) -> None:
    jobs = await node.enqueue(node.nested())

    with node.looked_at():
        await node.execute(SET_STATE, ["completed", [jobs[0].id]])


@operation
async def settle_a_whole_workflow_with_psql(node: Node) -> None:
    jobs = await node.enqueue(node.nested())

    with node.looked_at():
        await node.execute(SET_STATE, ["completed", [job.id for job in jobs]])


@operation
async def start_a_job_too_early_with_psql(node: Node) -> None:
    jobs = await node.enqueue(node.nested())

    with node.looked_at():
        await node.execute(SET_STATE, ["available", [job.id for job in jobs]])


SET_STATE = "UPDATE oban_jobs SET state = %s::oban_job_state WHERE id = ANY(%s)"


# Keeping


@operation
async def tick_with_nothing_to_do(node: Node) -> None:
    await tick(node)

    with node.looked_at():
        await tick(node)


async def tick(node: Node) -> None:
    """Run the tasks that a node runs at each tick of its stager and every few seconds."""
    await before_stage.build(before_stage.nothing)(node.query)
    await rescue.sweep(node.query)
    await asyncio.gather(*housekeeping._running.get(node.query, {}).values())


@operation
async def tick_after_a_workflow_has_settled(node: Node) -> None:
    await node.settle(node.nested())

    with node.looked_at():
        await tick(node)


@operation
async def rescue_with_nothing_to_do(node: Node) -> None:
    with node.looked_at():
        await use_ext("lifeline.rescue", plain_rescue, node.query, 3600)


@operation
async def rescue_jobs_of_a_silent_node(node: Node) -> None:
    producer = str(uuid4())
    await node.enqueue(workflow := node.nested())
    await node.query.fetch_jobs(10, node.queue, "node", producer)
    await node.execute(SILENT, [producer])
    await node.execute(LONG_AGO, [producer])

    with node.looked_at():
        await use_ext("lifeline.rescue", plain_rescue, node.query, 3600)

    rescued = await workflow.get_job("first")
    assert rescued is not None
    assert rescued.state == "available"


LONG_AGO = """
UPDATE oban_jobs SET attempted_at = attempted_at - interval '1 day' WHERE attempted_by[2] = %s
"""

SILENT = """
INSERT INTO oban_workflow_producers (uuid, left_at)
VALUES (%s, timezone('UTC', now()) - interval '1 day')
"""


@operation
async def requeue_jobs_that_never_arrived(node: Node) -> None:
    producer = str(uuid4())
    await node.enqueue(node.nested())
    jobs = await node.query.fetch_jobs(10, node.queue, "node", producer)

    with node.looked_at():
        assert await node.call(lambda store: store.producers_of("node"))
        await node.call(lambda store: store.taken([producer]))
        await _requeue(node, jobs)


async def _requeue(node: Node, jobs: list[Job]) -> None:
    lost = [Lost(job.id or 0, job.attempted_at, None) for job in jobs]
    await node.call(lambda store: store.requeue_lost(lost, waits=True))


@operation
async def let_a_job_wait_for_the_end_of_its_last_execution(node: Node) -> None:
    producer = str(uuid4())
    patient = {"oban_workflows_patience": 1e9}
    await node.query.insert_producer(producer, "Oban", "node", node.queue, patient)
    (running,) = await node.start(workflow := node.chain())
    await _requeue(node, [running])
    (again,) = await node.query.fetch_jobs(10, node.queue, "node", producer)

    with node.looked_at():
        await node.call(lambda store: store.wait_for_end([(again, running)], producer))

    assert (await workflow.status()).counts["suspended"] == 2


@operation
async def limit_how_long_an_ack_waits(node: Node) -> None:
    with node.looked_at():
        await node.call(lambda store: store.limit_waits(1))


@operation
async def beat_and_put_a_lost_producer_back(node: Node) -> None:
    uuid = str(uuid4())
    row = {"uuid": uuid, "name": "Oban", "node": "node", "queue": node.queue, "meta": {}}

    await node.query.insert_producer(**row)

    with node.looked_at():
        assert await node.call(lambda store: store.beat([uuid])) == [uuid]
        await node.query.delete_producer(uuid)
        assert await node.call(lambda store: store.beat([uuid])) == []
        await node.call(lambda store: store.restore_producer(row))
        await node.query.delete_producer(uuid)


@operation
async def prune_with_nothing_to_do(node: Node) -> None:
    async def prune() -> None:
        await use_ext("pruner.prune", plain_prune, node.query, 86_400, 10_000)

    await prune()

    with node.looked_at():
        await prune()


@operation
async def prune_a_workflow_that_is_larger_than_a_pass(node: Node) -> None:
    await node.settle(workflow := node.nested())
    await node.execute(AGED, [workflow.id])

    with node.looked_at():
        await use_ext("pruner.prune", plain_prune, node.query, 86_400, 4)

    assert (await workflow.status()).state == "unknown"


AGED = """
UPDATE oban_workflow_groups SET stopped_at = stopped_at - interval '2 days' WHERE id = %s
"""


@operation
async def keep_and_delete_a_workflow(node: Node) -> None:
    await node.settle(workflow := node.nested())

    with node.looked_at():
        await workflow.keep(60)
        await workflow.keep(None)
        await workflow.delete()

    assert (await workflow.status()).state == "unknown"


@operation
async def audit_one_workflow(node: Node) -> None:
    await node.start(workflow := node.nested())

    with node.looked_at():
        assert not await doctor.audit(workflow_id=workflow.id)


@operation
async def repair_one_workflow(node: Node) -> None:
    await node.start(workflow := node.nested())
    await node.execute(SPOIL, [workflow.id])

    with node.looked_at():
        assert await doctor.repair(workflow_id=workflow.id)


SPOIL = "UPDATE oban_workflow_groups SET total = total + 1 WHERE id = %s"


@operation
async def repair_a_workflow_with_a_job_that_vanished(node: Node) -> None:
    await node.settle(workflow := node.nested())
    await node.execute(VANISH, [workflow.id])

    with node.looked_at():
        assert await doctor.repair(workflow_id=workflow.id) == 1


VANISH = """
WITH unseen AS (SELECT set_config('session_replication_role', 'replica', true))
DELETE FROM oban_jobs USING unseen WHERE meta ->> 'workflow_id' = %s AND meta ->> 'name' = 'first'
"""


@operation
async def look_at_sequences(node: Node) -> None:
    with node.looked_at():
        async with session_of(node.query).connect() as store:
            assert await store.sequences() == []


@operation
async def look_at_the_health_of_nodes(node: Node) -> None:
    with node.looked_at():
        await node.call(lambda store: store.serving())
        await node.call(lambda store: store.pulse())


@operation
async def repair_sequences(node: Node) -> None:
    with node.looked_at():
        assert await session_of(node.query).execute(lambda store: store.repair_sequences()) == 0
