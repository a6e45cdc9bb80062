"""The page of queues and nodes: what is open, who runs it, and what holds it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oban_pro.model.wording import human_duration

from .templating import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from oban_pro.engine.stat_statements import QueueStat

    from .queue_statements import LimitRow, ProducerRow

MOST_RUNNING = 100
"""How many jobs that execute are listed, the longest first."""


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
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    oldest: float | None = None
    producers: list[ProducerRow] = field(default_factory=list)
    limit: LimitRow | None = None

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
        running = await store.queues.running(MOST_RUNNING)
        # On a standby nobody can know of nodes.
        has_nodes = await store.served() is not None
        producers = await store.queues.producers() if has_nodes else []

    queues = collect(stats, producers, limits)

    return render(
        request,
        "_queues.html" if "HX-Request" in request.headers else "queues.html",
        queues=queues,
        idle=sum(1 for queue in queues if has_nodes and queue.is_idle),
        producers=producers,
        has_nodes=has_nodes,
        running=running,
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
