"""Statements of the dashboard, those of some pages in modules of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

from oban_pro.engine.statements import Statements
from oban_pro.engine.store import Store
from oban_pro.engine.wait_statements import waiting

from .history_statements import HistoryStatements
from .hold_statements import HoldStatements
from .list_statements import ListStatements
from .queue_statements import QueueStatements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from oban_pro.model.waiting import Wait


MOST_OF_ERROR = 20_000
"""How many characters of an error are read to find the line that says what went wrong."""


class RootRow(TypedDict):
    """The jobs of a root workflow, counted in every state, and the queue and worker of some.

    ``moved_at`` is when something last happened in it, or will because a job is due then. Signals
    are waited for where ``is_waiting``; where ``is_timed``, a clock of it runs that ends by itself.
    """

    id: str
    total: int
    suspended: int
    available: int
    scheduled: int
    executing: int
    retryable: int
    completed: int
    cancelled: int
    discarded: int
    started_at: datetime | None
    stopped_at: datetime | None
    moved_at: datetime
    is_waiting: bool
    is_timed: bool
    seen: list[tuple[str, str | None]]


class Breadcrumb(NamedTuple):
    """A workflow, and the name that it has in the one around it."""

    id: str
    name: str | None
    kind: str
    inserted_at: datetime


class PickedJob(NamedTuple):
    """A job that a reader has picked: its workflow, its name there, and its path from the root."""

    id: int
    workflow_id: str
    name: str
    path: list[str]


class PathEdge(NamedTuple):
    """A member on the critical path, its group, and the member after it that waited for it."""

    member: int
    group: int | None
    downstream: int | None


class RetriedGroup(NamedTuple):
    """A group in which jobs ran again: when the first attempt failed, and when the last began."""

    key: int
    failed_at: str | None
    attempted_at: datetime | None


class Beside(NamedTuple):
    """How many members of a group are not drawn, before the first that is and after it."""

    group: int
    before: int
    after: int


class Window(TypedDict, total=False):
    """Which members of a large group are drawn: those from one on, after one, or before one."""

    since: int
    after: int
    before: int
    keep: list[int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the reader of a page has opened, and where in it he is.

    Args:
        opened: Keys of groups to open.
        shut: Keys of groups to fold that would be open.
        windows: By key of a group which of its members are drawn.
        near: A job that is drawn with its neighbours.
    """

    opened: Sequence[int] = ()
    shut: Sequence[int] = ()
    windows: Mapping[int, Window] = field(default_factory=dict)
    near: int | None = None


class FailureRow(TypedDict):
    """Why some jobs failed: the line that says it, how many have it, and the first of them."""

    error: str
    count: int
    id: int
    state: str
    path: list[str]


class WaitColumns(TypedDict):
    """What a job waits for that no node runs; ``wait_kind`` is None for any other job."""

    wait_kind: str | None
    wait_since: datetime | None
    wait_until: datetime | None
    wait_wanted: int | None
    wait_came: int | None
    wait_senders: list[str] | None
    wait_choices: list[str] | None
    wait_call: str | None


def wait_of(row: WaitColumns) -> Wait | None:
    """Return what a job waits for that no node runs, from the columns of its row."""
    return waiting(
        row["wait_kind"],
        row["wait_since"],
        row["wait_until"],
        row["wait_wanted"],
        row["wait_came"],
        row["wait_senders"],
        row["wait_choices"],
        row["wait_call"],
    )


class MemberRow(WaitColumns):
    """A job or group as graph and timeline draw it."""

    id: int
    parent: int | None
    name: str
    open: bool
    extra: str | None
    kind: str
    state: str
    workflow_id: str | None
    queue: str | None
    worker: str | None
    attempt: int
    max_attempts: int
    inserted_at: datetime | None
    scheduled_at: datetime | None
    attempted_at: datetime | None
    settled_at: datetime | None
    released_at: datetime | None
    held: bool
    failed_at: list[str] | None
    is_wait: bool
    is_final: bool


class JobRow(WaitColumns):
    """A job as a row of the table; ``page`` and ``total`` are of the table.

    ``error`` is the last one of a job that failed, as it was stored.
    """

    id: int
    page: int
    total: int
    path: list[str]
    groups: list[str]
    state: str
    queue: str | None
    worker: str | None
    attempt: int | None
    max_attempts: int | None
    scheduled_at: datetime | None
    attempted_at: datetime | None
    settled_at: datetime | None
    error: str | None


class JobDetail(TypedDict):
    """A job as its panel shows it; most is None if its row is gone."""

    workflow_id: str
    name: str
    path: list[str]
    state: str
    queue: str | None
    worker: str | None
    attempt: int | None
    max_attempts: int | None
    priority: int | None
    args: Any
    meta: dict[str, Any] | None
    errors: list[Any] | None
    tags: list[str] | None
    attempted_by: list[str] | None
    inserted_at: datetime | None
    scheduled_at: datetime | None
    attempted_at: datetime | None
    settled_at: datetime | None


class Neighbour(TypedDict):
    """Something that a job depends on, or that depends on it; ``total`` counts those."""

    upstream: bool
    id: int
    name: str
    kind: str
    state: str
    workflow_id: str | None
    total: int


