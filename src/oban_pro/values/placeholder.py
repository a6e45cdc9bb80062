"""Placeholders: while a workflow is built, they stand for values that jobs will record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from oban_pro.errors import NotYetError

if TYPE_CHECKING:
    from collections.abc import Callable

type Shape = Literal["value", "list", "mapped", "failed"]
type Step = tuple[str, Any]

ITEM = "item"
SLICE = "slice"
ATTRIBUTE = "attribute"


class Wire(NamedTuple):
    """Where a placeholder leads.

    Args:
        path: The name of a direct dependency, and the names of what is nested in it on the way to
            the member that records the value.
        shape: ``"value"`` of a job, or of a group its nested dict; ``"list"`` of a fan-out over a
            list; ``"mapped"`` of a fan-out over what is known at run time, a list or a dict;
            ``"failed"`` of the errors of what failed in a dependency.
        steps: Items and attributes that lead into the value: ``rows[0]``, ``table.title``.
    """

    path: tuple[str, ...]
    shape: Shape = "value"
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        what = "the failures of " if self.shape == "failed" else ""

        return what + repr("/".join(self.path)) + "".join(_spelled(*step) for step in self.steps)

    def follow(self, value: Any) -> Any:
        """Follow the steps into a recorded value.

        Raises:
            Exception: What the value raises if it has no such item or attribute.
        """
        for kind, key in self.steps:
            value = _stepped(value, kind, key)

        return value


def _spelled(kind: str, key: Any) -> str:
    if kind == ITEM:
        return f"[{key!r}]"

    if kind == SLICE:
        parts = key if key[2] is not None else key[:2]

        return f"[{':'.join('' if part is None else repr(part) for part in parts)}]"

    return f".{key}"


def _stepped(value: Any, kind: str, key: Any) -> Any:
    if kind == ITEM:
        return value[key]

    if kind == SLICE:
        return value[slice(*key)]

    # Anybody may have written the row.
    if not isinstance(key, str) or key.startswith("_"):
        raise AttributeError(f"attribute {key!r} is private")

    return getattr(value, key)


class Placeholder:
    """Stands for the value that a member of a workflow will record; an argument of other calls.

    Its items and attributes are placeholders, too. A type checker takes it for the value; whatever
    else is done with it while the workflow is built raises `NotYetError`.
    """

    __slots__ = ("__owner", "__wire")

    def __init__(self, owner: object, wire: Wire) -> None:
        object.__setattr__(self, "_Placeholder__owner", owner)
        object.__setattr__(self, "_Placeholder__wire", wire)

    def __repr__(self) -> str:
        return f"<placeholder of {wire_of(self)}>"

    def __copy__(self) -> Placeholder:
        return self

    def __deepcopy__(self, _: Any) -> Placeholder:
        return self

    def __getitem__(self, key: Any) -> Placeholder:
        if isinstance(key, slice):
            return _further(self, (SLICE, (key.start, key.stop, key.step)))

        return _further(self, (ITEM, key))

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("__") and name.endswith("__"):
            # Python itself reads such attributes, to find out what an object can do.
            raise AttributeError(f"a placeholder has no {name}")

        if name.startswith("_"):
            raise _not_yet(self, f"its attribute {name!r} is private")

        return _further(self, (ATTRIBUTE, name))


def owner_of(placeholder: Placeholder) -> Any:
    """Return the workflow that a placeholder belongs to."""
    return object.__getattribute__(placeholder, "_Placeholder__owner")


def wire_of(placeholder: Placeholder) -> Wire:
    """Return where a placeholder leads."""
    wire: Wire = object.__getattribute__(placeholder, "_Placeholder__wire")

    return wire


def _further(placeholder: Placeholder, step: Step) -> Placeholder:
    wire = wire_of(placeholder)

    return Placeholder(owner_of(placeholder), wire._replace(steps=(*wire.steps, step)))


def _not_yet(placeholder: Placeholder, what: str) -> NotYetError:
    return NotYetError(
        f"{what}, and {wire_of(placeholder)} is not there yet: it is recorded while the workflow"
        " runs. Pass it on to call() or each(), and do this in the function that receives it"
    )


def _refusal(used_for: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_: object) -> NoReturn:
        raise _not_yet(self, f"a value is needed {used_for}")

    return refuse


_USES = {
    "for a condition": "bool",
    "for its length": "len length_hint",
    "to iterate over or unpack it": "iter next reversed aiter anext",
    "to look for something in it": "contains",
    "to make a string of it": "str format bytes fspath",
    "to compare it": "eq ne lt le gt ge",
    "as a key or an element of a set": "hash",
    "to calculate with it": "add radd iadd sub rsub mul rmul imul matmul rmatmul truediv rtruediv"
    " floordiv rfloordiv mod rmod divmod rdivmod pow rpow lshift rlshift rshift rrshift and rand"
    " or ror xor rxor neg pos abs invert int float complex index round trunc floor ceil",
    "to call it": "call",
    "to change it": "setattr delattr setitem delitem",
    "for a with block": "enter exit aenter aexit",
    "to await it": "await",
    "to pickle it": "reduce reduce_ex",
}

for _used_for, _names in _USES.items():
    for _name in _names.split():
        setattr(Placeholder, f"__{_name}__", _refusal(_used_for))
