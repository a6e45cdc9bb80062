"""Loading what cascades receive.

Jobs that start together are read together, in one round trip. What all entry jobs of a fan-out
share is read once on a node, and not again while it stays the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from . import _host, codec, introspection, meta
from .context import Context
from .recorded import decode_nodes, nest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from oban import Job

    from .recorded import Source

type Known = dict[int, tuple[datetime | None, str]]

# Decoding more characters than this would hold up the event loop.
DECODE_IN_PLACE = 500_000

_loaders: WeakKeyDictionary[_host.Query, _Loader] = WeakKeyDictionary()


async def context_of(job: Job) -> Context:
    """Return what a running cascade receives.

    Args:
        job: A job that was fetched from the database.

    Raises:
        CodecError: If a stored value cannot be decoded, naming the job that recorded it.
    """
    query = introspection.query_for(job)
    sources = await _loaders.setdefault(query, _Loader()).load(job)

    if sum(len(source.value or "") for source in sources) > DECODE_IN_PLACE:
        return await asyncio.to_thread(_build, job, sources)

    return _build(job, sources)


def _build(job: Job, sources: Sequence[Source]) -> Context:
    values: dict[str, Any] = {}

    for source in sources:
        if source.kind == "context":
            values |= codec.from_json(orjson.loads(source.value or "{}"))

    results = nest(decode_nodes(sources))
    # Jobs by name, whether or not they recorded anything; groups are among the results.
    spelled = [dep if isinstance(dep, str) else dep[1] for dep in job.meta.get(meta.DEPS, [])]
    deps = [*dict.fromkeys([*(name for name in spelled if name != meta.ALL_JOBS), *results])]

    return Context(values | results, job.meta.get(meta.NAME, ""), deps)


class _Loader:
    """Reads for all jobs that ask within one turn of the event loop at once."""

    def __init__(self) -> None:
        self._shared = _Shared()
        self._asking: list[tuple[Job, asyncio.Future[list[Source]]]] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def load(self, job: Job) -> list[Source]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Source]] = loop.create_future()

        if not self._asking:
            loop.call_soon(self._start)

        self._asking.append((job, future))

        return await future

    def _start(self) -> None:
        asking, self._asking = self._asking, []
        task = asyncio.get_running_loop().create_task(self._answer(asking))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _answer(self, asking: list[tuple[Job, asyncio.Future[list[Source]]]]) -> None:
        try:
            answers = await self._read([job for job, _ in asking])
        except BaseException as error:
            for _, future in asking:
                if not future.done():
                    future.set_exception(error)

            if not isinstance(error, Exception):
                raise

            return

        for (_, future), answer in zip(asking, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _read(self, jobs: list[Job]) -> list[list[Source]]:
        workflow_ids = [meta.workflow_id(job) or "" for job in jobs]
        known = self._shared.known(workflow_ids)

        async with introspection.connect(jobs[0]) as store:
            sources = await store.contexts([job.id or 0 for job in jobs], known)

        by_reader: dict[int, list[Source]] = defaultdict(list)
        places: dict[int, Source] = {}

        for source in sources:
            if source.kind == "reader":
                places[source.reader] = source
            elif source.value is None and source.id in known:
                by_reader[source.reader].append(source._replace(value=known[source.id][1]))
            else:
                by_reader[source.reader].append(source)

        answers = []

        for job, workflow_id in zip(jobs, workflow_ids, strict=True):
            place = places.get(job.id or 0)
            shared = by_reader[place.id] if place else []
            self._shared.keep(workflow_id, shared)
            gated = place is not None and place.value is not None
            answers.append(
                [
                    *(source for source in shared if gated or source.kind == "context"),
                    *by_reader[job.id or 0],
                ]
            )

        return answers


class _Shared:
    """What all entry jobs of a workflow read, with the time each result was recorded.

    Args:
        limit: Characters to keep in all; what was used longest ago goes first.
    """

    def __init__(self, limit: int = 64_000_000) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, Known] = OrderedDict()

    def known(self, workflow_ids: Iterable[str]) -> Known:
        return {
            source_id: value
            for workflow_id in set(workflow_ids)
            for source_id, value in self._kept.get(workflow_id, {}).items()
        }

    def keep(self, workflow_id: str, sources: Iterable[Source]) -> None:
        known: Known = {
            source.id: (source.stamp, source.value)
            for source in sources
            if source.value is not None
        }
        self._size += _size(known) - _size(self._kept.pop(workflow_id, {}))
        self._kept[workflow_id] = known

        while self._size > self._limit:
            self._size -= _size(self._kept.popitem(last=False)[1])


def _size(known: Known) -> int:
    # An entry takes memory even where nothing is shared.
    return 200 + sum(len(value) for _, value in known.values()) if known else 0
