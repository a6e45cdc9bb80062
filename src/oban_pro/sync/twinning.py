"""Blocking twins of asynchronous methods."""

from __future__ import annotations

import re
from functools import wraps
from inspect import getattr_static, isasyncgenfunction, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

from oban_pro.blocking import iterate, run
from oban_pro.engine.caller_session import BlockingSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def with_twins[Class: type](cls: Class) -> Class:
    """Replace every public asynchronous method of a class, inherited ones too, by a twin."""
    for name, method in asynchronous_methods(cls):
        is_of_class = isinstance(method, classmethod)
        twin: Any = _twin_of(method.__func__ if is_of_class else method)
        setattr(cls, name, classmethod(twin) if is_of_class else twin)

    return cls


def asynchronous_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public asynchronous methods of a class, as they are written in its body."""
    for name in dir(cls):
        method = getattr_static(cls, name)

        if not name.startswith("_") and is_asynchronous(getattr(method, "__func__", method)):
            yield name, method


def is_asynchronous(function: Any) -> bool:
    """Tell whether a function is awaited, or iterated over with ``async for``."""
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))

    return (
        iscoroutinefunction(function)
        or isasyncgenfunction(function)
        or returned.startswith(("Async", "Awaitable", "Coroutine"))
    )


def without_await(text: str | None) -> str | None:
    """Return a docstring whose examples are those of the twin."""
    text = text and re.sub(r"\bawait |\basync (?=for|with|def)", "", text)

    return text and re.sub(r"\boban\.enqueue(_many)?\(", "sync.enqueue(", text)


def _twin_of(function: Callable[..., Any]) -> Callable[..., Any]:
    waits = "timeout" in signature(function).parameters

    @wraps(function)
    def twin(self: Any, *args: Any, **options: Any) -> Any:
        if (waits or options.get("follow")) and isinstance(place := self._oban, BlockingSession):
            place.check_may_wait()

        result = function(self, *args, **options)

        return iterate(result) if hasattr(result, "__anext__") else run(result)

    twin.__doc__ = without_await(function.__doc__)

    return twin
