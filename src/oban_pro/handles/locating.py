"""Finding members of a stored workflow by name or path."""

from __future__ import annotations

from collections import defaultdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from oban_pro.errors import InvalidArgumentError, UnknownNameError, UnknownWorkflowError
from oban_pro.model.paths import is_path, join_path, split_path
from oban_pro.model.status import paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oban_pro.engine.store import Store

type Parts = dict[str, list[str] | None]
"""The members that a call is about: names by workflow id; None for the whole workflow."""


class Located(NamedTuple):
    """A member, and the path to it.

    Args:
        workflow_id: Of the workflow that it is in.
        name: Its name there.
        groups: The names of the groups on the way.
    """

    workflow_id: str
    name: str
    groups: tuple[str, ...] = ()


def check_names(names: Iterable[str] | None) -> list[str] | None:
    """Return names or paths as a list, each once; None for all.

    Raises:
        InvalidArgumentError: If they are neither a name nor an iterable of names.
    """
    if names is None:
        return None

    try:
        listed = [names] if isinstance(names, str) else [*dict.fromkeys(names)]
    except TypeError:
        listed = [names]  # type: ignore[list-item]

    for name in listed:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"names must be names or paths, got {name!r}")

    return listed


async def find(store: Store, workflow_id: str, names: Sequence[str]) -> dict[str, Located]:
    """Look members up by name or path; returns those that exist."""
    paths = {name: split_path(name) for name in names if _can_be_stored(name)}

    if not paths:
        return {}

    numbered = [*paths.items()]
    asked = [{"n": n, "path": path, "parts": parts} for n, (path, parts) in enumerate(numbered)]
    found: dict[str, Located] = {}

    for number, owner, name in await store.locate(workflow_id, asked):
        path, parts = numbered[number]
        is_at_top = (owner, name) == (workflow_id, path)
        found[path] = Located(owner, name, () if is_at_top else parts[:-1])

    return found


async def find_beyond(store: Store, workflow_id: str, names: Sequence[str]) -> dict[str, Located]:
    """Look up the names that may be paths; all other names are taken as they are."""
    paths = [name for name in names if is_path(name)]

    return {
        path: located
        for path, located in (await find(store, workflow_id, paths)).items()
        if (located.workflow_id, located.name) != (workflow_id, path)
    }


async def require(store: Store, workflow_id: str, names: Sequence[str] | None) -> Parts:
    """Look up all members that a call is about.

    Args:
        store: Statements.
        workflow_id: The workflow that the call is for.
        names: Names or paths of members; None for all of it.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If one of the names does not exist, with the closest one.
    """
    if not names:
        await require_workflow(store, workflow_id)

        return {workflow_id: None} if names is None else {}

    found = await find(store, workflow_id, names)

    if missing := [name for name in names if name not in found]:
        await _raise_unknown(store, workflow_id, missing[0])

    return {**by_workflow(found.values())}


def by_workflow(found: Iterable[Located]) -> dict[str, list[str]]:
    """Return the names of members by the id of the workflow that they are in, each once."""
    names: defaultdict[str, list[str]] = defaultdict(list)

    for located in found:
        if located.name not in names[located.workflow_id]:
            names[located.workflow_id].append(located.name)

    return dict(names)


async def require_one(store: Store, workflow_id: str, name: str) -> Located:
    """Look a member up.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is no such member, with the closest one.
    """
    found = await find(store, workflow_id, [name])

    if name not in found:
        await _raise_unknown(store, workflow_id, name)

    return found[name]


async def require_workflow(store: Store, workflow_id: str) -> None:
    """Raise unless there is a workflow with an id.

    Raises:
        UnknownWorkflowError: If there is none.
    """
    if await store.group(workflow_id) is None:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r}")


async def _raise_unknown(store: Store, workflow_id: str, path: str) -> None:
    groups = await store.status(workflow_id)

    if not groups:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r}")

    known = [
        prefix + join_path([member.name])
        for group, prefix in paths_of(groups)
        if group.kind != "graft" and path.startswith(prefix)
        for member in await store.members(group.key)
    ]
    close = get_close_matches(path, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""

    raise UnknownNameError(f"there is nothing named {path!r} in workflow {workflow_id!r}{hint}")


def _can_be_stored(name: str) -> bool:
    """Tell whether PostgreSQL can store a text; otherwise no member has it as its name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False

    return "\0" not in name
