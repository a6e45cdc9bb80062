"""``pruner.prune``: remove workflows as a whole, when all of one has settled and aged.

Jobs that are in no workflow go as they go with plain oban.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oban import telemetry
from psycopg.errors import UndefinedFunction, UndefinedTable

from oban_pro import schema, transactions
from oban_pro.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query

type Prune = Callable[[Query, int, int], Awaitable[None]]

BATCH = 5_000
"""The most jobs that one transaction removes, so that none takes long."""


def build(fallback: Prune) -> Prune:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def prune(query: Query, max_age: int, limit: int) -> None:
        try:
            await schema.ensure_query(query)

            with telemetry.span("oban.pruner.prune", {}) as context:
                plain = await _prune_jobs(query, max_age, limit)
                context.add({"pruned_count": plain + await _prune_workflows(query, max_age, limit)})
        except (SchemaError, UndefinedFunction, UndefinedTable):
            schema.forget(query)
            await fallback(query, max_age, limit)

    return prune


async def _prune_jobs(query: Query, max_age: int, limit: int) -> int:
    return await transactions.run(query, lambda store: store.prune_jobs(max_age, limit))


async def _prune_workflows(query: Query, max_age: int, limit: int) -> int:
    """Remove workflows until there is none left or the limit is reached; finish what was begun."""
    batch = min(limit, BATCH)
    pruned = 0

    while True:
        jobs, roots, partial = await transactions.run(
            query, lambda store: store.prune_workflows(max_age, batch)
        )
        pruned += jobs

        if not partial and (roots == 0 or pruned >= limit):
            return pruned
