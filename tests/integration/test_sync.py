"""`oban_pro.sync`: enqueueing and handles in blocking code, in the transaction of the caller."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from inspect import Parameter, signature
from typing import Any

import oban.schema
import psycopg
import pytest
from oban import Oban, current_job
from oban.oban import _instances
from oban.testing import mode
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from oban_pro import Workflow, errors, schema, sync
from oban_pro.handles.handle import Handle
from oban_pro.sync.twinning import asynchronous_methods
from oban_pro.testing import run_workflow_sync
from tests.support import flows
from tests.support.databases import Psql
from tests.support.fixtures import StartOban
from tests.support.graphs import diamond, names, work
from tests.support.roles import Roles

IDLE, INTRANS = TransactionStatus.IDLE, TransactionStatus.INTRANS


@pytest.fixture(autouse=True)
def without_loops(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let every blocking test fail that starts an event loop."""
    if asyncio.iscoroutinefunction(request.function) or request.cls is TestRunningInATest:
        return

    # The fixtures that need one have theirs already.
    request.getfixturevalue("dsn")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an event loop is started")

    monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio.runners, "run", refuse)
    monkeypatch.setattr(asyncio, "run", refuse)


def url_of(dsn: str) -> URL:
    info = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}

    return URL.create(
        "postgresql+psycopg",
        username=info.get("user"),
        password=info.get("password"),
        database=info["dbname"],
        query={key: info[key] for key in ("host", "port") if key in info},
    )


class Callers:
    """Opens the connections that callers have, each with a transaction that they commit."""

    def __init__(self, dsn: str, stack: ExitStack) -> None:
        self.dsn = dsn
        self._stack = stack
        engine = create_engine(url_of(dsn))
        stack.callback(engine.dispose)
        self.engine = engine

    def psycopg(self) -> Any:
        return self._stack.enter_context(psycopg.connect(self.dsn, row_factory=dict_row))

    def cursor(self) -> Any:
        conn = self.psycopg()
        cursor = self._stack.enter_context(conn.cursor())
        cursor.commit, cursor.rollback = conn.commit, conn.rollback

        return cursor

    def sqlalchemy(self) -> Any:
        return self._stack.enter_context(self.engine.connect())

    def session(self) -> Any:
        return self._stack.enter_context(Session(self.engine))

    def scoped_session(self) -> Any:
        session = scoped_session(sessionmaker(self.engine))
        self._stack.callback(session.remove)

        return session


KINDS = ("psycopg", "sqlalchemy", "session", "scoped_session")


@pytest.fixture
def callers(dsn: str) -> Iterator[Callers]:
    with ExitStack() as stack:
        yield Callers(dsn, stack)


@pytest.fixture
def caller(callers: Callers, request: pytest.FixtureRequest) -> Any:
    return getattr(callers, request.param)()


