"""Numbers for operators, read in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.engine.results import Pulse, Serving
    from oban_pro.engine.stat_statements import QueueStat, ServerStat, WorkflowStat
    from oban_pro.engine.store import Store

NAMES = 100
"""How many names of workflows are counted separately."""


class Stats(NamedTuple):
    """Numbers about what is open in the database, and about its nodes.

    Args:
        queues: Open jobs by queue and state.
        workflows: Open root workflows by name, the 100 most frequent names.
        server: Waits, clocks, snapshots.
        nodes: Producers, each with the seconds since its last heartbeat.
        pulse: Which node leads, and when nodes looked for dead ones.
    """

    queues: Sequence[QueueStat]
    workflows: Sequence[WorkflowStat]
    server: ServerStat
    nodes: Sequence[Serving]
    pulse: Pulse


async def read_stats(store: Store) -> Stats:
    """Read what is open. However much has settled, it costs nothing."""
    return Stats(
        await store.stats_queues(),
        await store.stats_workflows(NAMES),
        await store.stats_server(),
        await store.serving(),
        await store.pulse(),
    )
