"""Random sagas, against a reference that knows the rules of undoing and nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import AsyncConnection

from oban_pro import Workflow, workers
from oban_pro.model import meta
from tests.support.engine import make_job
from tests.support.node_row import Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oban import Job, Oban


@dataclass
class Drawn:
    """A job, a fan-out of so many jobs, or a workflow with what is in it."""

    deps: list[str]
    has_undo: bool = False
    ignores: bool = False
    asks: bool = False
    size: int | None = None
    inside: dict[str, Drawn] | None = None


def work(item: int, context: dict[str, Any]) -> None: ...


def is_met(context: dict[str, Any]) -> bool:
    """Stand for a condition; chance says what comes of it."""
    return True


def take_back(item: int, context: dict[str, Any]) -> None: ...


def draw(rng: random.Random, asks: float = 0, depth: int = 0) -> dict[str, Drawn]:
    drawn: dict[str, Drawn] = {}

    for name in "abcdef"[: rng.randint(1 if depth else 3, 6 - 2 * depth)]:
        deps = rng.sample([*drawn], k=min(len(drawn), rng.choice((0, 1, 1, 2, 3))))
        kind = rng.random()
        drawn[name] = one = Drawn(deps, rng.random() < 0.6, bool(deps) and rng.random() < 0.3)
        one.asks = asks > 0 and rng.random() < asks

        if kind < 0.25 and depth < 2:
            one.inside = draw(rng, asks, depth + 1)
        elif kind < 0.4:
            one.size = rng.randint(0, 3)

    return drawn


def build(drawn: dict[str, Drawn], id: str | None = None) -> Workflow:
    workflow = Workflow(id=id)

    for name, one in drawn.items():
        when: Any = {"when": is_met} if one.asks else {}
        flags: dict[str, Any] = {"ignore_cancelled": one.ignores, "ignore_discarded": one.ignores}

        if one.inside is not None:
            workflow.add_workflow(name, build(one.inside), deps=one.deps, **when)
        elif one.size is not None:
            undo: Any = {"undo": take_back} if one.has_undo else {}
            items = [*range(one.size)]
            workflow.add_cascade(name, (items, work), deps=one.deps, **flags, **undo, **when)
        else:
            undo = {"undo": make_job()} if one.has_undo else {}
            workflow.add(name, make_job(), deps=one.deps, **flags, **undo, **when)

    return workflow


def with_undo(drawn: dict[str, Drawn], path: str = "") -> set[str]:
    """Return the paths of all jobs with an undo."""
    found: set[str] = set()

    for name, one in drawn.items():
        if one.inside is not None:
            found |= with_undo(one.inside, f"{path}{name}/")
        elif one.has_undo and one.size is None:
            found.add(f"{path}{name}")
        elif one.has_undo:
            found |= {f"{path}{name}/{n}" for n in range(one.size or 0)}

    return found


def is_before(drawn: dict[str, Drawn], upstream: str, downstream: str) -> bool:
    """Tell whether one job is upstream of another."""
    first, _, upstream = upstream.partition("/")
    second, _, downstream = downstream.partition("/")

    if first == second:
        inside = drawn[first].inside

        return inside is not None and is_before(inside, upstream, downstream)

    seen, ahead = set[str](), [second]

    while ahead:
        for dep in drawn[ahead.pop()].deps:
            if dep not in seen:
                seen.add(dep)
                ahead.append(dep)

    return first in seen


class Saga:
    """Runs one workflow to its end, in an order that chance decides."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node = node
        self.rng = rng
        self.handle = Workflow(id="w")
        self.stopped: list[Job] = []
        # by path: what returned after it had been cancelled, and what was undone, in order
        self.late: set[str] = set()
        self.undone: list[str] = []

    async def run(self) -> None:
        while True:
            await self.node._learn()
            await self.node.fetch()
            running = [*self.node.running.values()]

            if not running:
                return

            if self.rng.random() < 0.1:
                nested = [path for path in ("a", "b", "c") if self.rng.random() < 0.3]
                known = [name for name in nested if name in self.names]
                await self.handle.cancel_jobs(names=known or None)

            await self.end(self.rng.choice(running))

    async def end(self, job: Job) -> None:
        paths = {id: path for path, id in self.node.ids.items()}
        state = "completed" if self.rng.random() < 0.85 else "discarded"
        undoes = job.meta.get(meta.UNDOES)
        opts: dict[str, Any] = {}

        if job.worker == "oban_pro.workers.Undoer":
            state = "completed"
            await workers.Undoer().process(job)
        elif undoes is not None:
            state = "completed"
            self.undone.append(paths[undoes])
        elif job.meta["name"] == "when" and state == "completed":
            opts = {"meta": {meta.JUDGED: self.rng.random() < 0.7}}
        elif meta.WHEN in job.meta and self.rng.random() < 0.3:
            state = "completed"
            opts = {"attempt_change": -job.attempt, "meta": {meta.SKIPPED: "not met"}}

        if state != "completed":
            opts = {"error": {"error": "x"}}

        acked = await self.node.ack([job], state, **opts)
        self.node.running.pop(job.id or 0, None)

        plans = job.worker == "oban_pro.workers.Undoer"

        if not acked and state == "completed" and undoes is None and not (plans or opts):
            self.late.add(paths[job.id or 0])

    names: tuple[str, ...] = ()


