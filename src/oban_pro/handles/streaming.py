"""Reading results page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from oban_pro.engine.session import session_for
from oban_pro.engine.streaming import recorded_rows
from oban_pro.model.paths import join_path
from oban_pro.values.recorded import decode

from . import locating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oban_pro.engine.session import Place
    from oban_pro.engine.store import Store


async def stream_recorded(
    place: Place, workflow_id: str, path: str | None
) -> AsyncIterator[tuple[str, Any]]:
    """Yield what the jobs of a workflow, or of a part of it, have recorded, in order of id."""
    session = session_for(place)
    part = await session.read(partial(_part, workflow_id=workflow_id, path=path))

    if part is None:
        return

    async for row in recorded_rows(session, part, deep=True):
        spelled = join_path(row.path)

        yield spelled, decode(spelled, row.value or "")


async def _part(store: Store, workflow_id: str, path: str | None) -> int | None:
    """Return the key of a workflow, or the id of what is at a path in it; None if nothing is."""
    if path is None:
        group = await store.group(workflow_id)

        return group and group.key

    located = (await locating.find(store, workflow_id, [path])).get(path)
    group = located and await store.group(located.workflow_id)

    if located is None or group is None:
        return None

    found = await store.members(group.key, [located.name])

    return found[0].id if found else None
