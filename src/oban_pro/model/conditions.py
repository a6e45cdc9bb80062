"""Exceptions that end an execution which asked a condition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skipped:
    """Ends an execution whose job is skipped: it completes, and says why in its meta."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ends the execution of a judge: whether the condition of its group is met."""

    is_met: bool
