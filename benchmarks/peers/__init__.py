"""Other systems that do the same work, set up as their documentation says: `make bench-peers`.

To add a system, add a module with `serve` and `SHAPES`, and a line here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Peer(NamedTuple):
    """A system that is measured.

    Args:
        name: What the table calls it.
        module: Name of its module in this package.
        needs: The service that it uses; each measurement gets a new one.
        packages: Distributions whose versions are written beside the figures.
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