class TestEnqueueing:
    @pytest.mark.parametrize("caller", KINDS, indirect=True)
    def test_is_part_of_the_callers_transaction(self, caller: Any, dsn: str, psql: Psql) -> None:
        first, second = diamond(), diamond()
        jobs = sync.enqueue(first, caller)
        assert names(jobs) == ["start", "left", "right", "end"]
        assert [job.state for job in jobs] == ["available", *["suspended"] * 3]
        assert psql.is_empty()
        # Within the transaction it is there already.
        assert sync.Handle(first.id, caller).status().total == 4
        caller.rollback()
        assert psql.is_empty()

        sync.enqueue(second, caller)
        caller.commit()
        assert sync.Handle(first.id, dsn).status().state == "unknown"
        assert sync.Handle(second.id, dsn).status().total == 4
        assert sync.Handle(second.id, caller).status().total == 4

    def test_goes_with_the_callers_own_rows(self, callers: Callers, psql: Psql) -> None:
        psql.rows("CREATE TABLE orders (id int)")
        conn = callers.psycopg()

        with conn.transaction(force_rollback=True):
            conn.execute("INSERT INTO orders VALUES (1)")
            sync.enqueue(diamond(), conn)

        assert psql.is_empty()
        assert not psql.rows("SELECT FROM orders")

        with Session(callers.engine) as session, session.begin():
            session.execute(text("INSERT INTO orders VALUES (2)"))
            sync.enqueue(diamond(), session)

        assert len(psql.jobs()) == 4
        assert psql.rows("SELECT id FROM orders") == [(2,)]

    def test_gets_a_transaction_of_its_own_in_autocommit_mode(
        self, callers: Callers, dsn: str, psql: Psql
    ) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            assert len(sync.enqueue(diamond(), conn)) == 4
            assert conn.autocommit
            assert conn.info.transaction_status == IDLE
            assert len(psql.jobs()) == 4

            with pytest.raises(errors.DuplicateIdError):
                sync.enqueue(diamond().add_workflow("sub", Workflow(id=first_id(psql))), conn)

            assert conn.info.transaction_status == IDLE
            assert len(psql.jobs()) == 4

            # A block of the caller's is a transaction of the caller's.
            with conn.transaction(force_rollback=True):
                sync.enqueue(diamond(), conn)

            assert len(psql.jobs()) == 4

        own = callers.sqlalchemy().execution_options(isolation_level="AUTOCOMMIT")
        sync.enqueue(diamond(), own)
        assert len(psql.jobs()) == 8

    def test_opens_a_connection_to_a_dsn(self, dsn: str, psql: Psql) -> None:
        assert len(sync.enqueue(diamond(), dsn)) == 4
        assert len(psql.jobs()) == 4

    def test_takes_jobs_of_all_kinds(self, callers: Callers, dsn: str, psql: Psql) -> None:
        conn = callers.psycopg()
        assert sync.enqueue(work(), conn)[0].id
        assert sync.enqueue([], conn) == []
        assert len(sync.enqueue([work(), work()], conn)) == 2
        assert len(sync.enqueue([*diamond(), work(), *diamond()], conn)) == 9
        assert len(sync.enqueue((work() for _ in range(3)), conn)) == 3
        conn.commit()
        assert len(psql.jobs()) == 15

        with pytest.raises(errors.InvalidJobError):
            sync.enqueue(["job"], conn)  # type: ignore[list-item]

        with pytest.raises(errors.PartialWorkflowError):
            sync.enqueue([*diamond()][:2], conn)

        assert conn.info.transaction_status == IDLE

    def test_of_an_id_that_exists_returns_what_it_has(self, callers: Callers) -> None:
        conn = callers.psycopg()
        first = sync.enqueue(diamond(id="once"), conn)
        conn.commit()
        again = sync.enqueue(diamond(id="once"), conn)
        assert [job.id for job in again] == [job.id for job in first]

    def test_that_fails_leaves_the_rest_of_the_transaction(
        self, callers: Callers, psql: Psql
    ) -> None:
        conn = callers.psycopg()
        sync.enqueue(diamond(id="taken"), conn)

        with pytest.raises(errors.DuplicateIdError):
            sync.enqueue(diamond().add_workflow("sub", Workflow(id="taken").add("a", work())), conn)

        sync.enqueue(diamond(), conn)
        conn.commit()
        assert len(psql.jobs()) == 8

    def test_wakes_the_nodes_with_the_commit(self, callers: Callers, dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as ear:
            ear.execute('LISTEN "public.oban_insert"')
            conn = callers.psycopg()
            sync.enqueue(diamond(), conn)
            sync.enqueue([work(), work()], conn)
            assert not [*ear.notifies(timeout=0.2, stop_after=1)]
            conn.commit()
            assert [one.payload for one in ear.notifies(timeout=5, stop_after=1)]

    def test_of_many_jobs_works(self, callers: Callers, psql: Psql) -> None:
        conn = callers.psycopg()
        workflow = Workflow().add_cascade("each", (range(5_000), flows.see_item))
        workflow.add_cascade("see", flows.see, deps="each")
        assert len(sync.enqueue(workflow, conn)) == 5_001
        conn.commit()
        assert sync.Handle(workflow.id, conn).status().total == 5_001

    def test_works_in_a_schema_with_another_name(self, dsn: str, psql: Psql) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            for prefix in ("jobs", "others"):
                conn.execute(schema.install_sql(prefix).encode())

            workflow = diamond()
            sync.enqueue(workflow, conn, prefix="jobs")
            assert sync.Handle(workflow.id, conn, prefix="jobs").status().total == 4
            assert sync.Handle(workflow.id, dsn, prefix="jobs").status().total == 4
            assert sync.Handle(workflow.id, conn, prefix="others").status().state == "unknown"
            assert sync.Handle(workflow.id, dsn).status().state == "unknown"
            assert psql.is_empty()

            for call in (
                lambda: sync.enqueue(workflow, conn, prefix="Jobs"),
                lambda: sync.Handle(workflow.id, dsn, prefix="Jobs"),
            ):
                with pytest.raises(ValueError, match="prefix must be a schema name"):
                    call()

            with pytest.raises(errors.SchemaError, match="missing in schema 'nowhere'"):
                sync.enqueue(workflow, conn, prefix="nowhere")

    def test_of_plain_jobs_needs_no_tables_of_ours(self, empty_dsn: str) -> None:
        with psycopg.connect(empty_dsn) as conn:
            conn.execute(oban.schema.install_sql().encode())
            conn.commit()
            assert sync.enqueue(work(), conn)[0].id
            assert len(sync.enqueue([work(), work()], conn)) == 2
            assert conn.info.transaction_status == INTRANS
            conn.rollback()
            assert conn.execute("SELECT count(*) FROM oban_jobs").fetchone() == (0,)

            with pytest.raises(errors.SchemaError, match="run: oban-workflows install"):
                sync.enqueue(diamond(), conn)

    async def test_runs_inline_in_a_test_that_says_so(self) -> None:
        def enqueue() -> None:
            with mode("inline"):
                sync.enqueue(Workflow().add_cascade("note", note), "no database")

        noted.clear()
        await asyncio.to_thread(enqueue)
        assert noted == ["noted"]


class TestWorkflows:
    def test_use_an_instance_whose_pool_nobody_opened(self, dsn: str) -> None:
        Oban(pool=AsyncConnectionPool(dsn, open=False), name="ours")
        first, second = diamond(name="nightly"), diamond(name="nightly")
        sync.enqueue([*first, *second, *diamond(name="other")])

        handles = list(sync.Workflow.search(oban="ours", name="nightly"))
        assert {handle.id for handle in handles} == {first.id, second.id}
        assert {handle.status().total for handle in handles} == {4}

        cancelled = sync.Workflow.cancel_all(oban="ours", name="nightly")
        assert {next(cancelled).id, next(cancelled).id} == {first.id, second.id}
        assert sync.Workflow(id=first.id, oban="ours").wait(timeout=5).state == "cancelled"


class TestRunningInATest:
    def test_a_blocking_test_runs_all_jobs_of_a_workflow(self, dsn: str, callers: Callers) -> None:
        conn = callers.psycopg()
        workflow = (
            Workflow()
            .add_signal("ok")
            .add_cascade("each", ([1, 2], flows.see_item), deps="ok")
            .add_cascade("see", flows.see, deps="each")
        )
        sync.enqueue(workflow, conn)

        with pytest.raises(errors.InTransactionError):
            run_workflow_sync(workflow, conn)

        conn.commit()
        handle = sync.Handle(workflow.id, conn)

        with pytest.raises(AssertionError, match="ok"):
            run_workflow_sync(handle, conn)

        assert run_workflow_sync(handle, conn, signals={"ok": "go"}).state == "completed"
        assert handle.get_recorded("ok") == "go"
        assert conn.info.transaction_status == IDLE
        assert not _instances

    def test_raises_what_a_job_raises(self, dsn: str) -> None:
        with pytest.raises(RuntimeError, match="told to fail"):
            run_workflow_sync(Workflow().add("a", work("fail")), dsn)


noted: list[str] = []


def note(context: Any) -> None:
    noted.append("noted")


def first_id(psql: Psql) -> str:
    return str(psql.jobs()[0]["meta"]["workflow_id"])


class TestHandles:
    @pytest.mark.parametrize("place", ["dsn", "autocommit", *KINDS])
    def test_a_blocking_handle_has_every_method(
        self, place: str, callers: Callers, dsn: str
    ) -> None:
        with ExitStack() as stack:
            if place == "autocommit":
                conn: Any = stack.enter_context(psycopg.connect(dsn, autocommit=True))
            else:
                conn = dsn if place == "dsn" else getattr(callers, place)()

            workflow = diamond().add_context({"a": 1}).add_signal("ok").add_signal("no")
            sync.enqueue(workflow, conn)
            handle = sync.Handle(workflow.id, conn)

            assert handle.status().total == 6
            assert names(handle.all_jobs())[:4] == ["start", "left", "right", "end"]
            end = handle.get_job("end")
            assert end is not None
            assert len(handle.all_jobs(deps_of=end)) == 2
            assert handle.all_recorded() == {}
            assert handle.get_recorded("start") is None
            assert handle.get_context() == {"a": 1}
            assert len(handle.fetch_graph().edges) == 4
            assert handle.explain("end").state == "suspended"
            addition = Workflow(check_deps=False).add("more", work(), deps="end")
            assert names(handle.append(addition)) == ["more"]
            assert handle.cancel_jobs(names=["left"]) == 1
            assert handle.retry_jobs() == 3
            handle.set_deadline(3600)
            assert handle.signal("ok", {"fine": True}, by="ada") == 1
            assert handle.reject("no", "too late") == 1
            assert [one.by for one in handle.signals("ok")] == ["ada"]
            assert handle.get_recorded("ok") == {"fine": True}
            assert handle.cancel_jobs() == 5
            job = sync.enqueue(work(), conn)[0].id
            assert job is not None
            assert sync.signal(job, "go", conn=conn) == 1
            found = [one.status().id for one in sync.search(conn, state="cancelled")]
            assert found == [workflow.id]

            if place in KINDS:
                assert sync.Handle(workflow.id, dsn).status().state == "unknown"
                conn.commit()

            assert handle.wait(timeout=5).state == "cancelled"

    def test_have_no_method_that_needs_an_event_loop(self, dsn: str) -> None:
        """Call every method, whatever it is, with arguments that may make no sense."""
        failed: dict[str, Exception] = {}
        given = {"path": "start", "name": "start", "addition": Workflow(), "limit": 2}

        for name, method in asynchronous_methods(Handle):
            workflow = diamond().add_context({"a": 1}).add_signal("ok")
            sync.enqueue(workflow, dsn)
            twin = getattr(sync.Handle(workflow.id, dsn), name)
            required = [
                parameter
                for parameter in signature(method).parameters.values()
                if parameter.name != "self" and parameter.default is Parameter.empty
            ]
            waits = "timeout" in signature(method).parameters
            options = {
                one.name: given.get(one.name) for one in required if one.kind != one.VAR_POSITIONAL
            }
            options |= {"timeout": 0.1} if waits else {}
            positional = [
                options.pop(one.name) for one in required if one.kind == one.POSITIONAL_ONLY
            ]

            try:
                result = twin(*positional, **options)

                if hasattr(result, "__next__"):
                    list(result)
            except (errors.WorkflowError, LookupError, TypeError, ValueError, TimeoutError):
                pass
            except RuntimeError as error:
                failed[name] = error

        assert failed == {}

    def test_that_only_read_begin_no_transaction(self, callers: Callers, dsn: str) -> None:
        workflow = diamond()
        sync.enqueue(workflow, dsn)
        conn = callers.psycopg()
        handle = sync.Handle(workflow.id, conn)
        assert handle.status().total == 4
        assert handle.all_jobs()
        assert conn.info.transaction_status == IDLE

        own = callers.sqlalchemy()
        assert sync.Handle(workflow.id, own).status().total == 4
        assert not own.in_transaction()

        session = callers.session()
        assert sync.Handle(workflow.id, session).explain("end").state == "suspended"
        assert not session.in_transaction()

    def test_that_change_something_begin_one(self, callers: Callers, dsn: str) -> None:
        workflow = diamond()
        sync.enqueue(workflow, dsn)

        for kind in KINDS:
            conn = getattr(callers, kind)()
            assert sync.Handle(workflow.id, conn).cancel_jobs() == 4
            assert sync.Handle(workflow.id, dsn).status().state == "executing"
            conn.rollback()

        assert sync.Handle(workflow.id, dsn).cancel_jobs() == 4

    def test_name_what_is_not_there_and_leave_the_transaction(self, callers: Callers) -> None:
        conn = callers.psycopg()
        workflow = diamond().add_signal("approval")
        sync.enqueue(workflow, conn)
        handle = sync.Handle(workflow.id, conn)

        for call in (
            lambda: handle.signal("aproval"),
            lambda: handle.cancel_jobs(names=["start", "rigth"]),
            lambda: handle.explain("ende"),
        ):
            with pytest.raises(errors.UnknownNameError, match="did you mean"):
                call()

        with pytest.raises(errors.UnknownWorkflowError):
            sync.Handle("nobody", conn).cancel_jobs()

        assert conn.info.transaction_status == INTRANS
        assert handle.status().total == 5

    def test_take_the_connection_of_a_call(self, callers: Callers, dsn: str) -> None:
        workflow = diamond().add_signal("ok")
        sync.enqueue(workflow, dsn)
        handle, conn = sync.Handle(workflow.id, dsn), callers.psycopg()
        assert handle.signal("ok", conn=conn) == 1
        handle.append(Workflow().add("more", work()), conn=conn)
        assert handle.status().total == 5
        conn.commit()
        assert handle.status().total == 6

    def test_are_refused_for_what_is_no_connection(self, callers: Callers, dsn: str) -> None:
        engine = create_async_engine(url_of(dsn))
        async_conn = AsyncConnectionPool(dsn, open=False)

        for other in (engine, async_conn, object(), 1, None):
            with pytest.raises(errors.InvalidArgumentError, match="conn must be a blocking"):
                sync.Handle("id", other)  # type: ignore[arg-type]

        with pytest.raises(errors.InvalidNameError, match="workflow id"):
            sync.Handle("", dsn)

        with pytest.raises(errors.InvalidDsnError):
            sync.Handle("id", "postgresql://a@b@c")

        conn = callers.psycopg()
        with conn.pipeline(), pytest.raises(errors.InvalidArgumentError, match="pipeline"):
            sync.enqueue(diamond(), conn)

    def test_leave_a_connection_as_it_was(self, callers: Callers, dsn: str) -> None:
        heard: list[str] = []
        conn = callers.psycopg()
        conn.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        conn.execute("SELECT 1 AS one", prepare=True)
        conn.commit()
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        workflow = diamond()
        sync.enqueue(workflow, conn)
        handle = sync.Handle(workflow.id, conn)
        assert handle.status().total == 4
        level = conn.execute("SHOW transaction_isolation").fetchone()
        assert level == {"transaction_isolation": "serializable"}
        assert conn.execute("SELECT 1 AS one", prepare=True).fetchone() == {"one": 1}
        conn.execute("SELECT 2 AS two", prepare=True)
        conn.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        conn.commit()
        assert heard == ["hello"]
        assert not conn.autocommit

    def test_name_the_right_that_a_role_lacks(self, callers: Callers, roles: Roles) -> None:
        role, conn = roles.make(), callers.psycopg()
        conn.execute(f'SET ROLE "{role}"')

        with pytest.raises(errors.MissingRightError, match=f'GRANT .* TO "?{role}'):
            sync.enqueue(diamond(), conn)

        assert conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}

    def test_share_a_connection_between_threads(self, dsn: str) -> None:
        workflow = diamond()

        with psycopg.connect(dsn, autocommit=True) as conn, ThreadPoolExecutor(4) as threads:
            sync.enqueue(workflow, conn)
            handle = sync.Handle(workflow.id, conn)
            counts = threads.map(lambda _: handle.status().total, range(100))
            assert {*counts} == {4}

    def test_work_where_defaults_of_the_role_are_hostile(self, dsn: str) -> None:
        name = conninfo_to_dict(dsn)["dbname"]

        with psycopg.connect(dsn, autocommit=True) as conn:
            for setting in (
                "default_transaction_isolation = 'serializable'",
                "statement_timeout = '1ms'",
                "client_encoding = 'LATIN1'",
            ):
                conn.execute(f'ALTER DATABASE "{name}" SET {setting}'.encode())

        # The client's own statements may take longer.
        longer = "-c statement_timeout=10s"

        with psycopg.connect(dsn, autocommit=True, options=longer) as conn:
            workflow = diamond().add_context({"text": "\N{SNOWMAN}"})
            sync.enqueue(workflow, conn)
            handle = sync.Handle(workflow.id, conn)
            assert handle.get_context() == {"text": "\N{SNOWMAN}"}
            assert handle.cancel_jobs() == 4
            assert conn.execute("SHOW client_encoding").fetchone() == ("LATIN1",)


