"""Random workflows with conditions, against a reference that knows the rules and nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from oban import Cancel, Job, Oban, Worker, worker

from oban_pro import Workflow
from oban_pro.testing import run_workflow

RAN, SKIPPED, BROKEN = "ran", "skipped", "broken"


@worker()
class Part(Worker):
    async def process(self, job: Job) -> Cancel | None:
        return Cancel("enough") if job.args["fails"] else None


def met(context: dict[str, Any]) -> bool:
    return True


async def not_met(context: dict[str, Any]) -> bool:
    return False


CONDITIONS: dict[bool | None, Any] = {None: None, True: met, False: not_met}


@dataclass
class Drawn:
    """A job, or a group with what is in it."""

    deps: list[str]
    need: int | None
    when: bool | None
    fails: bool
    ignores: bool
    inside: dict[str, Drawn] | None = None
    states: dict[str, str] = field(default_factory=dict)


def draw(rng: random.Random, depth: int = 0) -> dict[str, Drawn]:
    drawn: dict[str, Drawn] = {}

    for name in "abcdef"[: rng.randint(0 if depth else 2, 6 - 2 * depth)]:
        deps = rng.sample([*drawn], k=min(len(drawn), rng.choice((0, 1, 1, 2, 3))))
        need = rng.randint(1, len(deps)) if deps and rng.random() < 0.3 else None
        when = rng.choice((None, None, True, False))
        is_group = depth < 2 and rng.random() < 0.35
        ignores = bool(deps) and not is_group and rng.random() < 0.3
        inside = draw(rng, depth + 1) if is_group else None
        drawn[name] = Drawn(deps, need, when, rng.random() < 0.2, ignores, inside)

    return drawn


def build(drawn: dict[str, Drawn]) -> Workflow:
    workflow = Workflow()

    for name, one in drawn.items():
        options = {"deps": one.deps, "need": one.need, "when": CONDITIONS[one.when]}

        if one.inside is None:
            job = Part.new({"fails": one.fails})
            workflow.add(name, job, ignore_cancelled=one.ignores, **options)
        else:
            workflow.add_workflow(name, build(one.inside), **options)

    return workflow


def verdict(one: Drawn, states: dict[str, str], gate: str) -> str:
    """Say what becomes of a member by what it depends on."""
    before = [states[dep] for dep in one.deps]

    if not before:
        return gate

    if set(before) == {SKIPPED}:
        return SKIPPED

    if one.need is None:
        return BROKEN if BROKEN in before and not one.ignores else RAN

    left = [state for state in before if state != SKIPPED]
    satisfied = [state for state in left if state == RAN or one.ignores]

    return RAN if len(satisfied) >= min(one.need, len(left)) else BROKEN


def expect(
    drawn: dict[str, Drawn], gate: str = RAN, path: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """Return how each member ends by name, and how each job does by path."""
    states: dict[str, str] = {}
    jobs: dict[str, str] = {}

    for name, one in drawn.items():
        state = verdict(one, states, gate)
        where = f"{path}{name}"

        if one.inside is None:
            if state == RAN:
                state = SKIPPED if one.when is False else BROKEN if one.fails else RAN

            states[name] = jobs[where] = state
            continue

        if one.when is not None:
            jobs[f"{where}/when"] = state
            state = SKIPPED if state == RAN and not one.when else state

        inside, within = expect(one.inside, state, f"{where}/")
        jobs |= within
        ends = {*inside.values()}

        if BROKEN in ends or (state == BROKEN and (one.when is not None or not inside)):
            states[name] = BROKEN
        else:
            states[name] = SKIPPED if state == SKIPPED or ends == {SKIPPED} else RAN

    return states, jobs


async def read(workflow: Workflow, drawn: dict[str, Drawn], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}

    for name, one in drawn.items():
        where = f"{path}{name}"

        if one.inside is not None:
            found |= await read(workflow, one.inside, f"{where}/")

        for job_path in [where] if one.inside is None else [f"{where}/when"]:
            job = await workflow.get_job(job_path)

            if job is not None:
                skipped = "skipped" in job.meta
                found[job_path] = SKIPPED if skipped else {"completed": RAN}.get(job.state, BROKEN)

    return found


class TestRandomWorkflows:
    @pytest.mark.parametrize("seeds", [range(20)])
    async def test_end_as_the_reference_says(self, oban: Oban, seeds: range) -> None:
        for seed in seeds:
            drawn = draw(random.Random(seed))
            workflow = build(drawn)
            await run_workflow(workflow)

            assert await read(workflow, drawn) == expect(drawn)[1], f"seed {seed}"
