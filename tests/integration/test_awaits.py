"""Jobs that call await_signal, and are parked until the signal comes."""

import asyncio
from collections import defaultdict
from typing import Any

import pytest
from oban import Cancel, Job, Oban, Record, Worker, worker
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import SignalTimeout, Workflow, await_signal, signal, wait_signal
from oban_pro.errors import InvalidArgumentError, InvalidSignalError, NotInJobError, UnknownJobError
from oban_pro.model.parking import RunningJob, execution
from oban_pro.values import codec
from tests.support.fixtures import StartOban, WaitUntil

runs: dict[int, list[str]] = defaultdict(list)


@pytest.fixture(autouse=True)
def forget_runs() -> None:
    runs.clear()


@worker()
class Ask(Worker):
    """Asks as its args say, and records what it got."""

    async def process(self, job: Job) -> Record | Cancel:
        runs[job.id or 0].append("start")
        got = []

        for name, wait_for, block_for in job.args["calls"]:
            try:
                got.append(await await_signal(name, wait_for=wait_for, block_for=block_for))
            except SignalTimeout:
                got.append("timeout")

        # waiting spends no attempt
        if job.args.get("fails") and job.attempt == 1:
            raise ValueError(f"got {got}")

        return Record({"got": got})


@worker()
class Swallow(Worker):
    async def process(self, _: Job) -> Record:
        try:
            async with asyncio.TaskGroup():
                return Record(await await_signal(block_for=0))
        except Exception:
            return Record("swallowed")


@worker()
class Gather(Worker):
    async def process(self, _: Job) -> Record:
        try:
            await asyncio.gather(await_signal("a", block_for=0), await_signal("b", block_for=0))
        except NotInJobError as error:
            return Record(str(error))

        return Record("gathered")


@worker()
class Quick(Worker):
    async def process(self, _: Job) -> None:
        return None


def blocking(context: dict[str, Any]) -> Any:
    return wait_signal("code", block_for=0)


def ask(*calls: tuple[str | None, float | None, float], **args: Any) -> Job:
    return Ask.new({"calls": calls, **args}, max_attempts=3)


async def got(oban: Oban, job: Job) -> Any:
    row = await oban._query.get_job(job.id or 0)
    assert row is not None

    return codec.decode(row.meta["return"])["got"] if row.state == "completed" else None


async def is_parked(oban: Oban, job: Job) -> bool:
    row = await oban._query.get_job(job.id or 0)

    return row is not None and row.state == "scheduled" and "wait" in row.meta


