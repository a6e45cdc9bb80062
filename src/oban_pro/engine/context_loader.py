"""Loading what cascades receive.

The contexts of jobs that start together are read together, in one round trip. What all entry jobs
of a fan-out share is read once on a node, and read again only when it has changed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
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

from .context_statements import JobGroup, SharedVersions
from .session import query_for, session_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oban import Job

    from .context_statements import ContextData

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

    if parts.gate:
        shared, shared_lists = parts.gate.results
        results |= codec.copy_of(shared)
        lists |= shared_lists
        failures |= parts.gate.failures

    # Jobs by name, whether or not they recorded anything; groups are among the results.
    spelled = [dep if isinstance(dep, str) else dep[1] for dep in job.meta.get(meta.DEPS, [])]
    deps = [*dict.fromkeys([*(name for name in spelled if name != meta.ALL_JOBS), *results])]

    values = codec.copy_of(parts.contexts.values) | going_on(job)

    return Context(values, results, job.meta.get(meta.NAME, ""), deps, lists, failures=failures)


class _Contexts:
    """The contexts of a workflow and of those around it, decoded once for all jobs in it.

    Args:
        version: Another one for other contexts; None if there is no such workflow.
        encoded: As JSON, the root's first.
    """

    def __init__(self, version: str | None, encoded: list[str]) -> None:
        self.version = version
        self.size = sum(map(len, encoded))
        self._encoded = encoded

    @cached_property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}

        for context in self._encoded:
            values |= codec.from_json(orjson.loads(context))

        return values


class _Gate:
    """What the gate of a group depends on, decoded once for all jobs that wait for the gate.

    Args:
        version: Another one for other results; None while the results may change at any time.
        sources: What the gate depends on.
    """

    def __init__(self, version: str | None, sources: list[Source]) -> None:
        self.version = version
        self.size = _size(sources)
        self._sources = sources

    @cached_property
    def failures(self) -> dict[str, dict[str, str]]:
        return failures_of(self._sources)

    @cached_property
    def results(self) -> tuple[dict[str, Any], set[str]]:
        """The results by name, and the names of those that are mapped over a list."""
        recorded = [*decode_sources(self._sources)]

        return nest(recorded), lists_among(recorded)


class _Shared(NamedTuple):
    """What the jobs of one group have in common. Only those that wait for its gate see ``gate``."""

    contexts: _Contexts
    gate: _Gate

    @property
    def size(self) -> int:
        return self.contexts.size + self.gate.size

    @property
    def versions(self) -> SharedVersions:
        return SharedVersions(False, self.contexts.version, self.gate.version)

    @property
    def lasting(self) -> _Shared:
        """This without what may change at any time."""
        return self if self.gate.version else _Shared(self.contexts, NO_GATE)

    def updated(self, key: int, data: ContextData) -> _Shared:
        """Return this with what was read of the group, because its version was not known."""
        versions = data.versions[key]
        contexts, gate = self

        if versions.contexts != contexts.version:
            contexts = _Contexts(versions.contexts, data.contexts[key])

        if versions.is_gated and (versions.gate is None or versions.gate != gate.version):
            gate = _Gate(versions.gate, data.sources[key])

        return _Shared(contexts, gate)


class _Parts(NamedTuple):
    """The parts of one job's context; ``gate`` is None unless the job waits for it."""

    contexts: _Contexts
    gate: _Gate | None
    own: list[Source]

    @property
    def size(self) -> int:
        return self.contexts.size + (self.gate.size if self.gate else 0) + _size(self.own)


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
        known = {key: shared.versions for key, shared in kept.items()}

        ids = [job.id or 0 for job in jobs]
        data = await session_for(jobs[0]).read(lambda store: store.contexts(ids, known))

        for key in data.versions:
            kept[key] = kept.get(key, NOTHING).updated(key, data)

        answers = []

        for job_id, workflow_id in zip(ids, workflow_ids, strict=True):
            # A job whose workflow was removed has no group.
            key, is_gated = data.groups.get(job_id, NOWHERE)
            shared = kept.get(key, NOTHING)
            self._cache.put(workflow_id, key, shared.lasting)
            own = data.sources.get(job_id, [])
            answers.append(_Parts(shared.contexts, shared.gate if is_gated else None, own))

        return answers


NOWHERE = JobGroup(0, is_gated=False)
NO_GATE = _Gate(None, [])
NOTHING = _Shared(_Contexts(None, []), NO_GATE)


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

        if shared.contexts.version is not None:
            self._kept[workflow_id] = (key, shared)
            self._size += shared.size + ENTRY_SIZE

        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, workflow_id: str) -> None:
        _, shared = self._kept.pop(workflow_id)
        self._size -= shared.size + ENTRY_SIZE


# An entry takes memory even if nothing is shared.
ENTRY_SIZE = 500
