"""Several nodes under one parent, as real processes: `oban-workflows start --processes N`."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from tests.support import parented
from tests.support.cli import COMMAND, SCRIPT, environment, run_cli
from tests.support.fixtures import WaitUntil
from tests.support.graphs import settled
from tests.support.paths import ROOT
from tests.support.recount import assert_consistent

type StartParent = Callable[..., "Parent"]

PRODUCERS = """
SELECT queue, node, (meta ->> 'local_limit')::int FROM oban_producers ORDER BY queue, node
"""


class Parent:
    """A parent, and what it and its children log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def end(self, number: int = signal.SIGTERM, timeout: float = 40) -> int:
        self.process.send_signal(number)

        return self.process.wait(timeout)


@pytest.fixture
def start_parent(dsn: str, tmp_path: Path) -> Iterator[StartParent]:
    """Provide a helper that starts a parent, which is ended with its children if it is left."""
    with ExitStack() as stack:

        def start(
            *options: str, dsn: str = dsn, command: Sequence[str] = COMMAND, **variables: str
        ) -> Parent:
            log = tmp_path / "parent.log"
            variables = {"OBAN_NODE": "web-1", "OBAN_SHUTDOWN_GRACE_PERIOD": "2"} | variables

            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*command, "start", "--cron-modules", "tests.support.parented", *options],
                    cwd=tmp_path,
                    env=environment(dsn) | {"PYTHONPATH": str(ROOT)} | variables,
                    stdout=output,
                    stderr=output,
                )

            stack.callback(_end, process)

            return Parent(process, log)

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()

    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


async def producers(conn: AsyncConnection) -> dict[str, dict[int, int]]:
    """Return the limits of producers, by queue and process."""
    found: dict[str, dict[int, int]] = {}

    for queue, node, limit in await (await conn.execute(PRODUCERS.encode())).fetchall():
        base, _, pid = node.rpartition(".")
        assert base == "web-1"
        found.setdefault(queue, {})[int(pid)] = limit

    return found


async def limits(conn: AsyncConnection, queue: str = "default") -> list[int]:
    return sorted((await producers(conn)).get(queue, {}).values())


async def pids(conn: AsyncConnection, queue: str = "default") -> set[int]:
    return {*(await producers(conn)).get(queue, {})}


async def have(conn: AsyncConnection, expected: list[int], queue: str = "default") -> bool:
    return await limits(conn, queue) == expected


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True

    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    return True


def fan_out(function: Any, items: list[Any], **options: Any) -> Workflow:
    return Workflow().add_cascade("each", (items, function), **options)


async def recorded(workflow: Workflow) -> list[Any]:
    return list((await workflow.all_recorded())["each"].values())


