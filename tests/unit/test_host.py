"""What we rely on in oban's private modules: a release that changes it is noticed here."""

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import oban._backoff
import oban._config
import oban._executor
import oban._extensions
import oban._leader
import oban._lifeline
import oban._notifier
import oban._producer
import oban._pruner
import oban._query
import oban._refresher
import oban.oban
import pytest
from oban import Job, Oban
from oban.schema import install_sql
from oban.worker import resolve_worker
from psycopg_pool import AsyncConnectionPool

from oban_pro._plugin import executions, oban_start, verify_structure


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


class TestSignatures:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (oban._extensions.get_ext, ["name", "default"]),
            (oban._extensions.put_ext, ["name", "func"]),
            (oban._extensions.use_ext, ["name", "default", "args", "kwargs"]),
            (oban._query._insert_jobs, ["query", "jobs", "conn"]),
            (oban._query._ack_jobs, ["query", "acks"]),
            (oban._query.unwrap_connection, ["conn"]),
            (oban._query.Query.connection, ["self"]),
            (oban._query.Query.insert_jobs, ["self", "jobs", "conn"]),
            (oban._query.Query.ack_jobs, ["self", "acks"]),
            (verify_structure._verify_structure, ["self"]),
            (oban._producer._get_jobs, ["producer"]),
            (oban._producer._init, ["producer"]),
            (oban._producer._scale, ["producer", "kwargs"]),
            (oban._producer.Producer.notify, ["self"]),
            (oban_start._stop_producer, ["self"]),
            (oban_start._stop_oban, ["self"]),
            (oban_start._create_oban, ["self", "pool", "dispatcher"]),
            (oban._pruner._prune, ["query", "max_age", "limit"]),
            (oban._pruner.build_pruner, ["config", "leader", "query"]),
            (oban._lifeline._rescue, ["query", "rescue_after"]),
            (oban._notifier.build_notifier, ["spec", "query"]),
            (oban._refresher.build_refresher, ["config", "leader", "producers", "query"]),
            (Oban.get_instance, ["name"]),
            (oban._executor.Executor, ["job", "safe"]),
            (executions._execute, ["self"]),
            (oban._executor.Executor._report_stopped, ["self"]),
            (oban._backoff.jittery_clamped, ["attempt", "max_attempts", "clamped_max"]),
            (oban._config.Config.load, ["path", "overrides"]),
            (oban._config.Config.from_toml, ["path"]),
            (oban._producer._validate, ["queue", "limit", "extra"]),
            (resolve_worker, ["path"]),
            (install_sql, ["prefix"]),
        ],
        ids=lambda value: getattr(value, "__qualname__", ""),
    )
    def test_are_those_we_call(self, function: Callable[..., Any], expected: list[str]) -> None:
        assert parameters(function) == expected

    @pytest.mark.parametrize(
        "function",
        [
            oban._query._insert_jobs,
            oban._query._ack_jobs,
            oban._query.unwrap_connection,
            oban._producer._get_jobs,
        ],
    )
    def test_functions_that_are_awaited_are_coroutines(self, function: Callable[..., Any]) -> None:
        assert inspect.iscoroutinefunction(function)


class TestPoints:
    @pytest.mark.parametrize(
        ("caller", "name"),
        [
            (oban._query.Query.insert_jobs, "query.insert_jobs"),
            (oban._query.Query.ack_jobs, "query.ack_jobs"),
            (oban._producer.Producer._get_jobs, "producer.get_jobs"),
            (oban._producer.Producer.start, "producer.init"),
            (oban._producer.Producer._validate, "producer.validate"),
            (oban._producer.Producer.restore, "producer.restore"),
            (oban._pruner.Pruner._prune, "pruner.prune"),
            (oban.oban.Oban.__init__, "pruner.build"),
            (oban.oban.Oban.__init__, "notifier.build"),
            (oban._lifeline.Lifeline._rescue, "lifeline.rescue"),
            (executions._record_stopped, "executor.wrap_result"),
        ],
    )
    def test_are_where_oban_asks_for_extensions(
        self, caller: Callable[..., Any], name: str
    ) -> None:
        source = "".join(inspect.getsource(caller).split())
        assert f'use_ext("{name}",' in source

    def test_that_are_none_are_names_that_oban_looks_up_when_it_calls(self) -> None:
        assert "resolve_worker(self.job.worker)" in inspect.getsource(executions._process)
        assert "cls.from_toml(path)" in inspect.getsource(oban._config.Config.load)
        assert "self._query.verify_structure()" in inspect.getsource(Oban._verify_structure)
        assert "await self._verify_structure()" in inspect.getsource(Oban.start)

    def test_a_node_verifies_the_structure_before_it_starts_anything(self) -> None:
        start = "".join(inspect.getsource(oban.oban.Oban.start).split())
        begin = "ifself._producers:awaitself._verify_structure()"
        assert 0 < start.index(begin) < start.index("self._dispatcher.start()")
        verify = inspect.getsource(oban.oban.Oban._verify_structure)
        assert "await self._query.verify_structure()" in verify

    def test_are_kept_in_a_dict_by_name(self) -> None:
        assert type(oban._extensions._extensions) is dict


