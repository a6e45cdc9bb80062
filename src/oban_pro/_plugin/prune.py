"""``pruner.prune``: remove workflows as a whole, when all of one has settled and aged.

Jobs that are in no workflow go as they go with plain oban. A pass goes on until nothing is left
that has aged, in short transactions, so that pruning keeps up with any node.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from oban import telemetry

from oban_pro import _host
from oban_pro.engine.session import session_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro._host import Query
    from oban_pro.engine.results import Pruned
    from oban_pro.engine.store import Store

type Prune = Callable[[Query, int, int], Awaitable[None]]
type BuildPruner = Callable[..., Any]

BATCH = 5_000
"""The most jobs that one transaction removes, so that none takes long."""

MAX_PAUSE = 1.0
"""Seconds between two transactions at most; a pause is as long as the transaction before took."""

WHOLE = 3_600.0
"""Seconds after which a pass begins with the oldest jobs again, not where the last one ended."""

START: dict[str, str] = {}

# A pruner holds its query.
_pruners: WeakKeyDictionary[Query, ref[_host.Pruner]] = WeakKeyDictionary()

# Where the next pass begins, and until when on the monotonic clock that holds.
_starts: WeakKeyDictionary[Query, tuple[dict[str, str], float]] = WeakKeyDictionary()


def build_pruner(fallback: BuildPruner) -> BuildPruner:
    """Build the hook that remembers the pruner of an instance, in front of another one."""

    def build(config: dict[str, Any], **parts: Any) -> Any:
        pruner = fallback(config, **parts)

        if isinstance(pruner, _host.Pruner):
            _pruners[parts["query"]] = ref(pruner)

        return pruner

    return build


def build(fallback: Prune) -> Prune:
    """Build the hook in front of another one, which serves databases without our tables."""

    async def prune(query: Query, max_age: int, limit: int) -> None:
        async def ours() -> None:
            with telemetry.span("oban.pruner.prune", {}) as context:
                context.add({"pruned_count": await _prune(query, max_age, limit)})

        await session_of(query).or_else(ours, lambda: fallback(query, max_age, limit))

    return prune


async def _prune(query: Query, max_age: int, limit: int) -> int:
    """Remove all that has aged, as long as this node is the leader and not told to stop.

    Aged jobs of workflows that are kept stay, and may be very many. So a pass passes over plain
    jobs that settled before those that the last one has looked at; what came late, or was held by
    somebody, goes within the hour.
    """
    session = session_of(query)
    first, whole_at = _starts.get(query, (START, 0.0))

    if time.monotonic() >= whole_at:
        first, whole_at = START, time.monotonic() + WHOLE

    start, pruned, seen = json.dumps(first), 0, ""

    async def prune(store: Store) -> Pruned:
        return await store.prune(max_age, min(limit, BATCH), start)

    while _may_prune(query):
        began = time.monotonic()
        batch = await session.execute(prune)
        pruned += batch.jobs
        seen = seen or batch.before
        await asyncio.sleep(min(time.monotonic() - began, MAX_PAUSE))

        if batch.next is None:
            _starts[query] = ({"since": seen}, whole_at)
            break

        start = batch.next

    return pruned


def _may_prune(query: Query) -> bool:
    remembered = _pruners.get(query)
    pruner = None if remembered is None else remembered()

    return pruner is None or _host.may_prune(pruner)
