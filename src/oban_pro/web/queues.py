"""The page of queues and nodes: what is open, who runs it, and what holds it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oban_pro.model.wording import human_duration

from .templating import render
from .values import show_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from oban_pro.engine.stat_statements import QueueStat

    from .queue_statements import ActivityRow, LimitRow, ProducerRow

MOST_RUNNING = 100
"""How many jobs that execute are listed, the longest first."""


SLICES, SLICE, LOOKED_AT = 20, 30.0, 20
"""Of the charts: how many slices of time, of how many seconds, and how many jobs of each count."""

CHART = 24
"""How many pixels the charts are high."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One number of a queue over time, as bars from left to right.

    Args:
        values: The number in each slice of time, the latest last.
    """

    values: list[float]

    @property
    def bars(self) -> list[int]:
        """The height of each bar: the highest fills the chart, and one above 0 is at least 1."""
        most = max(self.values)

        return [
            max(1, round(CHART * value / most)) if value and most else 0 for value in self.values
        ]

    @property
    def latest(self) -> float:
        """The number in the latest slice."""
        return self.values[-1]

    @property
    def most(self) -> float:
        """The largest number."""
        return max(self.values)


@dataclass(slots=True)
class Queue:
    """A queue as the page shows it.

    Args:
        name: Its name.
        counts: Its open jobs by state.
        oldest: Seconds since the first job was due that no node has taken yet; None if there is
            none.
        producers: Which living nodes serve it.
        limit: What limits it over all nodes.
        rates: Jobs completed each second, over time.
        waits: For how many seconds these had waited for a node, over time.
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    oldest: float | None = None
    producers: list[ProducerRow] = field(default_factory=list)
    limit: LimitRow | None = None
    rates: Chart = field(default_factory=lambda: Chart([0.0] * SLICES))
    waits: Chart = field(default_factory=lambda: Chart([0.0] * SLICES))

    @property
    def waits_since(self) -> str:
        """How long the oldest job has been waiting for a node."""
        return "" if self.oldest is None else human_duration(timedelta(seconds=self.oldest))

    @property
    def served_by(self) -> str:
        """Which nodes serve it, in words."""
        count = len(self.producers)
        paused = sum(1 for one in self.producers if one.is_paused)
        slots = [int(one.slots or 0) for one in self.producers if (one.slots or "0").isdecimal()]
        nodes = f"{count} {'node' if count == 1 else 'nodes'}, {sum(slots):,} at once"
        held = "" if not paused else ", paused" if paused == count else f", paused on {paused}"

        return nodes + held if count else ""

    @property
    def limited_to(self) -> str:
        """What limits it over all nodes, in words."""
        if self.limit is None:
            return ""

        told = []

        if self.limit.global_limit is not None:
            told.append(f"{self.limit.global_limit:,} at once")

        if self.limit.allowed is not None:
            period = human_duration(timedelta(seconds=self.limit.period or 0))
            told.append(f"{self.limit.allowed:,} in {period}")

        if self.limit.fields:
            told.append("for each " + ", ".join(self.limit.keys or self.limit.fields))

        return ", ".join(told)

    @property
    def is_idle(self) -> bool:
        """Whether jobs wait that no node takes."""
        return bool(self.counts.get("available")) and all(one.is_paused for one in self.producers)


async def show_queues(request: Request) -> Response:
    """Show queues, nodes, and what runs where."""
    async with request.app.state.session.connect() as store:
        stats = await store.stats_queues()
        limits = await store.queues.limits()
        activity = await store.queues.activity(SLICES, SLICE, LOOKED_AT)
        running = await store.queues.running(MOST_RUNNING)
        # On a standby nobody can know of nodes.
        has_nodes = await store.served() is not None
        producers = await store.queues.producers() if has_nodes else []

    queues = collect(stats, producers, limits)
    add_charts(queues, activity)

    return render(
        request,
        "_queues.html" if "HX-Request" in request.headers else "queues.html",
        queues=queues,
        idle=sum(1 for queue in queues if has_nodes and queue.is_idle),
        producers=producers,
        has_nodes=has_nodes,
        running=running,
        show_rate=show_rate,
        show_wait=show_wait,
        minutes=SLICES * SLICE / 60,
        chart=CHART,
        executing=sum(queue.counts.get("executing", 0) for queue in queues),
        at=datetime.now(UTC),
    )


def collect(
    stats: Iterable[QueueStat], producers: Iterable[ProducerRow], limits: Sequence[LimitRow]
) -> list[Queue]:
    """Put together what is known of each queue, by name."""
    queues: dict[str, Queue] = {}

    def queue(name: str) -> Queue:
        return queues.setdefault(name, Queue(name))

    for stat in stats:
        queue(stat.queue).counts[stat.state] = stat.jobs

        if stat.state == "available":
            queue(stat.queue).oldest = max(0.0, stat.oldest)

    for producer in producers:
        if producer.is_alive:
            queue(producer.queue).producers.append(producer)

    for limit in limits:
        queue(limit.queue).limit = limit

    return [queues[name] for name in sorted(queues)]


def add_charts(queues: Iterable[Queue], activity: Iterable[ActivityRow]) -> None:
    """Tell each queue what it did lately."""
    by_name = {queue.name: queue for queue in queues}

    for row in activity:
        if (queue := by_name.get(row.queue)) is not None:
            queue.rates.values[-1 - row.slice] = row.jobs / row.seconds
            queue.waits.values[-1 - row.slice] = row.waited or 0.0


def show_rate(rate: float) -> str:
    """Write a number of jobs a second, by the minute where it is small."""
    if not rate:
        return ""

    number, unit = (rate, "s") if rate >= 1 else (rate * 60, "min")

    return f"{number:,.0f}/{unit}" if number >= 10 else f"{number:.1f}/{unit}"


def show_wait(seconds: float) -> str:
    """Write how long jobs had waited, empty for none."""
    return show_length(timedelta(seconds=seconds)) if seconds else ""
