"""Statements that schedules need."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .statements import Statements

if TYPE_CHECKING:
    from datetime import datetime


class Standing(NamedTuple):
    """Where a schedule stands.

    Args:
        now: The time of the database.
        last_tick: The last tick that was dealt with.
        is_paused: Whether somebody has paused it.
        failing_since: When its function first raised for the tick that is due; None if it has not.
    """

    now: datetime
    last_tick: datetime
    is_paused: bool
    failing_since: datetime | None


class StoredSchedule(NamedTuple):
    """A schedule as a node last saw it."""

    name: str
    expression: str
    timezone: str
    catch_up: str
    overlap: str
    last_tick: datetime
    paused_at: datetime | None
    failing_since: datetime | None
    error: str | None
    missed_tick: datetime | None


class ScheduleStatements(Statements):
    """Statements about schedules: a part of `Store`."""

    async def see_schedule(self, **schedule: str) -> Standing:
        """Note a schedule as the code has it, and read where it stands."""
        return await self.one(Standing, "see_schedule", schedule)

    async def claim_tick(
        self, name: str, tick: datetime, *, missed: bool = False, error: str | None = None
    ) -> datetime | None:
        """Move a schedule on to a tick; returns its last tick before, None if somebody else had."""
        params = {"name": name, "moment": tick, "missed": missed, "error": error}

        rows = await self.rows("claim_tick", params)

        return rows[0][0] if rows else None

    async def fail_tick(self, name: str, tick: datetime, error: str) -> float:
        """Note that a function raised; returns for how many seconds it has raised for this tick."""
        params = {"name": name, "moment": tick, "error": error}

        return await self.first(float, "fail_tick", params) or 0.0

    async def pause_schedule(self, name: str, *, paused: bool) -> bool:
        """Pause a schedule or let it go on; returns whether that changed it."""
        return bool(await self.rows("pause_schedule", {"name": name, "paused": paused}))

    async def schedules(self) -> list[StoredSchedule]:
        """Read the schedules that nodes have seen."""
        return await self.made(StoredSchedule, "schedules", {})
