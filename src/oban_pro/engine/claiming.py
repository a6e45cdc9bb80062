"""Insert root workflows that are unique by a key, each after claiming its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import Rollback

from oban_pro.errors import UniqueConflictError

from .existing import Existing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro.building.plan import Plan
    from oban_pro.building.uniqueness import Unique

    from .store import Store


async def insert_unique(
    store: Store, plan: Plan, unique: Unique, root: int, insert: Callable[[], Awaitable[bool]]
) -> Existing | None:
    """Insert a root that wants a key. If its id exists already, the key does not matter.

    Args:
        store: Statements within a transaction.
        plan: What is to be inserted.
        unique: The key that it wants.
        root: The number of the root in the table of groups.
        insert: Inserts the root, and tells whether its id was free.

    Returns:
        The workflow that is there instead; None where the root was inserted.

    Raises:
        UniqueConflictError: If another workflow holds the key and the policy of this one is to
            raise, or if too many workflows wait in line for the key.
    """
    while True:
        taken = await store.free_ids([plan.id])

        if plan.id in taken:
            return Existing(plan.id, taken[plan.id])

        async with store.savepoint():
            claim = await store.claim(root, unique)

            if claim.verdict in ("taken", "full"):
                return Existing(_judge(unique, claim.verdict, claim.workflow_id or ""))

            if await insert():
                count = await store.take_place(root, unique, claim.verdict)

                if claim.verdict == "replace":
                    plan.replaced = claim.workflow_id, count

                return None

            # Somebody has inserted the id since the check.
            raise Rollback


def _judge(unique: Unique, verdict: str, holder: str) -> str:
    if verdict == "full":
        raise UniqueConflictError(
            f"key {unique.key!r} is held by workflow {holder!r}, and as many as may wait in line"
            f" for it, {unique.max_queued}",
            holder,
        )

    if unique.mode == "raise":
        raise UniqueConflictError(f"key {unique.key!r} is held by workflow {holder!r}", holder)

    return holder
