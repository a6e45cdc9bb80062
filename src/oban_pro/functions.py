"""Cascade functions: which can be used, how a row names them, and how they are found again."""

from __future__ import annotations

import functools
import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import FunctionNotFoundError, InvalidFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

type Function = Callable[..., Any]


def check_function(name: str, function: object, arguments: tuple[str, ...]) -> str:
    """Return the import path of a function that any process can find again and call.

    Args:
        name: Of the cascade, for errors.
        function: What was passed as the function.
        arguments: What it will be called with, for example ``("item", "context")``.

    Returns:
        ``module:qualname``.

    Raises:
        InvalidFunctionError: If it cannot be used, with the reason.
    """
    reason = _why_not(function)

    if reason is None and not _takes(function, len(arguments)):
        signature = inspect.signature(function)  # type: ignore[arg-type]
        reason = f"it must accept ({', '.join(arguments)}), got {_call(function)}{signature}"

    if reason is not None:
        raise InvalidFunctionError(f"function of {name!r} cannot be a cascade: {reason}")

    return f"{function.__module__}:{function.__qualname__}"  # type: ignore[attr-defined]


def _why_not(function: object) -> str | None:
    reason: str | None

    if isinstance(function, functools.partial):
        reason = "a partial cannot be imported by name; pass values as items or with add_context()"
    elif inspect.ismethod(function):
        reason = "a bound method cannot be imported by name; use a function of a module"
    elif isinstance(function, type):
        reason = f"it must be a function, got the class {_call(function)}; use add() for workers"
    elif not inspect.isfunction(function):
        reason = f"it must be a function, got {function!r}"
    elif function.__name__ == "<lambda>":
        reason = "a lambda cannot be imported by name; use def"
    elif "<locals>" in function.__qualname__:
        reason = f"{_call(function)} is nested in a function; move it to the top of a module"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        reason = f"{_call(function)} is a generator; return a list instead"
    else:
        reason = _why_not_found(function)

    return reason


def _why_not_found(function: Function) -> str | None:
    path = f"{function.__module__}.{function.__qualname__}"

    try:
        found = _look_up(function.__module__, function.__qualname__)
    except (ImportError, AttributeError):
        found = None

    if found is function:
        return None

    return f"importing {path} must give this very function, got {found!r}"


def _takes(function: object, count: int) -> bool:
    """Tell whether a function can be called with so many arguments.

    A decorator that takes anything is judged by the function it wraps.
    """
    for follow in (False, True):
        signature = inspect.signature(function, follow_wrapped=follow)  # type: ignore[arg-type]

        try:
            signature.bind(*range(count))
        except TypeError:
            return False

        if not _takes_anything(signature):
            break

    return True


def _takes_anything(signature: inspect.Signature) -> bool:
    kinds = {parameter.kind for parameter in signature.parameters.values()}

    return inspect.Parameter.VAR_POSITIONAL in kinds


def _call(function: object) -> str:
    return str(getattr(function, "__qualname__", function))


def resolve_function(path: str) -> Function:
    """Find a function by its import path.

    Args:
        path: ``module:qualname``.

    Raises:
        FunctionNotFoundError: If this process cannot import it.
    """
    module, _, qualname = path.partition(":")

    try:
        found = _look_up(module, qualname)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "; it lives in the program that enqueued it" if module == "__main__" else ""
        raise FunctionNotFoundError(
            f"cannot import cascade function {path!r}: {error}{hint}"
        ) from error

    if not callable(found):
        raise FunctionNotFoundError(f"cascade function {path!r} must be callable, got {found!r}")

    return found  # type: ignore[no-any-return]


def _look_up(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module) or import_module(module)

    for part in qualname.split("."):
        found = getattr(found, part)

    return found
