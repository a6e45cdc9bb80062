"""Loading what a cascade with lazy results receives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from oban_pro.model import meta
from oban_pro.values import codec
from oban_pro.values.context import Context
from oban_pro.values.lazy import LazyResults
from oban_pro.values.recorded import ABSENT, Absent, failures_of, read, read_turn

from .session import session_for
from .stream_statements import RecordedRow
from .streaming import find_item, recorded_rows, values_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from oban import Job

    from oban_pro.values.lazy import Entry

    from .context_statements import LazyContextData
    from .session import Session
    from .store import Store
    from .stream_statements import Member

GROUPS = 1_000
"""How many nested groups one statement looks for."""


async def lazy_context_of(job: Job) -> Context:
    """Return what a running cascade receives, with the results of groups as `LazyResults`.

    Args:
        job: A job that was fetched from the database.

    Raises:
        CodecError: If a stored value cannot be decoded, naming the job that recorded it.
    """
    session = session_for(job)
    data = await session.read(partial(_read, job=job.id or 0))
    values: dict[str, Any] = {}
    results: dict[str, Any] = {}

    for context in data.contexts:
        values |= codec.from_json(orjson.loads(context))

    for source in data.sources:
        if source.error is not None:
            continue

        if source.kind == "job":
            results[source.name] = await read(source.name, source.value or "")
        elif source.parent is None:
            results[source.name] = LazyResults(source.name, _Stored(session, source.id))

    spelled = [dep if isinstance(dep, str) else dep[1] for dep in job.meta.get(meta.DEPS, [])]
    deps = [*dict.fromkeys([*(name for name in spelled if name != meta.ALL_JOBS), *results])]
    failures = failures_of(data.sources)

    values |= await read_turn(job)

    return Context(values, results, job.meta.get(meta.NAME, ""), deps, failures=failures)


class _Stored:
    """The results of a group that is in the database."""

    def __init__(self, session: Session[Store], key: int) -> None:
        self._session = session
        self._key = key

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield what each member recorded, by name."""
        async for row in recorded_rows(self._session, self._key, deep=False):
            for path, value in await values_of(row):
                yield path[-1], value

        groups: Sequence[Member] = ()

        while True:
            before = groups[-1].id if groups else 0
            groups = await self._session.read(partial(self._groups, before=before))

            for group in groups:
                yield group.name, LazyResults(group.name, _Stored(self._session, group.id))

            if len(groups) < GROUPS:
                return

    async def find(self, name: str) -> Any:
        """Return what one member recorded, or `ABSENT`."""
        found = await self._session.read(partial(self._find, name=name))

        if not isinstance(found, RecordedRow):
            return found

        values = {path[-1]: value for path, value in await values_of(found)}

        return values.get(name, ABSENT)

    async def _groups(self, store: Store, before: int) -> list[Member]:
        return await store.part_members(self._key, None, before, GROUPS)

    async def _find(self, store: Store, name: str) -> LazyResults | RecordedRow | Absent:
        found = await store.part_members(self._key, name, 0, 1)
        rows: list[RecordedRow] = []

        for member in found:
            if member.id < 0:
                return LazyResults(name, _Stored(self._session, member.id))

            rows = await store.recorded_page([(member.id, member.id)], 1)

        if not found:
            return await find_item(store, self._key, name) or ABSENT

        return next((row for row in rows if row.value is not None), ABSENT)


async def _read(store: Store, job: int) -> LazyContextData:
    return await store.lazy_context(job)