class TestWaiting:
    @contextmanager
    def begun(self, kind: str, callers: Callers) -> Iterator[Any]:
        conn = getattr(callers, kind.removesuffix(" block"))()

        if kind == "psycopg":
            conn.execute("SELECT 1")
            yield conn
        elif kind == "psycopg block":
            with conn.transaction():
                yield conn
        else:
            with conn.begin():
                yield conn

    @pytest.mark.parametrize(
        "kind", ["psycopg", "psycopg block", "sqlalchemy", "session", "scoped_session"]
    )
    def test_is_refused_in_a_transaction_that_has_begun(self, kind: str, callers: Callers) -> None:
        with (
            self.begun(kind, callers) as conn,
            pytest.raises(errors.InTransactionError, match="outside of a transaction"),
        ):
            sync.Handle("any", conn).wait()

    @pytest.mark.parametrize("kind", ["psycopg", "sqlalchemy", "session"])
    def test_works_outside_of_one(self, kind: str, callers: Callers, dsn: str) -> None:
        conn = getattr(callers, kind)()
        sync.enqueue(diamond(id="open"), dsn)
        sync.enqueue(diamond(id="over"), dsn)
        sync.Handle("over", dsn).cancel_jobs()
        assert sync.Handle("over", conn).wait(timeout=5).state == "cancelled"

        with pytest.raises(TimeoutError, match=r"must settle within 0\.1 s"):
            sync.Handle("open", conn).wait(timeout=0.1)

        with pytest.raises(errors.UnknownWorkflowError):
            sync.Handle("nobody", conn).wait(timeout=5)

    def test_ends_when_somebody_settles_it(self, dsn: str) -> None:
        workflow = diamond()
        sync.enqueue(workflow, dsn)

        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(sync.Handle(workflow.id, dsn).wait, timeout=20)
            sync.Handle(workflow.id, dsn).cancel_jobs()
            assert waiting.result().state == "cancelled"

    def test_times_out_while_the_database_does_not_answer(self, callers: Callers, dsn: str) -> None:
        sync.enqueue(diamond(id="slow"), dsn)

        with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as conn:
            other.execute("LOCK oban_workflow_groups")
            handle = sync.Handle("slow", conn)

            with pytest.raises(TimeoutError, match="must settle within 1"):
                handle.wait(timeout=1)

            other.rollback()
            # The connection is of use.
            assert handle.status().total == 4

    def test_ends_with_a_connection_that_nobody_opens_again(self, callers: Callers) -> None:
        conn = callers.psycopg()
        conn.close()

        with pytest.raises(psycopg.OperationalError, match="closed"):
            sync.Handle("any", conn).wait()


