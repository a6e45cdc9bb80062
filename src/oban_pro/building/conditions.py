"""Conditions: functions that decide whether a member of a workflow runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oban_pro.errors import DuplicateNameError

from .cascades import cascade_job
from .functions import CONTEXT, check_function
from .plan import JUDGE_NAME, JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oban_pro.values.context import Context

    from .plan import GroupSpec

# A context is a dict, so a function that takes any dict takes it.
type Condition = Callable[[Context], object]

JUDGE_WORKER = "oban_pro.workers.Judge"
"""Path of the worker of judges, as rows name it."""

_OPTIONS = ("queue", "priority", "max_attempts", "tags", "meta")
"""Options of a group that its judge has as well. It has no delay: it starts when the group may."""


def check_condition(name: str, when: object) -> str | None:
    """Return the import path of a condition; None if there is none.

    Args:
        name: Of the member that it is for, for errors.
        when: What was given.

    Raises:
        InvalidFunctionError: If another process could not import it, or it cannot take a context.
    """
    return None if when is None else check_function(name, when, CONTEXT, "condition")


def judged(
    name: str, spec: GroupSpec, when: str | None, options: Mapping[str, Any] | None = None
) -> GroupSpec:
    """Return a group with a judge for its condition, if it has one.

    Args:
        name: Of the group.
        spec: The group.
        when: Import path of its condition, or None.
        options: Those of the jobs in it.

    Raises:
        DuplicateNameError: If a member of the group has the name of the judge.
    """
    if when is None:
        return spec

    check_members(name, spec.members)
    own = {option: value for option, value in (options or {}).items() if option in _OPTIONS}
    judge = JobSpec(cascade_job(JUDGE_WORKER, when, {}, own), options=own)

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