class TestAttributes:
    def test_acks_have_the_attributes_that_we_use(self) -> None:
        hints = get_type_hints(oban._executor.AckAction, localns={"Job": Job})
        assert list(hints) == ["job", "state", "attempt_change", "error", "meta", "schedule_in"]
        assert isinstance(inspect.getattr_static(oban._executor.AckAction, "id"), property)
        assert isinstance(
            inspect.getattr_static(oban._executor.AckAction, "attempted_at"), property
        )
        assert oban._query.ACKABLE_FIELDS == [
            "id",
            "attempted_at",
            "state",
            "attempt_change",
            "schedule_in",
            "error",
            "meta",
        ]

    def test_executors_have_the_attributes_that_we_use(self) -> None:
        executor = oban._executor.Executor(Job("worker"))
        assert (executor.safe, executor.action, executor.result) == (True, None, None)
        assert executor._traceback is None

    def test_jobs_have_the_attributes_that_we_use(self) -> None:
        assert {"id", "args", "meta", "state", "extra"} <= set(Job.__slots__)
        assert Job("worker").extra == {}

    def test_of_what_is_inserted(self) -> None:
        assert oban._query.INSERTABLE_FIELDS == [
            "args",
            "inserted_at",
            "max_attempts",
            "meta",
            "priority",
            "queue",
            "scheduled_at",
            "state",
            "tags",
            "worker",
        ]

    def test_of_the_command_that_starts_a_node(self) -> None:
        # Importing it would set up logging.
        spec = importlib.util.find_spec("oban.cli")
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text("utf-8")
        assert "\ndef handle_signals() -> asyncio.Event:\n" in source
        assert source.index("conf.create_oban(pool)") < source.index("= handle_signals()")
        assert source.index("= handle_signals()") < source.index("async with oban:")
        assert "shutdown_grace_period" in parameters(Oban)
        assert "shutdown_grace_period" in oban._config.Config.__dataclass_fields__

    def test_of_producers_whose_jobs_are_cancelled(self) -> None:
        source = inspect.getsource(oban_start._stop_producer)
        assert source.index("_drain_running()") < source.index("self._ack_jobs()")
        assert "task.cancel()" in inspect.getsource(oban._producer.Producer._drain_running)

    async def test_of_queries_and_instances(self) -> None:
        oban_ = Oban(pool=AsyncConnectionPool("", open=False), name="pinned", prefix="elsewhere")
        try:
            assert oban.oban._instances["pinned"] is oban_
            assert isinstance(oban_._query, oban._query.Query)
            assert oban_._query._prefix == "elsewhere"
        finally:
            del oban.oban._instances["pinned"]

    def test_pruners_have_the_attributes_that_we_use(self) -> None:
        source = inspect.getsource(oban._pruner.Pruner)
        assert "self._leader = leader" in source
        assert "self._stopping = asyncio.Event()" in source
        assert "self._loop_task = None" in source
        assert isinstance(inspect.getattr_static(oban._leader.Leader, "is_leader"), property)

    def test_pools_have_the_attributes_that_we_use(self) -> None:
        assert parameters(AsyncConnectionPool._connect) == ["self", "timeout"]
        assert inspect.iscoroutinefunction(AsyncConnectionPool._connect)
        pool = AsyncConnectionPool("", open=False)
        assert pool._workers == []
        source = inspect.getsource(AsyncConnectionPool._start_workers)
        assert "aspawn(" in source

    def test_of_pools_that_are_watched(self) -> None:
        # What `connection` gives out goes through the method that the instance may replace.
        assert "await self.getconn(timeout=timeout)" in inspect.getsource(
            AsyncConnectionPool.connection
        )
        assert parameters(AsyncConnectionPool.getconn) == ["self", "timeout"]
        assert AsyncConnectionPool("", open=False, kwargs={"a": 1}).kwargs == {"a": 1}

    def test_notifiers_have_the_attributes_that_we_use(self) -> None:
        notifier = oban._notifier.PostgresNotifier
        assert parameters(notifier.listen) == ["self", "channel", "callback", "wait", "timeout"]
        assert "await self._connect()" in inspect.getsource(notifier.start)
        assert "await self._connect()" in inspect.getsource(notifier._reconnect)
        connect = inspect.getsource(notifier._connect)
        assert "self._pending_listen.add(channel)" in connect
        assert "self._loop_task = asyncio.create_task(self._loop()" in connect
        assert "self._beat_task = asyncio.create_task(self._beat()" in connect
        assert "self._reconnect_attempts = 0" in connect
        init = inspect.getsource(notifier.__init__)
        assert "self._connect_timeout = connect_timeout" in init
        assert "self._listen_events = {}" in init
        assert "self._subscriptions = defaultdict(dict)" in init

    def test_refreshers_have_the_attributes_that_we_use(self) -> None:
        source = inspect.getsource(oban._refresher.Refresher.__init__)
        assert "self._interval = interval" in source
        assert "self._producers = producers" in source
        assert "self._query = query" in source
        assert "await self._refresh()" in inspect.getsource(oban._refresher.Refresher._loop)
        assert parameters(oban._refresher.Refresher._cleanup) == ["self"]

    def test_of_producers_that_stop(self) -> None:
        source = inspect.getsource(oban_start._stop_producer)
        assert "async with self._init_lock:" in source
        assert source.rindex("delete_producer") > source.index("stop_gracefully")

    def test_producers_have_the_attributes_that_we_use(self) -> None:
        source = inspect.getsource(oban._producer.Producer.__init__)
        assert "self._init_lock = asyncio.Lock()" in source
        assert "self._stopping = asyncio.Event()" in source
        assert "self._query = query" in source
        assert "self._running_jobs = {}" in source
        assert "self._pending_acks = []" in source
