"""Adding functions with arguments to a workflow, each with its name, deps and options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from oban_pro.errors import InvalidArgumentError
from oban_pro.values.placeholder import Placeholder, Wire, wire_of

from .arguments import check_known_options
from .call_options import FinalOptions
from .calls import Arguments, Call, bind_call, bind_each, bind_final, check_owner
from .ends import is_final_spec
from .names import check_text, free_name, normalize_deps
from .plan import JobSpec
from .undos import undo_call

if TYPE_CHECKING:
    from .members import Members

type View = tuple[Members, Mapping[str, Any]]
"""A workflow, and the options of the functions that are added to it."""


def add_call(
    view: View, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Placeholder:
    """Do as `Workflow.call`."""
    owner, options = view
    name = _name_for(owner, options, func)

    return _add(view, name, bind_call(name, func, Arguments(owner, args, kwargs)))


def add_each(
    view: View,
    func: Callable[..., Any],
    items: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Placeholder:
    """Do as `Workflow.each`."""
    owner, options = view
    name = _name_for(owner, options, func)
    arguments = Arguments(owner, args, kwargs)
    of_all = _waits_for_all(options, items)

    return _add(view, name, bind_each(name, func, items, arguments, of_all=of_all))


def add_final(
    view: View, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Placeholder:
    """Do as `Workflow.final`."""
    owner, options = view
    check_final_options(options)
    name = _name_for(owner, options, func)
    call = bind_final(name, func, Arguments(owner, args, kwargs))
    finals = [dep for dep in call.deps if is_final_spec(owner._members.get(dep))]
    deps = (*finals, *normalize_deps(name, options.get("deps", ())))
    # The overloads describe only what users may pass.
    cast("Any", owner).add_final(name, call, deps=deps, **_others(options))

    return Placeholder(owner, Wire((name,)))


def add_undo(
    owner: Members,
    result: object,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Do as `Workflow.undo`."""
    name, spec = "", None

    if isinstance(result, Placeholder):
        check_owner("undo()", result, owner)
        name = wire_of(result).path[0]
        spec = owner._members.get(name)

    if not isinstance(spec, JobSpec) or spec.options is None or spec.runs_on is not None:
        raise InvalidArgumentError(
            f"undo() must get what call() returned, got {result!r}; each() takes options(undo=…)"
        )

    call = bind_call(f"undo of {name}", func, Arguments(owner, args, kwargs))

    if unknown := [dep for dep in call.deps if dep not in (name, *spec.deps)]:
        raise InvalidArgumentError(
            f"the undo of {name!r} must take what {name!r} returns or depends on, got a placeholder"
            f" for {unknown[0]!r}"
        )

    owner._members[name] = replace(spec, undo=undo_call(call, spec.job, spec.options))


def check_final_options(options: Mapping[str, Any]) -> None:
    """Raise if an option is none of final jobs.

    Raises:
        InvalidArgumentError: Naming it.
    """
    check_known_options("a final job", options, [*FinalOptions.__annotations__, "on"])


def add_up(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with further ones: these win, except that deps and ``meta`` are joined."""
    added = {**outer, **inner}

    if "deps" in outer and "deps" in inner:
        added["deps"] = (*_listed(outer["deps"]), *_listed(inner["deps"]))

    if isinstance(outer.get("meta"), Mapping) and isinstance(inner.get("meta"), Mapping):
        added["meta"] = {**outer["meta"], **inner["meta"]}

    return added


def _add(view: View, name: str, call: Call) -> Placeholder:
    owner, options = view
    deps = (*call.deps, *normalize_deps(name, options.get("deps", ())))
    # The overloads describe only what users may pass.
    cast("Any", owner).add_cascade(name, call, deps=deps, **_others(options))

    return Placeholder(owner, Wire((name,), call.shape))


def _others(options: Mapping[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in options.items() if option not in ("name", "deps")}


def _waits_for_all(options: Mapping[str, Any], items: object) -> bool:
    """Tell whether options are for a fan-out as a whole, so that it waits for all of its items."""
    if any(options.get(option) is not None for option in ("batch", "need", "when")):
        return True

    deps = _listed(options.get("deps", ()))

    return isinstance(items, Placeholder) and wire_of(items).path[0] in deps


def _listed(deps: Any) -> Iterable[Any]:
    return normalize_deps("a call", deps)


def _name_for(owner: Members, options: Mapping[str, Any], func: object) -> str:
    if "name" in options:
        return check_text(options["name"], "name")

    return free_name(getattr(func, "__name__", "call"), owner._members)
