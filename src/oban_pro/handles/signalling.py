"""Signals, which are sent to waits of workflows and to jobs that call `await_signal`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from oban_pro import telemetry
from oban_pro.building.names import check_text
from oban_pro.building.waits import chosen_by, encode_payload
from oban_pro.engine.callers import unwrap
from oban_pro.engine.session import session_for
from oban_pro.errors import InvalidArgumentError
from oban_pro.values.recorded import read

from . import payloads
from .refusals import naming
from .steering import check_told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from psycopg import AsyncConnection

    from oban_pro.engine.results import Sent
    from oban_pro.engine.session import Place, Session
    from oban_pro.engine.store import Store


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that came for a wait.

    Args:
        payload: What it carries.
        by: Who sent it, or None.
        at: When it came.
        taken: When a wait completed by it, or a job got it; None if neither has happened.
    """

    payload: Any
    by: str | None
    at: datetime
    taken: datetime | None


async def send(
    place: Place,
    workflow_id: str,
    path: str,
    payload: object,
    *,
    name: str | None,
    by: str | None,
    conn: Any,
) -> int:
    """Send a signal to the waits at a path; returns how many took it."""
    sent = encode_sent(path, payload, name, by)
    session, caller = session_for(place), await unwrap(conn)

    async def send_it(each: list[Sent]) -> int:
        (sent,) = each

        return await _run(session, lambda store: store.signal(workflow_id, path, sent), caller)

    find = partial(payloads.owner_at, workflow_id=workflow_id, path=path)

    async with naming(session, workflow_id, path):
        count = await payloads.send_kept(session, caller, sent, find, send_it)

    if count:
        tell("signalled", workflow_id, path, by)

    return count


async def signal(
    job: int | Iterable[int],
    payload: object = None,
    *,
    name: str | None = None,
    by: str | None = None,
    conn: Any = None,
    oban: str = "Oban",
) -> int:
    """Send a signal to a job, of a workflow or not, for its calls of `await_signal`.

    Signals that come before the call are kept. A job that is parked in the call becomes available
    when the sender commits.

    Args:
        job: The id of the job, or several ids.
        payload: What the call returns; anything that a cascade may return.
        name: Of the calls that it is for; by default of those without a name.
        by: Who sends it.
        conn: A connection whose transaction to use, as for `Oban.enqueue_many`.
        oban: The name of the Oban instance.

    Returns:
        How many jobs took it: none that has settled.

    Raises:
        UnknownJobError: If there is no such job. Of several ids, an unknown one counts as 0.
        InvalidArgumentError: If a job is no id.
        InvalidSignalError: If the job is a wait, and the payload is none of its choices.

    Example:
        >>> await signal(job.id, {"decision": "yes"}, by="ada")
        1
    """
    return await send_to_jobs(oban, job, payload, name=name, by=by, conn=conn)


async def send_to_jobs(
    place: Place,
    job: int | Iterable[int],
    payload: object,
    *,
    name: str | None,
    by: str | None,
    conn: Any = None,
) -> int:
    """Send a signal to a job, or to several; returns how many took it."""
    given: object = job
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    ids: list[Any] = [*given] if is_list else [given]  # type: ignore[misc]

    for one in ids:
        if isinstance(one, bool) or not isinstance(one, int):
            raise InvalidArgumentError(f"job must be the id of a job, got {one!r}")

    sent = encode_sent("the job", payload, name, by)
    session, caller = session_for(place), await unwrap(conn)

    async def send_it(each: list[Sent]) -> int:
        parts = [ids] if len(each) == 1 else [[one] for one in ids]

        async def body(store: Store) -> int:
            strict = not is_list
            both = zip(parts, each, strict=True)

            return sum([await store.signal_jobs(*one, is_strict=strict) for one in both])

        if len(parts) == 1:
            return await _run(session, body, caller)

        return await session.transact(body, caller)

    find = partial(payloads.owners_of, job_ids=ids)

    async with naming(session):
        return await payloads.send_kept(session, caller, sent, find, send_it)


async def reject(
    place: Place, workflow_id: str, path: str, reason: str | None, *, by: str | None, conn: Any
) -> int:
    """Refuse the waits at a path; returns how many it cancelled."""
    check_told(reason, by)
    session, caller = session_for(place), await unwrap(conn)

    async def body(store: Store) -> int:
        return await store.reject(workflow_id, path, reason, by)

    async with naming(session, workflow_id, path):
        count = await _run(session, body, caller)

    if count:
        tell("rejected", workflow_id, path, by)

    return count


async def signals(place: Place, workflow_id: str, path: str) -> list[Signal]:
    """Return the signals that came for the job at a path, in the order of their arrival."""
    async with session_for(place).connect() as store:
        rows = await store.signals(workflow_id, path)

    return [Signal(await read(path, text), by, at, taken) for text, by, at, taken in rows]


def tell(what: str, workflow_id: str, path: str, by: str | None) -> None:
    """Tell telemetry that a wait was ``"signalled"`` or ``"rejected"``."""
    metadata = {"workflow_id": workflow_id, "path": path, "by": by}
    telemetry.execute(f"oban.workflow.{what}", metadata)


async def _run(
    session: Session[Store],
    body: Callable[[Store], Awaitable[int]],
    caller: AsyncConnection[Any] | None,
) -> int:
    """Run one statement, which commits by itself or is part of the caller's transaction."""
    return await (session.execute(body) if caller is None else session.transact(body, caller))


def encode_sent(owner: str, payload: object, name: str | None, by: str | None) -> Sent:
    """Check and encode what is sent with a signal.

    Args:
        owner: What errors call the receiver.
        payload: What it carries.
        name: Name of the calls of `await_signal` that it is for, if any.
        by: Who sends it, if anybody says so.

    Raises:
        UnsupportedTypeError: If a part of the payload is of a type that cannot be stored.
    """
    if name is not None:
        check_text(name, "name of a signal")

    if by is not None:
        check_text(by, "by")

    encoded = encode_payload(f"payload for {owner!r}", payload)

    return {"payload": encoded, "choice": chosen_by(payload), "sender": by, "name": name}
