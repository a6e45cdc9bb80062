"""Final jobs, which start when everything else of their workflow has settled."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from oban_pro.errors import InvalidArgumentError

from .arguments import check_job
from .calls import Call
from .cascades import FINAL_WORKER, cascade_job
from .functions import CONTEXT_AND_OUTCOME, check_function
from .plan import JobSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .plan import GroupSpec
    from .specs import Given

# A bit of the rules that a root uses; see the migration that adds the column.
ENDS = 16

type RunsOn = Literal["always", "completed", "failed"]

RUNS_ON = ("always", "completed", "failed")
"""After which outcomes of its workflow a final job may run."""


def final_spec(given: Given, job: Any, on: object) -> JobSpec:
    """Return the member that `Workflow.add_final` adds.

    Raises:
        InvalidArgumentError: If there is no such ``on``, or options are given for a job.
        InvalidJobError: If it is neither a job nor a function.
        InvalidFunctionError: If the function cannot be used.
    """
    name, options, bounds = given.name, given.options, given.bounds

    if on not in RUNS_ON:
        known = ", ".join(map(repr, RUNS_ON))
        raise InvalidArgumentError(f"on of {name!r} must be one of {known}, got {on!r}")

    if isinstance(job, Call):
        made = cascade_job(FINAL_WORKER, job.path, {**job.args, **bounds}, options)

        return JobSpec(made, given.deps, options=options, runs_on=str(on))

    if inspect.isfunction(job):
        path = check_function(name, job, CONTEXT_AND_OUTCOME)
        made = cascade_job(FINAL_WORKER, path, bounds, options)

        return JobSpec(made, given.deps, options=options, runs_on=str(on))

    if set_on_job := options | bounds:
        raise InvalidArgumentError(f"options of {name!r} must be set on its job, got {set_on_job}")

    return JobSpec(check_job(name, job), given.deps, runs_on=str(on))


def check_ends(name: str, spec: JobSpec | GroupSpec, members: Mapping[str, Any]) -> None:
    """Raise if a final job depends on another one, or anything else on a final job.

    Args:
        name: Of the member.
        spec: The member.
        members: What it may depend on, by name; only final jobs have ``runs_on``.

    Raises:
        InvalidArgumentError: Naming both.
    """
    is_final = is_final_spec(spec)

    for dep in spec.deps:
        if dep not in members or is_final_spec(members[dep]) == is_final:
            continue

        if is_final:
            raise InvalidArgumentError(
                f"final job {name!r} must depend on final jobs alone, as it starts after everything"
                f" else anyway; got {dep!r}"
            )

        raise InvalidArgumentError(
            f"{name!r} must not depend on {dep!r}, a final job, which starts after everything else"
        )


def is_final_spec(member: Any) -> bool:
    """Tell whether a member is a final job."""
    return isinstance(member, JobSpec) and member.runs_on is not None


def finals_last(members: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return names in their order, with the names of final jobs last."""
    return sorted(names, key=lambda name: is_final_spec(members[name]))
