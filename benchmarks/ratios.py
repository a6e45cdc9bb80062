"""Ratios between runs: how they are defined, measured in rounds, and summarised by medians."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .measurement import Result, Run

type Phase = Literal["inserted", "settled", "built and inserted", "rows", "buffers"]
type Measure = Callable[[Run, str], Result]

EVERY_TABLE = ("empty", "truncated", "analyzed", "grown", "stored")


@dataclass(frozen=True)
class Ratio:
    """A comparison of two runs: the ratio of their times for each job, or of their costs.

    Args:
        label: The name of the comparison.
        run: The run that is measured.
        base: The run that it is compared with.
        goal: The largest ratio that is good enough, or None if there is no goal.
        phase: Which time to compare: from submitting to the end, of inserting alone, or of building
            and inserting; or the name of a cost.
        tables: States of the tables in which to compare.
        base_table: State of the tables on which the base is measured, if it is another one.
    """

    label: str
    run: Run
    base: Run
    goal: float | None = None
    phase: Phase = "settled"
    tables: Sequence[str] = ("empty", "analyzed")
    base_table: str | None = None

    def of(self, one: Round, table: str) -> float:
        """Compute the ratio within one round."""
        base = one.per_job(self.base, self.base_table or table, self.phase)

        return one.per_job(self.run, table, self.phase) / base

    def needed(self) -> list[tuple[Run, str]]:
        """List the measurements that are needed: each run, and its state of the tables."""
        return [
            needed
            for table in self.tables
            for needed in ((self.base, self.base_table or table), (self.run, table))
        ]


@dataclass
class Round:
    """One round: every run once, one after the other, so that all run on the same machine."""

    results: dict[tuple[Run, str], Result] = field(default_factory=dict)

    def per_job(self, run: Run, table: str, phase: Phase) -> float:
        """Return the seconds that a run took for each of its jobs, or its cost."""
        result = self.results[run, table]

        if phase in ("rows", "buffers"):
            return (result.costs or {})[phase]

        seconds = {
            "inserted": result.inserted,
            "settled": result.settled,
            "built and inserted": result.built + result.inserted,
        }

        return seconds[phase] / run.size


def measure(ratios: Iterable[Ratio], repeats: int, measure_one: Measure) -> list[Round]:
    """Measure all runs that the ratios need, in interleaved rounds."""
    needed = dict.fromkeys(chain.from_iterable(ratio.needed() for ratio in ratios))

    return [
        Round({(run, table): measure_one(run, table) for run, table in needed})
        for _ in range(repeats)
    ]


def medians(ratio: Ratio, rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median ratio for each state of the tables."""
    return {table: median(ratio.of(one, table) for one in rounds) for table in ratio.tables}
