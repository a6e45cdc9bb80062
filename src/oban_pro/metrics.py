"""Numbers for Prometheus: what is open in the database, and what this process has done.

Install the extra with ``pip install "oban-workflows[metrics]"``. The dashboard serves them at
``/metrics``, ``oban-workflows metrics`` prints them, and `render` returns them for your own route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import oban.telemetry
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from oban_pro._plugin import deferred_acks
from oban_pro.engine.session import session_for
from oban_pro.handles.stats import NAMES, read_stats
from oban_pro.model.wording import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from oban_pro.handles.stats import Stats

__all__ = ["CONTENT_TYPE", "instrument", "render", "uninstrument"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What Prometheus expects of a response."""

_HANDLER = "oban-workflows-metrics"
_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200)


def instrument(registry: CollectorRegistry = REGISTRY) -> None:
    """Count what this process does, from now on.

    Call it once in every node, and serve the registry as `prometheus_client` does, for example with
    its ``start_http_server``. Calling it again counts in another registry, from zero.

    Args:
        registry: Where the counters are registered (default: that of `prometheus_client`).

    Raises:
        ValueError: If the registry has counters of ours already.

    Example:
        >>> from prometheus_client import start_http_server
        >>> instrument()
        >>> start_http_server(9_100)
    """
    counters = _Counters(registry)
    uninstrument()
    oban.telemetry.attach(_HANDLER, counters.events, counters.count)


def uninstrument() -> None:
    """Stop counting. What has been counted stays in its registry.

    Example:
        >>> uninstrument()
    """
    oban.telemetry.detach(_HANDLER)


async def render(oban: str = "Oban") -> bytes:
    """Read what is open in a database, as Prometheus text.

    It reads what is open, and grows with that alone: about a page for each hundred open jobs, and
    one or two for each open workflow.

    Args:
        oban: The name of the Oban instance whose database is read (default: "Oban").

    Returns:
        The text, in UTF-8.

    Raises:
        RuntimeError: If no instance has that name.
        SchemaError: If the schema is not installed.

    Example:
        >>> text = await render()
    """
    async with session_for(oban).connect() as store:
        return to_text(await read_stats(store))


def to_text(stats: Stats) -> bytes:
    """Write numbers as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Gauges(stats))

    return generate_latest(registry)


class _Gauges:
    """Gives a registry the numbers that were read from the database."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stats = self._stats
        by_state = ("queue", "state")
        jobs = [((one.queue, one.state), one.jobs) for one in stats.queues]
        due = [
            ((one.queue,), max(0.0, one.oldest)) for one in stats.queues if one.state == "available"
        ]

        yield _gauge("oban_jobs", "Open jobs.", by_state, jobs)
        yield _gauge(
            "oban_queue_oldest_seconds", "How long an available job has been due.", ("queue",), due
        )
        yield _gauge(
            "oban_workflows_open",
            "Open root workflows; of the 100 most frequent names.",
            ("name",),
            [((one.name or "",), one.workflows) for one in stats.workflows],
        )
        yield _gauge(
            "oban_workflows_oldest_seconds",
            "How long the oldest open root workflow of a name has been there.",
            ("name",),
            [((one.name or "",), one.oldest) for one in stats.workflows],
        )
        yield from self._server()
        yield from self._nodes()

    def _server(self) -> Iterator[GaugeMetricFamily]:
        server = self._stats.server

        yield _gauge(
            "oban_workflows_waits",
            "Open waits.",
            ("kind",),
            [(("signal",), server.signals), (("timer",), server.timers)],
        )
        yield _one(
            "oban_workflows_late_timers_seconds", "How long a clock is overdue.", server.timers_late
        )
        yield _one(
            "oban_staging_late_seconds",
            "How long a scheduled job is overdue.",
            server.staging_late,
        )
        yield _one(
            "oban_workflows_unended",
            "Executions of stopped jobs that have not ended.",
            server.unended,
        )
        yield _gauge(
            "oban_workflows_slots",
            "Slots of fan-outs with a limit, in open workflows.",
            ("state",),
            [(("taken",), server.slots_taken), (("free",), server.slots_free)],
        )
        yield _one(
            "oban_snapshot_age_transactions",
            "Transactions since the oldest snapshot: vacuum removes no row that died later.",
            server.snapshot_age or 0,
        )

    def _nodes(self) -> Iterator[GaugeMetricFamily]:
        nodes, pulse = self._stats.nodes, self._stats.pulse
        labels = ("node", "queue")

        yield _gauge(
            "oban_producer_heartbeat_seconds",
            "How long ago a node was heard of.",
            labels,
            [((one.node, one.queue), max(0.0, one.silence)) for one in nodes],
        )
        yield _gauge(
            "oban_producer_alive",
            "Whether a node counts as alive.",
            labels,
            [((one.node, one.queue), int(one.is_alive)) for one in nodes],
        )
        yield _gauge(
            "oban_producer_paused",
            "Whether a node takes no jobs of a queue.",
            labels,
            [((one.node, one.queue), int(one.is_paused)) for one in nodes],
        )

        if pulse.overdue is not None:
            yield _one(
                "oban_leader_overdue_seconds",
                "How long nobody has led.",
                max(0.0, pulse.overdue),
            )

        if pulse.unheard is not None:
            yield _one(
                "oban_workflows_unheard_seconds",
                "How long ago a node looked for dead ones.",
                max(0.0, pulse.unheard),
            )