class PageStore(Store):
    """The statements of the dashboard, beside those of the engine.

    Args:
        conn: A psycopg connection.
        prefix: The schema of oban's tables and ours.
    """

    def __init__(self, conn: AsyncConnection[Any], prefix: str) -> None:
        super().__init__(conn, prefix)
        self._page = Statements(conn, prefix, "dashboard")
        self.queues = QueueStatements(conn, prefix, "dashboard")
        """Statements about queues and nodes."""
        self.history = HistoryStatements(conn, prefix, "dashboard")
        """Statements about the runs of a name."""
        self.holds = HoldStatements(conn, prefix, "dashboard")
        """The statement about what something is held back by."""
        self.lists = ListStatements(conn, prefix, "dashboard")
        """Statements of the list of workflows."""

    async def count_roots(
        self, workflow_ids: Sequence[str], looked_at: int, *, workers: bool = False
    ) -> dict[str, RootRow]:
        """Count the jobs of root workflows, by id of the workflow.

        Args:
            workflow_ids: Which workflows.
            looked_at: How many jobs of each are asked for their queue.
            workers: Whether they are asked for their worker too.
        """
        params = {"ids": list(workflow_ids), "looked_at": looked_at, "workers": workers}
        rows = cast("list[RootRow]", await self._page.dicts("roots", params))

        return {row["id"]: row for row in rows}

    async def served(self) -> list[str] | None:
        """Read which queues a node takes jobs from; None where nobody can know."""
        ((queues,),) = await self._page.rows("served", {})

        return cast("list[str] | None", queues)

    async def breadcrumbs(self, workflow_id: str) -> list[Breadcrumb]:
        """Read a workflow and those around it, the root first."""
        return await self._page.made(Breadcrumb, "breadcrumbs", {"id": workflow_id})

    async def root_crumbs(self, workflow_ids: Sequence[str]) -> dict[str, Breadcrumb]:
        """Read those of some workflows that are roots, by id."""
        roots = await self._page.made(Breadcrumb, "root_crumbs", {"ids": list(workflow_ids)})

        return {root.id: root for root in roots}

    async def picked_jobs(self, workflow_id: str, ids: Sequence[int]) -> dict[int, PickedJob]:
        """Read those of some jobs that are in a workflow or nested in it, by id."""
        params = {"id": workflow_id, "jobs": list(ids)}
        jobs = await self._page.made(PickedJob, "picked_jobs", params)

        return {job.id: job for job in jobs}

    async def critical_path(
        self, workflow_id: str, opened: Sequence[int], ends: Mapping[int, str]
    ) -> list[PathEdge]:
        """Read the critical path of a workflow.

        Args:
            workflow_id: Which workflow.
            opened: Groups to look into, however large.
            ends: When groups ended that have started.
        """
        params = {"id": workflow_id, "opened": list(opened), "ends": json.dumps(ends)}

        return await self._page.made(PathEdge, "path", params)

    async def retried_groups(self, workflow_id: str) -> list[RetriedGroup]:
        """Read in which groups jobs ran again."""
        return await self._page.made(RetriedGroup, "retries", {"id": workflow_id})

    async def drawn_members(
        self,
        workflow_id: str,
        drawing: Drawing,
        path: Sequence[int],
        limit: int,
    ) -> list[MemberRow]:
        """Read what is drawn of a workflow: itself, then the members of the groups that are open.

        Args:
            workflow_id: Which workflow.
            drawing: What the reader has opened, and where in it he is.
            path: Members of fan-outs that are drawn in any case.
            limit: How many members of one group are drawn, beside extra ones.
        """
        params = {
            "id": workflow_id,
            "opened": list(drawing.opened),
            "shut": list(drawing.shut),
            "windows": json.dumps(drawing.windows),
            "near": drawing.near,
            "path": list(path),
            "limit": limit,
        }

        return cast("list[MemberRow]", await self._page.dicts("members", params))

    async def beside(self, firsts: Mapping[int, int], drawn: Sequence[int]) -> list[Beside]:
        """Count what is not drawn of some groups.

        Args:
            firsts: The first member in order that is drawn of each group, by its key.
            drawn: All members that are drawn.
        """
        params = {
            "groups": list(firsts),
            "firsts": list(firsts.values()),
            "drawn": list(drawn),
        }

        return await self._page.made(Beside, "beside", params)

    async def failure_kinds(self, workflow_id: str, limit: int) -> list[FailureRow]:
        """Read why jobs of a workflow failed, the most frequent error first.

        Args:
            workflow_id: Which workflow.
            limit: How many jobs are looked at.
        """
        params = {"id": workflow_id, "limit": limit}

        return cast("list[FailureRow]", await self._page.dicts("failures", params))

    async def job_page(self, workflow_id: str, **filters: Any) -> list[JobRow]:
        """Read a page of the jobs of a workflow and of all nested in it."""
        params = {"id": workflow_id, "most": MOST_OF_ERROR, **filters}

        return cast("list[JobRow]", await self._page.dicts("jobs", params))

    async def edges(self, ids: Sequence[int]) -> list[tuple[int | None, int | None]]:
        """Read the edges at some members: upstream and downstream, None for any other member."""
        rows = await self._page.rows("edges", {"ids": list(ids)})

        return [(upstream, downstream) for upstream, downstream in rows]

    async def job(self, workflow_id: str, job_id: int) -> JobDetail | None:
        """Read a job of a workflow or of one nested in it."""
        rows = await self._page.dicts("job", {"id": workflow_id, "job": job_id})

        return cast("JobDetail", rows[0]) if rows else None

    async def neighbours(self, job_id: int, limit: int) -> list[Neighbour]:
        """Read what a job depends on and what depends on it."""
        params = {"job": job_id, "limit": limit}

        return cast("list[Neighbour]", await self._page.dicts("neighbours", params))

    async def behind(self, job_id: int) -> int:
        """Count what waits for a job, at any distance."""
        ((count,),) = await self._page.rows("behind", {"job": job_id})

        return cast("int", count)