JOBS = 30
together = threading.Barrier(JOBS)


def look(number: int, context: flows.Context) -> Any:
    together.wait()

    return sync.Workflow(id=context["other"]).status().total


def look_at_own(number: int, context: flows.Context) -> Any:
    together.wait()
    job = current_job()
    assert job is not None

    return sync.Workflow.for_job(job).status().total


def cancel(number: int, context: flows.Context) -> Any:
    together.wait()

    return sync.Workflow(id=context["other"]).cancel_jobs(names=[str(number)])


def grow(context: flows.Context) -> None:
    job = current_job()
    assert job is not None
    sub = Workflow().add_cascade("each", ([1, 2], flows.see_item))
    sync.enqueue(sync.Workflow.apply_graft(job, sub))


def enqueue(number: int, context: flows.Context) -> Any:
    together.wait()

    return len(sync.enqueue(sync.Workflow().add("a", work()).add("b", work(), deps="a")))


class TestInPlainFunctions:
    @pytest.mark.parametrize(
        ("function", "expected"), [(look, JOBS), (look_at_own, JOBS), (cancel, 1), (enqueue, 2)]
    )
    async def test_handles_work_in_thirty_threads(
        self, start_oban: StartOban, function: Callable[..., Any], expected: int
    ) -> None:
        together.reset()
        node = await start_oban(queues={"default": JOBS})
        other = Workflow()

        for number in range(JOBS):
            other.add(str(number), work(queue="nobodys"))

        await node.enqueue_many(other)
        workflow = (
            Workflow()
            .add_context({"other": other.id})
            .add_cascade("each", (range(JOBS), function), max_attempts=1)
        )
        await node.enqueue_many(workflow)
        status = await workflow.wait(timeout=20)
        assert status.counts["completed"] == JOBS, status
        assert {*(await workflow.all_recorded())["each"].values()} == {expected}

    async def test_a_grafter_grafts_once(self, start_oban: StartOban) -> None:
        node = await start_oban()
        workflow = Workflow().add_graft("grow", grow).add_cascade("see", flows.see, deps="grow")
        await node.enqueue_many(workflow)
        assert (await workflow.wait(timeout=20)).state == "completed"
        assert len((await workflow.all_recorded())["grow"]["each"]) == 2

    async def test_connections_are_those_of_the_nodes_pool(self, dsn: str) -> None:
        async def configure(conn: Any) -> None:
            await conn.execute("SET application_name TO configured")
            await conn.commit()

        def enqueue_and_look() -> Any:
            workflow = diamond()
            sync.enqueue(workflow)

            return sync.Workflow(id=workflow.id).status().total

        async with AsyncConnectionPool(dsn, open=False, configure=configure) as pool:
            Oban(pool=pool)
            await pool.wait()
            psql = Psql(dsn)
            psql.rows(
                "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " NEW.tags = ARRAY[current_setting('application_name')];"
                " RETURN NEW; END $$; CREATE TRIGGER note BEFORE INSERT ON oban_jobs"
                " FOR EACH ROW EXECUTE FUNCTION note()"
            )
            assert await asyncio.to_thread(enqueue_and_look) == 4
            assert [job["tags"] for job in psql.jobs()] == [["configured"]] * 4

    async def test_a_pool_that_needs_its_loop_says_so(self, dsn: str) -> None:
        async def configure(conn: Any) -> None:
            await asyncio.sleep(0)

        async with AsyncConnectionPool(dsn, open=False, configure=configure) as pool:
            Oban(pool=pool)

            with pytest.raises(RuntimeError, match="await nothing but the connection"):
                await asyncio.to_thread(lambda: sync.Workflow(id="any").status())