def _gauge(
    name: str, text: str, labels: Sequence[str], samples: Sequence[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)

    for values, number in samples:
        # A terminal may be where they are read.
        family.add_metric([visible(value) for value in values], number)

    return family


def _one(name: str, text: str, number: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=number)


class _Counters:
    """Counts events of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Histogram(
            "oban_job_duration_seconds",
            "Executions, by how they ended.",
            ("queue", "state"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._inserted = Counter(
            "oban_workflows_inserted", "Root workflows inserted.", registry=registry
        )
        self._settled = Counter(
            "oban_workflows_settled",
            "Root workflows settled.",
            ("name", "state"),
            registry=registry,
        )
        self._timed_out = Counter(
            "oban_workflows_timed_out", "Waits that nobody signalled in time.", registry=registry
        )
        self._rescued = Counter(
            "oban_jobs_rescued", "Jobs taken back from dead nodes.", registry=registry
        )
        self._deferred = Counter(
            "oban_jobs_deferred",
            "Jobs left to other nodes, as this one does not have their code.",
            registry=registry,
        )
        self._repaired = Counter(
            "oban_workflows_repaired", "Rows that the doctor mended.", registry=registry
        )
        Gauge(
            "oban_acks_deferred",
            "Acks that could not settle their jobs yet, as somebody holds the workflow.",
            registry=registry,
        ).set_function(deferred_acks.total)
        self._names: set[str] = set()
        self._count: dict[str, Callable[[dict[str, Any]], None]] = {
            "oban.job.stop": self._job,
            "oban.job.exception": self._job,
            "oban.workflow.inserted": lambda _: self._inserted.inc(),
            "oban.workflow.settled": self._settle,
            "oban.workflow.timed_out": lambda _: self._timed_out.inc(),
            "oban.workflow.rescued": lambda data: self._rescued.inc(data["count"]),
            "oban.workflow.deferred": lambda _: self._deferred.inc(),
            "oban.workflow.repaired": lambda data: self._repaired.inc(data["count"]),
        }

    @property
    def events(self) -> list[str]:
        return [*self._count]

    def count(self, event: str, metadata: dict[str, Any]) -> None:
        self._count[event](metadata)

    def _job(self, metadata: dict[str, Any]) -> None:
        seconds = metadata["duration"] / 1e9
        self._jobs.labels(visible(metadata["job"].queue), metadata["state"] or "").observe(seconds)

    def _settle(self, metadata: dict[str, Any]) -> None:
        name = metadata["name"] or ""

        # A name that is made up for each workflow must not make a series for each.
        if name not in self._names and len(self._names) >= NAMES:
            name = "other"

        self._names.add(name)
        self._settled.labels(visible(name), metadata["state"]).inc()
