"""Jobs and collections of them, checked as they are added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oban import Job

from .errors import InvalidArgumentError, InvalidJobError, InvalidNameError
from .graph import check_free, check_text


def check_job(name: str, job: object) -> Job:
    """Return what was added if it is a job.

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
    """Return the items of a collection by the names of their jobs: keys, or numbers from 0 on.

    Raises:
        InvalidArgumentError: If it is no collection, or a key is neither a string nor an int.
        DuplicateNameError: If two keys come to the same name.
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
