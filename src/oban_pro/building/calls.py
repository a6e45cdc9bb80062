"""Functions as they are added: the arguments they are called with, the items they run over.

The function of a cascade is called with the context, or with an item and the context. A function
that `call` or `each` adds is called with its own arguments, in which placeholders stand for the
results of upstream jobs. Both become a `Call`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import (
    CascadeError,
    CodecError,
    InvalidArgumentError,
    MissingContextError,
    UnsupportedTypeError,
)
from oban_pro.values import codec
from oban_pro.values.placeholder import Placeholder, Shape, Wire, owner_of, wire_of

from .arguments import named_items
from .batches import BATCH_WORKER, ITEMS_IN_BATCH, items_of
from .cascades import CALL, ITEM, ITEMS, RESULT, FromResult, check_source, encode_item, split_pair
from .functions import ANY, CONTEXT, ITEM_AND_CONTEXT, check_function, signature_of
from .plan import GroupSpec, JobSpec

if TYPE_CHECKING:
    import inspect

    from oban_pro.values.context import Context


@dataclass(frozen=True, slots=True)
class Call:
    """A function, and the arguments it is called with.

    Args:
        path: Import path of the function.
        args: Further args of its jobs.
        items: The encoded item of each job by its name, for a fan-out.
        is_mapped: Whether an upstream job records the items.
        batch: How many items one job takes, where an upstream job records them.
        along: The name of the fan-out whose results are the items, if each job takes one of them.
        deps: Names of the members that the placeholders stand for.
        shape: How the results are read; see `Wire`.
    """

    path: str
    args: Mapping[str, Any] = field(default_factory=dict)
    items: Mapping[str, Any] | None = None
    is_mapped: bool = False
    deps: tuple[str, ...] = ()
    shape: Shape = "value"
    batch: int | None = None
    along: str | None = None


class Arguments(NamedTuple):
    """The arguments of a function, and the workflow that wires it."""

    owner: object
    positional: tuple[Any, ...]
    keyword: Mapping[str, Any]


def cascade_call(name: str, func_or_tuple: Any, deps: tuple[str, ...]) -> Call:
    """Return the call for the arguments of `Workflow.add_cascade`.

    Raises:
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If the items cannot.
        UnsupportedTypeError: If an item is of a type that cannot be stored.
    """
    if isinstance(func_or_tuple, Call):
        return func_or_tuple

    if not isinstance(func_or_tuple, tuple):
        return Call(check_function(name, func_or_tuple, CONTEXT))

    items, function = split_pair(name, func_or_tuple)

    if isinstance(items, FromResult):
        check_source(name, items, deps)
        path = check_function(name, function, ITEM_AND_CONTEXT)

        return Call(path, {RESULT: list(items.path)}, is_mapped=True, batch=items.batch)

    path = check_function(name, function, ITEM_AND_CONTEXT)
    encoded = {key: encode_item(name, key, item) for key, item in named_items(name, items).items()}

    shape: Shape = "value" if isinstance(items, Mapping) else "list"

    return Call(path, items=encoded, shape=shape)


def bind_call(name: str, function: Callable[..., Any], arguments: Arguments) -> Call:
    """Return the call for the arguments of `Workflow.call`.

    Raises:
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If it cannot be called so, or a placeholder is of another workflow.
        UnsupportedTypeError: If an argument is of a type that cannot be stored.
    """
    path = check_function(name, function, ANY)
    wires = _Wires(name, arguments.owner)
    encoded = _bind(wires, function, arguments)

    return Call(path, {CALL: encoded}, deps=wires.deps)


def bind_each(
    name: str,
    function: Callable[..., Any],
    items: object,
    arguments: Arguments,
    *,
    of_all: bool = False,
) -> Call:
    """Return the call for the arguments of `Workflow.each`.

    Args:
        name: Of the fan-out.
        function: What is called for each item.
        items: A collection, or a placeholder.
        arguments: The further ones.
        of_all: Whether it waits for all results of a fan-out that are its items, rather than each
            job for its own.

    Raises:
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If it cannot be called so, the items are none, or a placeholder is of
            another workflow.
        UnsupportedTypeError: If an item or an argument is of a type that cannot be stored.
    """
    path = check_function(name, function, ANY)
    wires = _Wires(name, arguments.owner)

    if isinstance(items, Placeholder) and not of_all and (named := _results_by_name(wires, items)):
        encoded = _bind(wires, function, arguments, before=1)
        (along,), form, _ = wire_of(items)

        return Call(path, {CALL: encoded}, named, deps=wires.deps, shape=form, along=along)

    if isinstance(items, Placeholder):
        source = wires.encode("the items", items)
        encoded = _bind(wires, function, arguments, before=1)

        return Call(path, {ITEMS: source, CALL: encoded}, None, True, wires.deps, "mapped")

    named = {
        key: wires.encode(f"item {key!r}", item) for key, item in named_items(name, items).items()
    }
    encoded = _bind(wires, function, arguments, before=1)
    shape: Shape = "value" if isinstance(items, Mapping) else "list"

    return Call(path, {CALL: encoded}, named, deps=wires.deps, shape=shape)


def bind_final(name: str, function: Callable[..., Any], arguments: Arguments) -> Call:
    """Return the call for the arguments of `Workflow.final`.

    Raises:
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If it cannot be called so, or a placeholder is of another workflow, or
            one for failures.
        UnsupportedTypeError: If an argument is of a type that cannot be stored.
    """
    path = check_function(name, function, ANY)
    wires = _Wires(name, arguments.owner)
    encoded = _bind(wires, function, arguments, before=1)

    if wires.has_failures:
        raise InvalidArgumentError(f"{name!r} must read failures in its outcome, got failed()")

    return Call(path, {CALL: encoded}, deps=wires.deps)


def members_in(encoded: Any) -> list[str]:
    """Return the names of the members that the placeholders among encoded arguments stand for."""
    names: dict[str, None] = {}
    codec.from_json(encoded, lambda wire: names.setdefault(wire.path[0]))

    return [*names]


def _results_by_name(wires: _Wires, items: Placeholder) -> dict[str, Any]:
    """Return a placeholder for each result of a fan-out, encoded, by the name of its job.

    Empty if the placeholder stands for anything else, or if the jobs are not known yet.
    """
    path, shape, steps = wire_of(items)
    group = owner_of(items)._members.get(path[0])

    if len(path) > 1 or steps or shape == "failed" or not isinstance(group, GroupSpec):
        return {}

    jobs = [one.job for one in group.members.values() if isinstance(one, JobSpec)]

    if group.kind != "fan_out" or not jobs or jobs[0].worker == BATCH_WORKER:
        return {}

    check_owner(wires.name, items, wires.owner)

    return {
        key: codec.to_json(Placeholder(wires.owner, Wire((*path, key))), lambda _: None)
        for key in group.members
    }


class _Wires:
    """Collects the wires of the placeholders in the arguments of one call."""

    def __init__(self, name: str, owner: object) -> None:
        self.name = name
        self.owner = owner
        self.has_failures = False
        self._deps: dict[str, None] = {}

    @property
    def deps(self) -> tuple[str, ...]:
        return tuple(self._deps)

    def encode(self, what: str, value: object) -> Any:
        try:
            return codec.to_json(value, self._note)
        except (UnsupportedTypeError, CodecError) as error:
            raise type(error)(f"{what} of {self.name!r} cannot be stored: {error}") from None

    def _note(self, placeholder: Placeholder) -> None:
        check_owner(self.name, placeholder, self.owner)
        wire = wire_of(placeholder)
        self.has_failures |= wire.shape == "failed"
        self._deps[wire.path[0]] = None


def check_owner(name: str, placeholder: Placeholder, owner: object) -> None:
    """Raise unless a placeholder belongs to a workflow.

    Raises:
        InvalidArgumentError: If it is not.
    """
    if owner_of(placeholder) is not owner:
        raise InvalidArgumentError(
            f"{name!r} must take placeholders of its own workflow, got {placeholder!r}, which"
            f" belongs to {owner_of(placeholder)!r}"
        )


def failures_of(owner: object, results: object) -> Placeholder:
    """Return a placeholder for the failures of what a placeholder stands for.

    Raises:
        InvalidArgumentError: If it is no placeholder of that workflow, or leads further than to a
            dependency.
    """
    if not isinstance(results, Placeholder):
        raise InvalidArgumentError(
            f"failed() must get what call(), each() or value() returned, got {results!r}"
        )

    check_owner("failed()", results, owner)
    wire = wire_of(results)

    if len(wire.path) > 1 or wire.steps or wire.shape == "failed":
        raise InvalidArgumentError(
            f"failed() must get all that a dependency records, got {results!r}"
        )

    return Placeholder(owner, wire._replace(shape="failed"))


def _bind(
    wires: _Wires, function: Callable[..., Any], arguments: Arguments, before: int = 0
) -> list[Any]:
    """Check that a function takes some arguments after its first ones, and encode them.

    Raises:
        InvalidArgumentError: If it cannot be called with them.
    """
    signature = signature_of(function)
    _, positional, keyword = arguments

    try:
        signature.bind(*range(before), *positional, **keyword)
    except TypeError as error:
        raise InvalidArgumentError(
            f"{wires.name!r} cannot call {function.__qualname__}{signature}: {error}"
        ) from None

    return [
        [wires.encode(f"argument {n}", value) for n, value in enumerate(positional, 1 + before)],
        {key: wires.encode(f"argument {key!r}", value) for key, value in keyword.items()},
    ]


def resolve_call(
    args: Mapping[str, Any],
    function: Callable[..., Any],
    context: Context,
    first: tuple[object, ...] = (),
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that a running job calls its function with.

    Args:
        args: Of the job.
        function: The function as it is now; it may have changed since the job was stored.
        context: Resolves the placeholders.
        first: What comes before the arguments that are stored.

    Raises:
        CascadeError: If the function cannot be called so any more, or a value lacks what a
            placeholder leads to.
        MissingContextError: If something recorded nothing, and the parameter has no default.
        CodecError: If a stored argument cannot be decoded.
    """
    stored, keyword = args[CALL]
    positional = [args[ITEM], *stored] if ITEM in args else stored
    batch = [items_of(args, context.resolve)] if ITEMS_IN_BATCH in args else [*first]
    signature = signature_of(function)

    try:
        signature.bind(*batch, *positional, **keyword)
    except TypeError as error:
        raise CascadeError(
            f"{context.job!r} cannot call {function.__qualname__}{signature}: {error}"
        ) from None

    by_position = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    taken = dict(enumerate(by_position[len(batch) :]))

    return (
        [
            *batch,
            *(_resolve(value, taken.get(n), context) for n, value in enumerate(positional)),
        ],
        {
            name: _resolve(value, signature.parameters.get(name), context)
            for name, value in keyword.items()
        },
    )


def _resolve(stored: Any, parameter: inspect.Parameter | None, context: Context) -> Any:
    try:
        return codec.from_json(stored, context.resolve)
    except MissingContextError:
        if not codec.is_placeholder(stored) or parameter is None:
            raise

        if parameter.default is parameter.empty:
            raise

        return parameter.default
