"""Objects in a store that nothing refers to any more, or that nothing ever did."""

from __future__ import annotations

from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from oban_pro import stores
from oban_pro.values.recorded import references_in

from .differences import LOST_OBJECT, UNREADABLE_STORE, Difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.stores import Found

    from .session import Session
    from .store import Store

JOBS_PER_STATEMENT = 1_000


async def lost_objects(
    session: Session[Store], workflow_id: str | None, store: str | None = None
) -> list[Difference]:
    """List objects that belong to nothing.

    A crash between the writing of an object and the ack of its job leaves one, and so does a crash
    after workflows were removed. Objects that an open job may still record are spared, and so are
    those that somebody who enqueues or signals wrote lately: that may not be committed yet.

    Args:
        session: How to reach the database.
        workflow_id: Only of the root that this workflow belongs to; None for all.
        store: A store to look at that no workflow may name.
    """
    named = await session.execute(partial(_named, workflow_id=workflow_id), kind="reader")
    wrong = []

    for url, id in dict.fromkeys([*named, *([] if store is None else [(store, None)])]):
        try:
            found = await stores.in_thread(stores.find, url, id)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            wrong.append(Difference(None, None, url, UNREADABLE_STORE, reason, None))
            continue

        for some in batched(found, JOBS_PER_STATEMENT):
            wrong += [
                Difference(None, None, one.url, LOST_OBJECT, None, None)
                for one in await _lost(session, some)
            ]

    return wrong


async def _named(store: Store, workflow_id: str | None) -> list[tuple[str, str | None]]:
    if workflow_id is None:
        return [(url, None) for url in await store.all_stores()]

    return [(one.store, one.workflow_id) for one in await store.stored_workflows(workflow_id)]


async def _lost(session: Session[Store], found: Sequence[Found]) -> list[Found]:
    """Return those of some objects that nothing refers to. They were listed before this looks."""
    ids = sorted({one.job for one in found})
    keepers = await session.execute(lambda store: store.keepers(ids), kind="reader")
    encoded = [value for keeper in keepers for value in keeper.values if value is not None]

    if any(one.is_from_outside for one in found):
        encoded += await session.execute(lambda store: store.signal_references(), kind="reader")

    kept = {reference.url for value in encoded for reference in references_in(value)}
    open_jobs = {keeper.id for keeper in keepers if keeper.is_open}
    lost = [one for one in found if one.url not in kept and one.job not in open_jobs]

    return [
        one
        for one in lost
        if not (one.is_from_outside and await stores.in_thread(stores.is_recent, one.url))
    ]
