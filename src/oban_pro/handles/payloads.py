"""Payloads of signals that are too large for their rows, in the store of the workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import DatabaseError

from oban_pro import stores
from oban_pro.values.recorded import is_large, keep_at

from . import locating
from .refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from psycopg import AsyncConnection

    from oban_pro.engine.results import Sent
    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store


class Owner(NamedTuple):
    """Whose object a payload is: the store, the id of the workflow and that of the job."""

    store: str
    workflow_id: str
    job_id: int


type Find = Callable[[Store], Awaitable[Sequence[Owner | None]]]
"""Finds the owners of payloads, one for each receiver; None for a receiver without a store."""


async def send_kept(
    session: Session[Store],
    caller: AsyncConnection[Any] | None,
    sent: Sent,
    find: Find,
    send: Callable[[list[Sent]], Awaitable[int]],
) -> int:
    """Send a signal, with references in the place of a payload that is too large for a row.

    Args:
        session: How to reach the database.
        caller: A connection whose transaction is used.
        sent: What to send.
        find: Finds the owners of the payload.
        send: Sends one for all receivers, or one for each; returns how many took it.
    """
    owners: Sequence[Owner | None] = ()

    if is_large(sent["payload"]):
        owners = await (session.read(find) if caller is None else session.transact(find, caller))

    if not any(owners):
        return await send([sent])

    urls = [owner and f"{stores.folder(*owner)}/{stores.signal_name()}" for owner in owners]
    each: list[Sent] = []

    for url in urls:
        kept = await stores.in_thread(keep_at, url, sent["payload"]) if url else sent["payload"]
        each.append({**sent, "payload": kept})

    try:
        count = await send(each)
    except DatabaseError as error:
        # after any other error the signal may have been committed, and refer to these objects
        if is_refusal(error):
            await stores.in_thread(stores.delete, filter(None, urls))

        raise

    if not count:
        await stores.in_thread(stores.delete, filter(None, urls))

    return count


async def owner_at(store: Store, *, workflow_id: str, path: str) -> list[Owner | None]:
    """Find the owner of a payload that is for what is at a path.

    One that is for all waits in a group belongs to one of its jobs, and goes with the workflow.
    """
    located = (await locating.find(store, workflow_id, [path])).get(path)
    group = located and await store.group(located.workflow_id)

    if located is None or group is None:
        return []

    members = await store.members(group.key, [located.name])

    while members and (inner := members[0].workflow_id) is not None:
        group = await store.group(inner) or group
        members = sorted(await store.members(group.key), key=lambda one: one.kind != "job")

    if not members or group.store is None:
        return [None]

    return [Owner(group.store, group.id, members[0].id)]


async def owners_of(store: Store, *, job_ids: Sequence[int]) -> list[Owner | None]:
    """Find the owners of payloads that are for some jobs."""
    found = {one.id: one for one in await store.job_stores(job_ids)}

    return [
        Owner(found[id].store, found[id].workflow_id, id) if id in found else None for id in job_ids
    ]
