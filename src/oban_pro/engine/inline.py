"""Cascades without a database: contexts and results of jobs that still know their plan.

`oban.testing.mode("inline")` and `process_job` run the jobs of a builder in place. Their results
are kept with the plan, where later jobs find them.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from oban_pro.building.batches import BATCH_WORKER
from oban_pro.building.plan import EXTERNAL, GRAFTED_NAME, plan_of
from oban_pro.model import meta
from oban_pro.model.outcome import Outcome
from oban_pro.model.turns import AGAIN, TURN, turns_of
from oban_pro.values import codec
from oban_pro.values.context import Context
from oban_pro.values.lazy import LazyResults, Loaded
from oban_pro.values.recorded import ABSENT, Recorded, going_on, lists_among, nest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oban import Job, Record

    from oban_pro.building.plan import Plan
    from oban_pro.model.turns import NextTurn


def is_bound(job: Job) -> bool:
    """Tell whether a job comes straight from a builder, and not from a database."""
    return plan_of(job) is not None


def keep(job: Job, record: Record) -> None:
    """Keep what a job recorded, for the jobs after it."""
    memory = _memory_of(job)
    memory.recorded[memory.index[id(job)]] = codec.decode(record.encoded)


def keep_turn(job: Job, turn: NextTurn) -> None:
    """Keep what a loop goes on with for its next turn."""
    job.meta = {**job.meta, TURN: turns_of(job.meta) + 1, AGAIN: turn.encoded}


def is_skipped(job: Job) -> bool:
    """Tell whether everything that a job depends on was skipped."""
    return _memory_of(job).is_skipped(job)


def keep_skipped(job: Job) -> None:
    """Keep that a job was skipped, or that a judge said no."""
    memory = _memory_of(job)
    memory.skipped.add(memory.index[id(job)])


async def run_graft(plan: Plan) -> None:
    """Run the workflow that a grafter returned."""
    from oban.testing import process_job

    for job in plan:
        await process_job(job)


def context_of(job: Job, *, is_lazy: bool = False) -> Context:
    """Return the context of a job: the contexts of its workflows, then the results of its deps."""
    return _memory_of(job).context_of(job, is_lazy=is_lazy)


def what_ended(job: Job) -> tuple[Context, Outcome]:
    """Return the context of a final job, and the outcome of its workflow.

    A job that runs in place raises its exception, so all jobs before this one have completed.
    """
    memory = _memory_of(job)

    return memory.context_of_final(job), Outcome("completed")


def _memory_of(job: Job) -> _Memory:
    plan = plan_of(job)
    assert plan is not None

    return _Memory.of(plan)


class _Memory:
    """What the jobs of a plan have recorded, and indexes of the plan for reading it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.recorded: dict[int, Any] = {}
        # jobs that were skipped, and judges that said no
        self.skipped: set[int] = set()
        self.grafted: dict[int, _Memory] = {}
        # the context of the workflow that this one was grafted to, and the results it depends on
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
        grafted.before = nest(self._recorded(self.plan.groups[group].gate))
        self.grafted[~group] = grafted

    def results(self) -> dict[str, Any]:
        return nest(self._recorded(self.members[~0]))

    def context_of(self, job: Job, *, is_lazy: bool) -> Context:
        index = self.index[id(job)]
        planned = self.plan.jobs[index]
        gate = self.plan.groups[planned.group].gate
        upstream = [*self._sources(gate if planned.gated else self.upstream[index])]
        along = self.plan.groups[planned.group].spec.along
        recorded = [*self._recorded(upstream)]

        if along is not None:
            # the first is a job of the fan-out beside, whose results are read by its name
            beside = ~self.plan.jobs[upstream[0]].group
            recorded[0] = recorded[0]._replace(parent=beside)
            recorded = [Recorded(beside, None, along, "fan_out"), *recorded]

        results = nest(recorded)

        if planned.group == 0 and not upstream:
            results |= self.before

        # A copy, so that no job sees how another one changed its context.
        values = copy.deepcopy(self.context_around(planned.group)) | going_on(job)
        deps = [self.plan.name_of(pointer) for pointer in upstream]
        lists = lists_among(recorded)
        results = copy.deepcopy(results)

        for name in (self.plan.name_of(one) for one in upstream if is_lazy and one < 0):
            results[name] = LazyResults(name, Loaded(results[name]))

        return Context(values, results, job.meta[meta.NAME], deps, lists)

    def is_skipped(self, job: Job) -> bool:
        index = self.index[id(job)]
        planned = self.plan.jobs[index]
        gate = self.plan.groups[planned.group].gate

        return self._are_skipped(gate if planned.gated else self.upstream[index])

    def _are_skipped(self, pointers: Sequence[int]) -> bool:
        return bool(pointers) and all(map(self._was_skipped, pointers))

    def _was_skipped(self, pointer: int) -> bool:
        if pointer >= 0:
            return pointer in self.skipped

        gate = self.plan.groups[~pointer].gate
        members = [one for one in self.members[pointer] if one not in self.plan.judges]

        return self._are_skipped(gate) or self._are_skipped(members)

    def _sources(self, pointers: Sequence[int]) -> Iterator[int]:
        """Yield what members depend on; in place of a judge, what the judge depends on."""
        for pointer in pointers:
            if pointer in self.plan.judges:
                yield from self._sources(self.upstream[pointer])
            else:
                yield pointer

    def context_of_final(self, job: Job) -> Context:
        planned = self.plan.jobs[self.index[id(job)]]
        members = self.members[~planned.group]
        values, recorded = self.context_around(planned.group), [*self._recorded(members)]
        names = [self.plan.name_of(pointer) for pointer in members]
        results, lists = copy.deepcopy(nest(recorded)), lists_among(recorded)

        return Context(copy.deepcopy(values), results, job.meta[meta.NAME], names, lists)

    def context_around(self, index: int | None) -> dict[str, Any]:
        contexts: list[dict[str, Any]] = []

        while index is not None:
            group = self.plan.groups[index]
            contexts.append(codec.from_json(group.spec.context or {}))
            index = group.parent

        contexts.append(self.around)

        return {key: value for context in reversed(contexts) for key, value in context.items()}

    def _is_batch(self, pointer: int) -> bool:
        is_job = 0 <= pointer < EXTERNAL

        return is_job and self.plan.jobs[pointer].job.worker == BATCH_WORKER

    def _recorded(self, upstream: Sequence[int]) -> Iterator[Recorded]:
        pending: list[tuple[int, int | None]] = [(pointer, None) for pointer in upstream]

        for pointer, parent in pending:
            kind = "batch" if self._is_batch(pointer) else self.plan.kind_of(pointer)
            yield Recorded(
                pointer,
                parent,
                self.plan.name_of(pointer),
                kind,
                self.recorded.get(pointer, ABSENT),
            )

            if pointer in self.grafted:
                # As in the database: a graft holds a workflow, whose jobs hold the results.
                yield Recorded(EXTERNAL - pointer, pointer, GRAFTED_NAME, "sub")

                for name, value in self.grafted[pointer].results().items():
                    yield Recorded(0, EXTERNAL - pointer, name, "job", value)

            if pointer < 0:
                pending.extend((member, pointer) for member in self.members[pointer])
