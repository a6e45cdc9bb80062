"""The statement that reads what holds a member back: a part of `PageStore`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from oban_pro.engine.statements import Statements
from oban_pro.model.pausing import Line, Pause
from oban_pro.model.wording import spell_duration


class Holds(NamedTuple):
    """What something is held back by.

    Args:
        kind: The kind of a group, or 'job'.
        max_open: Of a fan-out: how many of its members may be open at once; None for any number.
        rate_allowed: How many of them may start in a period; None for any number.
        rate_period: That period in seconds.
        is_paused: Whether it is paused itself.
        paused_at: Since when it is, or the outermost around it that is.
        paused_by: Who paused that.
        until: When that ends by itself.
        path: What is paused; empty for the workflow.
        paused_kind: What that is.
        unique_key: The key of a root.
        behind: Which root it waits for, in the line for that key.
        number: Its number in that line, None where it does not wait.
    """

    kind: str
    max_open: int | None
    rate_allowed: int | None
    rate_period: float | None
    is_paused: bool
    paused_at: datetime | None
    paused_by: str | None
    until: datetime | None
    path: list[str] | None
    paused_kind: str | None
    unique_key: str | None
    behind: str | None
    number: int | None

    def tell(self, at: datetime) -> list[str]:
        """Say what is paused, where it stands in line, and how many of it may run."""
        told = []

        if self.paused_at is not None:
            path, kind = tuple(self.path or ()), self.paused_kind or "workflow"
            pause = Pause(self.paused_at, self.paused_by, self.until, path, kind).tell(at)
            told.append(f"{pause[0].upper()}{pause[1:]}.")

        if self.unique_key is not None and self.number is not None:
            told.append(f"It {Line(self.behind, self.unique_key, self.number).tell()}.")
        elif self.unique_key is not None:
            told.append(f"Its key is {self.unique_key!r}.")

        most = [] if self.max_open is None else [f"{self.max_open:,} at once"]

        if self.rate_allowed is not None:
            period = spell_duration(timedelta(seconds=self.rate_period or 0))
            most.append(f"{self.rate_allowed:,} in {period}")

        return [*told, f"At most {', '.join(most)}."] if most else told

    @property
    def is_limitable(self) -> bool:
        """Whether a limit can be set here."""
        return self.kind == "fan_out" or self.max_open is not None


class HoldStatements(Statements):
    """The statement about what something is held back by: it looks up what is around that."""

    async def of(self, member: int) -> Holds:
        """Read what a job, or the group of a key, is held back by."""
        return (await self.made(Holds, "holds", {"member": member}))[0]
