"""Bounds for the executions of a function: timeout, backoff, errors that it gives up on.

The args of the function's job hold them: durations in seconds, code by its import path.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oban_pro.errors import FunctionNotFoundError, InvalidArgumentError
from oban_pro.model.absence import absent_code
from oban_pro.model.durations import check_duration
from oban_pro.settings import names_of

from .functions import JOB, check_function, path_of, resolve_function

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from oban import Job

# Keys of args, named like the options.
TIMEOUT = "timeout"
BACKOFF = "backoff"
GIVE_UP_ON = "give_up_on"

BOUNDS = (TIMEOUT, BACKOFF, GIVE_UP_ON)


def check_bounds(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bounds among some options, as the args of a job hold them.

    Args:
        name: Of the cascade, for errors.
        options: What was passed as ``job_opts``; a bound that is None is not set.

    Raises:
        InvalidArgumentError: If one of them has the wrong type.
        InvalidOptionError: If a duration is not finite or not positive; a backoff may be 0.
        InvalidFunctionError: If another process could not import the function for the backoff, or
            if it cannot take a job.
    """
    bounds: dict[str, Any] = {}

    if (timeout := options.get(TIMEOUT)) is not None:
        bounds[TIMEOUT] = check_duration(f"timeout of {name!r}", timeout).total_seconds()

    if (backoff := options.get(BACKOFF)) is not None:
        bounds[BACKOFF] = _check_backoff(name, backoff)

    if (classes := options.get(GIVE_UP_ON)) is not None:
        bounds[GIVE_UP_ON] = _check_classes(name, classes)

    return bounds


def _check_backoff(name: str, backoff: object) -> float | str:
    if callable(backoff):
        return check_function(name, backoff, JOB)

    return check_duration(f"backoff of {name!r}", backoff, zero=True).total_seconds()


def _check_classes(name: str, classes: object) -> list[str]:
    listed = classes if isinstance(classes, tuple) else (classes,)

    for one in listed:
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise InvalidArgumentError(
                f"give_up_on of {name!r} must be an Exception class or a tuple of them, got {one!r}"
            )

        if "<locals>" in one.__qualname__:
            raise InvalidArgumentError(
                f"give_up_on of {name!r} cannot name {one.__qualname__}: it is nested in a"
                " function; move it to the top of a module"
            )

    return [path_of(one) for one in listed]


def timeout_of(job: Job) -> timedelta | None:
    """Return how long one execution of a job's function may take; None for as long as it likes.

    Raises:
        InvalidArgumentError: If the row has no duration there.
        InvalidOptionError: If it is not finite or not positive.
    """
    value = job.args.get(TIMEOUT)

    return None if value is None else check_duration("timeout of the job", value)


def backoff_of(job: Job) -> float | None:
    """Return the seconds until a failed job is tried again; None leaves the choice to oban.

    Calls the function that the row names.

    Raises:
        FunctionNotFoundError: If this process cannot import that function.
        ForbiddenCodeError: If rows may not name that function.
        InvalidArgumentError: If it returned no duration.
        InvalidOptionError: If that is negative or not finite.
    """
    value = job.args.get(BACKOFF)

    if value is None:
        return None

    if isinstance(value, str):
        value = resolve_function(value, JOB)(job)

    return check_duration("backoff of the job", value, zero=True).total_seconds()


def require_backoff(job: Job) -> None:
    """Check that the backoff function of a job can be found, before the job runs.

    Raises:
        FunctionNotFoundError: If this process does not have the function. If it has, but the
            function cannot be used, oban's own backoff applies.
    """
    value = job.args.get(BACKOFF)

    if isinstance(value, str):
        try:
            resolve_function(value, JOB)
        except FunctionNotFoundError as error:
            if absent_code(error) is not None:
                raise
        except Exception:
            # The error is told when the job fails.
            return


@contextmanager
def giving_up(job: Job) -> Iterator[None]:
    """Make an exception that a job gives up on end its last attempt."""
    try:
        yield
    except Exception as error:
        if _is_final(job, error):
            job.max_attempts = job.attempt

        raise


def _is_final(job: Job, error: Exception) -> bool:
    """Tell whether an exception is of a class that the row names, or of one derived from it.

    Compares import paths, so that a row can make no node import anything.
    """
    paths = job.args.get(GIVE_UP_ON)

    if not isinstance(paths, list):
        return False

    named = {name for path in paths if isinstance(path, str) for name in names_of(path)}

    return any(path_of(one) in named for one in type(error).__mro__)
