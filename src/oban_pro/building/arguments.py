"""Checking arguments of the builder's methods as they are given: jobs, items, options."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypedDict

from oban import Job

from oban_pro.errors import (
    InvalidArgumentError,
    InvalidJobError,
    InvalidNameError,
    InvalidOptionError,
)
from oban_pro.model.durations import check_moment

from .names import check_free, check_text


class JobOptions(TypedDict, total=False):
    """Options for the job of a function, or for every job of a fan-out.

    Each has the meaning and the default that it has for `oban.Job`.
    """

    queue: str
    priority: int
    max_attempts: int
    tags: list[str]
    scheduled_at: datetime
    scheduled_in: timedelta | float
    meta: dict[str, Any]


class FunctionOptions(JobOptions, total=False):
    """Options for a function: those of its job, and the bounds of its executions."""

    timeout: timedelta | float | None
    backoff: timedelta | float | Callable[[Job], timedelta | float] | None
    give_up_on: type[Exception] | tuple[type[Exception], ...] | None


class SizedOptions(FunctionOptions, total=False):
    """What can be set for a function that takes many values."""

    lazy: bool
    batch: int | None


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "queue": (str, "a string"),
    "priority": (int, "an int"),
    "max_attempts": (int, "an int"),
    "tags": (Sequence, "a list of strings"),
    "scheduled_at": (datetime, "a datetime"),
    "scheduled_in": ((timedelta, int, float), "a timedelta or seconds"),
    "meta": (Mapping, "a dict"),
}


_OF_QUEUES = {"rate_limit": "rate", "global_limit": "limit"}
"""Limits of queues, and what a fan-out has instead."""

MAX_ATTEMPTS = 32_767
"""The largest number that the column holds."""


def check_options(
    owner: str, options: Mapping[str, Any], others: Sequence[str] = ()
) -> dict[str, Any]:
    """Return options for one or many jobs, with a delay as a timedelta in place of a time.

    Args:
        owner: What errors call the owner of the options.
        options: What was passed.
        others: Options that are checked elsewhere, and not returned.

    Raises:
        InvalidArgumentError: If there is no such option, or its value has the wrong type.
        InvalidOptionError: If a value is one that no job can have.
    """
    options = {option: value for option, value in options.items() if option not in others}

    for option, value in options.items():
        _check_type(owner, option, value, others)

    checked = copy.deepcopy(options)

    try:
        if (delay := checked.get("scheduled_in")) is not None:
            delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
            checked |= {"scheduled_in": delay, "scheduled_at": None}

        if checked.get("max_attempts", 0) > MAX_ATTEMPTS:
            raise ValueError(f"max_attempts must be at most {MAX_ATTEMPTS}")

        Job("probe", **checked)
    except (ValueError, OverflowError) as error:
        raise InvalidOptionError(f"options of {owner} must suit a job, got: {error}") from None

    return checked


def check_known_options(
    owner: str, options: Iterable[str], known: Collection[str], method: str | None = None
) -> None:
    """Raise unless all options are known.

    Args:
        owner: What has the options.
        options: Their names.
        known: The names that there are.
        method: Which knows them.

    Raises:
        InvalidArgumentError: Naming the first that is unknown, the closest one, and all.
    """
    for option in options:
        if option not in known:
            hint = _hint(option, known)
            where = "" if method is None else f" to {method}()"
            raise InvalidArgumentError(
                f"unknown job option {option!r} of {owner}; {hint}{where}: {', '.join(known)}"
            )


def _hint(option: str, known: Collection[str]) -> str:
    if option in _OF_QUEUES:
        return f"it is for queues, and a fan-out has {_OF_QUEUES[option]!r}. Known"

    close = get_close_matches(option, known, n=1)

    return f"did you mean {close[0]!r}? Known" if close else "known"


def _check_type(owner: str, option: str, value: object, others: Sequence[str]) -> None:
    check_known_options(owner, [option], [*_TYPES, *others])

    expected, spelled = _TYPES[option]

    if not isinstance(value, expected) or (expected is not str and _only_seems_so(value)):
        raise InvalidArgumentError(f"{option} of {owner} must be {spelled}, got {value!r}")

    if expected is datetime:
        check_moment(f"{option} of {owner}", value)


def _only_seems_so(value: object) -> bool:
    """Tell whether a value fits the type by name only: a bool for an int, a list of no strings."""
    if isinstance(value, Sequence):
        return isinstance(value, (str, bytes)) or not all(isinstance(tag, str) for tag in value)

    return isinstance(value, bool)


def check_job(name: str, job: object) -> Job:
    """Check that what was added is a job; returns it.

    Raises:
        InvalidJobError: If it is something else, with a hint where that is likely.
    """
    if isinstance(job, Job):
        return job

    if hasattr(job, "add_workflow"):
        raise InvalidJobError(f"job {name!r} must be a Job, got a Workflow; use add_workflow()")

    hint = "; call its .new(...)" if isinstance(job, type) else ""

    raise InvalidJobError(f"job {name!r} must be a Job, got {job!r}{hint}")


def named_items(name: str, jobs: object) -> dict[str, object]:
    """Return the items of a collection by the names of their jobs: its keys, or 0, 1, 2, ….

    Raises:
        InvalidArgumentError: If it is no collection, or a key is neither a string nor an int.
        DuplicateNameError: If two keys give the same name.
    """
    if isinstance(jobs, Mapping):
        named: dict[str, object] = {}

        for key, job in jobs.items():
            named[check_free(_key(name, key), named)] = job

        return named

    if isinstance(jobs, Iterable) and not (
        isinstance(jobs, (str, bytes)) or hasattr(jobs, "add_workflow")
    ):
        return {str(index): job for index, job in enumerate(jobs)}

    raise InvalidArgumentError(f"{name!r} must be made of a list or a dict, got {jobs!r}")


def _key(name: str, key: object) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)

    try:
        return check_text(key, f"key in {name!r}")
    except InvalidNameError as error:
        raise InvalidArgumentError(str(error)) from None