class TestProcesses:
    @pytest.mark.timeout(120)
    async def test_share_the_limits_of_queues_and_follow_signals_to_all(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        parent = start_parent("--processes", "3", "--queues", "default:5,mail:1")
        await wait_until(lambda: have(conn, [1, 2, 2]), timeout=60)
        await wait_until(lambda: have(conn, [1], "mail"))
        workflow = fan_out(parented.pid_of_item, [0.05] * 60)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)
        assert {*await recorded(workflow)} == await pids(conn)

        async with oban:
            # more, none for some, a queue that is new, and one that stops
            await oban.scale_queue(queue="default", limit=8)
            await wait_until(lambda: have(conn, [2, 3, 3]))
            await oban.scale_queue(queue="default", limit=2)
            await wait_until(lambda: have(conn, [1, 1]))
            await oban.start_queue(queue="later", limit=4, node="web-1")
            await wait_until(lambda: have(conn, [1, 1, 2], "later"))
            await oban.stop_queue("mail")
            await wait_until(lambda: have(conn, [], "mail"))
            await oban.scale_queue(queue="default", limit=7)
            await wait_until(lambda: have(conn, [2, 2, 3]))

            # one that is restarted has its part of what is the limit now
            killed = min(await pids(conn))
            os.kill(killed, signal.SIGKILL)

            async def is_replaced() -> bool:
                return killed not in await pids(conn) and await have(conn, [2, 2, 3])

            await wait_until(is_replaced, timeout=60)
            await wait_until(lambda: have(conn, [1, 1, 2], "later"))
            assert await limits(conn, "mail") == []

        assert await asyncio.to_thread(parent.end) == 0, parent.log
        assert await producers(conn) == {}

    @pytest.mark.timeout(120)
    async def test_that_are_killed_are_replaced_and_their_jobs_given_back_at_once(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        start_parent("--processes", "2", "--queues", "default:20")
        await wait_until(lambda: have(conn, [10, 10]), timeout=60)
        workflow = fan_out(parented.hang_once, list(range(20)), max_attempts=3)
        await oban.enqueue_many(workflow)

        async def executing() -> bool:
            cursor = await conn.execute("SELECT count(*) FROM oban_jobs WHERE state = 'executing'")
            row = await cursor.fetchone()
            return bool(row and row[0] == 20)

        await wait_until(executing, timeout=30)
        began = time.monotonic()
        killed = await pids(conn)

        for pid in killed:
            os.kill(pid, signal.SIGKILL)

        await wait_until(lambda: settled(workflow), timeout=40)
        # a sweep would have taken a minute
        assert time.monotonic() - began < 40
        assert killed.isdisjoint({*await recorded(workflow)})
        jobs = await workflow.all_jobs(with_subs=True)
        assert {job.attempt for job in jobs} == {2}
        errors: list[Any] = [error for job in jobs for error in job.errors]
        assert {error["error"] for error in errors} == {
            f"node web-1.{pid} was killed by SIGKILL before the job had settled" for pid in killed
        }
        await assert_consistent(conn)

        async def are_forgotten() -> bool:
            return killed.isdisjoint(await pids(conn))

        await wait_until(are_forgotten, timeout=30)

    @pytest.mark.timeout(120)
    async def test_end_soon_after_a_parent_that_is_killed(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        parent = start_parent(
            "--processes", "2", "--queues", "default:4", OBAN_SHUTDOWN_GRACE_PERIOD="3600"
        )
        await wait_until(lambda: have(conn, [2, 2]), timeout=60)
        workflow = fan_out(parented.hang_once, [1], max_attempts=2)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: is_executing(conn))
        children = await pids(conn)
        began = time.monotonic()
        parent.process.kill()
        await wait_until(lambda: all(map(is_gone, children)), timeout=40)
        assert time.monotonic() - began < 30
        # as by TERM
        (job,) = await workflow.all_jobs(with_subs=True)
        assert job.state == "available"
        error: Any = job.errors[0]
        assert error["error"].endswith("was shut down before the job had settled")

    @pytest.mark.timeout(120)
    async def test_are_replaced_after_some_jobs(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        parent = start_parent("--processes", "2", "--queues", "default:4", "--max-jobs", "10")
        await wait_until(lambda: have(conn, [2, 2]), timeout=60)
        first = await pids(conn)
        workflow = fan_out(parented.pid_of_item, [0.02] * 60)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=80)
        assert {*await recorded(workflow)} - first
        jobs = await workflow.all_jobs(with_subs=True)
        assert {(job.attempt, len(job.errors)) for job in jobs} == {(1, 0)}
        assert "is to be replaced: it has run" in parent.log

    @pytest.mark.timeout(120)
    async def test_are_replaced_when_they_use_too_much_memory(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        parent = start_parent("--queues", "default:4", "--max-memory", "1M")
        await wait_until(lambda: have(conn, [4]), timeout=60)
        first = await pids(conn)
        await oban.enqueue_many(Workflow().add_cascade("a", parented.pid))

        async def is_replaced() -> bool:
            return bool(await pids(conn)) and first.isdisjoint(await pids(conn))

        await wait_until(is_replaced, timeout=60)
        assert "MB of memory" in parent.log


async def is_executing(conn: AsyncConnection) -> bool:
    cursor = await conn.execute("SELECT FROM oban_jobs WHERE state = 'executing'")

    return await cursor.fetchone() is not None


class TestAParent:
    @pytest.mark.timeout(120)
    async def test_hands_on_a_signal_and_a_second_one(
        self, conn: AsyncConnection, oban: Oban, start_parent: StartParent, wait_until: WaitUntil
    ) -> None:
        parent = start_parent(
            "--processes", "2", "--queues", "default:4", OBAN_SHUTDOWN_GRACE_PERIOD="3600"
        )
        await wait_until(lambda: have(conn, [2, 2]), timeout=60)
        workflow = fan_out(parented.hang_once, [1], max_attempts=2)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: is_executing(conn))
        parent.process.send_signal(signal.SIGINT)
        await wait_until(lambda: parent.log.count("shutting down") == 2)
        # what comes within a second is the same signal
        await asyncio.sleep(1.5)
        assert await asyncio.to_thread(parent.end) == 1
        (job,) = await workflow.all_jobs(with_subs=True)
        assert job.state == "available"

    @pytest.mark.timeout(120)
    async def test_imports_what_is_in_the_current_directory(
        self, start_parent: StartParent, tmp_path: Path, wait_until: WaitUntil
    ) -> None:
        module = "from pathlib import Path\nPath('imported').touch()"
        (tmp_path / "module_of_a_user.py").write_text(module, "utf-8")
        parent = start_parent("--cron-modules", "module_of_a_user", command=SCRIPT)
        await wait_until((tmp_path / "imported").exists, timeout=60)
        assert parent.end() == 0

    def test_whose_children_cannot_start_exits_with_1(self, start_parent: StartParent) -> None:
        parent = start_parent(
            "--processes",
            "2",
            "--queues",
            "default:4",
            dsn="postgresql://localhost:1/nowhere",
            OBAN_POOL_TIMEOUT="1",
        )
        assert parent.process.wait(100) == 1
        assert "None of 2 processes could start" in parent.log

    def test_refuses_a_queue_that_cannot_run(self, dsn: str, tmp_path: Path) -> None:
        done = run_cli("start", "--queues", "default:0", cwd=tmp_path, dsn=dsn)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "Error: queue 'default' cannot run: Queue 'default' limit must be positive"
        )

    def test_takes_a_dry_run_as_oban_does(self, dsn: str, tmp_path: Path) -> None:
        done = run_cli(
            "start",
            "--queues",
            "default:1",
            "--dry-run",
            "--cron-paths",
            ".",
            cwd=tmp_path,
            dsn=dsn,
        )
        assert done.returncode == 0, done.stderr
