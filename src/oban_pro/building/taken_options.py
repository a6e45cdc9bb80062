"""Options that a method of a builder does not take: errors that name both."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from .arguments import FunctionOptions, SizedOptions, check_known_options
from .call_options import CallOptions

if TYPE_CHECKING:
    from collections.abc import Callable

_JOB_OPTIONS: dict[str, type] = {
    "add_cascade": SizedOptions,
    "add_graft": FunctionOptions,
    "add_final": FunctionOptions,
}
"""What methods take besides what their signatures name."""

_NO_NODE = "no node runs a wait; a sub-workflow around it can have a condition"

_WHY_NOT = {
    "add": "a job brings its own options",
    "add_many": "jobs bring their own options",
    "add_workflow": "its functions have their own options, or Workflow(defaults={…})",
    "add_signal": _NO_NODE,
    "add_timer": _NO_NODE,
    "add_final": "it starts at the end, whatever there was",
}
"""Why a method does not take all that a function has."""


def check_options_of(builder: type) -> None:
    """Let the methods of a builder check which options they are given."""
    for name in {**_WHY_NOT, **_JOB_OPTIONS}:
        setattr(builder, name, _checking(getattr(builder, name)))


def _checking(method: Callable[..., Any]) -> Callable[..., Any]:
    name = method.__name__
    named = inspect.signature(method).parameters.values()
    positional = {one.name for one in named if one.kind is one.POSITIONAL_OR_KEYWORD}
    more = _JOB_OPTIONS[name].__annotations__ if name in _JOB_OPTIONS else {}
    known = [*(one.name for one in named if one.kind is one.KEYWORD_ONLY), *more]

    @functools.wraps(method)
    def checking(self: Any, *args: Any, **options: Any) -> Any:
        unknown = options.keys() - positional - {*known}

        if unknown:
            added = args[0] if args else options.get("name")
            is_known = unknown & CallOptions.__annotations__.keys()
            why = f" ({_WHY_NOT[name]})" if is_known and name in _WHY_NOT else ""
            check_known_options(f"{added!r}{why}", sorted(unknown), known, name)

        return method(self, *args, **options)

    return checking
