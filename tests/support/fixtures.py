"""What some fixtures are, for annotations."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from oban import Oban

from oban_pro import Workflow

type WaitUntil = Callable[..., Awaitable[Any]]
"""Polls a condition, sync or async, for its first true value."""

type Run = Callable[[Workflow], Awaitable[dict[str, Any]]]
"""Runs a workflow to its end, and returns all that it recorded."""


class StartOban(Protocol):
    """Start a node on the test's database; the end of the test stops it."""

    async def __call__(self, queues: dict[str, Any] | None = None, **opts: Any) -> Oban: ...
