"""Statements of the engine about waits, signals and clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oban_pro.model.evidence import Dependency, Link
from oban_pro.model.failing import Failures
from oban_pro.model.limiting import QueueBounds, Slot
from oban_pro.model.pausing import Line, Pause
from oban_pro.model.waiting import OpenWait, Wait

from .results import Announced, Answer, Due
from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oban_pro.building.waits import Clock

    from .results import Sent
    from .statements import Row


class WaitStatements(Statements):
    """Statements about waits, signals and clocks: a part of `Store`."""

    async def insert_judge_edges(self, upstreams: str, downstreams: str) -> None:
        """Insert edges from judges, given as literals of arrays."""
        params = {"upstreams": upstreams, "downstreams": downstreams}
        await self.execute("insert_judge_edges", params)

    async def insert_joins(self, joins: bytes) -> None:
        """Insert joins; see `insert_joins.sql`."""
        await self.execute("insert_joins", {"joins": joins.decode()})

    async def admit(
        self, root: int, rules: int, job_ids: Sequence[int], key: int | None
    ) -> dict[int, Any]:
        """Decide which jobs start that were just inserted into a workflow with rare rules.

        Args:
            root: The key of the root.
            rules: Bits that the jobs bring along.
            job_ids: Those that wait for nothing that was inserted with them.
            key: The group that they were added to; None for a new root.

        Returns:
            The states that they are in then, by id.
        """
        params = {"root": root, "rules": rules, "ids": list(job_ids), "key": key}
        await self.execute("admit", params)

        return dict(await self.rows("states_of", {"ids": list(job_ids)}))

    async def insert_waits(self, waits: bytes) -> None:
        """Insert the waits that jobs stand for."""
        await self.execute("insert_waits", {"waits": waits.decode()})

    async def insert_timers(self, timers: bytes) -> None:
        """Insert clocks of jobs and groups."""
        await self.execute("insert_timers", {"timers": timers.decode()})

    async def signal(self, workflow_id: str, path: str, sent: Sent) -> int:
        """Send a signal to the waits at a path; returns how many took it."""
        return await self.one(int, "signal", {"id": workflow_id, "path": path, **sent})

    async def signal_jobs(self, job_ids: Sequence[int], sent: Sent, *, is_strict: bool) -> int:
        """Send a signal to jobs; returns how many took it."""
        params = {"ids": list(job_ids), "strict": is_strict, **sent}

        return await self.one(int, "signal_jobs", params)

    async def reject(self, workflow_id: str, path: str, reason: str | None, by: str | None) -> int:
        """Refuse the waits at a path; returns how many that cancelled."""
        params = {"id": workflow_id, "path": path, "reason": reason, "sender": by}

        return await self.one(int, "reject", params)

    async def signals(self, workflow_id: str, path: str) -> list[Row]:
        """Read the signals for a job: payload, sender, when it came, when it was taken."""
        return await self.rows("signals", {"id": workflow_id, "path": path})

    async def answer(
        self, job_id: int, name: str, call: int, seconds: float | None, moment: datetime | None
    ) -> Answer:
        """Ask for the answer of a call of await_signal."""
        params = {"job": job_id, "name": name, "call": call, "seconds": seconds, "moment": moment}

        return await self.one(Answer, "await", params)

    async def set_deadline(self, workflow_id: str, path: str | None, clock: Clock | None) -> None:
        """Set the deadline of a workflow, or of a member of it; None takes it away."""
        params = {
            "id": workflow_id,
            "path": path,
            "seconds": clock and clock.seconds,
            "moment": clock and clock.moment,
            "error": clock and clock.error,
        }
        await self.execute("set_deadline", params)

    async def pause(
        self, workflow_id: str, path: str | None, by: str | None, clock: Clock | None
    ) -> int:
        """Pause a workflow, or a member of it; returns how many jobs that holds back."""
        params = {
            "id": workflow_id,
            "path": path,
            "by": by,
            "seconds": clock and clock.seconds,
            "moment": clock and clock.moment,
        }

        return await self.one(int, "pause", params)

    async def resume(self, workflow_id: str, path: str | None) -> int:
        """Resume a workflow, or a member of it; returns how many jobs that brings back."""
        return await self.one(int, "resume", {"id": workflow_id, "path": path})

    async def tick(self, root: int | None = None) -> list[Due]:
        """End waits, deadlines and delays that are due: in all unlocked roots, or in one."""
        return await self.made(Due, "tick", {"root": root})

    # What people look at

    async def inbox(self, limit: int) -> list[OpenWait]:
        """Read open waits for signals of all workflows, the first to time out first."""
        return await self.made(open_wait, "inbox", {"limit": limit})

    async def open_waits(self, workflow_id: str, limit: int | None = None) -> list[OpenWait]:
        """Read the open waits and timers of a workflow, nested ones too, in the same order."""
        return await self.made(open_wait, "open_waits", {"id": workflow_id, "limit": limit})

    async def claim_waiting(self) -> list[Announced]:
        """Claim waits for signals that have opened and were not announced."""
        return await self.made(Announced, "claim_waiting", {})

    # In tests

    async def listening(self, workflow_id: str, path: str) -> list[tuple[int, Wait]]:
        """Read what listens for signals at a path, by id of the job."""
        return await self.made(_listener, "listening", {"id": workflow_id, "path": path})

    async def end_clocks(self, workflow_id: str, waits: Sequence[int]) -> int | None:
        """Let the next clocks run out: of timers, and of some other waits.

        Returns:
            The key of the root if a clock in it is up.
        """
        return await self.first(int, "end_clocks", {"id": workflow_id, "waits": list(waits)})

    async def end_call(self, job_id: int) -> None:
        """Let the call time out that a job is parked in."""
        await self.execute("end_call", {"job": job_id})


def _listener(job_id: int, *columns: Any) -> tuple[int, Wait]:
    wait = waiting(*columns)
    assert wait is not None

    return job_id, wait


def link(path: list[str], *columns: Any) -> Link:
    """Build a link of an explanation; its last columns: its slot, wait, pause, line and bounds."""
    (*rest, failures, turn), slot, waited = columns[:-27], columns[-27:-21], columns[-21:-13]
    paused, lined, bounds = columns[-13:-8], columns[-8:-5], columns[-5:]
    # meta may hold anything that somebody wrote
    turns = int(turn) if turn and len(turn) < 10 and turn.isdecimal() else 0

    return replace(
        Link(tuple(path), *rest),
        slot=None if slot[0] is None else Slot(*slot),
        wait=waiting(*waited),
        turns=turns,
        pause=_pause(*paused),
        line=_line(*lined),
        bounds=None if bounds[3] is None else QueueBounds(*bounds),
        failures=_failures(failures),
    )


def dependency(path: list[str], *columns: Any) -> Dependency:
    """Build a dependency of an explanation."""
    *rest, failures, would_break = columns
    found = Dependency(tuple(path), *rest)

    return replace(found, failures=_failures(failures), would_break=would_break)


def _failures(counts: list[int] | None) -> Failures | None:
    if counts is None:
        return None

    discarded, cancelled, members, tolerated, fails_fast = counts

    return Failures(discarded, cancelled, members, tolerated, bool(fails_fast))


def _line(behind: str | None, key: str | None, number: int | None) -> Line | None:
    return None if key is None else Line(behind, key, number or 0)


def _pause(at: Any, by: Any, until: Any, path: Any, kind: Any) -> Pause | None:
    return None if at is None else Pause(at, by, until, tuple(path), kind)


def open_wait(
    workflow_id: str, name: str | None, path: list[str], job_id: int, *columns: Any
) -> OpenWait:
    """Build a wait as lists show it."""
    wait = waiting(*columns)
    assert wait is not None

    return OpenWait(workflow_id, name, tuple(path), job_id, wait)


def waiting(kind: Any, since: Any, until: Any, *columns: Any) -> Wait | None:
    """Build what a job waits for that no node runs; None where the kind is NULL."""
    if kind is None:
        return None

    wanted, came, senders, choices, call = columns

    return Wait(
        kind,
        since,
        until,
        1 if wanted is None else wanted,
        came or 0,
        tuple(senders or ()),
        None if choices is None else tuple(choices),
        call,
    )
