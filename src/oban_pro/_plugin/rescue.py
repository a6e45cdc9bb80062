"""``lifeline.rescue``: run the jobs of a dead node again, judged by its missing heartbeat.

oban's lifeline ticks once a minute, on the leader alone, and the leader may be what died. So every
node looks as well, each few seconds, from its stager; the database lets one of them do it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from oban import telemetry
from psycopg.errors import UndefinedFunction, UndefinedTable

from oban_pro import schema, transactions
from oban_pro.errors import SchemaError

from . import heartbeat, limbo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query

type Rescue = Callable[[Query, float], Awaitable[None]]

logger = logging.getLogger(__name__)

# When each instance looks next, on the monotonic clock.
_next: WeakKeyDictionary[Query, float] = WeakKeyDictionary()


def build(fallback: Rescue) -> Rescue:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def rescue(query: Query, rescue_after: float) -> None:
        try:
            await schema.ensure_query(query)

            with telemetry.span("oban.lifeline.rescue", {}) as context:
                context.add({"rescued_count": await _rescue(query, rescue_after)})
        except (SchemaError, UndefinedFunction, UndefinedTable):
            schema.forget(query)
            await fallback(query, rescue_after)

    return rescue


async def sweep(query: Query) -> None:
    """Rescue jobs of silent nodes, where it is time to look again."""
    now = time.monotonic()

    if now < _next.get(query, now):
        return

    _next[query] = now + heartbeat.patience_of(query) / 12

    try:
        await schema.ensure_query(query)
    except SchemaError:
        return

    if rescued := await _rescue(query):
        logger.info("Rescued %s jobs of producers without a heartbeat", rescued)

    if lost := await limbo.give_back(query):
        logger.info("Gave %s jobs back that never reached their producer", lost)


async def _rescue(query: Query, rescue_after: float | None = None) -> int:
    patience = max(heartbeat.DEFAULT, heartbeat.patience_of(query))

    return await transactions.run(query, lambda store: store.rescue(patience, rescue_after))
