"""Random workflows under random hands: the books stay right, and nobody moves without a reason."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from psycopg.errors import CheckViolation

from tests.support.engine import Engine, random_workflow
from tests.support.recount import SETTLED, Books

RUNNABLE = ("available", "scheduled", "retryable")
STATES = (*RUNNABLE, "executing", *SETTLED)
STEPS = 25
SEEDS = range(12)

LATER = "SELECT id FROM oban_jobs WHERE scheduled_at > timezone('UTC', now())"


class Chaos:
    """Does one random thing after another, and says of each which jobs it was meant for."""

    def __init__(self, engine: Engine, rng: random.Random) -> None:
        self.engine = engine
        self.rng = rng
        self.log: list[str] = []
        self.operations: list[Callable[[Books], Awaitable[set[int]]]] = [
            *[self.ack] * 6,
            *[self.fetch] * 3,
            self.stage,
            self.plain_ack,
            self.cancel,
            self.retry,
            self.retry,
            self.delete,
            self.psql,
            self.cancel_workflow,
            self.retry_workflow,
            self.retry_workflow,
        ]

    async def step(self, before: Books) -> Books:
        operation = self.rng.choice(self.operations)
        targets = await operation(before)
        after = await self.engine.check()
        later = await (await self.engine.conn.execute(LATER)).fetchall()
        self._judge(before, after, targets, {job_id for (job_id,) in later})

        return after

    def note(self, what: str, *args: object) -> None:
        self.log.append(f"{what} {args}")

    def _judge(self, before: Books, after: Books, targets: set[int], later: set[int]) -> None:
        for job_id, new in after.states.items():
            old = before.states[job_id]
            member = after.members[job_id]

            if old == new:
                continue

            if job_id in targets:
                revived = old in ("suspended", *SETTLED) and new in RUNNABLE
                waits = after.pending(member) > 0
                assert not (revived and waits), f"{after.path(job_id)} must wait, got {new}"
                continue

            assert old == "suspended", f"{after.path(job_id)} must stay {old}, got {new}"

            if new == "cancelled":
                assert after.is_broken(member), f"{after.path(job_id)} was cancelled for nothing"
            else:
                # one that was made to wait by hand still has the time that it was snoozed until
                released = "scheduled" if job_id in later else "available"
                assert new == released, f"{after.path(job_id)} must be released, got {new}"
                assert after.pending(member) == 0, f"{after.path(job_id)} was released too early"

    def _some(self, books: Books, *states: str) -> list[int]:
        ids = [job_id for job_id, state in books.states.items() if not states or state in states]

        return sorted(self.rng.sample(ids, k=min(len(ids), self.rng.choice((1, 1, 2, 5)))))

    async def fetch(self, books: Books) -> set[int]:
        self.note("fetch")
        jobs = await self.engine.fetch(demand=self.rng.choice((1, 3, 10)))

        return {job.id for job in jobs if job.id is not None}

    async def ack(self, books: Books) -> set[int]:
        if "executing" not in books.states.values():
            return await self.fetch(books)

        ids = [one for one in self._some(books, "executing") if one in self.engine.running]
        state = self.rng.choice((*["completed"] * 6, *SETTLED, "scheduled", "retryable"))
        self.note("ack", state, [books.path(one) for one in ids])
        opts = {} if state in SETTLED else {"schedule_in": self.rng.choice((0, 60))}

        if ids:
            await self.engine.ack([self.engine.running[one] for one in ids], state, **opts)

        return set(ids)

    async def plain_ack(self, books: Books) -> set[int]:
        ids = [one for one in self._some(books, "executing") if one in self.engine.running]
        self.note("plain ack", [books.path(one) for one in ids])
        await self.engine.plain_ack(self.rng.choice(SETTLED), *[books.path(one) for one in ids])

        return set(ids)

    async def stage(self, books: Books) -> set[int]:
        ids = self._some(books, "scheduled", "retryable")
        self.note("stage", [books.path(one) for one in ids])
        await self.engine.set_states({books.path(one): "available" for one in ids})

        return set(ids)

    async def cancel(self, books: Books) -> set[int]:
        ids = self._some(books)
        self.note("cancel", [books.path(one) for one in ids])
        await self.engine.cancel(*[books.path(one) for one in ids])

        return set(ids)

    async def retry(self, books: Books) -> set[int]:
        ids = self._some(books)
        self.note("retry", [books.path(one) for one in ids])
        await self.engine.retry(*[books.path(one) for one in ids])

        return set(ids)

    async def cancel_workflow(self, books: Books) -> set[int]:
        return await self._all(books, "cancel")

    async def retry_workflow(self, books: Books) -> set[int]:
        self.engine.revived |= set(books.states)

        return await self._all(books, "retry")

    async def _all(self, books: Books, what: str) -> set[int]:
        names = [books.members[one].name for one in self._some(books)]
        chosen = self.rng.choice((None, names))
        self.note(what, chosen)
        await self.engine.psql(
            f"SELECT oban_workflow_{what}_v1(id, %s::text[]) FROM oban_workflow_groups"
            " WHERE parent IS NULL",
            chosen,
        )

        return set(books.states)

    async def delete(self, books: Books) -> set[int]:
        ids = self._some(books) if self.rng.random() < 0.3 else []
        self.note("delete", [books.path(one) for one in ids])
        await self.engine.delete(*[books.path(one) for one in ids])

        return set(ids)

    async def psql(self, books: Books) -> set[int]:
        states = {books.path(one): self.rng.choice(STATES) for one in self._some(books)}
        self.note("psql", states)

        with suppress(CheckViolation):
            await self.engine.set_states(states)

        return {self.engine.ids[path] for path in states}


async def run(engine: Engine, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    await engine.conn.execute("TRUNCATE oban_jobs RESTART IDENTITY")
    engine.running.clear()
    engine.revived.clear()
    await engine.enqueue(random_workflow(rng))
    chaos = Chaos(engine, rng)
    books = await engine.check()

    try:
        for _ in range(steps):
            books = await chaos.step(books)
    except BaseException as error:
        error.add_note(f"seed {seed}, after: " + "\n".join(chaos.log))
        raise


class TestRandomWorkflows:
    @pytest.mark.timeout(120)
    async def test_stay_consistent_and_move_for_a_reason(self, engine):
        for seed in SEEDS:
            await run(engine, seed, STEPS)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    async def test_stay_consistent_for_long(self, engine):
        for seed in range(1_000, 1_100):
            await run(engine, seed, steps=60)
