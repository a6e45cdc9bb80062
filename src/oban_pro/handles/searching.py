"""Finding workflows, and doing one thing to each that is found."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from oban_pro import stores
from oban_pro.building.attributes import attributes_json, check_attributes
from oban_pro.building.names import check_text
from oban_pro.engine.search_statements import Filters
from oban_pro.engine.session import session_for
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    OpenWorkflowError,
    UnknownWorkflowError,
)
from oban_pro.model.durations import check_duration
from oban_pro.model.status import WorkflowState

from . import reading, steering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import timedelta

    from oban_pro.building.attributes import Attribute
    from oban_pro.engine.search_statements import Hit
    from oban_pro.engine.session import Place
    from oban_pro.engine.store import Store

type Act = Callable[[Place, str], Awaitable[bool]]
"""Changes a workflow, and tells whether it did."""


class FilterOptions(TypedDict, total=False):
    """Filters of a search for root workflows."""

    name: str
    state: WorkflowState
    attributes: Mapping[str, Attribute]
    since: datetime
    until: datetime


PAGE = 500
"""How many workflows one statement of a search reads."""

SETTLED = ("completed", "cancelled", "discarded")
FAILED = ("cancelled", "discarded")
OPEN = ("executing",)

_STATES = [one for one in get_args(WorkflowState.__value__) if one != "unknown"]


def check_filters(
    *,
    name: str | None = None,
    state: str | None = None,
    attributes: Mapping[str, Attribute] | None = None,
    since: Any = None,
    until: Any = None,
) -> Filters:
    """Check the filters of a search.

    Raises:
        InvalidArgumentError: If a filter has the wrong type, or a moment has no timezone.
        InvalidOptionError: If there is no such state.
    """
    if name is not None:
        check_text(name, "name")

    if state is not None and state not in _STATES:
        raise InvalidOptionError(f"state must be one of {', '.join(_STATES)}, got {state!r}")

    for option, moment in (("since", since), ("until", until)):
        if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
            raise InvalidArgumentError(
                f"{option} must be a datetime with a timezone, got {moment!r}"
            )

    checked = check_attributes(attributes)

    return Filters(
        name,
        None if state is None else [state],
        None if checked is None else attributes_json(checked),
        since,
        until,
    )


async def search(place: Place, filters: Filters) -> AsyncIterator[str]:
    """Yield the ids of the root workflows that are found, newest first.

    Workflows that are inserted during the search are not among them.
    """
    session = session_for(place)
    last: Hit | None = None

    while True:
        found = await session.read(partial(_page, filters=filters, after=last))

        for hit in found:
            yield hit.id

        if len(found) < PAGE:
            return

        last = found[-1]


async def _page(store: Store, filters: Filters, after: Hit | None) -> list[Hit]:
    return await store.search(filters, after, PAGE)


def narrow(filters: Filters, states: tuple[str, ...], *, everything: bool) -> Filters:
    """Restrict filters to the states that an operation applies to.

    Raises:
        InvalidArgumentError: If there is no filter, and ``everything`` is not set.
    """
    if not everything and filters == Filters():
        raise InvalidArgumentError(
            "a filter must be given: name, state, attributes, since or until; or everything=True"
        )

    given = states if filters.states is None else [one for one in filters.states if one in states]

    return filters._replace(states=list(given))


async def each(place: Place, filters: Filters, act: Act, *, dry_run: bool) -> AsyncIterator[str]:
    """Do something to each workflow that is found; yield the ids of those that it changed.

    A workflow that was removed since it was found is skipped.
    """
    async for id in search(place, filters):
        try:
            if dry_run or await act(place, id):
                yield id
        except UnknownWorkflowError:
            continue


async def cancel(place: Place, workflow_id: str, *, reason: str | None, by: str | None) -> bool:
    """Cancel a workflow; returns whether something was open."""
    session = session_for(place)

    return await steering.cancel_jobs(session, workflow_id, None, reason=reason, by=by) > 0


async def retry(place: Place, workflow_id: str) -> bool:
    """Retry a workflow; returns whether something runs again."""
    return await steering.retry_jobs(session_for(place), workflow_id, None, None) > 0


async def pause(place: Place, workflow_id: str, *, by: str | None) -> bool:
    """Pause a workflow; returns whether it was not paused."""
    if (await reading.status(place, workflow_id)).paused_at is not None:
        return False

    await steering.pause(session_for(place), workflow_id, None, by, None)

    return True


async def try_delete(place: Place, workflow_id: str) -> bool:
    """Remove a workflow if it has settled; returns whether it was removed."""
    return await _delete(place, workflow_id) == "deleted"


async def _delete(place: Place, workflow_id: str) -> str:
    """Remove a workflow if it has settled, then its objects; returns why not, or "deleted".

    In a transaction of the caller's, which may still be rolled back, the objects stay.
    """
    session = session_for(place)
    commits = session.commits_alone()
    done, stored = await session.execute(lambda store: store.delete(workflow_id))

    if done == "deleted" and stored and commits:
        await stores.in_thread(stores.delete_workflows, stored)

    return done


async def delete(place: Place, workflow_id: str) -> None:
    """Remove a workflow that has settled.

    Raises:
        UnknownWorkflowError: If there is none.
        OpenWorkflowError: If it is open, or an execution of it has not ended.
        InvalidArgumentError: If it is nested in another one.
    """
    done = await _delete(place, workflow_id)

    if done == "unknown":
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r}")
    if done == "nested":
        raise InvalidArgumentError(f"workflow {workflow_id!r} is part of another one; delete that")
    if done == "unended":
        raise OpenWorkflowError(
            f"an execution of workflow {workflow_id!r} has not ended; delete it afterwards"
        )
    if done == "open":
        raise OpenWorkflowError(f"workflow {workflow_id!r} is open; cancel it first")


async def keep(place: Place, workflow_id: str, until: datetime | timedelta | float | None) -> None:
    """Let the pruner pass over a workflow until a moment.

    Raises:
        UnknownWorkflowError: If there is no such root workflow.
        InvalidArgumentError: If ``until`` is neither a moment with a timezone nor a duration.
    """
    seconds = moment = None

    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise InvalidArgumentError(f"until must have a timezone, got {until!r}")
        moment = until
    elif until is not None:
        seconds = check_duration("until", until).total_seconds()

    kept = await session_for(place).execute(lambda store: store.keep(workflow_id, seconds, moment))

    if not kept:
        raise UnknownWorkflowError(f"there is no root workflow {workflow_id!r}")
