"""Functions that rows name: checking, naming and finding them."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from oban_pro import settings
from oban_pro.errors import ForbiddenCodeError, FunctionNotFoundError, InvalidFunctionError
from oban_pro.model.absence import absent_code, is_absent, mark_absent

if TYPE_CHECKING:
    from collections.abc import Callable

type Function = Callable[..., Any]

CONTEXT = ("context",)
ITEM_AND_CONTEXT = ("item", "context")
CONTEXT_AND_OUTCOME = ("context", "outcome")
ANY = ("…",)
"""Stands for the arguments of a function that are checked elsewhere."""
JOB = ("job",)
"""Arguments of a backoff function. The other constants are for cascades."""

NOT_FOUND = (ImportError, AttributeError, TypeError, ValueError)
"""The exceptions of importing a wrong path."""

_approved: dict[tuple[str, tuple[str, ...]], Function] = {}
"""Functions that `resolve_function` has checked, by path and arguments."""


def check_function(
    name: str, function: object, arguments: tuple[str, ...], role: str | None = None
) -> str:
    """Return the import path of a function that any process can find again and call.

    Args:
        name: Of the cascade, for errors.
        function: What was passed as the function.
        arguments: What it will be called with, for example ``("item", "context")``.
        role: What errors call its role; by default the role that such arguments belong to.

    Returns:
        ``module:qualname``.

    Raises:
        InvalidFunctionError: If it cannot be used, with the reason.
    """
    reason = _why_not_plain(function, arguments)

    if reason is None:
        plain: Any = function
        reason = (
            why_forbidden(str(plain.__module__))
            or _why_not_found(plain)
            or _why_not_accepted(plain, arguments)
        )

    if reason is not None:
        role = role or _role_of(arguments)
        raise InvalidFunctionError(f"function of {name!r} cannot be a {role}: {reason}")

    return path_of(function)


def resolve_function(path: object, arguments: tuple[str, ...]) -> Function:
    """Find the function that a row names, and check it as `check_function` does.

    Anybody may have written the row. So a function that cannot be a cascade is not called, and a
    module that the settings forbid is not even imported. A function that has moved is found where
    `oban_pro.renamed` says.

    Args:
        path: ``module:qualname``.
        arguments: What it will be called with.

    Raises:
        FunctionNotFoundError: If this process cannot import it; `absent_code` tells whether it does
            not have it.
        ForbiddenCodeError: If it cannot be a cascade, with the reason.
    """
    if not isinstance(path, str):
        return _resolve(path, arguments)

    return settings.find_code(path, lambda name: _resolve(name, arguments))


def _resolve(path: object, arguments: tuple[str, ...]) -> Function:
    module, _, qualname = path.partition(":") if isinstance(path, str) else ("", "", "")

    if reason := why_forbidden(module):
        raise ForbiddenCodeError(f"{_spell(path, arguments)} is not called: {reason}")

    try:
        found = _look_up(module, qualname)
    except NOT_FOUND as error:
        hint = "; it lives in the program that enqueued it" if module == "__main__" else ""
        spelled = _spell(path, arguments)
        refusal = FunctionNotFoundError(f"cannot import {spelled}: {error}{hint}")

        if absent_code(error) is not None:
            mark_absent(refusal, str(path))

        raise refusal from error

    key = (str(path), arguments)

    # This spares the checks only, as a module may have been reloaded, or a function replaced.
    if _approved.get(key) is not found:
        if reason := _why_not_meant(found, key[0], arguments):
            raise ForbiddenCodeError(f"{_spell(path, arguments)} is not called: {reason}")

        _approved[key] = found

    return found  # type: ignore[no-any-return]


def _spell(path: object, arguments: tuple[str, ...]) -> str:
    return f"{_role_of(arguments)} function {path!r}"


def why_forbidden(module: str) -> str | None:
    """Return why no row may name a function of a module, or None."""
    package = module.partition(".")[0]

    if package in sys.stdlib_module_names or (package == "test" and _is_test_of_python()):
        return f"module {module} is part of Python's standard library"

    return settings.why_forbidden(module)


@functools.cache
def _is_test_of_python() -> bool:
    """Tell whether the package ``test`` is Python's own, and not a project's."""
    spec = find_spec("test")
    origin = spec.origin if spec is not None else None

    return origin is not None and origin.startswith(sysconfig.get_path("stdlib"))


def path_of(thing: Any) -> str:
    """Return how rows name a function or a class: ``module:qualname``."""
    return f"{thing.__module__}:{thing.__qualname__}"


def _role_of(arguments: tuple[str, ...]) -> str:
    return "backoff" if arguments == JOB else "cascade"


def _why_not_plain(function: object, arguments: tuple[str, ...]) -> str | None:
    reason: str | None = None

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
    elif arguments == JOB and inspect.iscoroutinefunction(function):
        reason = f"{_call(function)} is async, and nothing awaits it; use def"

    return reason


def _why_not_found(function: Function) -> str | None:
    try:
        found = _look_up(function.__module__, function.__qualname__)
    except NOT_FOUND as error:
        found = str(error)

    if found is function:
        return None

    path = path_of(function).replace(":", ".")

    return f"importing {path} must give this very function, got {found}"


def _why_not_meant(found: object, path: str, arguments: tuple[str, ...]) -> str | None:
    """Return why what a row names cannot be a cascade, or None.

    The reason repeats no value: a person who may insert rows may not be allowed to see it.
    """
    if not inspect.isfunction(found):
        return f"it must be a function, got something of type {type(found).__name__}"

    reason = _why_not_plain(found, arguments)

    if reason is None and path_of(found) != path:
        reason = f"{path_of(found)} is what it leads to"

    if reason is None and not _takes(found, arguments):
        reason = f"it must accept ({', '.join(arguments)})"

    return reason


def _why_not_accepted(function: Function, arguments: tuple[str, ...]) -> str | None:
    if _takes(function, arguments):
        return None

    signature = inspect.signature(function)

    return f"it must accept ({', '.join(arguments)}), got {_call(function)}{signature}"


def signature_of(function: Function) -> inspect.Signature:
    """Return the signature that calls are bound to.

    For a decorator that takes anything, this is the signature of the wrapped function.
    """
    signature = inspect.signature(function, follow_wrapped=False)

    return inspect.signature(function) if _takes_anything(signature) else signature


def _takes(function: Function, arguments: tuple[str, ...]) -> bool:
    """Tell whether a function can be called with some arguments.

    For a decorator that takes anything, the wrapped function decides.
    """
    if arguments == ANY:
        return True

    for follow in (False, True):
        signature = inspect.signature(function, follow_wrapped=follow)

        try:
            signature.bind(*arguments)
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


def _look_up(module: str, qualname: str) -> Any:
    """Import a module, and find a function in it or in a class there.

    Looks into dictionaries, because reading an attribute could run code.
    """
    try:
        holder: Any = sys.modules.get(module) or import_module(module)
    except ImportError as error:
        if is_absent(error, module):
            mark_absent(error, module)

        raise

    *classes, name = qualname.split(".")

    for part in classes:
        holder = _member(holder, part)

        if not isinstance(holder, type):
            raise AttributeError(f"{part!r} in module {module} is no class")

    found = _member(holder, name)

    if isinstance(found, staticmethod):
        return found.__func__

    if classes and inspect.isfunction(found):
        raise AttributeError(f"{qualname} in module {module} is a method; make it a staticmethod")

    return found


def _member(holder: Any, name: str) -> Any:
    try:
        return vars(holder)[name]
    except KeyError:
        kind = "class" if isinstance(holder, type) else "module"
        error = AttributeError(f"{kind} {holder.__name__!r} has no attribute {name!r}")

        # A path without any name is wrong on every node.
        if name:
            mark_absent(error, name)

        raise error from None
