"""What bounds the executions of a function, as it is given: refused, or in the args of its jobs."""

import functools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from oban_pro import Workflow, errors, from_result
from oban_pro.building.arguments import FunctionOptions
from oban_pro.building.bounds import BOUNDS
from oban_pro.building.functions import JOB, resolve_function
from oban_pro.model.durations import check_duration, check_moment
from oban_pro.model.wording import spell_duration
from tests.support import bounded, flows, growth
from tests.support.graphs import work

LOCAL_CLASS, LOCAL_FUNCTION = bounded.make_local()


def args_of(workflow: Workflow) -> list[dict[str, Any]]:
    return [{key: job.args[key] for key in BOUNDS if key in job.args} for job in workflow]


class TestDurations:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (1, timedelta(seconds=1)),
            (0.5, timedelta(milliseconds=500)),
            (timedelta(days=2), timedelta(days=2)),
            (timedelta(days=365_000), timedelta(days=365_000)),
        ],
    )
    def test_are_seconds_or_timedeltas(self, value: Any, expected: timedelta) -> None:
        assert check_duration("it", value) == expected

    def test_of_any_integer_are_judged(self) -> None:
        with pytest.raises(errors.InvalidOptionError, match="must be at most 365,000 days"):
            check_duration("it", 10**400)

    def test_may_be_zero_where_that_means_something(self) -> None:
        assert check_duration("it", 0, zero=True) == timedelta(0)
        assert check_duration("it", timedelta(0), zero=True) == timedelta(0)

    @pytest.mark.parametrize("value", [True, False, None, "1h", [1], datetime(2026, 1, 1)])
    def test_of_another_type_are_refused(self, value: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError) as refusal:
            check_duration("timeout of 'a'", value)
        expected = f"timeout of 'a' must be a timedelta or seconds, got {value!r}"
        assert str(refusal.value) == expected

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (0, "must be positive and finite, got 0"),
            (-1, "must be positive and finite, got -1"),
            (timedelta(seconds=-1), "must be positive and finite, got datetime.timedelta("),
            (float("nan"), "must be positive and finite, got nan"),
            (float("inf"), "must be positive and finite, got inf"),
            (1e-9, "must be at least a microsecond, got 1e-09"),
            (1e300, "must be at most 365,000 days, got 1e+300"),
            (10**20, "must be at most 365,000 days, got 100000000000000000000"),
            (timedelta.max, "must be at most 365,000 days, got datetime.timedelta("),
        ],
    )
    def test_that_cannot_be_waited_for_are_refused(self, value: Any, reason: str) -> None:
        with pytest.raises(errors.InvalidOptionError) as refusal:
            check_duration("timeout of 'a'", value)
        assert str(refusal.value).startswith(f"timeout of 'a' {reason}")

    def test_below_zero_are_refused_where_zero_is_not(self) -> None:
        with pytest.raises(errors.InvalidOptionError, match="must be 0 or more and finite, got -1"):
            check_duration("it", -1, zero=True)

    @pytest.mark.parametrize(
        ("duration", "expected"),
        [
            ({"days": 2}, "2 days"),
            ({"days": 1, "hours": 12}, "1 day 12 hours"),
            ({"days": 1, "hours": 12, "minutes": 59}, "1 day 12 hours"),
            ({"days": 1, "minutes": 59}, "1 day"),
            ({"hours": 1, "minutes": 1, "seconds": 59}, "1 hour 1 minute"),
            ({"hours": 6}, "6 hours"),
            ({"seconds": 90}, "1 minute 30 seconds"),
            ({"seconds": 90.9}, "1 minute 30 seconds"),
            ({"minutes": 1, "seconds": 1}, "1 minute 1 second"),
            ({"seconds": 59.5}, "59.5 seconds"),
            ({"seconds": 10}, "10 seconds"),
            ({"seconds": 1}, "1 second"),
            ({"seconds": 1.5}, "1.5 seconds"),
            ({"seconds": 0.5}, "0.5 seconds"),
            ({"microseconds": 10}, "0.00001 seconds"),
            ({}, "0 seconds"),
        ],
    )
    def test_are_spelled_in_the_largest_unit_and_the_next(
        self, duration: dict[str, float], expected: str
    ) -> None:
        assert spell_duration(timedelta(**duration)) == expected


class TestMoments:
    def test_a_moment_must_have_a_timezone(self) -> None:
        at = datetime.fromisoformat("2026-11-27T12:00:00+01:00")
        assert check_moment("it", at) is at

        with pytest.raises(errors.InvalidArgumentError) as refusal:
            Workflow().add_cascade("a", flows.one, scheduled_at=datetime(2026, 1, 1))
        assert str(refusal.value) == (
            "scheduled_at of 'a' must be a datetime with a timezone, got"
            " datetime.datetime(2026, 1, 1, 0, 0)"
        )


