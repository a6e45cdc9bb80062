"""Drive workflows without nodes, one state at a time, and check all counters after each change."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from oban import Job, Oban
from oban._executor import AckAction
from oban._query import _ack_jobs as plain_ack

from oban_pro import Workflow
from tests.support.recount import SETTLED, Books, assert_consistent, read

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterable

    from psycopg import AsyncConnection

AUDIT = """
CREATE TABLE {schema}.audit (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job bigint, old text, new text
);

CREATE FUNCTION {schema}.audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO {schema}.audit (job, old, new) VALUES (NEW.id, OLD.state, NEW.state);
  RETURN NULL;
END;
$$;

CREATE TRIGGER audit AFTER UPDATE OF state ON {schema}.oban_jobs
FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION {schema}.audit();
"""


def make_job(queue: str = "default", **opts: Any) -> Job:
    """Make a job that no node of the test runs."""
    return Job(worker="tests.support.engine.Nobody", queue=queue, **opts)


def chain(*names: str, **options: Any) -> Workflow:
    """Build a workflow in which each job waits for the one before."""
    workflow = Workflow(**options)

    for index, name in enumerate(names):
        workflow.add(name, make_job(), deps=names[index - 1] if index else ())

    return workflow


def random_workflow(rng: random.Random, depth: int = 0) -> Workflow:
    """Build a workflow of up to seven members, with nested and with empty workflows."""
    workflow = Workflow(ignore_cancelled=rng.random() < 0.25, ignore_discarded=rng.random() < 0.25)
    names: list[str] = []

    for name in "abcdefg"[: rng.randint(0 if depth else 2, 7 - depth)]:
        deps = rng.sample(names, k=min(len(names), rng.choice((0, 1, 1, 2, 3))))
        kind = rng.random()

        if kind < 0.3 and depth < 3:
            workflow.add_workflow(name, random_workflow(rng, depth + 1), deps=deps)
        elif kind < 0.4:
            workflow.add_many(name, [make_job() for _ in range(rng.randint(0, 3))], deps=deps)
        else:
            cancelled, discarded = (rng.choice((None, None, True, False)) for _ in range(2))
            workflow.add(
                name,
                make_job(),
                deps=deps,
                ignore_cancelled=cancelled,
                ignore_discarded=discarded,
            )

        names.append(name)

    return workflow


class Engine:
    """One database whose jobs change state only as a test says.

    Jobs are named by path from the root of their workflow: ``"a"``, ``"sub/a"``. With several
    workflows in the database names must differ.

    Args:
        oban: A client.
        conn: An open connection in autocommit mode, for statements that do not come from oban.
        schema: Where the tables are.
    """

    def __init__(self, oban: Oban, conn: AsyncConnection, schema: str = "public") -> None:
        self.oban = oban
        self.query = oban._query
        self.conn = conn
        self.schema = schema
        self.running: dict[int, Job] = {}
        self.revived: set[int] = set()
        self.ids: dict[str, int] = {}

    # Looking

    async def check(self) -> Books:
        """Fail unless the counters are right and no job is stuck."""
        books = await assert_consistent(self.conn, self.schema, self.revived)
        self.revived = {one for one in self.revived if books.is_excused(one)}

        return books

    async def states(self) -> dict[str, str]:
        """Return the state of every job that has a row, by path."""
        books = await self.check()

        return {books.path(job_id): state for job_id, state in books.states.items()}

    async def group(self, path: str) -> str:
        """Return the state of a nested workflow."""
        books = await self.check()

        return books.group_state(self.ids[path])

    async def root(self) -> str:
        """Return the state of the only workflow."""
        books = await self.check()
        (root,) = (key for key, group in books.groups.items() if group.parent is None)

        return books.group_state(root)

    async def row(self, path: str) -> Any:
        """Return the row of a job."""
        return await self.query.get_job(self.ids[path])

    async def rows(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; those of ``SELECT FROM …`` are empty tuples."""
        cursor = await self.conn.execute(statement.encode(), params)

        return await cursor.fetchall() if cursor.description is not None else []

    # Moving

    async def enqueue(self, *workflows: Workflow) -> list[Job]:
        """Enqueue workflows."""
        jobs = await self.oban.enqueue_many([job for one in workflows for job in one])
        await self._learn()

        return jobs

    async def _learn(self) -> None:
        books = await read(self.conn, self.schema)
        self.ids = books.ids
        await self.check()

    async def fetch(self, queue: str = "default", demand: int = 1_000_000) -> list[Job]:
        """Start available jobs of a queue, as a node would."""
        jobs = await self.query.fetch_jobs(demand, queue, "node", str(uuid4()))
        self.running |= {job.id: job for job in jobs if job.id is not None}
        await self.check()

        return jobs

    async def start(self, *paths: str) -> list[Job]:
        """Start the given jobs; other jobs of their queues may start too."""
        wanted = [self.ids[path] for path in paths]

        for job_id in wanted:
            job = await self.query.get_job(job_id)
            assert job is not None

            if job.state != "executing" or job_id not in self.running:
                assert job.state == "available", f"{job} must be available to start"
                await self.fetch(job.queue)

        return [self.running[job_id] for job_id in wanted]

    async def ack(self, jobs: Iterable[Job], state: str, **opts: Any) -> list[int]:
        """Acknowledge started jobs in one batch, as our own nodes do."""
        return await self._ack([AckAction(job=job, state=state, **opts) for job in jobs])

    async def _ack(self, acks: list[AckAction]) -> list[int]:
        acked = await self.query.ack_jobs(acks)

        for job_id in acked:
            self.running.pop(job_id, None)

        await self.check()

        return acked

    async def complete(self, *paths: str) -> list[int]:
        return await self.ack(await self.start(*paths), "completed")

    async def discard(self, *paths: str) -> list[int]:
        return await self.ack(await self.start(*paths), "discarded", error={"error": "boom"})

    async def cancel_by_ack(self, *paths: str) -> list[int]:
        return await self.ack(await self.start(*paths), "cancelled", error={"error": "enough"})

    async def snooze(self, *paths: str, seconds: int = 60) -> list[int]:
        jobs = await self.start(*paths)

        return await self.ack(jobs, "scheduled", attempt_change=-1, schedule_in=seconds)

    async def fail(self, *paths: str) -> list[int]:
        """Fail jobs that have attempts left."""
        jobs = await self.start(*paths)

        return await self.ack(jobs, "retryable", error={"error": "boom"}, schedule_in=60)

    # Outsiders

    async def plain_ack(self, state: str, *paths: str) -> list[int]:
        """Acknowledge a job as a node without this package does."""
        acks = [AckAction(job=job, state=state) for job in await self.start(*paths)]
        acked = await plain_ack(self.query, acks)
        await self.check()

        return acked

    async def psql(self, statement: str, *params: Any, revives: Iterable[str] = ()) -> None:
        """Execute any statement, in its own transaction."""
        self.revived |= {self.ids[path] for path in revives}
        await self.rows(statement, params or None)
        await self.check()

    async def set_states(self, states: dict[str, str]) -> None:
        """Set the states of several jobs in one statement, as psql can."""
        self.revived |= {self.ids[path] for path, new in states.items() if new not in SETTLED}
        await self.psql(
            f"UPDATE {self.schema}.oban_jobs j SET state = s.state::{self.schema}.oban_job_state"
            " FROM unnest(%s::bigint[], %s::text[]) s(id, state) WHERE j.id = s.id",
            [self.ids[path] for path in states],
            list(states.values()),
        )

    async def cancel(self, *paths: str) -> int:
        """Cancel a job as plain oban does."""
        count = await self.oban.cancel_many_jobs([self.ids[path] for path in paths])
        await self.check()

        return count

    async def retry(self, *paths: str) -> int:
        """Retry a job as plain oban does."""
        self.revived |= {self.ids[path] for path in paths}
        count = await self.oban.retry_many_jobs([self.ids[path] for path in paths])
        await self.check()

        return count

    async def delete(self, *paths: str) -> int:
        """Delete jobs as plain oban does."""
        count = await self.oban.delete_many_jobs([self.ids[path] for path in paths])
        await self.check()

        return count

    # Auditing

    @asynccontextmanager
    async def audited(self) -> AsyncIterator[Counter[tuple[str, str, str]]]:
        """Count every change of a job's state in the block, by path, old state and new state."""
        changes: Counter[tuple[str, str, str]] = Counter()
        paths = {job_id: path for path, job_id in self.ids.items()}
        await self.conn.execute(AUDIT.format(schema=self.schema).encode())
        yield changes

        for job, old, new in await self.rows(f"SELECT job, old, new FROM {self.schema}.audit"):
            changes[paths[job], old, new] += 1
