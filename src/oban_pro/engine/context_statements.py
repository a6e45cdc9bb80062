"""Statements of the engine about what the contexts of jobs are made of."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from oban_pro.values.recorded import Source

from .encoding import array
from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .statements import Row


class JobGroup(NamedTuple):
    """The group of a job, by its key, and whether the job waits for the gate of that group."""

    key: int
    is_gated: bool


class SharedVersions(NamedTuple):
    """Versions of what the jobs of a group share.

    Args:
        is_gated: Whether one of the jobs that were asked for waits for the gate.
        contexts: Of the contexts of its workflow and of those around it; None if unknown.
        gate: Of what the gate of the group depends on; None if unknown, or if that may still
            change.
    """

    is_gated: bool
    contexts: str | None
    gate: str | None


class ContextData(NamedTuple):
    """What the contexts of some jobs are made of, still encoded.

    Args:
        groups: By job.
        versions: By group.
        contexts: By group, as JSON, the root's first.
        sources: What each job itself depends on, by its id, and the gate of each group, by its key.
    """

    groups: dict[int, JobGroup]
    versions: dict[int, SharedVersions]
    contexts: dict[int, list[str]]
    sources: dict[int, list[Source]]

    def all_sources(self) -> list[Source]:
        """Return all sources, whoever depends on them."""
        return [source for sources in self.sources.values() for source in sources]


class LazyContextData(NamedTuple):
    """What the context of one job is made of, still encoded.

    Args:
        contexts: As JSON, the root's first.
        sources: What the job depends on, without the results in groups.
    """

    contexts: list[str]
    sources: list[Source]


class ContextStatements(Statements):
    """Statements about contexts: a part of `Store`."""

    async def contexts(
        self, job_ids: Sequence[int], known: Mapping[int, SharedVersions]
    ) -> ContextData:
        """Read what the contexts of jobs are made of, except what the caller knows already.

        Args:
            job_ids: Jobs of any workflows.
            known: Versions that the caller knows, by group.
        """
        params = {
            "ids": array(job_ids),
            "known": array(known),
            "contexts": [versions.contexts for versions in known.values()],
            "gates": [versions.gate for versions in known.values()],
        }

        return _sorted(await self.rows("contexts", params))

    async def lazy_context(self, job_id: int) -> LazyContextData:
        """Read what the context of a job is made of, without the results that are in groups."""
        rows = await self.rows("lazy_context", {"job": job_id})

        return LazyContextData(
            [context for context, *_ in rows if context is not None],
            [Source(*source) for context, *source in rows if context is None],
        )

    async def group_context(self, workflow_id: str) -> str | None:
        """Read the context that was added to a workflow, as JSON."""
        rows = await self.rows("group_context", {"id": workflow_id})

        return rows[0][0] if rows else None


def _sorted(rows: Iterable[Row]) -> ContextData:
    """Sort rows by their part, which says what columns a row has; all others are None."""
    data = ContextData({}, {}, defaultdict(list), defaultdict(list))

    # Hundreds of rows may come at once while jobs wait, so their columns are taken by position.
    for row in rows:
        part, job, group = row[:3]

        if part == "source":
            data.sources[job or group].append(Source._make(row[7:]))
        elif part == "place":
            data.groups[job] = JobGroup._make(row[2:4])
        elif part == "versions":
            data.versions[group] = SharedVersions._make(row[3:6])
        else:
            data.contexts[group].append(row[6])

    return data
