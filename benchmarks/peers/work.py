"""What every system has to do, whatever its words for it, and what must come out.

- `fan_out`: one job returns 1, `count` that depend on it that plus 0, 1, 2 …, one more their sum.
- `chain`: each of `count` jobs returns one more than the one before.
- `diamonds`: `count` times a job that returns 1, two that return one more, and one their sum, 4.
- `independent`: `count` jobs that depend on nothing and return nothing.

A module of a system has `serve`, an async context manager within which its workers run, and
`SHAPES`: for each shape a coroutine function that takes the count and returns the last result (the
sum of them for diamonds, the number of jobs that ran for independent ones), or why there is none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

type Shapes = dict[str, Callable[[int], Awaitable[int]] | str]

CONCURRENCY = 50
URL = "BENCH_URL"
"""Variable of the environment that names the service of a system."""

JOBS_PER_DIAMOND = 4


@dataclass(frozen=True)
class Work:
    """A shape of so many jobs as the table above says."""

    shape: str
    count: int

    @property
    def label(self) -> str:
        """What the table calls it."""
        return {
            "fan_out": f"1 → {self.count:,} → 1",
            "chain": f"chain of {self.count}",
            "diamonds": f"{self.count} diamonds",
            "independent": f"{self.count:,} independent",
        }[self.shape]

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return {
            "fan_out": self.count + 2,
            "diamonds": self.count * JOBS_PER_DIAMOND,
        }.get(self.shape, self.count)

    @property
    def result(self) -> int:
        """What must come out."""
        return {
            "fan_out": sum(1 + n for n in range(self.count)),
            "diamonds": self.count * 4,
        }.get(self.shape, self.count)


def url() -> str:
    """Return the URL of the service that was started for this system."""
    return os.environ.get(URL, "")
