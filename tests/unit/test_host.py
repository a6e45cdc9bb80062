"""What we rely on in oban's private modules: a release that changes it is noticed here."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import oban._backoff
import oban._config
import oban._executor
import oban._extensions
import oban._lifeline
import oban._producer
import oban._pruner
import oban._query
import oban._refresher
import oban.oban
import pytest
from oban import Job, Oban
from oban.schema import install_sql
from psycopg_pool import AsyncConnectionPool


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
            (oban._producer._get_jobs, ["producer"]),
            (oban._producer._init, ["producer"]),
            (oban._producer.Producer.notify, ["self"]),
            (oban._pruner._prune, ["query", "max_age", "limit"]),
            (oban._lifeline._rescue, ["query", "rescue_after"]),
            (oban._refresher.build_refresher, ["config", "leader", "producers", "query"]),
            (Oban.get_instance, ["name"]),
            (oban._executor.Executor, ["job", "safe"]),
            (oban._executor.Executor.execute, ["self"]),
            (oban._backoff.jittery_clamped, ["attempt", "max_attempts", "clamped_max"]),
            (oban._config.Config.load, ["path", "overrides"]),
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
    def test_are_of_coroutines(self, function: Callable[..., Any]) -> None:
        assert inspect.iscoroutinefunction(function)


class TestPoints:
    @pytest.mark.parametrize(
        ("caller", "name"),
        [
            (oban._query.Query.insert_jobs, "query.insert_jobs"),
            (oban._query.Query.ack_jobs, "query.ack_jobs"),
            (oban._producer.Producer._get_jobs, "producer.get_jobs"),
            (oban._producer.Producer.start, "producer.init"),
            (oban._producer.Producer.restore, "producer.restore"),
            (oban._pruner.Pruner._prune, "pruner.prune"),
            (oban._lifeline.Lifeline._rescue, "lifeline.rescue"),
            (oban._executor.Executor._record_stopped, "executor.wrap_result"),
        ],
    )
    def test_are_where_oban_asks_for_extensions(
        self, caller: Callable[..., Any], name: str
    ) -> None:
        source = "".join(inspect.getsource(caller).split())
        assert f'use_ext("{name}",' in source

    def test_are_kept_in_a_dict_by_name(self) -> None:
        assert type(oban._extensions._extensions) is dict


class TestAttributes:
    def test_of_acks(self) -> None:
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

    def test_of_jobs(self) -> None:
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

    async def test_of_queries_and_instances(self) -> None:
        oban_ = Oban(pool=AsyncConnectionPool("", open=False), name="pinned", prefix="elsewhere")
        try:
            assert oban.oban._instances["pinned"] is oban_
            assert isinstance(oban_._query, oban._query.Query)
            assert oban_._query._prefix == "elsewhere"
        finally:
            del oban.oban._instances["pinned"]

    def test_of_producers(self) -> None:
        source = inspect.getsource(oban._producer.Producer.__init__)
        assert "self._query = query" in source
        assert "self._running_jobs = {}" in source
        assert "self._pending_acks = []" in source
