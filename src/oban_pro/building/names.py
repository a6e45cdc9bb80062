"""Checking names and dependencies, and ordering members by them."""

from __future__ import annotations

from difflib import get_close_matches
from graphlib import CycleError as GraphCycleError
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from oban_pro.errors import (
    CycleError,
    DuplicateNameError,
    InvalidArgumentError,
    InvalidNameError,
    UnknownDependencyError,
)
from oban_pro.model.paths import join_path, split_path
from oban_pro.values.placeholder import Placeholder, owner_of, wire_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

LONGEST_NAME = 2_000


def check_text(value: object, what: str) -> str:
    """Return a string that PostgreSQL can store as text.

    Args:
        value: What was given.
        what: What errors call it, for example ``name`` or ``workflow id``.

    Raises:
        InvalidNameError: If it is not a string, is empty, is longer than an index of PostgreSQL
            takes, or holds NUL or half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InvalidNameError(f"{what} must be a non-empty string, got {value!r}")

    if not value:
        raise InvalidNameError(f"{what} must be a non-empty string, got ''")

    size = _size(value)

    if size is None or "\0" in value:
        raise InvalidNameError(f"{what} must be text without NUL or lone surrogates, got {value!r}")

    if size > LONGEST_NAME:
        raise InvalidNameError(
            f"{what} must be at most {LONGEST_NAME} bytes long, got {size}: {value[:40]!r}…"
        )

    return value


def _size(value: str) -> int | None:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        return None


def check_free(name: object, taken: Collection[str]) -> str:
    """Check that a name is valid, and that no other member of the workflow has it.

    Raises:
        InvalidNameError: If it is not a valid name.
        DuplicateNameError: If it is taken.
    """
    checked = check_text(name, "name")

    if checked in taken:
        raise DuplicateNameError(f"name {checked!r} is already taken in this workflow")

    return checked


class WiredName(str):
    """The name of a dependency that a placeholder stands for, and its workflow."""

    owner: object = None


def _dep_of(dep: object) -> Any:
    if not isinstance(dep, Placeholder):
        return dep

    name = WiredName(wire_of(dep).path[0])
    name.owner = owner_of(dep)

    return name


def check_own(name: str, deps: Iterable[str], owner: object) -> tuple[str, ...]:
    """Return dependencies as plain names.

    Raises:
        InvalidArgumentError: If one stands for a member of another workflow.
    """
    for dep in deps:
        if isinstance(dep, WiredName) and dep.owner is not owner:
            raise InvalidArgumentError(
                f"{name!r} must depend on members of its own workflow, got a placeholder for"
                f" {str(dep)!r} of {dep.owner!r}"
            )

    return tuple(str(dep) for dep in deps)


def free_name(base: str, taken: Collection[str]) -> str:
    """Return the base name if it is free, else one that ends in ``_2``, ``_3``, …."""
    name, count = base, 1

    while name in taken:
        count += 1
        name = f"{base}_{count}"

    return name


def find_wired(path: str, members: Mapping[str, Any], *, check_deps: bool) -> tuple[str, ...]:
    """Split a path into names, and check that it begins with a member.

    Raises:
        UnknownDependencyError: If it leads nowhere, and ``check_deps`` is on.
    """
    names = (path,) if path in members else split_path(path)
    inside = members

    for depth, name in enumerate(names) if check_deps else ():
        if name not in inside:
            known = [join_path([*names[:depth], one]) for one in inside]
            raise UnknownDependencyError(
                f"there is nothing named {path!r} in the workflow{_did_you_mean(path, known)}"
            )

        found = inside[name]

        # Nobody knows yet what a graft will hold.
        if getattr(found, "kind", None) == "graft":
            break

        inside = getattr(found, "members", {})

    return names


def normalize_deps(name: str, deps: object) -> tuple[str, ...]:
    """Return dependencies as distinct names, in the order given.

    Args:
        name: What depends on them.
        deps: A name, a placeholder, or several of both.

    Raises:
        InvalidArgumentError: If they are neither a name nor an iterable of names.
        CycleError: If the job depends on itself.
    """
    if isinstance(deps, str | Placeholder):
        names: tuple[str, ...] = (_dep_of(deps),)
    else:
        try:
            names = tuple(dict.fromkeys(map(_dep_of, deps)))  # type: ignore[call-overload]
        except TypeError:
            raise InvalidArgumentError(
                f"deps of {name!r} must be a name or an iterable of names, got {deps!r}"
            ) from None

    for dep in names:
        if not isinstance(dep, str):
            raise InvalidArgumentError(f"deps of {name!r} must be names, got {dep!r}")

        if dep == name:
            raise CycleError(f"{name!r} must not depend on itself")

    return names


def check_need(name: str, need: object, deps: tuple[str, ...]) -> int | None:
    """Return how many dependencies must be satisfied; None for all.

    Raises:
        InvalidArgumentError: If it is no int, there are no dependencies, or fewer than that.
    """
    if need is None:
        return None

    if isinstance(need, bool) or not isinstance(need, int):
        raise InvalidArgumentError(f"need of {name!r} must be an int, got {need!r}")

    if not deps:
        raise InvalidArgumentError(f"need of {name!r} needs deps to count, got none")

    if not 1 <= need <= len(deps):
        raise InvalidArgumentError(
            f"need of {name!r} must be from 1 to {len(deps)}, as many as it has deps, got {need!r}"
        )

    return need


def check_known(name: str, deps: Iterable[str], known: Collection[str]) -> None:
    """Raise unless every dependency is known.

    Raises:
        UnknownDependencyError: Naming the job, the missing name and the closest known one.
    """
    for dep in deps:
        if dep not in known:
            raise UnknownDependencyError(
                f"unknown dependency {dep!r} of {name!r}{_did_you_mean(dep, known)}"
            )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1)

    return f"; did you mean {close[0]!r}?" if close else ""


def order(names: Iterable[str], deps: Mapping[str, Collection[str]]) -> list[str]:
    """Return all names so that each comes after what it depends on.

    Args:
        names: In the order to keep wherever dependencies allow it.
        deps: For each name that depends on any, the names it depends on.

    Raises:
        CycleError: Spelling out one cycle.
    """
    ordered = [*names]

    if not deps or _is_ordered(ordered, deps):
        return ordered

    try:
        return list(
            TopologicalSorter({name: deps.get(name, ()) for name in ordered}).static_order()
        )
    except GraphCycleError as error:
        # graphlib lists a cycle upstream first
        path = " -> ".join(repr(name) for name in reversed(error.args[1]))

        raise CycleError(f"dependencies must not form a cycle, got {path}") from None


def _is_ordered(names: Iterable[str], deps: Mapping[str, Collection[str]]) -> bool:
    seen: set[str] = set()

    for name in names:
        if name in deps and not seen.issuperset(deps[name]):
            return False

        seen.add(name)

    return True
