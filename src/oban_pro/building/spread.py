"""Which jobs of a plan reuse results of another workflow, and which run."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import Plan, PlannedJob

type Verdict = int | str
"""The id of the job whose result is reused, or why the job runs."""


class Spread:
    """Decides which jobs of a plan reuse a result, and which run.

    Args:
        plan: A root.
        verdicts: On each of its jobs.
    """

    def __init__(self, plan: Plan, verdicts: list[Verdict]) -> None:
        self._plan = plan
        self._verdicts = verdicts
        self._upstream: defaultdict[int, list[int]] = defaultdict(list)
        # groups in which something runs, or that have no jobs and are behind something that runs
        self._moving: set[int] = set()
        # groups that were looked at and do not move
        self._resting: set[int] = set()

        for up, down in plan.edges:
            self._upstream[down].append(up)

        for n, verdict in enumerate(verdicts):
            if isinstance(verdict, str):
                self._move(plan.jobs[n].group)

    def spread(self) -> None:
        """Let jobs run that depend on something that runs; upstream comes before downstream."""
        for n, planned in enumerate(self._plan.jobs):
            if isinstance(self._verdicts[n], str):
                continue

            cause = next(filter(self._runs, self._awaited(n, planned)), None)

            if cause is not None:
                self._verdicts[n] = f"{self._plan.name_of(cause)!r} runs"
                self._move(planned.group)

    def note(self) -> None:
        """Count the jobs that reuse a result as completed, in the counters of the plan."""
        plan = self._plan

        for index, group in enumerate(plan.groups):
            group.completed = group.subs_completed = group.suspended = 0

            if group.gated and group.parent is not None:
                group.pending = int(plan.groups[group.parent].pending > 0)
            elif group.parent is not None:
                need = None if group.join is None else group.join.need
                group.pending = self._pending(self._upstream[~index], need)

        for n, (planned, verdict) in enumerate(zip(plan.jobs, self._verdicts, strict=True)):
            group = plan.groups[planned.group]

            if isinstance(verdict, int):
                planned.source, planned.pending, planned.suspended = verdict, 0, False
                group.completed += 1
                continue

            need = None if planned.join is None else planned.join.need
            own = self._pending(self._upstream[n], need) + (planned.runs_on is not None)
            planned.source = None
            planned.pending = int(group.pending > 0) if planned.gated else own
            planned.suspended = planned.pending > 0
            group.suspended += planned.suspended

        # what is nested comes after what is around it
        for group in reversed(plan.groups):
            if group.parent is not None:
                plan.groups[group.parent].subs_completed += group.state == "completed"

    def _move(self, group: int | None) -> None:
        while group is not None and group not in self._moving:
            self._moving.add(group)
            group = self._plan.groups[group].parent

    def _awaited(self, n: int, planned: PlannedJob) -> Sequence[int]:
        own = self._upstream[n]

        return [*own, *self._plan.groups[planned.group].gate] if planned.gated else own

    def _pending(self, upstream: Sequence[int], need: int | None) -> int:
        needed = len(upstream) if need is None else need

        return needed - sum(not self._runs(pointer) for pointer in upstream)

    def _runs(self, pointer: int) -> bool:
        """Tell whether a job runs, or something in a group or before an empty one."""
        seen = [pointer]

        for one in seen:
            if isinstance(self._verdicts[one], str) if one >= 0 else ~one in self._moving:
                if pointer < 0:
                    self._moving.add(~pointer)

                return True

            if one < 0 and ~one not in self._resting and not self._plan.groups[~one].total:
                seen.extend(self._plan.groups[~one].gate)

        self._resting.update(~group for group in seen if group < 0)

        return False
