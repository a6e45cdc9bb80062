"""Events from outside that a test plays: signals, and times that are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from oban_pro.engine.session import session_of
from oban_pro.handles.locating import find
from oban_pro.handles.refusals import naming
from oban_pro.handles.signalling import encode_sent

from .access import with_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro import _host
    from oban_pro.engine.store import Store
    from oban_pro.model.waiting import Wait


class Outside:
    """Sends the signals that a test lists, and lets time pass.

    Args:
        query: Of the Oban instance.
        workflow_id: What paths begin at.
        signals: Payloads by path.
        timeouts: Paths of what nobody signals in time.
    """

    def __init__(
        self,
        query: _host.Query,
        workflow_id: str,
        signals: Mapping[str, object] | None,
        timeouts: Iterable[str],
    ) -> None:
        self._query = query
        self._workflow_id = workflow_id
        self._signals = dict(signals or {})
        self._timeouts = [timeouts] if isinstance(timeouts, str) else [*timeouts]
        self._sent: Counter[str] = Counter()

        if both := self._signals.keys() & {*self._timeouts}:
            raise AssertionError(f"{min(both)!r} must be in signals or in timeouts, got both")

    async def move(self) -> bool:
        """Send what is listened for; if that is nothing, let the next time be up.

        Returns:
            Whether something may have moved.
        """
        if await self._send_all() or await self._end_calls():
            return True

        waits = [
            job_id
            for path in self._timeouts
            for job_id, wait in await self._listening(path)
            if wait.kind == "signal" and self._has_end(path, wait)
        ]
        root = await self._store(lambda store: store.end_clocks(self._workflow_id, waits))

        if root is None:
            return False

        await self._store(lambda store: store.tick(root))

        return True

    async def check(self) -> None:
        """Fail if a path leads to no member.

        Raises:
            AssertionError: That names it.
        """
        paths = [*self._signals, *self._timeouts]
        found = await self._store(lambda store: find(store, self._workflow_id, paths))

        for path in paths:
            if path not in found:
                raise AssertionError(
                    f"signals and timeouts must name something in workflow {self._workflow_id!r},"
                    f" got {path!r}"
                )

    async def _send_all(self) -> bool:
        sent = [
            await self._send(path, payload, wait)
            for path, payload in self._signals.items()
            for _, wait in (await self._listening(path))[:1]
        ]

        return any(sent)

    async def _send(self, path: str, payload: object, wait: Wait) -> bool:
        """Send what is left to a wait or a call."""
        payloads = [payload]

        if wait.kind == "call" or wait.wanted > 1:
            payloads = payload if isinstance(payload, list) else payloads

        left = payloads[self._sent[path] :]
        # A call gets one signal, as other calls may follow; a wait gets all signals that it needs.
        for one in left[:1] if wait.kind == "call" else left:
            self._sent[path] += 1
            by = f"sender {self._sent[path]}" if wait.wanted > 1 else None
            await self._send_one(path, one, wait.call or None, by)

        return bool(left)

    async def _send_one(self, path: str, payload: object, name: str | None, by: str | None) -> None:
        sent = encode_sent(path, payload, name, by)

        async with naming(session_of(self._query), self._workflow_id, path):
            await self._store(lambda store: store.signal(self._workflow_id, path, sent))

    async def _end_calls(self) -> bool:
        calls = [
            job_id
            for path in self._timeouts
            for job_id, wait in await self._listening(path)
            if wait.kind == "call" and self._has_end(path, wait)
        ]

        for job_id in calls:
            await self._store(lambda store: store.end_call(job_id))  # noqa: B023

        return bool(calls)

    async def _listening(self, path: str) -> list[tuple[int, Wait]]:
        return await self._store(lambda store: store.listening(self._workflow_id, path))

    def _has_end(self, path: str, wait: Wait) -> bool:
        if wait.until is None:
            raise AssertionError(f"what waits at {path!r} must have a wait_for to time out")

        return True

    async def _store[Result](self, body: Callable[[Store], Awaitable[Result]]) -> Result:
        return await with_query(self._query, body)
