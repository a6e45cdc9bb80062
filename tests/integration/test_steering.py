"""Cancelling and retrying workflows, as a whole and by name."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from oban import Job, Oban, Record, Worker, worker
from oban._executor import AckAction

from oban_pro import Workflow
from oban_pro.errors import DuplicateNameError, GraftError, InvalidNameError
from tests.support import growth
from tests.support.engine import Engine, chain, make_job
from tests.support.graphs import settled, work

SLOW_SEEDS = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12)]


def sample(**options: Any) -> Workflow:
    """Build a -> sub (b, in (c)) -> many (0, 1) -> end, and a graft beside."""
    sub = Workflow(**options).add("b", make_job())
    sub.add_workflow("in", Workflow(**options).add("c", make_job()))
    workflow = Workflow(**options).add("a", make_job()).add_workflow("sub", sub, deps="a")
    workflow.add_many("many", [make_job(), make_job()], deps="sub")

    return workflow.add("end", make_job(), deps="many").add_graft("grow", make_job())


ALL = {"a", "sub/b", "sub/in/c", "many/0", "many/1", "end", "grow/grafter"}


def in_state(states: dict[str, str], *wanted: str) -> set[str]:
    return {path for path, state in states.items() if state in wanted}


class TestCancel:
    async def test_cancel_without_names_cancels_all_jobs(self, engine):
        workflow = sample()
        await engine.enqueue(workflow)

        assert await workflow.cancel_jobs() == 7
        assert in_state(await engine.states(), "cancelled") == ALL
        status = await workflow.status()
        assert (status.state, status.counts) == ("cancelled", {"cancelled": 7})
        assert await workflow.cancel_jobs() == 0

    async def test_settled_jobs_stay_as_they_are(self, engine):
        workflow = sample()
        await engine.enqueue(workflow)
        await engine.complete("a")
        await engine.discard("sub/b")

        assert await workflow.cancel_jobs() == 5
        states = await engine.states()
        assert (states["a"], states["sub/b"]) == ("completed", "discarded")
        assert await engine.root() == "discarded"

    @pytest.mark.parametrize(
        ("told", "error"),
        [
            ({"by": "ada", "reason": "too dear"}, "cancelled by ada: too dear"),
            ({"by": "ada"}, "cancelled by ada"),
            ({"reason": "too dear"}, "cancelled: too dear"),
        ],
    )
    async def test_says_who_and_why(self, engine, told, error):
        workflow = chain("a", "b")
        await engine.enqueue(workflow)

        assert await workflow.cancel_jobs(names=["a"], **told) == 1
        assert [one["error"] for one in (await engine.row("a")).errors] == [error]
        assert (await workflow.explain("b")).summary == (
            f"job 'b' was cancelled because job 'a' was {error}"
        )

    @pytest.mark.parametrize("told", [{"by": ""}, {"reason": 7}])
    async def test_refuses_who_and_why_that_are_no_text(self, engine, told):
        workflow = chain("a")
        await engine.enqueue(workflow)

        with pytest.raises(InvalidNameError, match=f"{next(iter(told))} must be a non-empty"):
            await workflow.cancel_jobs(**told)

        assert await engine.states() == {"a": "available"}

    @pytest.mark.parametrize(
        ("names", "cancelled", "others"),
        [
            (["a"], 1, ALL - {"grow/grafter", "a"}),
            (["sub"], 2, {"many/0", "many/1", "end"}),
            (["many"], 2, {"end"}),
            (["grow"], 1, set()),
            (["end", "many"], 3, set()),
            ("end", 1, set()),
            (["sub/b"], 1, set()),
            (["sub/in/c", "end"], 2, set()),
            (["sub/in", "sub/in/c", "sub"], 2, {"many/0", "many/1", "end"}),
            ([], 0, set()),
        ],
    )
    async def test_by_name_reaches_dependents_too(self, engine, names, cancelled, others):
        """The count is of those cancelled directly."""
        workflow = sample()
        await engine.enqueue(workflow)

        assert await workflow.cancel_jobs(names=names) == cancelled
        states = await engine.states()
        gone = in_state(states, "cancelled")
        assert len(gone) == cancelled + len(others)
        assert others <= gone

        for path in others:
            (error,) = (await engine.row(path)).errors
            assert error["error"].startswith("cancelled because upstream ")
            assert (await engine.row(path)).attempt == 0

    async def test_of_a_sub_workflow_by_its_own_id(self, engine):
        workflow = Workflow().add_workflow("sub", chain("a", "b", id="mine"))
        await engine.enqueue(workflow.add("end", make_job(), deps="sub").add("x", make_job()))

        assert await Workflow(id="mine").cancel_jobs() == 2
        assert in_state(await engine.states(), "available") == {"x"}

    async def test_dependents_that_ignore_it_go_on(self, engine):
        workflow = chain("a", "b", "c", ignore_cancelled=True)
        await engine.enqueue(workflow)

        assert await workflow.cancel_jobs(names=["a"]) == 1
        assert await engine.states() == {"a": "cancelled", "b": "available", "c": "suspended"}

    async def test_all_of_a_workflow_that_ignores_it(self, engine):
        """Nothing slips through as released."""
        workflow = sample(ignore_cancelled=True)
        await engine.enqueue(workflow)

        assert await workflow.cancel_jobs() == 7
        assert in_state(await engine.states(), "cancelled") == ALL

    async def test_other_workflows_are_left_alone(self, engine):
        first, second = chain("a"), chain("x")
        await engine.enqueue(first, second)
        await first.cancel_jobs()

        assert await engine.states() == {"a": "cancelled", "x": "available"}

    @pytest.mark.parametrize("state", ["scheduled", "retryable", "suspended", "executing"])
    async def test_jobs_in_any_open_state(self, engine, state):
        workflow = chain("first", "a", "b")
        await engine.enqueue(workflow)

        if state != "suspended":
            await engine.complete("first")
            await engine.set_states({"a": state})

        assert await workflow.cancel_jobs(names=["a"]) == 1
        states = await engine.states()
        assert (states["a"], states["b"]) == ("cancelled", "cancelled")

    async def test_a_late_ack_changes_nothing(self, engine):
        workflow = chain("a", "b")
        await engine.enqueue(workflow)
        jobs = await engine.start("a")
        await workflow.cancel_jobs(names=["a"])

        for state in ("completed", "discarded", "retryable"):
            assert await engine.ack(jobs, state, error={"error": "late"}, schedule_in=0) == []

        assert await engine.states() == {"a": "cancelled", "b": "cancelled"}
        assert (await engine.row("a")).errors == []

    async def test_a_running_worker_notices_on_another_node(
        self, start_oban, wait_until, engine, pool
    ):
        workflow = Workflow().add("a", Patient.new({})).add("b", work(), deps="a")
        await listening(await start_oban(name="runs"))
        other = Oban(pool=pool, name="other")
        Patient.started = Patient.noticed = 0
        await other.enqueue_many(workflow)
        await wait_until(lambda: Patient.started == 1)

        assert await Workflow(id=workflow.id, oban="other").cancel_jobs() == 2
        await wait_until(lambda: Patient.noticed == 1)
        await wait_until(lambda: settled(Workflow(id=workflow.id, oban="other")))
        assert await engine.rows("SELECT DISTINCT state::text FROM oban_jobs") == [("cancelled",)]


async def listening(oban: Oban) -> Oban:
    """Wait until a node hears signals; oban itself starts jobs before that."""
    await oban._notifier.listen("signal", lambda *_: None)

    return oban


def is_idle(oban: Oban) -> bool:
    info = oban.check_queue("default")

    return info is not None and not info.running


@worker()
class Patient(Worker):
    """Run until told to stop, and then claim to have completed."""

    started = 0
    noticed = 0

    async def process(self, job: Job) -> None:
        Patient.started += 1

        while not job.cancelled():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

        Patient.noticed += 1


class TestRetry:
    async def test_goes_on_in_order_from_where_it_failed(self, engine):
        workflow = chain("a", "b", "c", "d")
        await engine.enqueue(workflow)
        await engine.complete("a")
        await engine.discard("b")
        assert await workflow.retry_jobs() == 3
        assert await engine.states() == {
            "a": "completed",
            "b": "available",
            "c": "suspended",
            "d": "suspended",
        }

        async with engine.audited() as changes:
            for path in "bcd":
                await engine.complete(path)

        assert await engine.root() == "completed"
        assert not [path for path, _, _ in changes if path == "a"]

    async def test_retry_reaches_jobs_of_nested_workflows(self, engine):
        workflow = sample()
        await engine.enqueue(workflow)
        await engine.complete("a")
        await engine.complete("sub/b")
        await engine.discard("sub/in/c")
        assert await workflow.retry_jobs() == 4
        states = await engine.states()
        assert in_state(states, "completed") == {"a", "sub/b"}
        assert in_state(states, "suspended") == {"many/0", "many/1", "end"}

        await engine.complete("sub/in/c")
        await engine.complete("many/0", "many/1")
        await engine.complete("end", "grow/grafter")
        status = await workflow.status()
        assert (status.state, status.counts) == ("completed", {"completed": 7})

    @pytest.mark.parametrize("state", ["cancelled", "discarded"])
    async def test_of_a_whole_workflow_starts_it_anew(self, engine, state):
        workflow = sample()
        await engine.enqueue(workflow)
        await workflow.cancel_jobs()
        await engine.set_states(dict.fromkeys(ALL, state))

        assert await workflow.retry_jobs() == 7
        assert in_state(await engine.states(), "available") == {"a", "grow/grafter"}
        status = await workflow.status()
        assert (status.state, status.stopped_at) == ("executing", None)

    async def test_of_retryable_jobs_runs_them_now(self, engine):
        workflow = chain("a", "b")
        await engine.enqueue(workflow)
        await engine.fail("a")

        assert await workflow.retry_jobs() == 1
        assert await engine.states() == {"a": "available", "b": "suspended"}
        await engine.complete("a")

    async def test_leaves_open_jobs_alone(self, engine):
        workflow = chain("a", "b").add("x", make_job())
        await engine.enqueue(workflow)
        await engine.start("x")

        assert await workflow.retry_jobs() == 0
        assert (await engine.row("x")).state == "executing"

    async def test_gives_a_job_without_attempts_another(self, engine):
        workflow = Workflow().add("a", make_job(max_attempts=1))
        await engine.enqueue(workflow)
        await engine.discard("a")
        await workflow.retry_jobs()

        assert (await engine.row("a")).max_attempts == 2
        await engine.complete("a")
        assert await engine.root() == "completed"

    async def test_by_name_runs_completed_jobs_again(self, engine):
        workflow = chain("a", "b", "c")
        await engine.enqueue(workflow)
        await engine.complete("a")

        assert await workflow.retry_jobs(names=["a"]) == 1
        assert (await engine.states())["a"] == "available"
        await engine.complete("a", "b")
        assert await engine.states() == {"a": "completed", "b": "completed", "c": "available"}

    async def test_without_names_leaves_completed_jobs_alone(self, engine):
        workflow = chain("a")
        await engine.enqueue(workflow)
        await engine.complete("a")

        assert await workflow.retry_jobs() == 0
        assert await workflow.retry_jobs(names=[]) == 0
        assert await engine.root() == "completed"

    async def test_of_an_upstream_makes_suspended_dependents_wait_again(self, engine):
        workflow = Workflow().add("a", make_job()).add("x", make_job())
        workflow.add("end", make_job(), deps=["a", "x"])
        await engine.enqueue(workflow)
        await engine.complete("a")
        await workflow.retry_jobs(names=["a"])
        await engine.complete("x")
        assert (await engine.states())["end"] == "suspended"

        await engine.complete("a")
        assert (await engine.states())["end"] == "available"

    async def test_by_the_name_of_a_group(self, engine):
        workflow = sample()
        await engine.enqueue(workflow)
        await engine.complete("a")
        await engine.complete("sub/b", "sub/in/c")

        assert await workflow.retry_jobs(names=["sub"]) == 2
        states = await engine.states()
        assert in_state(states, "available") >= {"sub/b", "sub/in/c"}
        assert await engine.group("sub") == "executing"

    async def test_by_name_below_a_broken_upstream_waits_for_it(self, engine):
        workflow = chain("a", "b", "c")
        await engine.enqueue(workflow)
        await engine.discard("a")
        assert await workflow.retry_jobs(names=["b"]) == 1
        await mark_states(engine, "b")
        assert await engine.states() == {"a": "discarded", "b": "suspended", "c": "cancelled"}

        await workflow.retry_jobs()
        for path in "abc":
            await engine.complete(path)
        assert await engine.root() == "completed"

    async def test_of_a_graft_grafts_nothing_twice(self, engine):
        workflow = Workflow().add_graft("grow", make_job(max_attempts=1))
        await engine.enqueue(workflow.add("end", make_job(), deps="grow"))
        (grafter,) = await engine.start("grow/grafter")
        await engine.enqueue(Workflow.apply_graft(grafter, chain("x", "y")))
        await engine.discard("grow/grafter")
        await engine.complete("grow/grafted/x")
        await engine.discard("grow/grafted/y")
        assert (await engine.states())["end"] == "cancelled"

        assert await workflow.retry_jobs() == 3
        (grafter,) = await engine.start("grow/grafter")
        jobs = await engine.enqueue(Workflow.apply_graft(grafter, chain("other")))
        assert [job.meta["name"] for job in jobs] == ["x", "y"]
        await engine.complete("grow/grafter", "grow/grafted/y")
        await engine.complete("end")
        assert await engine.root() == "completed"

    async def test_after_plain_oban_retried_the_cause(self, engine):
        workflow = chain("a", "b", "c")
        await engine.enqueue(workflow)
        await engine.discard("a")
        await engine.retry("a")
        assert await engine.states() == {"a": "available", "b": "cancelled", "c": "cancelled"}

        assert await workflow.retry_jobs() == 2
        assert await engine.states() == {"a": "available", "b": "suspended", "c": "suspended"}
        for path in "abc":
            await engine.complete(path)
        assert await engine.root() == "completed"

    async def test_takes_back_what_a_job_recorded(self, start_oban, wait_until, engine):
        """A second run that records nothing is not given the words of the first."""
        workflow = Workflow().add("a", Once.new({})).add_cascade("b", growth.received, deps="a")
        oban = await start_oban()
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert await workflow.get_recorded("b") == {"a": "first"}

        await workflow.retry_jobs(names=["a", "b"])
        await wait_until(lambda: settled(workflow))
        assert await workflow.get_recorded("b") == {}
        assert await workflow.all_recorded() == {"b": {}}

    async def test_of_a_cancelled_job_that_ran_is_not_signalled_again(
        self, start_oban, wait_until, engine
    ):
        workflow = Workflow().add("a", Patient.new({}))
        Patient.started = Patient.noticed = 0
        oban = await listening(await start_oban())
        await oban.enqueue_many(workflow)

        for turn in (1, 2):
            await wait_until(lambda turn=turn: Patient.started == turn)
            assert Patient.noticed == turn - 1
            await workflow.cancel_jobs()
            await wait_until(lambda turn=turn: Patient.noticed == turn)
            # oban knows running jobs by id: two runs of one job at once confuse it.
            await wait_until(lambda: is_idle(oban))
            await workflow.retry_jobs()

        await wait_until(lambda: Patient.started == 3)
        await workflow.cancel_jobs()


async def mark_states(engine: Engine, *paths: str) -> None:
    engine.revived |= {engine.ids[path] for path in paths}


@worker()
class Once(Worker):
    """Record something the first time."""

    async def process(self, job: Job) -> Any:
        return Record("first") if job.attempt == 1 else None


class TestRaces:
    """Several hands at once, over and over: the books stay right, and nobody dead-locks."""

    @pytest.mark.parametrize("seed", [0, 1, *SLOW_SEEDS])
    async def test_of_acks_grafts_appends_cancels_and_retries(self, engine, seed):
        rng = random.Random(seed)
        workflows = [racing(f"w{seed}-{n}") for n in range(3)]
        await engine.oban.enqueue_many([job for one in workflows for job in one])
        hands = [node(engine, rng) for _ in range(4)]
        hands += [steer(rng, one) for one in workflows for _ in range(2)]
        await asyncio.gather(*hands)
        await mark_all(engine)

        for one in workflows:
            await finish(engine, one)

        await engine.check()
        ((count,),) = await engine.rows(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        assert count == 0


def racing(workflow_id: str) -> Workflow:
    workflow = Workflow(id=workflow_id).add_many("many", [make_job() for _ in range(8)])
    workflow.add_graft("grow", make_job(), deps="many")

    for n in range(4):
        workflow.add_graft(f"grow {n}", make_job())

    sub = chain("a", "b", "c").add_graft("deep", make_job())
    workflow.add_workflow("sub", sub, deps="grow 0")

    return workflow.add("end", make_job(), deps=["grow", "sub"])


async def node(engine: Engine, rng: random.Random) -> None:
    """Fetch and settle as a node does, grafting where there is a place."""
    for _ in range(25):
        jobs = await engine.query.fetch_jobs(rng.randint(1, 4), "default", "node", "uuid")

        for job in jobs:
            if job.meta.get("graft"):
                # Somebody may have cancelled it.
                with suppress(GraftError):
                    await engine.oban.enqueue_many(Workflow.apply_graft(job, chain("x", "y")))

        states = ["completed"] * 4 + ["discarded", "cancelled"]
        await engine.query.ack_jobs([AckAction(job, rng.choice(states)) for job in jobs])
        await asyncio.sleep(0)


async def steer(rng: random.Random, workflow: Workflow) -> None:
    handle = Workflow(id=workflow.id)

    for n in range(12):
        match rng.randint(0, 3):
            case 0:
                await handle.cancel_jobs(names=[rng.choice(["sub", "grow", "end", "grow 1"])])
            case 1:
                await handle.retry_jobs()
            case 2:
                await handle.retry_jobs(names=[rng.choice(["sub", "many", "grow 2"])])
            case 3:
                addition = Workflow(check_deps=False)
                addition.add(f"x{n}", make_job(), deps=rng.choice(["many", "sub", "grow 3"]))
                # The other hand may have been first.
                with suppress(DuplicateNameError):
                    await handle.append(addition)


async def mark_all(engine: Engine) -> None:
    ids = await engine.rows("SELECT id FROM oban_jobs")
    engine.revived |= {job_id for (job_id,) in ids}


async def finish(engine: Engine, workflow: Workflow) -> None:
    """Run a workflow to its end: after a retry everything completes."""
    await workflow.retry_jobs()
    await engine.rows("UPDATE oban_jobs SET state = 'available' WHERE state = 'executing'")

    while jobs := await engine.query.fetch_jobs(100, "default", "node", "uuid"):
        await engine.query.ack_jobs([AckAction(job, "completed") for job in jobs])

    status = await workflow.status()
    assert set(status.counts) == {"completed"}
