"""Ratios between runs: what is compared, measured in rounds, and summed up by medians."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .run import Result, Run

type Phase = Literal["inserted", "settled", "built and inserted"]
type Measure = Callable[[Run, str], Result]

EVERY_TABLE = ("empty", "truncated", "analyzed", "grown")


@dataclass(frozen=True)
class Ratio:
    """How much longer one run takes than another, per job.

    Args:
        label: What is compared.
        run: What is measured.
        base: What it is measured against.
        goal: The ratio to stay within, or None where the figure is for information.
        phase: Whether to time all from submitting on, inserting alone, or with building before it.
        tables: States of the tables in which to compare.
    """

    label: str
    run: Run
    base: Run
    goal: float | None = None
    phase: Phase = "settled"
    tables: Sequence[str] = ("empty", "analyzed")

    def of(self, one: Round, table: str) -> float:
        """Compute the ratio within one round."""
        return one.per_job(self.run, table, self.phase) / one.per_job(self.base, table, self.phase)


@dataclass
class Round:
    """Every run once, one after the other, so that all see the same machine."""

    results: dict[tuple[Run, str], Result] = field(default_factory=dict)

    def per_job(self, run: Run, table: str, phase: Phase) -> float:
        """Return the seconds that a run took for each of its jobs."""
        result = self.results[run, table]
        seconds = {
            "inserted": result.inserted,
            "settled": result.settled,
            "built and inserted": result.built + result.inserted,
        }

        return seconds[phase] / run.size


def measure(ratios: Iterable[Ratio], repeats: int, measure_one: Measure) -> list[Round]:
    """Measure everything that the ratios need, in interleaved rounds."""
    needed = dict.fromkeys(
        (run, table)
        for ratio in ratios
        for table in ratio.tables
        for run in (ratio.base, ratio.run)
    )

    return [
        Round({(run, table): measure_one(run, table) for run, table in needed})
        for _ in range(repeats)
    ]


def medians(ratio: Ratio, rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median ratio for each state of the tables."""
    return {table: median(ratio.of(one, table) for one in rounds) for table in ratio.tables}
