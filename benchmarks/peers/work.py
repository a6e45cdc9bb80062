"""The work that every system does, and the result that must come out.

- `fan_out`: one job returns 1, `count` dependents add 0, 1, 2 … to it, and one job sums these up.
- `chain`: each of `count` jobs returns one more than the one before.
- `diamonds`: `count` times: a job returns 1, two jobs return one more, and one job their sum, 4.
- `independent`: `count` jobs that depend on nothing and return nothing.

A module of a system has `serve` and `SHAPES`. `serve` is an async context manager that runs the
workers. `SHAPES` has a coroutine function for each shape. It takes the count and returns the last
result, or the reason why there is none. For diamonds the result is the sum of all results, for
independent jobs it is the number of jobs that ran.
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
"""The environment variable that has the URL of a system's service."""

JOBS_PER_DIAMOND = 4


@dataclass(frozen=True)
class Work:
    """A shape and its count."""

    shape: str
    count: int

    @property
    def label(self) -> str:
        """The name in the table."""
        return {
            "fan_out": f"1 → {self.count:,} → 1",
            "chain": f"chain of {self.count}",
            "diamonds": f"{self.count} diamonds",
            "independent": f"{self.count:,} independent",
        }[self.shape]

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return {
            "fan_out": self.count + 2,
            "diamonds": self.count * JOBS_PER_DIAMOND,
        }.get(self.shape, self.count)

    @property
    def result(self) -> int:
        """The result that must come out."""
        return {
            "fan_out": sum(1 + n for n in range(self.count)),
            "diamonds": self.count * 4,
        }.get(self.shape, self.count)


def url() -> str:
    """Return the URL of the service that was started for this system."""
    return os.environ.get(URL, "")
