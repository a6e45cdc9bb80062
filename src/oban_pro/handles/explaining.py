"""Finding out why a job waits, or what broke it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oban_pro.engine.session import session_for
from oban_pro.model.explanation import Explanation

from . import locating

if TYPE_CHECKING:
    from oban_pro.engine.session import Place
    from oban_pro.engine.store import Store


async def explain(place: Place, workflow_id: str, name: str) -> Explanation:
    """Explain the state of a job or nested workflow.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If nothing in it has that name.
    """
    async with session_for(place).connect() as store:
        return await explain_in(store, workflow_id, name)


async def explain_in(store: Store, workflow_id: str, name: str) -> Explanation:
    """Explain the state of a job or nested workflow, on a connection that is open."""
    chain = await store.chain(workflow_id, name)

    owner = workflow_id

    if not chain:
        owner, name, _ = await locating.require_one(store, workflow_id, name)
        chain = await store.chain(owner, name)

    deps = await store.dependencies(owner, name)

    return Explanation(
        workflow_id,
        datetime.now(UTC),
        tuple(chain),
        tuple(deps),
    )