class TestPlainJobs:
    async def test_get_a_signal_that_came_before(self, start_oban: StartOban, oban: Oban) -> None:
        (job,) = await oban.enqueue_many([ask((None, None, 0))])
        assert await signal(job.id or 0, {"n": 1}, oban=oban._name) == 1
        node = await start_oban()
        assert await _wait(node, job) == [{"n": 1}]

    async def test_get_one_while_they_block(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([ask((None, None, 30))])
        await wait_until(lambda: runs[job.id or 0])
        assert await signal(job.id or 0, 1) == 1
        assert await _wait(node, job) == [1]
        assert runs[job.id or 0] == ["start"]

    async def test_are_parked_and_come_again_with_the_signal(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban({"default": 1})
        (job,) = await node.enqueue_many([ask((None, 60, 0))])
        await wait_until(lambda: is_parked(node, job))
        parked = await node._query.get_job(job.id or 0)
        assert parked is not None
        assert parked.attempt == 0
        assert parked.meta["wait_until"]

        # it holds no place in its queue
        (other,) = await node.enqueue_many([Quick.new({})])
        await wait_until(lambda: _state(node, other, "completed"))

        assert await signal(job.id or 0, "go") == 1
        assert await _wait(node, job) == ["go"]
        row = await node._query.get_job(job.id or 0)
        assert row is not None
        assert (row.attempt, "wait" in row.meta, "wait_until" in row.meta) == (1, False, False)

    async def test_get_the_same_answers_when_they_run_again(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        job = ask((None, None, 0), ("x", None, 0), (None, None, 0), fails=True)
        (job,) = await node.enqueue_many([job])

        for payload, name in ((1, None), (2, "x"), (3, None)):
            await wait_until(lambda: is_parked(node, job))
            assert await signal(job.id or 0, payload, name=name) == 1

        await wait_until(lambda: _state(node, job, "retryable"))
        await node.retry_job(job.id or 0)
        assert await _wait(node, job) == [1, 2, 3]

    async def test_time_out_in_every_later_execution_too(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([ask((None, 0.3, 0), (None, None, 0))])
        await wait_until(lambda: _calls(node, job, 2))
        assert await signal(job.id or 0, "late") == 1
        assert await _wait(node, job) == ["timeout", "late"]

    async def test_are_no_longer_signalled_once_settled(self, start_oban: StartOban) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([ask((None, None, 0))])
        await signal(job.id or 0, 1)
        await _wait(node, job)
        assert await signal(job.id or 0, 2) == 0
        assert await signal([job.id or 0, 10**9]) == 0

        with pytest.raises(UnknownJobError, match="no job 1000000000"):
            await signal(10**9)

    async def test_are_woken_only_by_a_signal_of_their_name(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([ask(("a", None, 0))])
        await wait_until(lambda: is_parked(node, job))
        assert await signal(job.id or 0, 1, name="b") == 1
        assert await signal(job.id or 0, 1) == 1
        assert await is_parked(node, job)
        assert await signal(job.id or 0, 2, name="a") == 1
        assert await _wait(node, job) == [2]

    async def test_are_woken_when_the_sender_commits(
        self, start_oban: StartOban, wait_until: WaitUntil, conn: AsyncConnection
    ) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([ask((None, None, 0))])
        await wait_until(lambda: is_parked(node, job))

        async with conn.transaction(force_rollback=True):
            assert await signal(job.id or 0, 1, conn=conn) == 1

        assert await is_parked(node, job)
        assert await signal(job.id or 0, 2) == 1
        assert await _wait(node, job) == [2]


class TestParking:
    async def test_is_not_swallowed_by_the_code_of_a_job(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        (job,) = await node.enqueue_many([Swallow.new({})])
        await wait_until(lambda: is_parked(node, job))

    async def test_comes_again_in_a_second_while_somebody_sends(
        self, start_oban: StartOban, wait_until: WaitUntil, pool: AsyncConnectionPool
    ) -> None:
        """A signal that is not committed when the job is parked finds it in the end."""
        node = await start_oban()

        async with pool.connection() as sender, sender.transaction():
            (job,) = await node.enqueue_many([ask((None, None, 0.2))])
            await wait_until(lambda: runs[job.id or 0])
            sending = asyncio.create_task(signal(job.id or 0, "early", conn=sender))
            assert await sending == 1
            await wait_until(lambda: is_parked(node, job))

        assert await _wait(node, job) == ["early"]

    async def test_works_in_a_blocking_cascade(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add_cascade("charge", blocking)
        await node.enqueue_many(workflow)
        await wait_until(lambda: _parked_in(workflow, "charge"))
        assert await workflow.signal("charge", 42, name="code") == 1
        await workflow.wait(timeout=10)
        assert await workflow.all_recorded() == {"charge": 42}

    async def test_is_refused_in_a_task_of_another(self, start_oban: StartOban) -> None:
        node = await start_oban()
        workflow = Workflow().add("gather", Gather.new({}))
        await node.enqueue_many(workflow)
        await workflow.wait(timeout=10)
        assert "the job's own task" in await workflow.get_recorded("gather")

    async def test_is_refused_outside_of_a_job(self) -> None:
        with pytest.raises(NotInJobError, match="in a running job"):
            await await_signal()

        with pytest.raises(NotInJobError, match="await await_signal"):
            wait_signal()

        with pytest.raises(NotInJobError, match="thread of a running job"):
            await asyncio.to_thread(wait_signal)

    async def test_is_refused_where_there_is_no_database(self) -> None:
        running = RunningJob(Job("x"), asyncio.current_task(), asyncio.get_running_loop())
        token = execution.set(running)

        with pytest.raises(NotInJobError, match="needs a database"):
            await await_signal()

        execution.reset(token)


class TestJobsOfWorkflows:
    async def test_are_signalled_by_path_once_they_have_asked(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add("a", ask((None, None, 0))).add("b", ask(), deps="a")
        await node.enqueue_many(workflow)
        await wait_until(lambda: _parked_in(workflow, "a"))

        with pytest.raises(InvalidSignalError, match="has not called await_signal"):
            await workflow.signal("b")

        assert await workflow.signal("a", 1, by="ada") == 1
        await workflow.wait(timeout=10)
        (came,) = await workflow.signals("a")
        assert (came.payload, came.by, came.taken is not None) == (1, "ada", True)

        with pytest.raises(InvalidSignalError, match="cancel it instead"):
            await workflow.reject("a")

    async def test_keep_their_signals_when_they_are_retried(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add("a", ask((None, None, 0)))
        await node.enqueue_many(workflow)
        await wait_until(lambda: _parked_in(workflow, "a"))
        await workflow.signal("a", 1)
        await workflow.wait(timeout=10)
        await workflow.retry_jobs(names=["a"])
        await workflow.wait(timeout=10)
        assert (await workflow.get_recorded("a"))["got"] == [1]

    async def test_that_are_waits_can_be_signalled_by_id(self, oban: Oban) -> None:
        (job,) = await oban.enqueue_many(Workflow().add_signal("ok", choices=("yes",)))

        with pytest.raises(InvalidSignalError, match="choose one of yes"):
            await signal(job.id or 0, "no", oban=oban._name)

        assert await signal(job.id or 0, "yes", oban=oban._name) == 1


class TestBadInput:
    @pytest.mark.parametrize("job", ["1", True, None, [1, "2"]])
    async def test_bad_input_is_refused(self, oban: Oban, job: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="must be the id of a job"):
            await signal(job, oban=oban._name)


async def _parked_in(workflow: Workflow, name: str) -> bool:
    job = await workflow.get_job(name)

    return job is not None and job.state == "scheduled" and "wait" in job.meta


async def _state(oban: Oban, job: Job, state: str) -> bool:
    row = await oban._query.get_job(job.id or 0)

    return row is not None and row.state == state


async def _calls(oban: Oban, job: Job, count: int) -> bool:
    async with oban._query.connection() as conn:
        cursor = await conn.execute(
            b"SELECT count(*) FROM oban_workflow_awaits WHERE job = %s", [job.id]
        )
        row: Any = await cursor.fetchone()

    return bool(next(iter(row.values() if isinstance(row, dict) else row)) >= count)


async def _wait(oban: Oban, job: Job) -> Any:
    for _ in range(300):
        if (answers := await got(oban, job)) is not None:
            return answers

        await asyncio.sleep(0.05)

    raise AssertionError(await oban._query.get_job(job.id or 0))
