"""Cascades without a database: contexts and results of jobs that still know their plan.

`oban.testing.mode("inline")` and `process_job` run the jobs of a builder in place. What they
record is kept with the plan, where the jobs after them find it.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from . import codec, meta
from .context import Context
from .plan import EXTERNAL, GRAFTED, plan_of
from .recorded import ABSENT, Node, nest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oban import Job, Record

    from .plan import Plan


def is_bound(job: Job) -> bool:
    """Tell whether a job comes straight from a builder, and not from a database."""
    return plan_of(job) is not None


def keep(job: Job, record: Record) -> None:
    """Keep what a job recorded for those after it."""
    memory = _memory_of(job)
    memory.recorded[memory.index[id(job)]] = codec.decode(record.encoded)


async def run_graft(plan: Plan) -> None:
    """Run what a grafter returned."""
    from oban.testing import process_job

    for job in plan:
        await process_job(job)


def context_of(job: Job) -> Context:
    """Return the context of a job: that of its workflows, overlaid by the results of its deps."""
    return _memory_of(job).context_of(job)


def _memory_of(job: Job) -> _Memory:
    plan = plan_of(job)
    assert plan is not None

    return _Memory.of(plan)


class _Memory:
    """What has been recorded in a plan, and the plan in the directions that reading needs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.recorded: dict[int, Any] = {}
        self.grafted: dict[int, _Memory] = {}
        # of what this was grafted to: its context, and the results that it depends on
        self.around: dict[str, Any] = {}
        self.before: dict[str, Any] = {}
        self.index = {id(planned.job): index for index, planned in enumerate(plan.jobs)}
        self.members: dict[int, list[int]] = defaultdict(list)
        self.upstream: dict[int, list[int]] = defaultdict(list)

        for index, group in enumerate(plan.groups):
            if group.parent is not None:
                self.members[~group.parent].append(~index)

        for index, planned in enumerate(plan.jobs):
            self.members[~planned.group].append(index)

        for up, down in plan.edges:
            self.upstream[down].append(up)

    @classmethod
    def of(cls, plan: Plan) -> _Memory:
        if not isinstance(plan.memory, cls):
            plan.memory = cls(plan)

            if plan.grafter is not None and is_bound(plan.grafter):
                _memory_of(plan.grafter)._graft(plan.grafter, plan.memory)

        return plan.memory

    def _graft(self, grafter: Job, grafted: _Memory) -> None:
        group = self.plan.jobs[self.index[id(grafter)]].group
        grafted.around = self.context_around(group)
        grafted.before = nest(self._nodes(self.plan.groups[group].gate))
        self.grafted[~group] = grafted

    def results(self) -> dict[str, Any]:
        return nest(self._nodes(self.members[~0]))

    def context_of(self, job: Job) -> Context:
        index = self.index[id(job)]
        planned = self.plan.jobs[index]
        gate = self.plan.groups[planned.group].gate
        upstream = gate if planned.gated else self.upstream[index]
        results = nest(self._nodes(upstream))

        if planned.group == 0 and not upstream:
            results |= self.before

        # A copy: what one job does to its context, others must not see.
        values = copy.deepcopy(self.context_around(planned.group) | results)
        deps = [self.plan.name_of(pointer) for pointer in upstream]

        return Context(values, job.meta[meta.NAME], deps)

    def context_around(self, index: int | None) -> dict[str, Any]:
        contexts: list[dict[str, Any]] = []

        while index is not None:
            group = self.plan.groups[index]
            contexts.append(codec.from_json(group.spec.context or {}))
            index = group.parent

        contexts.append(self.around)

        return {key: value for context in reversed(contexts) for key, value in context.items()}

    def _nodes(self, upstream: Sequence[int]) -> Iterator[Node]:
        pending: list[tuple[int, int | None]] = [(pointer, None) for pointer in upstream]

        for pointer, parent in pending:
            kind = self.plan.kind_of(pointer)
            yield Node(
                pointer,
                parent,
                self.plan.name_of(pointer),
                kind,
                self.recorded.get(pointer, ABSENT),
            )

            if pointer in self.grafted:
                # As in the database: a graft holds a workflow, whose jobs hold the results.
                yield Node(EXTERNAL - pointer, pointer, GRAFTED, "sub")

                for name, value in self.grafted[pointer].results().items():
                    yield Node(0, EXTERNAL - pointer, name, "job", value)

            if pointer < 0:
                pending.extend((member, pointer) for member in self.members[pointer])
