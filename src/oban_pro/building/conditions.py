"""Conditions: functions, or results of upstream jobs, that decide whether a member runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oban_pro.errors import DuplicateNameError, InvalidArgumentError
from oban_pro.values import codec
from oban_pro.values.placeholder import Placeholder

from .cascades import VALUE, cascade_job
from .functions import CONTEXT, check_function
from .names import normalize_deps
from .plan import JUDGE_NAME, JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oban_pro.values.context import Context

    from .plan import GroupSpec

# A context is a dict, so a function that takes any dict takes it. A checker takes a placeholder for
# the value.
type Condition = Callable[[Context], object] | bool

type StoredCondition = str | dict[str, Any]
"""A condition as rows have it: the import path of a function, or an encoded placeholder."""

JUDGE_WORKER = "oban_pro.workers.Judge"
"""Path of the worker of judges, as rows name it."""


_OPTIONS = ("queue", "priority", "max_attempts", "tags", "meta")
"""Options of a group that its judge has as well. It has no delay: it starts when the group may."""


def check_condition(name: str, when: object, need: object = None) -> StoredCondition | None:
    """Return a condition as it is stored; None if there is none.

    Args:
        name: Of the member that it is for, for errors.
        when: What was given.
        need: How many of its deps the member needs, if not all.

    Raises:
        InvalidFunctionError: If another process could not import it, or it cannot take a context.
        InvalidArgumentError: If it is a value, or a placeholder for what the member may do without.
    """
    if isinstance(when, Placeholder):
        if need is not None:
            raise InvalidArgumentError(
                f"when of {name!r} must be a function beside need: the job may start before"
                f" {when!r} is there"
            )

        stored: dict[str, Any] = codec.to_json(when, lambda _: None)

        return stored

    if isinstance(when, bool):
        raise InvalidArgumentError(
            f"when of {name!r} must be a function, or a placeholder for a result, got {when!r}"
        )

    return None if when is None else check_function(name, when, CONTEXT, "condition")


def spell_condition(stored: StoredCondition) -> str:
    """Return what people call a condition: an import path, or where a placeholder leads."""
    return stored if isinstance(stored, str) else str(codec.from_json(stored, str))


def conditional_deps(name: str, deps: object, when: object) -> tuple[str, ...]:
    """Return dependencies as distinct names, with the one that a placeholder as condition makes.

    Raises:
        InvalidArgumentError: If they are neither a name nor an iterable of names.
        CycleError: If the member depends on itself.
    """
    named = normalize_deps(name, deps)

    return normalize_deps(name, (*named, when)) if isinstance(when, Placeholder) else named


def judged(
    name: str,
    spec: GroupSpec,
    when: StoredCondition | None,
    options: Mapping[str, Any] | None = None,
) -> GroupSpec:
    """Return a group with a judge for its condition, if it has one.

    Args:
        name: Of the group.
        spec: The group.
        when: Its condition as it is stored, or None.
        options: Those of the jobs in it.

    Raises:
        DuplicateNameError: If a member of the group has the name of the judge.
    """
    if when is None:
        return spec

    check_members(name, spec.members)
    own = {option: value for option, value in (options or {}).items() if option in _OPTIONS}
    path, args = (when, {}) if isinstance(when, str) else (None, {VALUE: when})
    judge = JobSpec(cascade_job(JUDGE_WORKER, path, args, own), options=own)

    return replace(spec, judge=judge)


def check_members(name: str, members: Iterable[str]) -> None:
    """Raise if a member of a group with a condition has the name of the judge.

    Raises:
        DuplicateNameError: If one is.
    """
    if JUDGE_NAME in members:
        raise DuplicateNameError(
            f"a member of {name!r} must not be called {JUDGE_NAME!r}: that is the job that asks the"
            f" condition of {name!r}"
        )
