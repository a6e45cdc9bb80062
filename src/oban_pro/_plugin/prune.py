"""``pruner.prune``: remove a workflow as a whole, once all of it has settled and aged.

Jobs that are in no workflow are removed as plain oban removes them. A pass runs short transactions
until nothing aged is left, so that pruning keeps up with any load.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from oban import telemetry

from oban_pro import _host, stores
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
"""The longest pause between two transactions; a pause lasts as long as the last transaction."""

WHOLE = 3_600.0
"""Seconds after which a pass starts from the oldest jobs again, not where the last one ended."""

START: dict[str, str] = {}

# A pruner holds its query.
_pruners: WeakKeyDictionary[Query, ref[_host.Pruner]] = WeakKeyDictionary()

# Where the next pass begins, and until when on the monotonic clock that is valid.
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
    """Remove everything that has aged, while this node is the leader and not stopping.

    Workflows that are kept may hold very many aged jobs. So a pass skips the jobs that settled
    before the point where the last pass ended. Plain jobs that settled late, or that somebody had
    locked, are removed within the hour.
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

        if batch.stored:
            # never before the commit: a row must not refer to what is gone
            await stores.in_thread(stores.delete_workflows, batch.stored)

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