class Retried(Saga):
    """The same, which is retried now and then, also while it is undone."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        super().__init__(node, rng)
        # by path: what was done, and was not undone since
        self.done: set[str] = set()
        self.retries = 3

    async def run(self) -> None:
        await super().run()

        while self.retries:
            await self.retry()
            await super().run()

    async def end(self, job: Job) -> None:
        if self.retries and self.rng.random() < 0.05:
            await self.retry()

        paths = {id: path for path, id in self.node.ids.items()}
        path = paths.get(job.id or 0, "undo/")
        undone = len(self.undone)
        await super().end(job)
        state = (await states_of(self.node)).get(path)

        # a job that somebody retried is not cancelled any more: it runs again
        if state != "cancelled":
            self.late.discard(path)

        if self.undone[undone:]:
            assert self.undone[-1] in self.done, f"{self.undone[-1]} must not be undone again"
            self.done.remove(self.undone[-1])
        elif "undo/" not in path and (path in self.late or state == "completed"):
            self.done.add(path)

    async def retry(self) -> None:
        self.retries -= 1
        states = await states_of(self.node)
        paths = {id: path for path, id in self.node.ids.items()}
        undoing = {paths.get(job.meta.get(meta.UNDOES, 0)) for job in self.node.running.values()}
        await self.handle.retry_jobs()
        await self.node._learn()
        # what returned although it was cancelled is forgotten, unless it is being undone
        failed = {path for path, state in states.items() if state in ("cancelled", "discarded")}
        self.late -= failed
        self.done -= failed - undoing


async def run_sagas[S: Saga](
    kind: type[S], node: Node, seeds: range, asks: float
) -> AsyncIterator[tuple[str, S, dict[str, Drawn]]]:
    """Draw a saga from each seed, and run it to its end; yields what errors call it, too."""
    for seed in seeds:
        await node.psql("TRUNCATE oban_jobs")
        await node.join({"oban_workflows_patience": 60.0})
        rng = random.Random(seed)
        drawn = draw(rng, asks)
        await node.enqueue(build(drawn, "w"))
        saga = kind(node, rng)
        saga.names = (*drawn,)
        await saga.run()

        yield f"seed {seed}", saga, drawn


class TestRandomSagas:
    @pytest.mark.parametrize("asks", [0, 0.2])
    @pytest.mark.parametrize("seeds", [range(n, n + 5) for n in (0, 5, 55)])
    async def test_undo_nothing_twice_however_often_they_are_retried(
        self, oban: Oban, conn: AsyncConnection, seeds: range, asks: float
    ) -> None:
        node = Node(oban, conn)

        async for name, saga, drawn in run_sagas(Retried, node, seeds, asks):
            states, undoable = await states_of(node), with_undo(drawn)
            did = {path for path in undoable if states[path] == "completed"}
            expected = did if await node.root() == "completed" else set[str]()
            assert saga.done & undoable == expected, name

    @pytest.mark.parametrize("asks", [0, 0.2])
    @pytest.mark.parametrize("seeds", [range(n, n + 5) for n in range(0, 20, 5)])
    async def test_undo_each_completed_job_once_and_in_reverse(
        self, oban: Oban, conn: AsyncConnection, seeds: range, asks: float
    ) -> None:
        node = Node(oban, conn)

        async for name, saga, drawn in run_sagas(Saga, node, seeds, asks):
            states, undoable = await states_of(node), with_undo(drawn)
            did = {path for path in undoable if states[path] == "completed" or path in saga.late}
            expected = set[str]() if await node.root() == "completed" else did
            assert sorted(saga.undone) == sorted(expected), name

            places = [(path, await undone_by(node, drawn, path)) for path in saga.undone]

            for n, (path, place) in enumerate(places):
                for later, same in places[n + 1 :]:
                    if place == same:
                        assert not is_before(drawn, path, later), f"{name}: {path}, {later}"


async def states_of(node: Node) -> dict[str, str]:
    """Return the state of each job by path; ``"skipped"`` of one that completed without running."""
    rows = await node.rows(
        "SELECT id FROM oban_jobs WHERE state = 'completed' AND attempt = 0 AND meta ? 'skipped'"
    )
    skipped = {job_id for (job_id,) in rows}
    states = await node.states()

    return {
        path: "skipped" if node.ids.get(path) in skipped else state
        for path, state in states.items()
    }


async def undone_by(node: Node, drawn: dict[str, Drawn], path: str) -> str:
    """Return the path of the innermost workflow around a job that did not complete."""
    found, here = "", ""

    for name in path.split("/")[:-1]:
        one = drawn[name]

        if one.inside is None:
            break

        here, drawn = f"{here}/{name}".strip("/"), one.inside

        if await node.group(here) != "completed":
            found = here

    return found
