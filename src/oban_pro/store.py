"""The only module that executes statements: one method for each file in ``sql/queries``."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson
from oban import Job
from psycopg import AsyncPipeline
from psycopg.rows import args_row, class_row, dict_row

from . import _host, sql
from .explanation import Dependency, JobLine, Link
from .garbage import uncollected
from .recorded import ABSENT, Node, Source, decode
from .render import Drawn
from .status import GroupCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from oban.job import JobState
    from psycopg import AsyncConnection, AsyncCursor

type Row = tuple[Any, ...]

# Statements that may be prepared: they only call a function, which plans for itself. Any other
# would keep a plan that was made when the tables were small.
PREPARED = frozenset({"ack", "contexts", "fetch", "status"})


class Acks(NamedTuple):
    """Acks of one statement.

    Args:
        ids: Jobs that have completed and leave nothing else, as the literal of an array.
        stamps: When these were attempted, likewise.
        others: All other acks, as a JSON array; or None.
    """

    ids: str
    stamps: str
    others: str | None


class Store:
    """Statements on one connection, in one schema.

    Args:
        conn: A psycopg connection.
        prefix: The schema of oban's tables and ours.
    """

    def __init__(self, conn: AsyncConnection[Any], prefix: str) -> None:
        self._conn = conn
        self._prefix = prefix

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        """Send statements that return nothing one after the other, and wait for all in the end."""
        if AsyncPipeline.is_supported():
            async with self._conn.pipeline():
                yield
        else:
            yield

    # Inserting

    async def reserve(self, jobs: int, groups: int) -> tuple[list[int], list[int], datetime]:
        """Draw ids of jobs and keys of groups, and the time of the transaction in UTC."""
        rows = await self._rows("reserve", {"jobs": jobs, "groups": groups})
        ids, keys, now = rows[0]

        return ids, keys, now.replace(tzinfo=UTC)

    async def insert_roots(self, groups: bytes) -> set[int]:
        """Insert root workflows whose id is free; returns their keys."""
        return {key for (key,) in await self._rows("insert_roots", {"groups": groups.decode()})}

    async def insert_groups(self, groups: bytes) -> None:
        """Insert nested workflows."""
        await self._execute("insert_groups", {"groups": groups.decode()})

    async def insert_jobs(self, params: Mapping[str, Any]) -> None:
        """Insert jobs under reserved ids, and wake the queues that have work now."""
        channel = f"{self._prefix}.oban_insert"
        await self._execute("insert_jobs", {**params, "channel": channel})

    async def insert_members(self, params: Mapping[str, Any]) -> None:
        """Insert jobs and nested groups as members of their groups."""
        await self._execute("insert_members", params)

    async def insert_edges(self, upstreams: str, downstreams: str) -> None:
        """Insert edges between members, given as literals of arrays."""
        await self._execute("insert_edges", {"upstreams": upstreams, "downstreams": downstreams})

    async def lock(self, workflow_id: str) -> bool:
        """Lock the root of a workflow; returns whether there is such a workflow."""
        return bool((await self._rows("lock", {"id": workflow_id}))[0][0])

    async def graft(self, job_id: int) -> Row | None:
        """Read the graft point of a grafter.

        Returns:
            Key, root, what is grafted, whether its deps are satisfied; state and attempted_at of
            the job.
        """
        rows = await self._rows("graft", {"job": job_id})

        if not rows:
            return None

        *point, attempted_at = rows[0]

        return *point, _utc(attempted_at)

    async def extend(
        self,
        key: int,
        *,
        total: int = 0,
        suspended: int = 0,
        subs: int = 0,
        subs_completed: int = 0,
        subs_cancelled: int = 0,
    ) -> None:
        """Count jobs and groups that were added to a group."""
        counts = {
            "total": total,
            "suspended": suspended,
            "subs": subs,
            "subs_completed": subs_completed,
            "subs_cancelled": subs_cancelled,
        }
        await self._execute("extend", {"key": key, **counts})

    async def break_jobs(self, causes: Mapping[int | None, str]) -> None:
        """Cancel jobs that were just added and depend on something that broke before."""
        await self._execute("break", {"ids": list(causes), "causes": list(causes.values())})

    async def group(self, workflow_id: str) -> Row | None:
        """Read a workflow that something is to be added to."""
        rows = await self._rows("group", {"id": workflow_id})

        return rows[0] if rows else None

    async def members(self, key: int, names: Sequence[str] | None = None) -> list[Row]:
        """Read members of a group: id, name, state, kind, and the workflow id of a group."""
        return await self._rows("members", {"key": key, "names": names})

    async def gate(self, key: int) -> list[Row]:
        """Read what a group depends on: id, name, state, kind, workflow id."""
        return await self._rows("gate", {"key": key})

    async def cancel(self, workflow_id: str, names: Sequence[str] | None) -> int:
        """Cancel open jobs of a workflow; returns how many."""
        params = {"id": workflow_id, "names": names}

        return int((await self._rows("cancel", params))[0][0])

    async def retry(self, workflow_id: str, names: Sequence[str] | None) -> int:
        """Run jobs of a workflow again; returns how many."""
        params = {"id": workflow_id, "names": names}

        return int((await self._rows("retry", params))[0][0])

    # Running

    async def fetch(self, queue: str, demand: int, attempted_by: Sequence[str]) -> list[Job]:
        """Take the next jobs of a queue for execution, in the order in which they are due."""
        params = {"queue": queue, "demand": demand, "attempted_by": list(attempted_by)}

        return [_taken(row, params) for row in await self._rows("fetch", params)]

    async def ack(
        self, acks: Acks, queue: str = "", demand: int = 0, attempted_by: Sequence[str] = ()
    ) -> tuple[list[int], list[Job]]:
        """Settle, snooze or retry executed jobs, and take the next ones of a queue.

        Returns:
            The ids of those that were executing, and the jobs that were taken.
        """
        params = {
            **acks._asdict(),
            "queue": queue,
            "demand": demand,
            "attempted_by": list(attempted_by),
        }
        rows = await self._rows("ack", params)

        return rows[0][0] or [], [_taken(row[1:], params) for row in rows[1:]]

    async def put_back(self, jobs: Sequence[Job]) -> None:
        """Make jobs available again that were taken and not started, as if they never had been."""
        params = {
            "ids": [job.id for job in jobs],
            "stamps": [job.attempted_at for job in jobs],
        }
        await self._execute("put_back", params)

    async def fetch_workflow(
        self, workflow_id: str, limit: int, attempted_by: Sequence[str]
    ) -> list[Job]:
        """Start available jobs of the root that a workflow belongs to."""
        params = {"id": workflow_id, "limit": limit, "attempted_by": list(attempted_by)}

        return await self._jobs("fetch_workflow", params)

    async def stage_workflow(self, workflow_id: str) -> int:
        """Make the jobs of a root available that are the next to wait for a time."""
        return len(await self._rows("stage_workflow", {"id": workflow_id}))

    async def audit(self, workflow_id: str | None) -> list[Row]:
        """Read what is wrong: root id, workflow id, name, field, stored, actual."""
        return await self._rows("audit", {"id": workflow_id})

    async def claim_settled(self) -> Sequence[Row]:
        """Claim roots that have settled and were not announced: id, name, state."""
        return await self._rows("claim_settled", {})

    async def repair(self, workflow_id: str) -> int:
        """Mend the bookkeeping of a root; returns how many rows were wrong."""
        rows = await self._rows("repair", {"id": workflow_id})

        return int(rows[0][0]) if rows else 0

    # Keeping

    async def rescue(self, patience: float, rescue_after: float | None = None) -> int:
        """Take executing jobs back from producers that are silent; returns how many."""
        rows = await self._rows("rescue", {"patience": patience, "rescue_after": rescue_after})

        return int(rows[0][0])

    async def taken(self, producers: Sequence[str]) -> list[tuple[int, datetime, str]]:
        """Read which jobs execute for producers: id, when attempted, and which producer."""
        rows = await self._rows("taken", {"producers": list(producers)})

        return [(job_id, attempted_at, uuid) for job_id, attempted_at, uuid in rows]

    async def give_back(self, jobs: Sequence[tuple[int, datetime]]) -> int:
        """Take executing jobs back that nobody runs; returns how many."""
        ids, stamps = zip(*jobs, strict=True)
        rows = await self._rows("give_back", {"ids": list(ids), "stamps": list(stamps)})

        return int(rows[0][0])

    async def prune_jobs(self, max_age: float, limit: int) -> int:
        """Remove aged jobs that are in no workflow; returns how many."""
        rows = await self._rows("prune_jobs", {"max_age": max_age, "limit": limit})

        return int(rows[0][0])

    async def prune_workflows(self, max_age: float, limit: int) -> tuple[int, int, bool]:
        """Remove aged workflows; returns how many jobs and roots, and whether one is cut short."""
        rows = await self._rows("prune_workflows", {"max_age": max_age, "limit": limit})
        jobs, roots, partial = rows[0]

        return jobs, roots, partial

    # Looking

    async def roots(
        self,
        states: Sequence[str] | None,
        search: str | None,
        limit: int,
        offset: int,
        name: str | None = None,
    ) -> Sequence[Row]:
        """Read a page of root workflows, newest first."""
        params = {
            "states": states,
            "search": search,
            "name": name,
            "limit": limit,
            "offset": offset,
        }

        return await self._rows("roots", params)

    async def explain(self, workflow_id: str, name: str) -> list[Dependency]:
        """Read what a member depends on, itself and through the workflows that it is in."""
        rows = await self._rows("explain", {"id": workflow_id, "name": name})

        return [Dependency(tuple(path), *rest) for path, *rest in rows]

    async def chain(self, workflow_id: str, name: str) -> list[Link]:
        """Read a member, then what it waits for or what broke it, to the first cause."""
        rows = await self._rows("chain", {"id": workflow_id, "name": name})

        return [Link(tuple(path), *map(_aware, rest)) for path, *rest in rows]

    async def tree(
        self, workflow_id: str, states: Sequence[str] | None, limit: int | None
    ) -> list[JobLine]:
        """Read the jobs of a workflow and of all nested ones, those an upstream broke last."""
        rows = await self._rows("tree", {"id": workflow_id, "states": states, "limit": limit})

        return [JobLine(tuple(path), *map(_aware, rest)) for path, *rest in rows]

    async def status(self, workflow_id: str) -> list[GroupCounts]:
        """Read the counters of a workflow and all nested ones, parents first."""
        return [_group_counts(row) for row in await self._rows("status", {"id": workflow_id})]

    async def graph(self, workflow_id: str) -> list[Drawn]:
        """Read a workflow and all that is in it, groups before what is in them."""
        return [Drawn(*row) for row in await self._rows("graph", {"id": workflow_id})]

    async def jobs(
        self, workflow_id: str, names: Sequence[str] | None = None, *, with_subs: bool = False
    ) -> list[Job]:
        """Read the jobs of a workflow, ordered by id."""
        params = {"id": workflow_id, "names": names, "with_subs": with_subs}

        return await self._jobs("jobs", params)

    async def deps(self, job_id: int, names: Sequence[str] | None = None) -> list[Job]:
        """Read the jobs that a job directly depends on, ordered by id."""
        return await self._jobs("deps", {"job": job_id, "names": names})

    async def contexts(self, job_ids: Sequence[int], known: Mapping[int, str]) -> list[Source]:
        """Read what the contexts of jobs are made of, but not what groups share that is known.

        Args:
            job_ids: Jobs of any workflows.
            known: Versions of what the jobs of a group share, by its key.
        """
        params = {
            "jobs": list(job_ids),
            "known": list(known),
            "versions": list(known.values()),
        }

        cursor = self._conn.cursor(row_factory=args_row(Source))
        await self._run(cursor, "contexts", params)

        # They are here already, and may be very many.
        with uncollected():
            return await cursor.fetchall()

    async def recorded(self, workflow_id: str, names: Sequence[str] | None) -> list[Node]:
        """Read and decode what jobs recorded, groups before what is in them."""
        rows = await self._rows("recorded", {"id": workflow_id, "names": names})

        return [
            Node(member_id, parent, name, kind, decode(name, value) if kind == "job" else ABSENT)
            for member_id, parent, name, kind, value in rows
        ]

    async def group_context(self, workflow_id: str) -> str | None:
        """Read the context that was added to a workflow, as JSON."""
        rows = await self._rows("group_context", {"id": workflow_id})

        return rows[0][0] if rows else None

    # For the dashboard

    async def web_roots(
        self, workflow_ids: Sequence[str], looked_at: int
    ) -> dict[str, dict[str, Any]]:
        """Read of root workflows jobs by state, and the queues of so many of their jobs; by id."""
        params = {"ids": list(workflow_ids), "looked_at": looked_at}

        return {row["id"]: row for row in await self._dicts("web_roots", params)}

    async def web_place(self, workflow_id: str) -> list[Row]:
        """Read a workflow and those around it, the root first: id, name, kind, inserted at."""
        return await self._rows("web_place", {"id": workflow_id})

    async def web_path(
        self, workflow_id: str, opened: Sequence[int], ends: Mapping[int, str]
    ) -> list[tuple[int, int | None, int | None]]:
        """Read the critical path: members, their groups, and what waited for them.

        Args:
            workflow_id: Which workflow.
            opened: Groups to look into, however large.
            ends: When groups ended that have started.
        """
        params = {"id": workflow_id, "opened": list(opened), "ends": json.dumps(ends)}

        return [(row[0], row[1], row[2]) for row in await self._rows("web_path", params)]

    async def web_retries(self, workflow_id: str) -> list[dict[str, Any]]:
        """Read in which groups jobs ran again, and between when."""
        return await self._dicts("web_retries", {"id": workflow_id})

    async def web_members(
        self,
        workflow_id: str,
        opened: Sequence[int],
        shut: Sequence[int],
        path: Sequence[int],
        limit: int,
    ) -> list[dict[str, Any]]:
        """Read what is drawn of a workflow: members of the groups that are open."""
        params = {
            "id": workflow_id,
            "opened": list(opened),
            "shut": list(shut),
            "path": list(path),
            "limit": limit,
        }

        return await self._dicts("web_members", params)

    async def web_jobs(self, workflow_id: str, **filters: Any) -> list[dict[str, Any]]:
        """Read a page of the jobs of a workflow and of all nested in it."""
        return await self._dicts("web_jobs", {"id": workflow_id, **filters})

    async def web_edges(self, ids: Sequence[int]) -> list[tuple[int | None, int | None]]:
        """Read the edges at some members: upstream and downstream, None for any other member."""
        rows = await self._rows("web_edges", {"ids": list(ids)})

        return [(upstream, downstream) for upstream, downstream in rows]

    async def web_job(self, workflow_id: str, job_id: int) -> dict[str, Any] | None:
        """Read a job of a workflow or of one nested in it."""
        rows = await self._dicts("web_job", {"id": workflow_id, "job": job_id})

        return rows[0] if rows else None

    async def web_neighbours(self, job_id: int, limit: int) -> list[dict[str, Any]]:
        """Read what a job depends on and what depends on it."""
        return await self._dicts("web_neighbours", {"job": job_id, "limit": limit})

    async def web_downstream(self, job_id: int) -> list[tuple[str, list[str]]]:
        """Read a job and all that waits for it: ids of workflows, and names in them."""
        rows = await self._rows("web_downstream", {"job": job_id})

        return [(workflow_id, names) for workflow_id, names in rows]

    async def _dicts(self, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        cursor = self._conn.cursor(row_factory=dict_row)
        await cursor.execute(sql.query(name, self._prefix).encode(), params)

        return [
            {column: _aware(value) for column, value in row.items()}
            for row in await cursor.fetchall()
        ]

    async def _execute(self, name: str, params: Mapping[str, Any]) -> None:
        await self._run(_host.cursor_on(self._conn), name, params)

    async def _rows(self, name: str, params: Mapping[str, Any]) -> list[Row]:
        cursor = _host.cursor_on(self._conn)
        await self._run(cursor, name, params)

        return await cursor.fetchall()

    async def _jobs(self, name: str, params: Mapping[str, Any]) -> list[Job]:
        cursor = self._conn.cursor(row_factory=class_row(Job))
        await self._run(cursor, name, params)

        return await cursor.fetchall()

    async def _run(self, cursor: AsyncCursor[Any], name: str, params: Mapping[str, Any]) -> None:
        statement = sql.query(name, self._prefix).encode()
        await cursor.execute(statement, params, prepare=name in PREPARED)


_decode = json.JSONDecoder().raw_decode


def _loads(text: str) -> Any:
    # orjson is faster, but makes floats of integers beyond 64 bits; most texts have no room for one
    return orjson.loads(text) if len(text) < 20 else _decode(text)[0]


def _taken(row: Row, params: Mapping[str, Any]) -> Job:
    """Build a job that was taken: it executes, so nothing may be refused any more.

    Where Python cannot read its JSON, a job without any says so.

    Args:
        row: What was not known before; neither are tags and errors where there are none.
        params: The queue it was taken from, and for whom.
    """
    worker, args, meta, errors, tags, job_id, attempt, max_attempts, priority, *times = row
    inserted_at, attempted_at, cancelled_at, completed_at, discarded_at, scheduled_at = times
    job = Job(
        worker,
        id=job_id,
        # as oban reads it
        state=cast("JobState", "executing"),
        queue=params["queue"],
        attempt=attempt,
        max_attempts=max_attempts,
        priority=priority,
        tags=tags,
        attempted_by=[*params["attempted_by"]],
        inserted_at=inserted_at,
        attempted_at=attempted_at,
        cancelled_at=cancelled_at,
        completed_at=completed_at,
        discarded_at=discarded_at,
        scheduled_at=scheduled_at,
        _validate=False,
    )

    try:
        job.args, job.meta = _loads(args), _loads(meta)

        if errors is not None:
            job.errors = _loads(errors)
    except (ValueError, RecursionError) as error:
        _host.note_unreadable(job, error)

    return job


def _group_counts(row: Row) -> GroupCounts:
    key, parent, group_id, name, sub_name, kind, state, total, suspended, *rest = row
    scheduled, executing, retryable, completed, cancelled, discarded, started_at, stopped_at = rest
    counts = {
        "suspended": suspended,
        "scheduled": scheduled,
        "executing": executing,
        "retryable": retryable,
        "completed": completed,
        "cancelled": cancelled,
        "discarded": discarded,
    }
    counts["available"] = total - sum(counts.values())

    return GroupCounts(
        key=key,
        parent=parent,
        id=group_id,
        name=name,
        sub_name=sub_name,
        kind=kind,
        state=state,
        counts=Counter({state: count for state, count in counts.items() if count}),
        started_at=_utc(started_at),
        stopped_at=_utc(stopped_at),
    )


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _utc(value: object) -> datetime | None:
    return None if value is None else cast("datetime", value).replace(tzinfo=UTC)
