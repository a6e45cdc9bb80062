"""Types of fixtures, for annotations."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from oban import Oban

from oban_pro import Workflow

type WaitUntil = Callable[..., Awaitable[Any]]
"""Polls a condition, blocking or async, until its value is true, and returns that value."""

type Run = Callable[[Workflow], Awaitable[dict[str, Any]]]
"""Runs a workflow to its end, and returns all recorded results."""


class StartOban(Protocol):
    """Starts a node on the test's database. The node stops at the end of the test."""

    async def __call__(self, queues: dict[str, Any] | None = None, **opts: Any) -> Oban: ...
