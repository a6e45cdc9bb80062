"""PgBouncer between nodes, clients and commands on one side and the server on the other."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from oban import Job, Oban, Worker, current_job, worker
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import Workflow
from oban_pro.engine import poolers
from oban_pro.engine.listener import Listener
from oban_pro.engine.session import session_of
from tests.support import flows
from tests.support.cli import environment, invoke
from tests.support.graphs import diamond, settled, work
from tests.support.operations import OPERATIONS, Node
from tests.support.paths import ROOT
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer
from tests.support.stored import TINY, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.databases import Psql
    from tests.support.fixtures import WaitUntil

pytestmark = [needs_pgbouncer, pytest.mark.slow]

UNSETTLED = "SELECT FROM oban_jobs WHERE state NOT IN ('completed', 'cancelled', 'discarded')"

ALL = "SELECT state::text, attempt, errors, count(*) FROM oban_jobs GROUP BY 1, 2, 3"

DEAF = "This node hears no notifications"

NODE: dict[str, Any] = {"queues": {"default": 10}, "stager": {"interval": 0.05}}


@pytest.fixture
def transaction(dsn: str) -> Iterator[PgBouncer]:
    """Provide a pooler in transaction mode."""
    with PgBouncer(dsn, "transaction") as pooler:
        yield pooler


@pytest.fixture
def session(dsn: str) -> Iterator[PgBouncer]:
    """Provide a pooler in session mode, with room for all that a test opens."""
    with PgBouncer(dsn, "session", size=30) as pooler:
        yield pooler


@asynccontextmanager
async def opened(dsn: str, **options: Any) -> AsyncIterator[AsyncConnectionPool]:
    sizes = {"min_size": 1, "max_size": 4}

    async with AsyncConnectionPool(dsn, open=False, **sizes | options) as pool:
        yield pool


@asynccontextmanager
async def node(dsn: str, name: str = "Oban", **options: Any) -> AsyncIterator[Oban]:
    """Start a node on a pool of its own, as another process would."""
    async with opened(dsn) as pool, Oban(pool=pool, name=name, node=name, **NODE, **options) as one:
        yield one


class Unrecorded:
    """Stands in where operations are recorded."""

    def recording(self) -> AbstractContextManager[None]:
        return nullcontext()


def cascades() -> Workflow:
    """Build what loads contexts, a fan-out, and a graft."""
    return (
        Workflow()
        .add_context({"source": "s"})
        .add_cascade("extract", flows.extract)
        .add_cascade("transform", flows.transform, deps="extract")
        .add_cascade("load", flows.load, deps="transform")
        .add_many("many", [work() for _ in range(10)], deps="extract")
        .add("last", work(), deps=["load", "many"])
    )


class TestATransactionModePooler:
    async def test_runs_workflows_and_plain_jobs_on_several_nodes_in_one_attempt_each(
        self, transaction: PgBouncer, psql: Psql, wait_until: WaitUntil
    ) -> None:
        async with node(transaction.dsn) as oban, node(transaction.dsn, "other"):
            workflows = [cascades() for _ in range(10)]
            await asyncio.gather(*(oban.enqueue_many(one) for one in workflows))
            await oban.enqueue_many([work() for _ in range(20)])
            await asyncio.gather(*(one.wait(timeout=40) for one in workflows))
            await wait_until(lambda: not psql.rows(UNSETTLED), timeout=20)

        assert psql.rows(ALL) == [("completed", 1, [], 10 * 14 + 20)]

    @pytest.mark.timeout(120)
    async def test_lets_every_operation_of_the_package_through(
        self, transaction: PgBouncer, dsn: str
    ) -> None:
        recorder: Any = Unrecorded()
        await fill(dsn, TINY)

        async with opened(transaction.dsn) as pool:
            for operation in OPERATIONS.values():
                await operation(Node(Oban(pool=pool), recorder))

    async def test_lets_all_of_it_through_whatever_is_set_for_the_role(
        self, transaction: PgBouncer, conn: AsyncConnection, psql: Psql
    ) -> None:
        database = conn.info.dbname
        await conn.execute(f"ALTER DATABASE {database} SET statement_timeout = '5s'".encode())
        await conn.execute(f"ALTER DATABASE {database} SET client_encoding = 'LATIN1'".encode())

        async with node(transaction.dsn) as oban:
            workflow = Workflow().add("ключ", work(meta={"text": "漢字"}))
            await oban.enqueue_many(workflow)
            assert (await workflow.wait(timeout=20)).state == "completed"

        ((text,),) = psql.rows(
            "SELECT encode(convert_to(meta ->> 'text', 'UTF8'), 'hex') FROM oban_jobs"
        )
        assert bytes.fromhex(text).decode() == "漢字"

    async def test_lets_jobs_use_handles_in_loops_of_their_own(
        self, transaction: PgBouncer, psql: Psql
    ) -> None:
        async with node(transaction.dsn) as oban:
            workflow = Workflow()

            for n in range(8):
                workflow.add_cascade(str(n), look_from_a_thread)

            await oban.enqueue_many(workflow)
            await workflow.wait(timeout=30)

        assert psql.rows(ALL) == [("completed", 1, [], 8)]

    def test_commands_work_through_a_transaction_mode_pooler(
        self, transaction: PgBouncer, empty_dsn: str
    ) -> None:
        with PgBouncer(empty_dsn) as other:
            assert invoke(other.dsn, "install", "--web-indexes").exit_code == 0
            asyncio.run(enqueue(other.dsn, diamond(id="w")))

            for _ in range(3):
                assert "suspended" in invoke(other.dsn, "show", "w", "--json").stdout
                assert "'start'" in invoke(other.dsn, "explain", "w", "end").stdout
                assert "digraph" in invoke(other.dsn, "graph", "w", "--format", "dot").stdout
                assert "w" in invoke(other.dsn, "list").stdout

            assert invoke(other.dsn, "cancel", "w").stdout == "Cancelled 4 jobs of workflow w.\n"
            assert invoke(other.dsn, "watch", "w", "--json").exit_code == 3
            assert invoke(other.dsn, "retry", "w").stdout == "Retried 4 jobs of workflow w.\n"
            assert invoke(other.dsn, "doctor").stdout == "Everything is right.\n"
            assert invoke(other.dsn, "uninstall", "--yes").exit_code == 0


def look_from_a_thread(context: Any) -> str:
    """Look at its own workflow from a thread, as a plain function may."""
    job = current_job()
    assert job is not None

    return asyncio.run(Workflow.for_job(job).status()).state


async def enqueue(dsn: str, workflow: Workflow) -> None:
    async with opened(dsn) as pool:
        await Oban(pool=pool).enqueue_many(workflow)


class TestConnections:
    """Which of them prepare statements."""

    async def threshold(self, dsn: str, **options: Any) -> int | None:
        async with opened(dsn, **options) as pool:
            Oban(pool=pool)

            async with pool.connection() as conn:
                return conn.prepare_threshold

    async def test_to_the_server_prepare(self, dsn: str) -> None:
        assert await self.threshold(dsn) == 5

    async def test_through_a_pooler_do_not(self, transaction: PgBouncer) -> None:
        assert await self.threshold(transaction.dsn) is None

    async def test_through_one_in_session_mode_do_not_either(self, session: PgBouncer) -> None:
        assert await self.threshold(session.dsn) is None

    async def test_do_as_they_are_told(
        self, dsn: str, session: PgBouncer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        oban_pro.configure(prepared_statements=True)
        assert await self.threshold(session.dsn) == 5

        oban_pro.configure(prepared_statements=False)
        assert await self.threshold(dsn) is None

        oban_pro.configure(prepared_statements=None)
        monkeypatch.setenv("OBAN_WORKFLOWS_PREPARED_STATEMENTS", "true")
        assert await self.threshold(session.dsn) == 5

    async def test_of_a_pool_that_says_it_itself_are_left_alone(
        self, session: PgBouncer, dsn: str
    ) -> None:
        assert await self.threshold(session.dsn, kwargs={"prepare_threshold": 7}) == 7
        assert await self.threshold(dsn, kwargs={"prepare_threshold": None}) is None

    async def test_that_a_pool_had_before_are_looked_at_too(self, transaction: PgBouncer) -> None:
        async with opened(transaction.dsn, max_size=1) as pool:
            async with pool.connection() as conn:
                assert conn.prepare_threshold == 5

            Oban(pool=pool)

            async with pool.connection() as same:
                assert same is conn
                assert conn.prepare_threshold is None

    async def test_are_looked_at_once(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        looks = []
        is_pooled = poolers.is_pooled

        async def count(conn: AsyncConnection[Any]) -> bool:
            looks.append(conn)

            return await is_pooled(conn)

        monkeypatch.setattr(poolers, "is_pooled", count)

        async with opened(dsn) as pool:
            oban = Oban(pool=pool)

            for _ in range(10):
                await oban.enqueue_many(diamond())

        assert len(looks) == len(set(looks)) <= 4

    async def test_are_judged_where_settings_cannot_be_read(
        self, dsn: str, transaction: PgBouncer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBAN_WORKFLOWS_PREPARED_STATEMENTS", "maybe")
        assert await self.threshold(dsn) == 5
        assert await self.threshold(transaction.dsn) is None


class TestNotifications:
    async def test_through_transaction_mode_are_missed_aloud(
        self, transaction: PgBouncer, caplog: pytest.LogCaptureFixture, wait_until: WaitUntil
    ) -> None:
        async with node(transaction.dsn) as oban:
            workflow = Workflow().add("a", work(queue="nobody"))
            await oban.enqueue_many(workflow)
            waiting = asyncio.create_task(workflow.wait(timeout=40))
            await wait_until(lambda: "Whoever waits" in caplog.text, timeout=20)
            await workflow.cancel_jobs()
            assert (await waiting).state == "cancelled"

        (message,) = [one.message for one in caplog.records if DEAF in one.message]
        assert "OBAN_WORKFLOWS_NOTIFY_DSN" in message
        assert "transaction mode" in message
        (other,) = [one.message for one in caplog.records if "Whoever waits" in one.message]
        assert "looks at it every second" in other

    async def test_through_session_mode_arrive(
        self, session: PgBouncer, caplog: pytest.LogCaptureFixture, wait_until: WaitUntil
    ) -> None:
        async with node(session.dsn) as oban:
            await assert_signals_arrive(oban, wait_until)

        assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []

    async def test_are_not_needed_to_tell_a_job_that_it_was_cancelled(
        self, transaction: PgBouncer, wait_until: WaitUntil
    ) -> None:
        Told.started = Told.told = 0

        async with node(transaction.dsn, refresher={"interval": 0.5, "max_age": 5.0}) as oban:
            workflow = Workflow().add("a", Told.new({}))
            await oban.enqueue_many(workflow)
            await wait_until(lambda: Told.started == 1, timeout=20)
            await workflow.cancel_jobs()
            await wait_until(lambda: Told.told == 1, timeout=20)

    @pytest.mark.parametrize("through", ["server", "session"])
    async def test_arrive_by_a_way_of_their_own(
        self,
        through: str,
        transaction: PgBouncer,
        session: PgBouncer,
        dsn: str,
        caplog: pytest.LogCaptureFixture,
        wait_until: WaitUntil,
    ) -> None:
        oban_pro.configure(notify_dsn={"server": dsn, "session": session.dsn}[through])

        async with node(transaction.dsn) as oban:
            await assert_signals_arrive(oban, wait_until)
            workflow = Workflow().add("a", work(queue="nobody"))
            await oban.enqueue_many(workflow)

            session_of_node, listener = session_of(oban._query), Listener("oban_workflow")

            async with asyncio.timeout(20), listener.listen(session_of_node, is_any) as told:
                # It is told once when the connection listens.
                await told.wait()
                told.clear()
                await workflow.cancel_jobs()
                await told.wait()

        assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []

    async def test_of_another_database_are_missed_aloud(
        self, dsn: str, empty_dsn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        oban_pro.configure(notify_dsn=empty_dsn)

        async with node(dsn) as oban:
            workflow = diamond()
            await oban.enqueue_many(workflow)
            assert (await workflow.wait(timeout=20)).state == "completed"

        (message,) = [one.message for one in caplog.records if DEAF in one.message]
        assert "must lead to the same database" in message

    async def test_that_arrive_later_are_heard_then(
        self,
        dsn: str,
        empty_dsn: str,
        caplog: pytest.LogCaptureFixture,
        wait_until: WaitUntil,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("oban_pro._plugin.notifier.DEAF_INTERVAL", 0.1)
        oban_pro.configure(notify_dsn=empty_dsn)
        caplog.set_level(logging.INFO, "oban_pro")

        async with node(dsn) as oban:
            await wait_until(lambda: DEAF in caplog.text)
            oban_pro.configure(notify_dsn=None)
            await wait_until(lambda: "Notifications arrive again" in caplog.text, timeout=20)
            await assert_signals_arrive(oban, wait_until)


def is_any(_: object) -> bool:
    return True


async def assert_signals_arrive(oban: Oban, wait_until: WaitUntil) -> None:
    await oban.pause_queue("default")
    await wait_until(lambda: (info := oban.check_queue("default")) and info.paused, timeout=20)
    await oban.resume_queue("default")
    await wait_until(lambda: (info := oban.check_queue("default")) and not info.paused, timeout=20)


@worker()
class Told(Worker):
    """Run until told to stop."""

    started = 0
    told = 0

    async def process(self, job: Job) -> None:
        Told.started += 1

        while not job.cancelled():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

        Told.told += 1


class TestASessionModePooler:
    async def test_needs_the_connections_that_the_page_counts(
        self, dsn: str, psql: Psql, caplog: pytest.LogCaptureFixture
    ) -> None:
        size = 2 * (4 + 1 + 1 + 1) + (4 + 1)
        # A client that finds no connection is refused at once.
        settings = {"query_wait_timeout": "1"}

        with PgBouncer(dsn, "session", size=size, settings=settings) as pooler:
            async with (
                node(pooler.dsn, "one"),
                node(pooler.dsn, "two"),
                opened(pooler.dsn) as pool,
            ):
                oban = Oban(pool=pool)
                workflows = [cascades() for _ in range(20)]
                await asyncio.gather(*(oban.enqueue_many(one) for one in workflows))
                await asyncio.gather(*(one.wait(timeout=40) for one in workflows))

            assert "query_wait_timeout" not in pooler.log()

        assert psql.rows(ALL) == [("completed", 1, [], 20 * 14)]
        assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@contextmanager
def oban_start(folder: Path) -> Iterator[None]:
    """Run ``oban start`` in a folder until the block ends, and then as long as it takes to stop."""
    with (folder / "log").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "oban", "start"],
            cwd=folder,
            env=environment() | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.slow
class TestObanStart:
    @pytest.mark.parametrize("heard", [False, True])
    async def test_needs_nothing_but_the_dsn_of_the_pooler(
        self,
        heard: bool,
        transaction: PgBouncer,
        dsn: str,
        tmp_path: Path,
        psql: Psql,
        wait_until: WaitUntil,
    ) -> None:
        # Staging often, oban would soon prepare its own statements too.
        settings = "queues = { default = 10 }\nstager = { interval = 0.02 }\n"
        (tmp_path / "oban.toml").write_text(f'dsn = "{transaction.dsn}"\n{settings}')

        if heard:
            (tmp_path / "workflows.toml").write_text(f'notify_dsn = "{dsn}"\n')

        with oban_start(tmp_path):
            async with opened(transaction.dsn) as pool:
                oban = Oban(pool=pool)

                for _ in range(5):
                    workflow = diamond()
                    await oban.enqueue_many(workflow)
                    await wait_until(settling(workflow), timeout=40)

            await wait_until(lambda: psql.rows("SELECT FROM oban_leaders"), timeout=20)

        output = (tmp_path / "log").read_text("utf-8")
        assert psql.rows(ALL) == [("completed", 1, [], 20)]
        assert (DEAF in output) is not heard
        assert "prepared statement" not in output
        assert "Traceback" not in output


def settling(workflow: Workflow) -> Callable[[], Awaitable[bool]]:
    return lambda: settled(workflow)
