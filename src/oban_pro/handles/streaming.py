"""Reading results page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from oban_pro.engine.session import session_for
from oban_pro.engine.streaming import find_item, item_of, recorded_rows, values_of
from oban_pro.model.paths import join_path, split_path

from . import locating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from oban_pro.engine.session import Place, Session
    from oban_pro.engine.store import Store
    from oban_pro.engine.stream_statements import RecordedRow


async def stream_recorded(
    place: Place, workflow_id: str, path: str | None
) -> AsyncIterator[tuple[str, Any]]:
    """Yield what the jobs of a workflow, or of a part of it, have recorded, in order of id."""
    session = session_for(place)
    part = await session.read(partial(_part, workflow_id=workflow_id, path=path))

    if part is not None:
        async for row in recorded_rows(session, part, deep=True):
            for names, value in await values_of(row):
                yield join_path(names), value
    elif item := await read_item(session, workflow_id, path or ""):
        yield join_path(item[0]), item[1]


async def read_item(
    session: Session[Store], workflow_id: str, path: str
) -> tuple[Sequence[str], Any] | None:
    """Return the path and the result of one item of a batch; None if no batch has that item."""
    *names, item = split_path(path)

    async def find(store: Store) -> RecordedRow | None:
        part = await _part(store, workflow_id, join_path(names)) if names else None

        return await find_item(store, part, item) if part is not None and part < 0 else None

    return await item_of(await session.read(find), item)


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
