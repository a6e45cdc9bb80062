"""Tell how long the jobs of a workflow took, and those of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oban_pro.building.plan import JUDGE_NAME
from oban_pro.engine.session import session_for
from oban_pro.errors import UnknownWorkflowError
from oban_pro.model.paths import join_path
from oban_pro.model.status import paths_of
from oban_pro.model.timing import Timing

if TYPE_CHECKING:
    from oban_pro.engine.session import Place
    from oban_pro.engine.store import Store

PAGE = 1_000
"""How many jobs are read at once."""


async def timings(place: Place, workflow_id: str, compare: str | None) -> dict[str, Timing]:
    """Return by path how long jobs took, beside those of another workflow.

    Raises:
        UnknownWorkflowError: If one of the workflows is not in the database.
    """
    session = session_for(place)
    own = await session.read(lambda store: read_timings(store, workflow_id))

    if compare is None:
        return own

    others = await session.read(lambda store: read_timings(store, compare))

    return {
        path: replace(own.get(path) or Timing(path), other=others.get(path))
        for path in own | others
    }


async def read_timings(store: Store, workflow_id: str) -> dict[str, Timing]:
    """Return by path how long the jobs of a workflow took.

    Raises:
        UnknownWorkflowError: If it is not in the database.
    """
    groups = await store.status(workflow_id)

    if not groups:
        raise UnknownWorkflowError(f"there is no workflow {workflow_id!r}")

    left = paths_of(groups)
    after = ""
    found: dict[str, Timing] = {}

    while left:
        rows = await store.timings([group.key for group, _ in left], after, PAGE)

        for times in rows:
            group, prefix = left[times.group - 1]
            # a grafter goes by the name of its graft
            is_grafter = group.kind == "graft" and times.name != JUDGE_NAME
            path = prefix.removesuffix("/") if is_grafter else prefix + join_path([times.name])
            found[path] = times.timing(path)

        if len(rows) < PAGE:
            break

        after = rows[-1].name
        left = left[rows[-1].group - 1 :]

    return found
