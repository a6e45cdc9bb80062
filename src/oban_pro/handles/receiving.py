"""Waiting for one job of a workflow, and for what it records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.engine.session import session_for
from oban_pro.errors import CascadeError, InvalidArgumentError, JobFailedError
from oban_pro.model.paths import join_path
from oban_pro.values.context import listed
from oban_pro.values.placeholder import Placeholder, Wire, owner_of, wire_of
from oban_pro.values.recorded import lists_among, nest, read_sources

from . import locating
from .waiting import until_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.engine.session import Place, Session
    from oban_pro.engine.store import Store
    from oban_pro.values.recorded import Source

FIRST_PAUSE = 0.05
"""Seconds until the second look. Notifications tell of workflows, not of single jobs."""

OPEN = frozenset({"available", "executing", "retryable", "scheduled", "suspended"})
FAILED = frozenset({"cancelled", "deleted", "discarded"})


class _Outcome(NamedTuple):
    """How a member has settled: what it and those in it recorded, or what it failed with."""

    state: str
    name: str = ""
    recorded: Sequence[Source] = ()
    error: str | None = None


async def result(
    place: Place,
    workflow_id: str,
    of: object,
    timeout: float | None,  # noqa: ASYNC109
) -> Any:
    """Return what a member of a workflow has recorded, once it has settled.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is no such member.
        JobFailedError: If it was cancelled or discarded.
        TimeoutError: If it has not settled in time.
    """
    wire = _wire(workflow_id, of)
    path = of if isinstance(of, str) else join_path(wire.path)
    session = session_for(place)
    look = _Look(session, workflow_id, path)
    what = f"{path!r} of workflow {workflow_id!r}"
    outcome = await until_there(session, workflow_id, what, look, timeout, first=FIRST_PAUSE)

    if outcome.state in FAILED:
        raise JobFailedError(path, outcome.state, outcome.error)

    recorded = await read_sources(outcome.recorded)
    is_list = outcome.name in lists_among(recorded)

    return _follow(wire, nest(recorded).get(outcome.name), is_list=is_list)


def _wire(workflow_id: str, of: object) -> Wire:
    if isinstance(of, Placeholder):
        if owner_of(of).id != workflow_id:
            raise InvalidArgumentError(
                f"result() of workflow {workflow_id!r} must take its own placeholders, or a path,"
                f" got {of!r} of {owner_of(of)!r}"
            )

        if wire_of(of).shape == "failed":
            raise InvalidArgumentError(
                f"result() must take what a job records, got {of!r}; outcome() has failures"
            )

        return wire_of(of)

    if not isinstance(of, str):
        raise InvalidArgumentError(f"result() must take a placeholder or a path, got {of!r}")

    return Wire((of,))


def _follow(wire: Wire, value: Any, *, is_list: bool) -> Any:
    if wire.shape == "list" or (wire.shape == "mapped" and is_list):
        value = listed(value)

    try:
        return wire.follow(value)
    except Exception as error:
        raise CascadeError(f"there must be {wire} in what was recorded, got {error!r}") from error


class _Look:
    """Looks whether a member has settled."""

    def __init__(self, session: Session[Store], workflow_id: str, path: str) -> None:
        self._session = session
        self._workflow_id = workflow_id
        self._path = path

    async def __call__(self) -> _Outcome | None:
        async with self._session.connect() as store:
            found = await locating.require_one(store, self._workflow_id, self._path)

            return await _outcome(store, found.workflow_id, found.name)


async def _outcome(store: Store, owner: str, name: str) -> _Outcome | None:
    group = await store.group(owner)
    found = [] if group is None else await store.members(group.key, [name])

    # Somebody is removing the workflow right now.
    if not found:
        return _Outcome("deleted")

    (member,) = found

    if member.state in OPEN:
        return None

    if member.state in FAILED:
        return _Outcome(member.state, error=await _error(store, owner, name, member.workflow_id))

    return _Outcome(member.state, name, await store.recorded(owner, [name]))


async def _error(store: Store, owner: str, name: str, group_id: str | None) -> str | None:
    if group_id is not None:
        lines = await store.tree(group_id, ["discarded", "cancelled"], 1)

        return lines[0].error if lines else None

    errors: list[Any] = [error for job in await store.jobs(owner, [name]) for error in job.errors]

    return str(errors[-1]["error"]) if errors else None
