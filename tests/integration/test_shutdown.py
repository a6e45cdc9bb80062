"""A node that is told to end: what its jobs leave, as real processes and real signals do it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro._plugin import oban_start
from oban_pro.engine import calling
from tests.support import leaving
from tests.support.cli import environment
from tests.support.databases import deadlocks
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import work
from tests.support.paths import ROOT
from tests.support.proxy import Proxy
from tests.support.recount import assert_consistent

START = {
    "uvloop": "from oban.cli import main; main()",
    "asyncio": "import sys; sys.modules['uvloop'] = None; from oban.cli import main; main()",
}
"""`oban start`, on either event loop that it takes."""

LOOPS = ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)]

GRACE = 0.5

ENDED = "node node-1 was shut down before the job had settled"


class Node:
    """A process of `oban start`, and what it logs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def end(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)

        return self.process.wait(timeout)


type StartNode = Callable[..., Node]


@pytest.fixture
def start_node(dsn: str, tmp_path: Path, wait_until: WaitUntil) -> Iterator[StartNode]:
    """Provide a helper that starts a process of `oban start`, which is killed if it is left."""
    with ExitStack() as stack:

        def start(
            name: str = "node-1", loop: str = "uvloop", grace: float = GRACE, dsn: str = dsn
        ) -> Node:
            log = tmp_path / f"{name}.log"
            env = environment(dsn) | {
                "BEATS_DSN": os.environ["BEATS_DSN"],
                "OBAN_SHUTDOWN_GRACE_PERIOD": str(grace),
                "PYTHONPATH": str(ROOT),
            }
            options = ["--queues", "default:10", "--node", name, "--cron-modules", "tests.support"]

            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-c", START[loop], "start", *options],
                    cwd=tmp_path,
                    env=env,
                    stdout=output,
                    stderr=output,
                )

            stack.callback(process.wait, 10)
            stack.callback(process.kill)

            return Node(process, log)

        yield start


