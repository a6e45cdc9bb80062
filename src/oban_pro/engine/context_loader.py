"""Loading what cascades receive.

The contexts of jobs that start together are read together, in one round trip. What all entry jobs
of a fan-out share is read once on a node, and read again only when it has changed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import orjson

from oban_pro import _host
from oban_pro.gc_pause import uncollected
from oban_pro.model import meta
from oban_pro.model.turns import AGAIN
from oban_pro.values import codec
from oban_pro.values.context import Context
from oban_pro.values.recorded import (
    Source,
    decode_sources,
    failures_of,
    going_on,
    lists_among,
    nest,
    size_of,
)

from .session import query_for, session_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oban import Job

# Decoding more characters than this would block the event loop, so a thread does it.
DECODE_IN_PLACE = 500_000

# Decoding fewer characters than this makes too few objects to pause the garbage collector for.
COLLECTED = 1_000

_loaders: WeakKeyDictionary[_host.Query, _Loader] = WeakKeyDictionary()


async def context_of(job: Job) -> Context:
    """Return what a running cascade receives.

    Args:
        job: A job that was fetched from the database.

    Raises:
        CodecError: If a stored value cannot be decoded, naming the job that recorded it.
    """
    query = query_for(job)
    parts = await _loader_for(query).load(job)
    size = parts.size + _length(job.meta.get(AGAIN))

    if size > DECODE_IN_PLACE:
        return await asyncio.to_thread(_build, job, parts)

    if size < COLLECTED:
        return _build(job, parts)

    with uncollected():
        return _build(job, parts)


def _loader_for(query: _host.Query) -> _Loader:
    """Return what gathers the jobs of one event loop."""
    if not _host.is_home(query):
        return _Loader()

    loader = _loaders.get(query)

    if loader is None:
        loader = _loaders[query] = _Loader()

    return loader


def _build(job: Job, parts: _Parts) -> Context:
    results: dict[str, Any] = {}
    lists: set[str] = set()
    failures: dict[str, dict[str, str]] = {}

    if parts.own:
        own = [*decode_sources(parts.own)]
        results, lists, failures = nest(own), lists_among(own), failures_of(parts.own)

    if parts.is_gated:
        shared, shared_lists = parts.shared.results
        results |= codec.copy_of(shared)
        lists |= shared_lists
        failures |= parts.shared.failures

    # Jobs by name, whether or not they recorded anything; groups are among the results.
    spelled = [dep if isinstance(dep, str) else dep[1] for dep in job.meta.get(meta.DEPS, [])]
    deps = [*dict.fromkeys([*(name for name in spelled if name != meta.ALL_JOBS), *results])]

    values = codec.copy_of(parts.shared.values) | going_on(job)

    return Context(values, results, job.meta.get(meta.NAME, ""), deps, lists, failures=failures)


class _Shared:
    """What the jobs of one group have in common, decoded once for all of them.

    Args:
        version: Another one for other results; None while the results may change at any time.
        sources: Contexts, root first, and what the gate of the group depends on.
    """

    def __init__(self, version: str | None, sources: list[Source]) -> None:
        self.version = version
        self.size = _size(sources)
        self._sources = sources

    def covers(self, version: str | None) -> bool:
        """Tell whether this includes what has a version, as the statement tells it."""
        return version is not None and (self.version or "").startswith(version)

    @cached_property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}

        for source in self._sources:
            if source.kind == "context":
                values |= codec.from_json(orjson.loads(source.value or "{}"))

        return values

    @cached_property
    def failures(self) -> dict[str, dict[str, str]]:
        return failures_of(self._sources)

    @cached_property
    def results(self) -> tuple[dict[str, Any], set[str]]:
        """The results by name, and the names of those that are mapped over a list."""
        recorded = [*decode_sources(self._sources)]

        return nest(recorded), lists_among(recorded)


class _Parts(NamedTuple):
    """The parts of one job's context. Results in ``shared`` belong to it only if it is gated."""

    shared: _Shared
    is_gated: bool
    own: list[Source]

    @property
    def size(self) -> int:
        return self.shared.size + _size(self.own)


def _size(sources: Iterable[Source]) -> int:
    return sum(_length(source.value) for source in sources)


def _length(encoded: Any) -> int:
    """Return how much there is to decode; of what is in a store never so little as to block."""
    if encoded is None:
        return 0

    if not codec.may_refer(encoded):
        return len(str(encoded or ""))

    return max(size_of(encoded), DECODE_IN_PLACE + 1)


class _Loader:
    """Reads the contexts of all jobs that ask within one turn of the event loop together."""

    def __init__(self) -> None:
        self._cache = _Cache()
        self._asking: list[tuple[Job, asyncio.Future[_Parts]]] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def load(self, job: Job) -> _Parts:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Parts] = loop.create_future()

        if not self._asking:
            loop.call_soon(self._start)

        self._asking.append((job, future))

        return await future

    def _start(self) -> None:
        asking, self._asking = self._asking, []
        task = asyncio.get_running_loop().create_task(self._answer(asking))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _answer(self, asking: list[tuple[Job, asyncio.Future[_Parts]]]) -> None:
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

    async def _read(self, jobs: list[Job]) -> list[_Parts]:
        workflow_ids = [meta.workflow_id(job) or "" for job in jobs]
        kept = self._cache.get(workflow_ids)
        known = {key: shared.version for key, shared in kept.items() if shared.version}

        ids = [job.id or 0 for job in jobs]
        sources = await session_for(jobs[0]).read(lambda store: store.contexts(ids, known))

        by_reader: dict[int, list[Source]] = defaultdict(list)
        places: dict[int, Source] = {}

        for source in sources:
            if source.kind in ("reader", "shared"):
                places[source.reader] = source
            else:
                by_reader[source.reader].append(source)

        for key, place in places.items():
            if key < 0 and not (key in kept and kept[key].covers(place.value)):
                kept[key] = _Shared(place.value, by_reader[key])

        answers = []

        for job, workflow_id in zip(jobs, workflow_ids, strict=True):
            # A job whose workflow was removed has no place.
            place = places.get(job.id or 0, NOWHERE)
            shared = kept.get(place.id, NOTHING)
            self._cache.put(workflow_id, place.id, shared)
            answers.append(_Parts(shared, place.value is not None, by_reader[job.id or 0]))

        return answers


NOWHERE = Source(0, 0, None, "", "reader", None)
NOTHING = _Shared(None, [])


class _Cache:
    """Keeps what the jobs of a workflow share, for its jobs that run later on this node.

    Args:
        limit: The most characters to keep in all; the entry that was used longest ago goes first.
    """

    def __init__(self, limit: int = 64_000_000) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[int, _Shared]] = OrderedDict()

    def get(self, workflow_ids: Iterable[str]) -> dict[int, _Shared]:
        """Return what is kept of some workflows, by the keys of their groups."""
        return dict(self._kept[one] for one in set(workflow_ids) if one in self._kept)

    def put(self, workflow_id: str, key: int, shared: _Shared) -> None:
        """Keep what the jobs of a workflow share in place of what was kept before."""
        if workflow_id in self._kept:
            self._drop(workflow_id)

        if shared.version is not None:
            self._kept[workflow_id] = (key, shared)
            self._size += shared.size + ENTRY_SIZE

        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, workflow_id: str) -> None:
        _, shared = self._kept.pop(workflow_id)
        self._size -= shared.size + ENTRY_SIZE


# An entry takes memory even if nothing is shared.
ENTRY_SIZE = 500
