"""The runs of a name, and two runs job by job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from oban_pro.handles.timing import read_timings
from oban_pro.model.wording import SETTLED

from .pages import crumbs_of, session_of
from .queries import page_of
from .templating import id_of, render
from .totals import sum_groups
from .values import show_length

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from oban_pro.model.timing import Timing

    from .history_statements import RunRow
    from .statements import PageStore

RUNS = 50
"""How many runs are on a page."""

WIDTH, HEIGHT, LEAST = 18, 120, 3
"""Of the bars, in pixels: from one to the next, the longest, and the shortest."""

MOST_COMPARED = 200
"""How many jobs of two runs are listed, those that differ most."""

MOST_READ = 200_000
"""How many jobs two runs may have to be compared on a page."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A run as a bar: how long it took, and what became of it.

    Args:
        run: The run.
        took: How long it took, or has taken so far; None if it has not begun.
        x: Its left end.
        height: How high it is.
    """

    run: RunRow
    took: timedelta | None
    x: int
    height: int

    @property
    def text(self) -> str:
        """How long it took, in words."""
        return "" if self.took is None else show_length(self.took)


def draw_bars(runs: Sequence[RunRow], now: datetime) -> list[Bar]:
    """Draw runs as bars, the first of them at the right end; the longest is as high as can be."""
    took = [
        None if run.started_at is None else (run.stopped_at or now) - run.started_at for run in runs
    ]
    longest = max([one for one in took if one], default=timedelta(seconds=1))

    return [
        Bar(run, one, (len(runs) - 1 - n) * WIDTH, max(LEAST, round(HEIGHT * (one / longest))))
        if one
        else Bar(run, one, (len(runs) - 1 - n) * WIDTH, LEAST)
        for n, (run, one) in enumerate(zip(runs, took, strict=True))
    ]


def sum_up(bars: Sequence[Bar]) -> str:
    """Say how often runs completed, and how long those took."""
    settled = [bar for bar in bars if bar.run.state in SETTLED]
    lengths = [bar.took for bar in settled if bar.took and bar.run.state == "completed"]
    completed = sum(1 for bar in settled if bar.run.state == "completed")

    if not settled:
        return "None of these has settled."

    rate = f"{completed} of {len(settled)} that settled completed ({completed / len(settled):.0%})"

    if not lengths:
        return f"{rate}."

    middle = show_length(timedelta(seconds=median(one.total_seconds() for one in lengths)))

    return f"{rate}; those took {middle} in the middle, {show_length(max(lengths))} at most."


async def show_history(request: Request) -> Response:
    """Show the runs of a name, newest first; only the part that changes where htmx asks for it."""
    name, number = request.query_params.get("name", ""), page_of(request.query_params)

    async with session_of(request).connect() as store:
        # One more than is shown tells what the last one is compared with.
        runs = await store.history.runs(name, RUNS + 1, (number - 1) * RUNS)

    bars = draw_bars(runs[:RUNS], datetime.now(UTC))
    earlier = [run.id for run in runs[1:]] + [None]

    return render(
        request,
        "_history.html" if "HX-Request" in request.headers else "history.html",
        title=name,
        runs=list(zip(bars, earlier, strict=False)),
        summary=sum_up(bars),
        width=len(bars) * WIDTH,
        height=HEIGHT,
        page=number,
        more=len(runs) > RUNS,
    )


async def show_comparison(request: Request) -> Response:
    """Show how long the jobs of a workflow took, beside those of another one."""
    workflow_id, other = id_of(request), request.query_params.get("with", "")

    async with session_of(request).connect() as store:
        crumbs = await crumbs_of(store, request)
        # Most of the work is reading, so the sizes are looked at beforehand.
        total = await _count(store, workflow_id) + await _count(store, other)

        if total > MOST_READ:
            raise HTTPException(
                422,
                f"the two have {total:,} jobs, too many for a page; compare them with"
                " oban-workflows diff",
            )

        own, others = await read_timings(store, workflow_id), await read_timings(store, other)

    pairs = await asyncio.to_thread(compare, own, others)

    return render(
        request,
        "compare.html",
        id=workflow_id,
        other=other,
        crumbs=crumbs,
        pairs=pairs[:MOST_COMPARED],
        more=len(pairs) - MOST_COMPARED,
    )


async def _count(store: PageStore, workflow_id: str) -> int:
    groups = await store.status(workflow_id)

    if not groups:
        raise HTTPException(404, f"there is no workflow {workflow_id!r}")

    return sum_groups(groups)[groups[0].key].counts.total()


@dataclass(frozen=True, slots=True)
class Pair:
    """A job in two runs; None where one does not have it."""

    path: str
    own: Timing | None
    other: Timing | None

    @property
    def change(self) -> timedelta:
        """By how much it ran longer than in the other run."""
        own, other = ((one and one.ran) or timedelta() for one in (self.own, self.other))

        return own - other

    @property
    def told_change(self) -> str:
        """By how much it ran longer or shorter, in words; nothing if it did not run in both."""
        if not (self.own and self.other and self.own.ran and self.other.ran):
            return ""

        return ("-" if self.change < timedelta() else "+") + show_length(abs(self.change))

    def told(self, what: str) -> tuple[str, str]:
        """Return one of its times in both runs, in words."""
        own, other = (None if one is None else getattr(one, what) for one in (self.own, self.other))

        return show_length(own), show_length(other)

    @property
    def states(self) -> tuple[str, str]:
        """What became of it in both runs."""
        return (
            self.own.state if self.own else "absent",
            self.other.state if self.other else "absent",
        )


def compare(own: Mapping[str, Timing], others: Mapping[str, Timing]) -> list[Pair]:
    """Pair the jobs of two runs: those that ended differently first, then by the difference."""
    pairs = [Pair(path, own.get(path), others.get(path)) for path in {**own, **others}]

    return sorted(pairs, key=lambda pair: (pair.states[0] == pair.states[1], -abs(pair.change)))