@pytest.fixture
async def conn(conn: AsyncConnection, dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncConnection:
    """Provide a connection to a database in which jobs can write when they run."""
    await conn.execute(leaving.BEATS.encode())
    monkeypatch.setenv("BEATS_DSN", dsn)

    return conn


async def rows(conn: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return await (await conn.execute(statement.encode())).fetchall()


async def begun(conn: AsyncConnection, count: int = 1) -> bool:
    """Tell whether that many executions have begun."""
    statement = "SELECT count(DISTINCT (job, attempt)) >= %s FROM beats"
    ((has_begun,),) = await (await conn.execute(statement, [count])).fetchall()

    return bool(has_begun)


async def jobs(conn: AsyncConnection) -> list[tuple[Any, ...]]:
    """Return state, attempt and errors of all jobs."""
    return await rows(
        conn,
        "SELECT state::text, attempt,"
        " ARRAY(SELECT e ->> 'error' FROM jsonb_array_elements(errors) e) FROM oban_jobs"
        " ORDER BY id",
    )


def cascade(function: Any, **options: Any) -> Workflow:
    return Workflow(id="flow").add_cascade("job", function, max_attempts=5, **options)


IN_THREAD = "a cascade in a thread"
WAITING = "a task that waits"

ENDLESS: dict[str, Callable[[], Any]] = {
    IN_THREAD: lambda: [*cascade(leaving.thread)],
    "a thread of the loop": lambda: [leaving.Thread.new()],
    "a thread beside busy ones": lambda: [*cascade(leaving.busy)],
    WAITING: lambda: [leaving.Waiting.new()],
    "a task that is not cancelled": lambda: [leaving.Stubborn.new()],
    "a task that fails when cancelled": lambda: [leaving.Failing.new()],
}


IN_LOOP = "a task that blocks the loop"

BLOCKING: dict[str, Callable[[], Any]] = {IN_LOOP: lambda: [leaving.Blocking.new()]}

HOLD = b"SELECT FROM oban_workflow_groups WHERE id = 'held' FOR UPDATE"

REFUSE = b"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON oban_jobs FOR EACH ROW
WHEN ('refused' = ANY(NEW.tags)) EXECUTE FUNCTION refuse()
"""


async def completed_twice(conn: AsyncConnection) -> bool:
    return {job[:2] for job in await jobs(conn)} == {("completed", 2)}


@pytest.mark.slow
class TestNode:
    @pytest.mark.parametrize(
        ("kind", "loop"),
        [
            *((kind, "uvloop") for kind in ENDLESS),
            *(pytest.param(kind, "asyncio", marks=pytest.mark.slow) for kind in ENDLESS),
        ],
    )
    async def test_gives_back_what_does_not_end_and_nothing_runs_beside_its_second_start(
        self,
        kind: str,
        loop: str,
        conn: AsyncConnection,
        oban: Oban,
        start_node: StartNode,
        start_oban: StartOban,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node(loop=loop)
        await oban.enqueue_many(ENDLESS[kind]())
        await wait_until(lambda: begun(conn), timeout=30)
        await start_oban({"default": 1}, node="second")
        assert await asyncio.to_thread(node.end) == 0, node.log
        await wait_until(lambda: completed_twice(conn), timeout=30)
        assert (await jobs(conn))[0][2] == [ENDED]
        assert await rows(
            conn,
            "SELECT max(at) FILTER (WHERE attempt = 1) < min(at) FILTER (WHERE attempt = 2)"
            " FROM beats",
        ) == [(True,)]

    @pytest.mark.parametrize("loop", LOOPS)
    async def test_that_runs_nothing_ends_as_oban_ends_it(
        self, loop: str, conn: AsyncConnection, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node(loop=loop)
        await wait_until(lambda: "Oban started" in node.log, timeout=30)
        assert await asyncio.to_thread(node.end) == 0
        assert node.log.rstrip().endswith("Shutdown complete")

    async def test_lets_jobs_end_in_the_grace_period(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node(grace=20)
        await oban.enqueue_many(cascade(leaving.brief))
        await wait_until(lambda: begun(conn), timeout=30)
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert await jobs(conn) == [("completed", 1, [])]

    async def test_settles_a_job_that_ends_with_a_result_when_it_is_cancelled(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node()
        await oban.enqueue_many([leaving.Late.new()])
        await wait_until(lambda: begun(conn), timeout=30)
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert await jobs(conn) == [("completed", 1, [])]

    async def test_discards_a_job_that_had_its_last_attempt_and_dependents_follow(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node()
        workflow = (
            Workflow(id="flow")
            .add_cascade("job", leaving.thread, max_attempts=1)
            .add("after", work(), deps="job")
        )
        await oban.enqueue_many(workflow)
        await wait_until(lambda: begun(conn), timeout=30)
        assert await asyncio.to_thread(node.end) == 0, node.log
        (job, after) = await jobs(conn)
        assert job == ("discarded", 1, [ENDED])
        assert after[:2] == ("cancelled", 0)
        assert (await workflow.status()).state == "discarded"

    async def test_does_not_wait_for_a_thread_of_a_job_that_has_settled(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node()
        await oban.enqueue_many([leaving.Forgotten.new(max_attempts=1)])

        async def discarded() -> bool:
            return [job[0] for job in await jobs(conn)] == ["discarded"]

        await wait_until(discarded, timeout=30)
        assert await asyncio.to_thread(node.end) == 0, node.log

    @pytest.mark.parametrize(
        ("kind", "number"),
        [
            (IN_THREAD, signal.SIGTERM),
            (IN_THREAD, signal.SIGINT),
            (WAITING, signal.SIGTERM),
            (IN_LOOP, signal.SIGTERM),
        ],
    )
    async def test_ends_at_once_by_a_second_signal_and_gives_back(
        self,
        kind: str,
        number: int,
        conn: AsyncConnection,
        oban: Oban,
        start_node: StartNode,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node(grace=1_000)
        await oban.enqueue_many((ENDLESS | BLOCKING)[kind]())
        await wait_until(lambda: begun(conn), timeout=30)
        node.process.send_signal(number)
        await asyncio.sleep(oban_start.TWICE + 0.2)
        assert await asyncio.to_thread(node.end, number) == 1, node.log
        assert await jobs(conn) == [("available", 1, [ENDED])]

    async def test_takes_signals_that_come_together_for_one(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node(grace=20)
        await oban.enqueue_many(cascade(leaving.brief))
        await wait_until(lambda: begun(conn), timeout=30)
        node.process.send_signal(signal.SIGTERM)
        node.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert await jobs(conn) == [("completed", 1, [])]

    @pytest.mark.parametrize("loop", LOOPS)
    async def test_does_not_take_a_signal_to_what_a_job_has_forked_for_its_own(
        self,
        loop: str,
        conn: AsyncConnection,
        oban: Oban,
        start_node: StartNode,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node(loop=loop)
        workflow = (
            Workflow(id="flow")
            .add("fork", leaving.Forking.new(max_attempts=1))
            .add("after", work(), deps="fork")
        )
        await oban.enqueue_many(workflow)
        status = await workflow.wait(timeout=30)
        assert status.state == "completed", await jobs(conn)
        assert await workflow.get_recorded("fork") == signal.SIGTERM
        assert "Received" not in node.log
        assert await asyncio.to_thread(node.end) == 0, node.log

    @pytest.mark.slow
    async def test_ends_though_a_job_blocks_its_event_loop(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node()
        await oban.enqueue_many([leaving.Blocking.new()])
        await wait_until(lambda: begun(conn), timeout=30)
        assert await asyncio.to_thread(node.end) == 1, node.log
        assert await jobs(conn) == [("available", 1, [ENDED])]

    @pytest.mark.slow
    @pytest.mark.parametrize("stalled", [False, True])
    async def test_ends_though_the_database_is_away(
        self,
        stalled: bool,
        conn: AsyncConnection,
        dsn: str,
        oban: Oban,
        start_node: StartNode,
        wait_until: WaitUntil,
    ) -> None:
        async with Proxy(dsn) as proxy:
            node = start_node(dsn=proxy.dsn)
            await oban.enqueue_many(cascade(leaving.thread))
            await wait_until(lambda: begun(conn), timeout=30)

            if stalled:
                proxy.stall()
            else:
                proxy.refuses = True
                proxy.cut()

            code = await asyncio.to_thread(node.end)
            assert code == 1, node.log
            assert "Failed to give back what was running" in node.log
            assert await jobs(conn) == [("executing", 1, [])]

    async def test_loses_and_repeats_nothing_that_settles_meanwhile(
        self,
        conn: AsyncConnection,
        oban: Oban,
        start_node: StartNode,
        start_oban: StartOban,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node(grace=10)
        workflow = Workflow(id="flow").add_many("many", [work() for _ in range(600)])
        await oban.enqueue_many(workflow)

        async def settled(count: int) -> bool:
            return (await workflow.status()).counts["completed"] >= count

        await wait_until(lambda: settled(50), timeout=30)
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert "executing" not in {job[0] for job in await jobs(conn)}
        await start_oban({"default": 20}, node="second")
        await wait_until(lambda: settled(600), timeout=30)
        assert await jobs(conn) == [("completed", 1, [])] * 600
        await assert_consistent(conn)


class TestGivingBack:
    async def test_costs_a_held_workflow_that_workflow_only(
        self,
        conn: AsyncConnection,
        dsn: str,
        oban: Oban,
        start_node: StartNode,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node()

        for id in ("held", "free"):
            await oban.enqueue_many(Workflow(id=id).add_cascade("job", leaving.thread))

        await oban.enqueue_many([leaving.Waiting.new()])
        await wait_until(lambda: begun(conn, 3), timeout=30)

        async with await AsyncConnection.connect(dsn) as holding:
            await holding.execute(HOLD)
            assert await asyncio.to_thread(node.end) == 0, node.log
            assert [job[0] for job in await jobs(conn)] == ["executing", "available", "available"]

        assert "which somebody holds" in node.log

    async def test_waits_a_moment_for_workflows_that_others_work_on(
        self,
        conn: AsyncConnection,
        dsn: str,
        oban: Oban,
        start_node: StartNode,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node()
        await oban.enqueue_many(Workflow(id="held").add_cascade("job", leaving.thread))
        await wait_until(lambda: begun(conn), timeout=30)
        stopped = asyncio.Event()

        async def work_on_it() -> None:
            async with await AsyncConnection.connect(dsn) as holding:
                while not stopped.is_set():
                    await holding.execute(HOLD)
                    await asyncio.sleep(0.05)
                    await holding.commit()
                    await asyncio.sleep(0.01)

        working = asyncio.create_task(work_on_it())
        assert await asyncio.to_thread(node.end) == 0, node.log
        stopped.set()
        await working
        assert await jobs(conn) == [("available", 1, [ENDED])]

    async def test_goes_on_past_a_job_that_a_trigger_refuses(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        node = start_node()
        await oban.enqueue_many([leaving.Waiting.new(tags=["refused"]), leaving.Waiting.new()])
        await wait_until(lambda: begun(conn, 2), timeout=30)
        await conn.execute(REFUSE)
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert [job[0] for job in await jobs(conn)] == ["executing", "available"]

    async def test_by_two_nodes_at_once_loses_nothing(
        self, conn: AsyncConnection, oban: Oban, start_node: StartNode, wait_until: WaitUntil
    ) -> None:
        nodes = [start_node(), start_node("node-2")]
        workflow = Workflow(id="flow")

        for number in range(20):
            workflow.add_cascade(f"job {number}", leaving.thread)

        await wait_until(lambda: all("Oban started" in node.log for node in nodes), timeout=30)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: begun(conn, 20), timeout=30)
        assert await asyncio.gather(*(asyncio.to_thread(node.end) for node in nodes)) == [0, 0]
        assert [job[:2] for job in await jobs(conn)] == [("available", 1)] * 20
        assert {error for *_, (error,) in await jobs(conn)} == {
            ENDED,
            ENDED.replace("node-1", "node-2"),
        }
        assert await deadlocks(conn) == 0
        await assert_consistent(conn)

    async def test_ends_executions_of_jobs_that_were_stopped(
        self,
        conn: AsyncConnection,
        oban: Oban,
        start_node: StartNode,
        start_oban: StartOban,
        wait_until: WaitUntil,
    ) -> None:
        node = start_node()
        workflow = cascade(leaving.thread)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: begun(conn), timeout=30)
        assert await workflow.cancel_jobs() == 1
        assert await workflow.retry_jobs() == 1
        assert [job[0] for job in await jobs(conn)] == ["suspended"]
        assert await asyncio.to_thread(node.end) == 0, node.log
        assert [job[0] for job in await jobs(conn)] == ["available"]
        assert await rows(conn, "SELECT FROM oban_workflow_unended") == []


class TestProgram:
    """A program of somebody's own, which runs an Oban in its loop."""

    async def test_goes_on_and_has_given_back_what_had_ended(
        self, conn: AsyncConnection, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban(node="node-1", shutdown_grace_period=0.1)
        await node.enqueue_many([leaving.Waiting.new(), leaving.Failing.new()])
        await wait_until(lambda: begun(conn, 2), timeout=30)
        await node.stop()
        assert await jobs(conn) == [("available", 1, [ENDED])] * 2

    async def test_keeps_what_goes_on_in_a_thread_until_its_node_counts_as_dead(
        self,
        conn: AsyncConnection,
        start_oban: StartOban,
        wait_until: WaitUntil,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        node = await start_oban(node="node-1", shutdown_grace_period=0.1)
        await node.enqueue_many(cascade(leaving.brief))
        await wait_until(lambda: begun(conn), timeout=30)
        await node.stop()
        assert await jobs(conn) == [("executing", 1, [])]
        assert "go on although their node has stopped" in caplog.text
        await wait_until(lambda: not calling.executions_in_threads())

    async def test_gives_back_what_had_ended_of_a_queue_that_stops(
        self, conn: AsyncConnection, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban(
            {"default": 5, "other": 5}, node="node-1", shutdown_grace_period=0.1
        )
        await node.enqueue_many([leaving.Waiting.new(), leaving.Waiting.new(queue="other")])
        await wait_until(lambda: begun(conn, 2), timeout=30)
        await node.stop_queue("default", node="node-1")
        assert [job[0] for job in await jobs(conn)] == ["available", "executing"]

    async def test_is_not_ended_by_us(
        self, conn: AsyncConnection, oban: Oban, dsn: str, wait_until: WaitUntil, tmp_path: Path
    ) -> None:
        log = tmp_path / "program.log"

        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "tests.support.program"],
                cwd=ROOT,
                env=environment(dsn) | {"BEATS_DSN": dsn},
                stdout=output,
                stderr=output,
            )

        try:
            await oban.enqueue_many([leaving.Waiting.new()])
            await wait_until(lambda: begun(conn), timeout=30)
        finally:
            process.terminate()
            code = await process.wait()

        assert code == 7, log.read_text("utf-8")
        assert await jobs(conn) == [("available", 1, [ENDED])]
