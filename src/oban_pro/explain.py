"""Finding out why a job waits, or what broke it."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from . import introspection
from .errors import UnknownNameError, UnknownWorkflowError
from .explanation import Explanation
from .status import paths_of

if TYPE_CHECKING:
    from .introspection import Place
    from .store import Store


async def explain(place: Place, workflow_id: str, name: str) -> Explanation:
    """Explain the state of a job or nested workflow.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If nothing in it has that name.
    """
    async with introspection.connect(place) as store:
        return await explain_in(store, workflow_id, name)


async def explain_in(store: Store, workflow_id: str, name: str) -> Explanation:
    """Explain the state of a job or nested workflow, on a connection that is open."""
    chain = await store.chain(workflow_id, name)

    owner = workflow_id

    if not chain:
        owner, name = await locate(store, workflow_id, name)
        chain = await store.chain(owner, name)

    deps = await store.explain(owner, name)

    return Explanation(
        workflow_id,
        datetime.now(UTC),
        tuple(chain),
        tuple(deps),
    )


async def locate(store: Store, workflow_id: str, path: str) -> tuple[str, str]:
    """Find a member by name, or by path from the workflow: ``"notify/email"``.

    Returns:
        The id of the workflow that holds it, and its name there.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is no such member, with the closest ones.
    """
    groups = await store.status(workflow_id)

    if not groups:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r}")

    known: list[str] = []

    for group, prefix in paths_of(groups):
        if not path.startswith(prefix):
            continue

        name = path.removeprefix(prefix)
        names = [member for _, member, *_ in await store.members(group.key)]

        if name in names:
            return group.id, name

        known += [prefix + member for member in names]

    close = get_close_matches(path, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UnknownNameError(f"there is nothing named {path!r} in workflow {workflow_id!r}{hint}")
