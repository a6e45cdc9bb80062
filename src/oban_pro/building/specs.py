"""The members that a function becomes: one job, a fan-out over items, or graft points."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from oban_pro.errors import InvalidArgumentError
from oban_pro.values import codec

from .arguments import check_job, check_options
from .batches import fan_out_args
from .bounds import BOUNDS, check_bounds
from .calls import cascade_call
from .cascades import (
    BATCH_SIZE,
    CASCADE_WORKER,
    GRAFTER_WORKER,
    LAZY,
    MAPPER_WORKER,
    OPTIONS,
    cascade_job,
    fan_out_jobs,
)
from .conditions import StoredCondition, check_condition, conditional_deps, judged
from .functions import CONTEXT, check_function
from .limits import refuse_limits
from .names import check_need
from .plan import GRAFTER_NAME, Flags, GroupSpec, JobSpec
from .sizes import NO_SIZES, refuse_batch
from .tolerance import check_tolerance, refuse_tolerance, to_args
from .undos import UNDO, check_undo_function, undo_job
from .waits import Clock, check_deadline, check_delay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oban import Job

    from .calls import Call
    from .limits import Limits
    from .sizes import Sizes
    from .tolerance import Tolerance


class Given(NamedTuple):
    """The checked options that a function is added with.

    Args:
        name: What it is added as.
        options: Options of its jobs.
        bounds: What bounds its executions, as args of its jobs.
        deps: What it depends on.
        flags: Those of the workflow, overridden by the two after it.
        ignore_cancelled: As given.
        ignore_discarded: As given.
        limit: The clock of its deadline, if there is one.
        delay: The clock of its delay, if there is one.
        need: How many of its deps must be satisfied; None for all.
        limits: Those of a fan-out, if there are any.
        tolerates: How many failures, and whether it fails fast: as given.
        when: Its condition as it is stored, if there is one.
    """

    name: str
    options: dict[str, Any]
    bounds: dict[str, Any]
    deps: tuple[str, ...]
    flags: Flags
    ignore_cancelled: bool | None
    ignore_discarded: bool | None
    limit: tuple[Clock, ...]
    delay: tuple[Clock, ...]
    need: int | None
    limits: Limits | None
    tolerates: tuple[object, object]
    when: StoredCondition | None


def check_given(
    name: str,
    deps: str | Iterable[object],
    flags: Flags,
    options: Mapping[str, Any],
    *,
    own_flags: tuple[bool | None, bool | None],
    clocks: tuple[object, object],
    need: object = None,
    limits: Limits | None = None,
    tolerates: tuple[object, object] = (None, False),
    when: object = None,
) -> Given:
    """Check the options that a function is added with.

    Args:
        name: What it is added as.
        deps: What it depends on.
        flags: Those of the workflow.
        options: Options of its jobs, and what bounds its executions.
        own_flags: What overrides the flags: ``ignore_cancelled`` and ``ignore_discarded``.
        clocks: Its deadline and its delay.
        need: How many of its deps must be satisfied; None for all.
        limits: Those of a fan-out, if there are any.
        tolerates: How many failures, and whether it fails fast; checked where it has items.
        when: Its condition, or None.

    Raises:
        InvalidArgumentError: If an option is unknown, or something has the wrong type.
        InvalidOptionError: If an option has a value that it cannot have.
        InvalidFunctionError: If the function for the backoff, or the condition, cannot be used.
        CycleError: If it depends on itself.
    """
    depends_on = conditional_deps(name, deps, when)

    return Given(
        name,
        check_options(repr(name), options, BOUNDS),
        check_bounds(name, options),
        depends_on,
        flags.override(*own_flags),
        *own_flags,
        check_deadline(repr(name), clocks[0]),
        check_delay(repr(name), clocks[1]),
        check_need(name, need, depends_on),
        limits,
        tolerates,
        check_condition(name, when, need),
    )


def cascade_spec(
    given: Given, func_or_tuple: Any, sizes: Sizes = NO_SIZES, undo: object = None
) -> JobSpec | GroupSpec:
    """Return the member that `Workflow.add_cascade` adds.

    Raises:
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If the items cannot.
        UnsupportedTypeError: If an item is of a type that cannot be stored.
    """
    name, options, bounds, deps, _, *_, limit, delay, need, limits, tolerates, when = given
    call = cascade_call(name, func_or_tuple, deps)
    bounds = {**bounds, LAZY: True} if sizes.lazy else bounds
    undo_path = check_undo_function(name, undo, call)

    if call.items is None and not call.is_mapped:
        refuse_limits(name, limits)
        refuse_tolerance(name, *tolerates)
        refuse_batch(name, sizes.batch)
        job = cascade_job(CASCADE_WORKER, call.path, {**call.args, **bounds}, options)

        return JobSpec(
            job,
            deps,
            given.ignore_cancelled,
            given.ignore_discarded,
            clocks=limit + delay,
            options=options,
            need=need,
            when=when,
            undo=undo_job(undo_path, job.args, bounds, options),
        )

    tolerance = check_tolerance(name, *tolerates)
    size = sizes.batch or call.batch

    if call.items is None:
        # The mapper waits for the delay; what it grafts runs at once.
        own = {option: options[option] for option in options if option != "scheduled_in"}
        sized = {BATCH_SIZE: size} if size else {}
        undone = {UNDO: undo_path} if undo_path else {}
        args = {**call.args, OPTIONS: codec.to_json(own), **bounds, **to_args(tolerance)}
        mapper = cascade_job(MAPPER_WORKER, call.path, args | sized | undone, options)

        return _graft(mapper, given, options)

    fan_out = _fan_out(_members(call, given, size, undo_path, bounds), given, tolerance)

    if call.along is not None:
        # each of its jobs is released by itself
        return replace(fan_out, along=call.along, clocks=(), delay=())

    return judged(name, fan_out, when, options)


def graft_spec(given: Given, job: Any) -> GroupSpec:
    """Return the member that `Workflow.add_graft` adds.

    Raises:
        InvalidJobError: If it is neither a job nor a function.
        InvalidFunctionError: If the function cannot be used.
        InvalidArgumentError: If options are given for a job.
    """
    name, options, bounds, _, flags, *_, limits, tolerates, when = given

    if isinstance(job, tuple):
        jobs = fan_out_jobs(name, job, GRAFTER_WORKER, options, bounds)
        grafts = {
            key: GroupSpec("graft", {GRAFTER_NAME: JobSpec(one, options=options)}, flags)
            for key, one in jobs.items()
        }

        spec = _fan_out(grafts, given, check_tolerance(name, *tolerates))

        return judged(name, spec, when, options)

    refuse_limits(name, limits)
    refuse_tolerance(name, *tolerates)

    if inspect.isfunction(job):
        path = check_function(name, job, CONTEXT)

        return _graft(cascade_job(GRAFTER_WORKER, path, bounds, options), given, options)

    if set_on_job := options | bounds:
        raise InvalidArgumentError(f"options of {name!r} must be set on its job, got {set_on_job}")

    return _graft(check_job(name, job), given)


def _members(
    call: Call, given: Given, size: int | None, undo_path: str | None, bounds: Mapping[str, Any]
) -> dict[str, JobSpec]:
    """Return the jobs of a fan-out by name."""
    options, clocks = given.options, () if call.along is None else given.limit + given.delay
    is_dict = call.shape == "value"
    worker, args_of = fan_out_args(given.name, call.items or {}, size, is_dict=is_dict)

    return {
        key: JobSpec(
            cascade_job(worker, call.path, {**args, **call.args, **bounds}, options),
            options=options,
            undo=undo_job(undo_path, args, bounds, options),
            clocks=clocks,
        )
        for key, args in args_of.items()
    }


def _fan_out(
    members: Mapping[str, JobSpec | GroupSpec], given: Given, tolerance: Tolerance | None
) -> GroupSpec:
    return GroupSpec(
        "fan_out",
        members,
        given.flags,
        deps=given.deps,
        clocks=given.limit,
        delay=given.delay,
        need=given.need,
        limits=given.limits,
        tolerance=tolerance,
    )


def _graft(grafter: Job, given: Given, options: Mapping[str, Any] | None = None) -> GroupSpec:
    spec = GroupSpec(
        "graft",
        {GRAFTER_NAME: JobSpec(grafter, options=options)},
        given.flags,
        deps=given.deps,
        clocks=given.limit,
        delay=given.delay,
        need=given.need,
        limits=given.limits,
    )
    job = {"queue": grafter.queue, "max_attempts": grafter.max_attempts}

    return judged(given.name, spec, given.when, job if options is None else options)
