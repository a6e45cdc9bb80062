"""The dict that a cascade receives."""

from __future__ import annotations

from difflib import get_close_matches
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from oban_pro.errors import CascadeError, MissingContextError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .placeholder import Wire


def listed(results: dict[str, Any]) -> list[Any]:
    """Return the results of a fan-out over a list in the order of its items."""
    return [results[key] for key in sorted(results, key=int)]


class Context(dict[str, Any]):
    """A dict whose missing keys are explained by what the job depends on.

    Args:
        values: Context of the workflow.
        results: What the job's dependencies recorded; takes precedence over ``values``.
        job: The name of the job.
        deps: Names of what it depends on, whether or not they recorded anything.
        lists: Names of those that are fan-outs over a list that an upstream job recorded.
        failures: By dependency, the last errors of what failed in it, by name.
        is_undo: Whether the undo of the job receives it, which may find what the job recorded.
    """

    def __init__(
        self,
        values: dict[str, Any],
        results: dict[str, Any],
        job: str,
        deps: list[str],
        lists: Collection[str] = (),
        *,
        failures: Mapping[str, Mapping[str, str]] | None = None,
        is_undo: bool = False,
    ) -> None:
        super().__init__(values | results)
        self._results = results
        self._job = job
        self._deps = deps
        self._lists = lists
        self._failures = failures or {}
        self._is_undo = is_undo

    def for_undo(self, recorded: Mapping[str, Any]) -> Context:
        """Return this context for the undo of the job, with the job's own result under its name."""
        return Context(
            dict(self),
            {**self._results, **recorded},
            self._job,
            self._deps,
            self._lists,
            failures=self._failures,
            is_undo=True,
        )

    @property
    def job(self) -> str:
        """The name of the job."""
        return self._job

    def resolve(self, wire: Wire) -> Any:
        """Return what a placeholder stands for.

        Raises:
            MissingContextError: If the member that it leads to has recorded nothing.
            CascadeError: If what it has recorded has no such item or attribute.
        """
        found = self._find(wire)

        try:
            return wire.follow(found)
        except Exception as error:
            raise CascadeError(
                f"job {self._job!r} must find {wire} in what was recorded, got {error!r}"
            ) from error

    def _find(self, wire: Wire) -> Any:
        """Return the value that the steps of a placeholder begin at."""
        if wire.shape == "failed":
            return self.failed(wire.path[0])

        try:
            found: Any = reduce(getitem, wire.path, self._results)
        except (LookupError, TypeError):
            raise MissingContextError(
                f"job {self._job!r} needs what {'/'.join(wire.path)!r} records, and that recorded"
                " nothing; a parameter with a default does without"
            ) from None

        is_list = wire.shape == "mapped" and wire.path[0] in self._lists

        return listed(found) if is_list or wire.shape == "list" else found

    def failed(self, name: str) -> dict[str, str]:
        """Return the last errors of the jobs in a dependency that were cancelled or discarded.

        These are failures that the dependency tolerated, or that the job ignores or does not need,
        as they were known when the job started.

        Args:
            name: Of a dependency: a fan-out, another group, or a job.

        Returns:
            By the name of each job or group in the dependency that failed, its last error, as oban
            stores it; of a job that failed, by its own name. Empty where nothing failed.

        Raises:
            MissingContextError: If the job does not depend on it.

        Example:
            >>> async def report(context):
            ...     return {"failed": sorted(context.failed("call"))}
        """
        if name not in self._deps:
            raise MissingContextError(
                f"no dependency {name!r}: job {self._job!r} depends on {self._list_deps()}"
                f"{self._hint(name, self._deps)}"
            )

        return dict(self._failures.get(name, {}))

    def __missing__(self, key: object) -> Any:
        reader = f"{'the undo of ' if self._is_undo else ''}job {self._job!r}"
        is_silent = key in self._deps or (self._is_undo and key == self._job)
        silent = f" {key!r} recorded nothing;" if is_silent else ""
        way_out = (
            f"; context.get({key!r}) does without"
            if is_silent
            else self._hint(key, [*self, *self._deps])
        )

        raise MissingContextError(
            f"no {key!r} in the context of {reader};{silent}"
            f" it depends on {self._list_deps()}{way_out}"
        )

    def _list_deps(self) -> str:
        return ", ".join(repr(dep) for dep in self._deps) or "nothing"

    @staticmethod
    def _hint(key: object, known: list[str]) -> str:
        close = get_close_matches(str(key), known, n=1)

        return f"; did you mean {close[0]!r}?" if close and close[0] != key else ""
