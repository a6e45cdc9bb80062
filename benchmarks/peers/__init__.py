"""The same work done by others, each set up as its own documentation advises: `make bench-peers`.

Another one is one more module with `serve` and `SHAPES`, and one more line here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Peer(NamedTuple):
    """A system that is measured.

    Args:
        name: What the table calls it.
        module: Name of its module in this package.
        needs: The service that it gets for itself, a new one for each measurement.
        packages: Distributions whose versions belong to the figures.
    """

    name: str
    module: str
    needs: Literal["database", "redis"]
    packages: tuple[str, ...]


OURS = Peer("oban-workflows", "oban_workflows", "database", ("oban-workflows", "oban", "psycopg"))

PEERS = (
    OURS,
    Peer("Celery on Redis", "celery", "redis", ("celery", "kombu", "redis")),
    Peer("Dramatiq on Redis", "dramatiq", "redis", ("dramatiq", "redis")),
    Peer("DBOS, steps", "dbos_steps", "database", ("dbos",)),
    Peer("DBOS, queue", "dbos_queue", "database", ("dbos",)),
    Peer("Chancy, passing no results", "chancy", "database", ("chancy",)),
    Peer("pgqueuer", "pgqueuer", "database", ("pgqueuer", "asyncpg")),
)
