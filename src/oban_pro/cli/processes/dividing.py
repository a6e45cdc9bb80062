"""What the processes under one parent share: the queues that all of them run, and their limits."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from oban import Oban

from oban_pro import _host

from .shares import Queues, Shares, options_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POLL = 0.05
"""Seconds between two looks whether the last job of a queue has ended."""

# Whether a signal for this process alone is being handled: its limit is not divided.
_is_own: ContextVar[bool] = ContextVar("oban_workflows_is_own", default=False)

# oban has no hook for these calls, so they are wrapped.
_instance: Any = Oban
_producer: Any = _host.Producer


class Division:
    """Lets this process run its part of each queue, and follow signals that change the whole.

    Args:
        shares: The part of this process.
        queues: The queues of all processes together, with their limits.
        node: The name that all processes have together.
        note: Called with a queue and its new options, or None where it was stopped, so that a
            successor of this process begins with them.
    """

    def __init__(
        self,
        shares: Shares,
        queues: Queues,
        node: str,
        note: Callable[[str, dict[str, Any] | None], None],
    ) -> None:
        self._shares = shares
        self._queues = {queue: options_of(config) for queue, config in queues.items()}
        self._node = node
        self._note = note
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._start = _instance._start_queue_local
        self._stop = _instance._stop_queue_local
        self._scale = _instance._scale_queue_local

    @property
    def own(self) -> Queues:
        """The queues of this process, each with its part of the limit."""
        return self._shares.divide(self._queues)

    def hook(self) -> None:
        """Wrap what oban does with a signal, and with its own calls."""
        hear, hear_queue = _instance._on_signal, _producer._on_signal
        pause, resume = _producer.pause, _producer.resume

        async def on_signal(oban: Any, channel: str, payload: dict[str, Any]) -> None:
            await self._hear(oban, payload, lambda heard: hear(oban, channel, heard))

        async def on_queue_signal(producer: Any, channel: str, payload: dict[str, Any]) -> None:
            await self._hear(producer, payload, lambda heard: hear_queue(producer, channel, heard))

        async def start(oban: Any, **params: Any) -> None:
            await self._start_part(oban, **params)

        async def stop(oban: Any, queue: str) -> None:
            await self._stop_part(oban, queue)

        async def scale(oban: Any, queue: str, **options: Any) -> None:
            await self._scale_part(oban, queue, **options)

        async def pause_and_note(producer: Any) -> None:
            self._change(_host.queue_of(producer), paused=True)
            await pause(producer)

        async def resume_and_note(producer: Any) -> None:
            self._change(_host.queue_of(producer), paused=False)
            await resume(producer)

        _instance._on_signal, _producer._on_signal = on_signal, on_queue_signal
        _instance._start_queue_local, _instance._stop_queue_local = start, stop
        _instance._scale_queue_local = scale
        _producer.pause, _producer.resume = pause_and_note, resume_and_note

    async def _hear(
        self, hearing: Any, payload: dict[str, Any], go_on: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Follow a signal to the name of all processes, or to this one alone."""
        ident = payload.get("ident", "any")
        token = _is_own.set(ident == f"{hearing._name}.{hearing._node}")

        if ident == f"{hearing._name}.{self._node}":
            payload = {**payload, "ident": "any"}

        try:
            await go_on(payload)
        finally:
            _is_own.reset(token)

    def _change(self, queue: str, **options: Any) -> None:
        """Note new options of a queue, unless they are those of this process alone."""
        if not _is_own.get():
            self._queues[queue] = {**self._queues.get(queue, options_of({})), **options}
            self._note(queue, self._queues[queue])

    async def _start_part(self, oban: Any, *, queue: str, **options: Any) -> None:
        if _is_own.get():
            await self._start(oban, queue=queue, **options)
        elif queue not in self._queues:
            self._change(queue, **options)
            await self._fit(oban, queue)

    async def _stop_part(self, oban: Any, queue: str) -> None:
        if not _is_own.get():
            self._queues.pop(queue, None)
            self._note(queue, None)

        await self._stop(oban, queue)

    async def _scale_part(self, oban: Any, queue: str, **options: Any) -> None:
        if _is_own.get():
            await self._scale(oban, queue, **options)
        elif queue in self._queues:
            self._change(queue, **options)
            await self._fit(oban, queue, **options)

    async def _fit(self, oban: Any, queue: str, **options: Any) -> None:
        """Let this process run its part of a queue, or stop running it."""
        part = self.own.get(queue)
        producer = oban._producers.get(queue)

        if part is None:
            if producer is not None and queue not in self._leaving:
                self._leaving[queue] = asyncio.create_task(self._leave(oban, queue))
        elif producer is None:
            await self._start(oban, queue=queue, **part)
        else:
            await self._scale(oban, queue, **{**options, "limit": part["limit"]})

    async def _leave(self, oban: Any, queue: str) -> None:
        """Take no more jobs of a queue, and stop running it when the last one has ended."""
        producer = oban._producers[queue]
        # oban refuses a limit of 0
        producer._limit = 0

        try:
            while queue not in self.own and _host.held_jobs(producer):  # noqa: ASYNC110
                await asyncio.sleep(POLL)

            if queue not in self.own:
                await self._stop(oban, queue)
        finally:
            del self._leaving[queue]
