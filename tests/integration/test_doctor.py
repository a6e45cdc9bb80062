"""What the doctor finds wrong, what it leaves alone, and what it mends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from oban_pro import Workflow, doctor
from tests.support.engine import Engine, make_job


@asynccontextmanager
async def unseen(engine: Engine) -> AsyncIterator[None]:
    """Let nothing see what is done to jobs within the block."""
    await engine.rows("ALTER TABLE oban_jobs DISABLE TRIGGER USER")
    yield
    await engine.rows("ALTER TABLE oban_jobs ENABLE TRIGGER USER")


async def settle(engine: Engine, state: str, *paths: str) -> None:
    await engine.rows(
        "UPDATE oban_jobs SET state = %s::oban_job_state WHERE id = ANY(%s)",
        [state, [engine.ids[path] for path in paths]],
    )


async def wrong(engine: Engine) -> dict[tuple[str | None, str], tuple[str | None, str | None]]:
    """Return what the doctor finds: stored and actual, by name and field."""
    return {(one.name, one.field): (one.stored, one.actual) for one in await doctor.audit()}


async def states(engine: Engine) -> dict[str, str]:
    paths = {job_id: path for path, job_id in engine.ids.items()}

    return {
        paths[job_id]: state
        for job_id, state in await engine.rows("SELECT id, state::text FROM oban_jobs ORDER BY id")
    }


def pair(**opts: Any) -> Workflow:
    return Workflow(id="w").add("a", make_job()).add("b", make_job(), deps="a", **opts)


def nested() -> Workflow:
    """Build b/deep/x and b/deep/y, which wait for a through the gates of two groups."""
    deep = Workflow().add("x", make_job()).add("y", make_job())

    return (
        Workflow(id="w")
        .add("a", make_job())
        .add_workflow("b", Workflow().add_workflow("deep", deep), deps="a")
    )


class TestCounters:
    async def test_of_what_waits_for_nothing_of_its_own_are_mended(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await engine.rows("UPDATE oban_workflow_members SET pending = pending + 1")
        assert len(await doctor.audit()) == 5
        assert await doctor.repair() == 5
        await engine.check()

    async def test_at_gates_are_mended_one_after_the_other(self, engine: Engine) -> None:
        await engine.enqueue(nested())

        async with unseen(engine):
            await settle(engine, "completed", "a")

        assert await doctor.repair() > 0
        assert await engine.states() == {
            "a": "completed",
            "b/deep/x": "available",
            "b/deep/y": "available",
        }


class TestJobsThatWaitOnPurpose:
    """Those that somebody retried alone, while what they depend on stays cancelled or discarded."""

    async def are_left_alone(self, engine: Engine, *paths: str) -> None:
        assert await doctor.audit() == []
        assert await doctor.repair() == 0
        found = await states(engine)
        assert {found[path] for path in paths} == {"suspended"}

    async def test_are_right_after_cancel_jobs(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await Workflow(id="w").cancel_jobs()
        assert await Workflow(id="w").retry_jobs(names=["b"]) == 1
        await self.are_left_alone(engine, "b")

    async def test_are_right_after_their_upstream_was_discarded(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.discard("a")
        await engine.oban.retry_job(engine.ids["b"])
        await self.are_left_alone(engine, "b")

    async def test_are_right_whoever_cancelled_and_revived_them(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await settle(engine, "cancelled", "b")
        await settle(engine, "cancelled", "a")
        await settle(engine, "available", "b")
        await self.are_left_alone(engine, "b")

    async def test_are_right_behind_the_gates_of_groups(self, engine: Engine) -> None:
        await engine.enqueue(nested())
        await Workflow(id="w").cancel_jobs()
        await Workflow(id="w").retry_jobs(names=["b"])
        await self.are_left_alone(engine, "b/deep/x", "b/deep/y")

    async def test_are_right_when_they_were_tried_and_have_failed(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.fail("b")
        await Workflow(id="w").retry_jobs(names=["a"])
        await engine.discard("a")
        await Workflow(id="w").retry_jobs(names=["b"])
        await self.are_left_alone(engine, "b")

    async def test_go_on_when_their_upstream_is_retried(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await Workflow(id="w").cancel_jobs()
        await Workflow(id="w").retry_jobs(names=["b"])
        await Workflow(id="w").retry_jobs(names=["a"])
        await engine.complete("a")
        assert await engine.states() == {"a": "completed", "b": "available"}


class TestJobsThatWaitInVain:
    """Those whose upstream broke while nothing saw it."""

    async def are_cancelled(self, engine: Engine, *paths: str) -> None:
        found = await wrong(engine)
        names = [path.split("/")[-1] for path in paths]
        assert [found[name, "state"] for name in names] == [("suspended", "cancelled")] * len(names)
        assert await doctor.repair() > 0
        assert await doctor.audit() == []
        states = await engine.states()
        assert {states[path] for path in paths} == {"cancelled"}

    async def test_jobs_that_wait_in_vain_are_cancelled(self, engine: Engine) -> None:
        await engine.enqueue(pair())

        async with unseen(engine):
            await settle(engine, "discarded", "a")

        await self.are_cancelled(engine, "b")
        (error,) = (await engine.row("b")).errors
        assert error["error"] == "cancelled because upstream job 'a' was discarded"

    async def test_are_cancelled_behind_the_gates_of_groups(self, engine: Engine) -> None:
        await engine.enqueue(nested())

        async with unseen(engine):
            await settle(engine, "cancelled", "a")

        await self.are_cancelled(engine, "b/deep/x", "b/deep/y")

    async def test_are_cancelled_though_they_ran_before(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await engine.complete("a")
        await engine.complete("b")
        await Workflow(id="w").retry_jobs(names=["a", "b"])

        async with unseen(engine):
            await settle(engine, "discarded", "a")

        await self.are_cancelled(engine, "b")

    async def test_are_cancelled_though_they_waited_on_purpose_before(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await Workflow(id="w").cancel_jobs()
        await Workflow(id="w").retry_jobs(names=["b"])
        await Workflow(id="w").retry_jobs(names=["a"])

        async with unseen(engine):
            await settle(engine, "discarded", "a")

        await self.are_cancelled(engine, "b")

    async def test_are_cancelled_though_they_wait_on_purpose_for_another(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(pair().add("c", make_job()).add("d", make_job(), deps=["a", "c"]))
        await Workflow(id="w").cancel_jobs(names=["a", "d"])
        await Workflow(id="w").retry_jobs(names=["d"])

        async with unseen(engine):
            await settle(engine, "discarded", "c")

        await self.are_cancelled(engine, "d")

    async def test_are_left_where_they_ignore_it(self, engine: Engine) -> None:
        await engine.enqueue(pair(ignore_discarded=True))

        async with unseen(engine):
            await settle(engine, "discarded", "a")

        assert await doctor.repair() > 0
        assert await engine.states() == {"a": "discarded", "b": "available"}


class TestJobsWhoseRowsVanished:
    """Deleted while no trigger saw it, or dropped with a partition."""

    @staticmethod
    async def vanish(engine: Engine, *paths: str) -> None:
        async with unseen(engine):
            await engine.rows(
                "DELETE FROM oban_jobs WHERE id = ANY(%s)", [[engine.ids[path] for path in paths]]
            )

    async def test_count_as_completed_if_they_were_counted_so(self, engine: Engine) -> None:
        await engine.enqueue(pair().add("c", make_job()).add("d", make_job(), deps=["a", "c"]))
        await engine.complete("a")
        await self.vanish(engine, "a")
        assert await wrong(engine) == {("a", "gone"): (None, "completed")}
        assert await doctor.repair() == 1
        assert await engine.states() == {"b": "available", "c": "executing", "d": "suspended"}
        await engine.complete("c")
        assert await engine.states() == {"b": "available", "c": "completed", "d": "available"}

    async def test_count_as_completed_in_groups(self, engine: Engine) -> None:
        many = Workflow(id="w").add_many("many", [make_job() for _ in range(3)])
        await engine.enqueue(many.add("end", make_job(), deps="many"))
        await engine.complete("many/0", "many/1")
        await self.vanish(engine, "many/0", "many/1")
        assert await doctor.repair() == 2
        await engine.complete("many/2")
        assert (await engine.states())["end"] == "available"

    async def test_are_unknown_if_they_had_not_settled(self, engine: Engine) -> None:
        await engine.enqueue(pair())
        await self.vanish(engine, "a")
        (found,) = await doctor.audit()
        assert str(found) == "the row of w/a is gone, and nobody knows how the job ended"
        assert await doctor.repair() == 0
        assert len(await doctor.audit()) == 1
        assert await states(engine) == {"b": "suspended"}
        assert (await Workflow(id="w").status()).state == "executing"

    async def test_are_unknown_if_something_still_waits_for_them(self, engine: Engine) -> None:
        await engine.enqueue(pair().add("c", make_job()))
        await engine.complete("c")

        async with unseen(engine):
            # as many are counted as completed as may have been
            await settle(engine, "available", "c")
            await engine.rows("DELETE FROM oban_jobs WHERE id = %s", [engine.ids["a"]])

        await doctor.repair()
        assert await states(engine) == {"b": "suspended", "c": "available"}
        assert await wrong(engine) == {("a", "gone"): (None, "unknown")}

    async def test_are_unknown_if_they_may_have_settled_in_several_ways(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(pair().add("c", make_job()).add("d", make_job(), deps="c"))
        await engine.complete("a")
        await engine.discard("c")
        await self.vanish(engine, "a", "c")
        assert await doctor.repair() == 0
        assert await wrong(engine) == {
            ("a", "gone"): (None, "unknown"),
            ("c", "gone"): (None, "unknown"),
        }
        assert await states(engine) == {"b": "available", "d": "cancelled"}
        await engine.rows("UPDATE oban_jobs SET state = 'completed' WHERE state = 'available'")
        assert (await Workflow(id="w").status()).state == "discarded"

    @pytest.mark.parametrize(
        ("ended", "then"), [("completed", "available"), ("discarded", "cancelled")]
    )
    async def test_are_known_once_somebody_says_so(
        self, engine: Engine, ended: str, then: str
    ) -> None:
        await engine.enqueue(pair())
        await self.vanish(engine, "a")
        await engine.rows(
            "UPDATE oban_workflow_members SET gone = %s WHERE id = %s", [ended, engine.ids["a"]]
        )
        assert await doctor.repair() > 0
        assert await engine.states() == {"b": then}

    async def test_leave_what_they_had_not_completed_to_others(self, engine: Engine) -> None:
        await engine.enqueue(pair().add("c", make_job()).add("d", make_job(), deps=["a", "c"]))
        await self.vanish(engine, "a")

        async with unseen(engine):
            await settle(engine, "completed", "c")

        await doctor.repair()
        assert await states(engine) == {"b": "suspended", "c": "completed", "d": "suspended"}
        assert await wrong(engine) == {("a", "gone"): (None, "unknown")}
