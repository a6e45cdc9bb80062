"""Statements of the engine: one method for each file in ``sql/queries``."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import orjson

from oban_pro import rights
from oban_pro.building.plan import External
from oban_pro.model.explanation import JobLine
from oban_pro.render import Drawn
from oban_pro.stores import Stored
from oban_pro.values.recorded import Source

from .differences import Difference
from .results import (
    Acked,
    Acks,
    GraftPoint,
    Lost,
    Pruned,
    Pulse,
    Reserved,
    RootLine,
    Serving,
    SettledGroups,
    SettledRoot,
    StoredGroup,
    StoredMember,
    Taken,
    by_path,
    group_counts,
    taken_job,
)
from .search_statements import RootFilters
from .store_parts import StoreParts
from .wait_statements import dependency, link

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from oban import Job

    from oban_pro.model.evidence import Dependency, Link
    from oban_pro.model.status import GroupCounts
    from oban_pro.rights import Kind

    from .statements import Row


class Store(StoreParts):
    """Statements about workflows and jobs, on one connection, in one schema."""

    async def is_limited(self) -> bool:
        """Tell whether settings of the role can end a statement early, or change what it sees."""
        return await self.one(bool, "is_limited", {})

    async def check_rights(self, kind: Kind) -> None:
        """Check that the role of the connection has its rights.

        Raises:
            MissingRightError: Naming the GRANT.
        """
        await rights.check(self._conn, self._prefix, kind)

    async def backend_pid(self) -> int:
        """Return the id of the process that serves the connection."""
        return await self.one(int, "backend_pid", {})

    async def notify(self, channel: str, payload: str) -> None:
        """Send a notification through a channel of the schema."""
        params = {"channel": f"{self._prefix}.{channel}", "payload": payload}
        await self.execute("notify", params)

    # Inserting

    async def reserve(self, jobs: int, groups: int) -> Reserved:
        """Draw ids of jobs and keys of groups."""
        return await self.one(Reserved, "reserve", {"jobs": jobs, "groups": groups})

    async def insert_roots(self, groups: bytes) -> set[int]:
        """Insert root workflows whose id is free; returns their keys."""
        return {*await self.made(int, "insert_roots", {"groups": groups.decode()})}

    async def insert_groups(self, groups: bytes) -> None:
        """Insert nested workflows."""
        await self.execute("insert_groups", {"groups": groups.decode()})

    async def insert_jobs(self, params: Mapping[str, Any]) -> None:
        """Insert jobs under reserved ids, and notify the queues that have work now."""
        if "sources" in params:
            await self.insert_reused(params)
            return

        channel = f"{self._prefix}.oban_insert"
        await self.execute("insert_jobs", {**params, "channel": channel})

    async def insert_members(self, params: Mapping[str, Any]) -> None:
        """Insert jobs and nested groups as members of their groups."""
        await self.execute("insert_members", params)

    async def insert_edges(self, upstreams: str, downstreams: str) -> None:
        """Insert edges between members, given as literals of arrays."""
        await self.execute("insert_edges", {"upstreams": upstreams, "downstreams": downstreams})

    async def limit_waits(self, seconds: float) -> None:
        """Set the lock timeout of this transaction."""
        await self.execute("limit_waits", {"timeout": f"{seconds * 1000:.0f}ms"})

    async def lock_root(self, workflow_id: str) -> bool:
        """Lock the root of a workflow; returns whether there is such a workflow."""
        return await self.one(bool, "lock_root", {"id": workflow_id})

    async def graft(self, job_id: int) -> GraftPoint | None:
        """Read the graft point of a grafter; None for any other job."""
        return await self.first(GraftPoint, "graft", {"job": job_id})

    async def add_to_group(
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
        await self.execute("add_to_group", {"key": key, **counts})

    async def break_jobs(
        self, ids: Sequence[int], upstreams: Sequence[int], causes: Sequence[str]
    ) -> None:
        """Cancel jobs that were just added and depend on something that broke before.

        Args:
            ids: The jobs.
            upstreams: What broke each of them: ids of jobs, or keys of groups.
            causes: The same as text, as in ``job 'a' was discarded``.
        """
        params = {"ids": list(ids), "upstreams": list(upstreams), "causes": list(causes)}
        await self.execute("break_jobs", params)

    async def group(self, workflow_id: str) -> StoredGroup | None:
        """Read a workflow that something is to be added to."""
        return await self.first(StoredGroup, "group", {"id": workflow_id})

    async def members(self, key: int, names: Sequence[str] | None = None) -> list[StoredMember]:
        """Read the members of a group, or those with some names."""
        return await self.made(StoredMember, "members", {"key": key, "names": names})

    async def locate(self, workflow_id: str, paths: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Read where the members at some paths are: number of the path, workflow id, name."""
        params = {"id": workflow_id, "paths": orjson.dumps(paths).decode()}

        return await self.rows("locate", params)

    async def cancelling(
        self, parts: Sequence[Mapping[str, Any]], *, finals: bool = False
    ) -> list[int]:
        """Read which open jobs `cancel` is going to cancel, in several parts of a workflow."""
        params = {"parts": orjson.dumps(parts).decode(), "finals": finals}

        return await self.one(list, "cancelling", params)

    async def count_cancelled(self, ids: list[int]) -> int:
        """Count which of some jobs are cancelled."""
        return await self.one(int, "count_cancelled", {"ids": ids})

    async def gate(self, key: int) -> list[External]:
        """Read what a group depends on."""
        return await self.made(External, "gate", {"key": key})

    async def cancel(
        self,
        workflow_id: str,
        names: Sequence[str] | None,
        *,
        finals: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Cancel open jobs of a workflow, its final jobs only if told so; returns how many."""
        params = {"id": workflow_id, "names": names, "finals": finals}

        return await self.one(int, "cancel", {**params, "reason": reason, "sender": by})

    async def retry(self, workflow_id: str, names: Sequence[str] | None) -> int:
        """Run jobs of a workflow again; returns how many."""
        return await self.one(int, "retry", {"id": workflow_id, "names": names})

    async def rerun(self, members: Sequence[tuple[str, str]]) -> int:
        """Run members again with all that depends on them; returns how many jobs.

        Args:
            members: Of one root: the id of the workflow that each is in, and its name there.
        """
        workflows, names = zip(*members, strict=True)

        return await self.one(int, "rerun", {"workflows": [*workflows], "names": [*names]})

    async def settled_groups(self, workflow_id: str) -> SettledGroups:
        """Read which workflows of a workflow's root have settled."""
        return await self.one(SettledGroups, "settled_groups", {"id": workflow_id})

    # Running

    async def fetch(self, queue: str, demand: int, attempted_by: Sequence[str]) -> list[Job]:
        """Take the next jobs of a queue for execution, in the order in which they are due."""
        params = {"queue": queue, "demand": demand, "attempted_by": list(attempted_by)}

        return [taken_job(row, queue, attempted_by) for row in await self.rows("fetch", params)]

    async def ack(
        self,
        acks: Acks,
        queue: str = "",
        demand: int = 0,
        attempted_by: Sequence[str] = (),
        *,
        waits: bool = True,
    ) -> Acked:
        """Settle, snooze or retry executed jobs, and take the next ones of a queue.

        Args:
            acks: How the jobs ended.
            queue: Where to take jobs from.
            demand: How many of them, at most.
            attempted_by: Who takes them: node and producer.
            waits: Whether to wait a moment for what somebody holds, rather than to pass it over.
        """
        params = {
            **acks._asdict(),
            "queue": queue,
            "demand": demand,
            "attempted_by": list(attempted_by),
            "waits": waits,
        }
        (acked, held, *_), *taken = await self.rows("ack", params)
        jobs = [taken_job(row[2:], queue, attempted_by) for row in taken]

        return Acked(acked or [], held or [], jobs)

    async def wait_for_end(self, jobs: Sequence[tuple[Job, Job]], producer: str) -> None:
        """Suspend jobs that were taken although their producer still runs them.

        Args:
            jobs: Each job as it was taken, and as the producer still runs it.
            producer: Which producer runs them.
        """
        taken = _executions((job.id, job.attempted_at) for job, _ in jobs)
        running = _executions((job.id, job.attempted_at) for _, job in jobs)
        params = {**taken, "running": running["stamps"], "producer": producer}
        await self.execute("wait_for_end", params)

    async def fetch_workflow(
        self, workflow_id: str, limit: int, attempted_by: Sequence[str]
    ) -> list[Job]:
        """Start available jobs of the root that a workflow belongs to."""
        params = {"id": workflow_id, "limit": limit, "attempted_by": list(attempted_by)}

        return await self.jobs_from("fetch_workflow", params)

    async def stage_workflow(self, workflow_id: str) -> int:
        """Make those jobs of a root available whose time comes next."""
        return len(await self.rows("stage_workflow", {"id": workflow_id}))

    async def audit(self, workflow_id: str | None) -> list[Difference]:
        """Read what is wrong in the bookkeeping of one root, or of all roots."""
        return await self.made(Difference, "audit", {"id": workflow_id})

    async def sequences(self) -> list[Difference]:
        """Read which sequences are behind the ids that are in use."""
        return await self.made(Difference, "sequences", {})

    async def claim_settled(self) -> list[SettledRoot]:
        """Claim roots that have settled, for this node to announce."""
        return await self.made(SettledRoot, "claim_settled", {})

    async def repair(self, workflow_id: str) -> int:
        """Mend the bookkeeping of a root; returns how many rows were wrong."""
        return await self.first(int, "repair", {"id": workflow_id}) or 0

    async def repair_sequences(self) -> int:
        """Advance sequences that are behind; returns how many."""
        return await self.first(int, "repair_sequences", {}) or 0

    # Keeping

    async def beat(self, producers: Sequence[str]) -> list[str]:
        """Write heartbeats of producers; returns the producers whose rows exist."""
        return await self.made(str, "beat", {"uuids": list(producers)})

    async def restore_producer(self, row: Mapping[str, Any]) -> None:
        """Put the row of a producer back, with a heartbeat."""
        await self.execute("restore_producer", {**row, "meta": orjson.dumps(row["meta"]).decode()})

    async def silent_jobs(self, patience: float, rescue_after: float | None = None) -> list[Lost]:
        """Look for executions of producers that are silent.

        Args:
            patience: Seconds of silence that are allowed to producers which announced none.
            rescue_after: Seconds that a job may run if nothing is known of its producer.
        """
        params = {"patience": patience, "rescue_after": rescue_after}

        return await self.made(Lost, "silent_jobs", params)

    async def producers_of(self, node: str) -> list[str]:
        """Read the producers of a node, and those that took jobs which still execute."""
        return await self.made(str, "producers_of", {"node": node})

    async def taken(self, producers: Sequence[str]) -> list[Taken]:
        """Read the executions that producers have, as the database shows them."""
        return await self.made(Taken, "taken", {"producers": list(producers)})

    async def requeue_lost(self, lost: Sequence[Lost], *, waits: bool) -> tuple[int, list[int]]:
        """Take executions back that nobody runs.

        Args:
            lost: The executions.
            waits: Whether to wait a moment for what somebody holds, rather than to pass it over.

        Returns:
            How many jobs became available or were discarded, and the ids of those passed over.
        """
        executions = _executions((one.id, one.attempted_at) for one in lost)
        params = {**executions, "reasons": [one.reason for one in lost], "waits": waits}
        ((requeued, held),) = await self.rows("requeue_lost", params)

        return requeued, held

    async def serving(self) -> list[Serving]:
        """Read which nodes serve which queues."""
        return await self.made(Serving, "serving", {})

    async def pulse(self) -> Pulse:
        """Read what shows that nodes look after each other."""
        return await self.one(Pulse, "pulse", {})

    async def set_limit(self, workflow_id: str, path: str, limit: int | None) -> None:
        """Set how many members of a fan-out may be open at once; None for any number."""
        await self.execute("set_limit", {"id": workflow_id, "path": path, "limit": limit})

    async def prune(self, max_age: float, limit: int, start: str) -> Pruned:
        """Remove a batch of aged jobs and workflows, starting where the last batch ended."""
        params = {"max_age": max_age, "limit": limit, "start": start}

        ((jobs, start_of_next, before, stored),) = await self.rows("prune", params)

        return Pruned(jobs, start_of_next, before, Stored.each_of(stored))

    # Looking

    async def roots(
        self,
        states: Sequence[str] | None,
        search: str | None,
        limit: int,
        offset: int,
    ) -> list[RootLine]:
        """Read a page of root workflows, newest first."""
        return await self.list_roots(RootFilters(states, search), limit, offset)

    async def dependencies(self, workflow_id: str, name: str) -> list[Dependency]:
        """Read what a member depends on, itself and through the workflows that it is in."""
        return await self.made(dependency, "dependencies", {"id": workflow_id, "name": name})

    async def chain(self, workflow_id: str, name: str) -> list[Link]:
        """Read a member, then what it waits for or what broke it, and so on to the first cause."""
        return await self.made(link, "chain", {"id": workflow_id, "name": name})

    async def tree(
        self, workflow_id: str, states: Sequence[str] | None, limit: int | None
    ) -> list[JobLine]:
        """Read the jobs of a workflow and all nested ones; those that upstream broke come last."""
        params = {"id": workflow_id, "states": states, "limit": limit}

        return await self.made(by_path(JobLine), "tree", params)

    async def status(self, workflow_id: str) -> list[GroupCounts]:
        """Read the counters of a workflow and all nested ones, parents first."""
        return await self.made(group_counts, "status", {"id": workflow_id})

    async def graph(self, workflow_id: str) -> list[Drawn]:
        """Read a workflow and all that is in it, groups before what is in them."""
        return await self.made(Drawn, "graph", {"id": workflow_id})

    async def jobs(
        self, workflow_id: str, names: Sequence[str] | None = None, *, with_subs: bool = False
    ) -> list[Job]:
        """Read the jobs of a workflow, ordered by id."""
        params = {"id": workflow_id, "names": names, "with_subs": with_subs}

        return await self.jobs_from("jobs", params)

    async def deps(self, job_id: int, names: Sequence[str] | None = None) -> list[Job]:
        """Read the jobs that a job directly depends on, ordered by id."""
        return await self.jobs_from("deps", {"job": job_id, "names": names})

    async def recorded(self, workflow_id: str, names: Sequence[str] | None) -> list[Source]:
        """Read what jobs recorded, groups before what is in them."""
        return await self.made(Source, "recorded", {"id": workflow_id, "names": names})


def _executions(executions: Iterable[tuple[int | None, datetime | None]]) -> dict[str, Any]:
    """Spell executions as parameters: ids of jobs, and when they were attempted, in UTC."""
    ids, stamps = [], []

    for job_id, attempted_at in executions:
        ids.append(job_id)
        stamps.append(attempted_at and attempted_at.astimezone(UTC).replace(tzinfo=None))

    return {"ids": ids, "stamps": stamps}