class TestBounds:
    def test_are_options_of_functions(self) -> None:
        assert {*BOUNDS} <= {*FunctionOptions.__annotations__}

    def test_are_in_the_args_of_every_job(self) -> None:
        bounds: FunctionOptions = {
            "timeout": timedelta(minutes=1),
            "backoff": bounded.linear,
            "give_up_on": (bounded.DeclinedError, ValueError),
        }
        expected = {
            "timeout": 60.0,
            "backoff": "tests.support.bounded:linear",
            "give_up_on": ["tests.support.bounded:DeclinedError", "builtins:ValueError"],
        }
        workflow = (
            Workflow()
            .add_cascade("a", flows.one, **bounds)
            .add_cascade("each", ([1, 2], flows.keep_item), **bounds)
            .add_cascade("mapped", (from_result("a"), flows.keep_item), deps="a", **bounds)
            .add_graft("graft", growth.squares, **bounds)
            .add_graft("grafts", (["x"], growth.graft_for), **bounds)
        )
        assert args_of(workflow) == [expected] * 6

    def test_cost_those_nothing_that_have_none(self) -> None:
        (job,) = Workflow().add_cascade("a", flows.one, timeout=None, backoff=None, give_up_on=None)
        assert job.args == {"function": "tests.support.flows:one"}

    @pytest.mark.parametrize(
        ("options", "error", "reason"),
        [
            ({"timeout": 0}, ValueError, "timeout of 'a' must be positive and finite, got 0"),
            ({"timeout": True}, TypeError, "timeout of 'a' must be a timedelta or seconds"),
            ({"backoff": -1}, ValueError, "backoff of 'a' must be 0 or more and finite, got -1"),
            ({"backoff": "1m"}, TypeError, "backoff of 'a' must be a timedelta or seconds"),
            ({"backoff": lambda job: 1}, TypeError, "cannot be a backoff: a lambda"),
            ({"backoff": LOCAL_FUNCTION}, TypeError, "cannot be a backoff: make_local.<locals>"),
            ({"backoff": functools.partial(bounded.linear)}, TypeError, "a backoff: a partial"),
            ({"backoff": bounded.of_too_much}, TypeError, "it must accept (job), got of_too_much("),
            ({"backoff": bounded.awaited}, TypeError, "awaited is async, and nothing awaits it"),
            ({"backoff": json.dumps}, TypeError, "module json is part of Python's standard"),
            ({"backoff": float}, TypeError, "it must be a function, got the class float"),
            ({"give_up_on": "ValueError"}, TypeError, "must be an Exception class or a tuple of"),
            ({"give_up_on": [ValueError]}, TypeError, "must be an Exception class or a tuple of"),
            ({"give_up_on": (ValueError, 1)}, TypeError, "or a tuple of them, got 1"),
            ({"give_up_on": ValueError("x")}, TypeError, "got ValueError('x')"),
            ({"give_up_on": KeyboardInterrupt}, TypeError, "got <class 'KeyboardInterrupt'>"),
            (
                {"give_up_on": LOCAL_CLASS},
                TypeError,
                "make_local.<locals>.LocalError: it is nested in",
            ),
            ({"time_out": 1}, TypeError, "unknown job option 'time_out' of 'a'; did you mean 'tim"),
        ],
    )
    @pytest.mark.parametrize("items", [None, []])
    def test_that_cannot_work_are_refused_by_name(
        self, options: Any, error: type[Exception], reason: str, items: Any
    ) -> None:
        function: Any = flows.one if items is None else (items, flows.keep_item)
        with pytest.raises(errors.WorkflowError) as refusal:
            Workflow().add_cascade("a", function, **options)
        assert isinstance(refusal.value, error)
        assert reason in str(refusal.value)
        assert "'a'" in str(refusal.value)

    def test_are_refused_for_the_job_of_a_grafter(self) -> None:
        options: Any = {"timeout": 5}
        with pytest.raises(errors.InvalidArgumentError, match="'g' must be set on its job"):
            Workflow().add_graft("g", work(), **options)

    def test_list_all_options_where_one_is_unknown(self) -> None:
        options: Any = {"state": "x"}
        with pytest.raises(errors.InvalidArgumentError) as refusal:
            Workflow().add_cascade("a", flows.one, **options)
        assert str(refusal.value) == (
            "unknown job option 'state' of 'a'; did you mean 'rate'? Known to add_cascade(): deps,"
            " need, tolerate, fail_fast, when, undo, ignore_cancelled, ignore_discarded, deadline,"
            " delay, limit, rate, queue, priority, max_attempts, tags, scheduled_at, scheduled_in,"
            " meta, timeout, backoff, give_up_on, lazy, batch"
        )

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("os:cpu_count", "backoff function 'os:cpu_count' is not called: module os is part"),
            ("tests.support.bounded:DeclinedError", "is not called: it must be a function, got"),
            ("tests.support.bounded:awaited", "awaited is async, and nothing awaits it"),
            ("tests.support.bounded:of_too_much", "it must accept (job)"),
            ("tests.support.bounded:gone", "cannot import backoff function"),
        ],
    )
    def test_for_a_backoff_are_looked_up_like_cascades(self, path: str, reason: str) -> None:
        with pytest.raises(errors.FunctionNotFoundError) as refusal:
            resolve_function(path, JOB)
        assert reason in str(refusal.value)
