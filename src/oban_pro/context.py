"""The dict that a cascade receives."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from .errors import MissingContextError


class Context(dict[str, Any]):
    """A dict whose missing keys are explained by what the job depends on.

    Args:
        values: Context of the workflow, overlaid by the results of the job's dependencies.
        job: The name of the job.
        deps: Names of what it depends on, whether or not they recorded anything.
    """

    def __init__(self, values: dict[str, Any], job: str, deps: list[str]) -> None:
        super().__init__(values)
        self._job = job
        self._deps = deps

    def __missing__(self, key: object) -> Any:
        close = get_close_matches(str(key), [*self, *self._deps], n=1)
        hint = f"; did you mean {close[0]!r}?" if close and close[0] != key else ""
        deps = ", ".join(repr(dep) for dep in self._deps) or "nothing"
        silent = f" {key!r} recorded nothing;" if key in self._deps else ""

        raise MissingContextError(
            f"no {key!r} in the context of job {self._job!r};{silent} it depends on {deps}{hint}"
        )
