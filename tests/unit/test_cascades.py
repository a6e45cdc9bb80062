"""What can be a cascade, and what is refused when it is added."""

import functools
import json
import sys
import types
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from oban_pro import Workflow, errors
from oban_pro.building.arguments import JobOptions
from oban_pro.building.functions import CONTEXT, resolve_function
from oban_pro.values import codec
from tests.support import flows
from tests.support.graphs import Work, names


def add(function: Any, items: Any = None, **options: Any) -> Workflow:
    return Workflow().add_cascade("a", function if items is None else (items, function), **options)


class TestFunction:
    @pytest.mark.parametrize(
        "function",
        [flows.one, flows.see_blocking, flows.shouted, flows.wrapped_async, flows.Toolbox.tool],
    )
    def test_is_stored_by_its_import_path(self, function: Any) -> None:
        (job,) = add(function)
        assert job.args == {"function": f"tests.support.flows:{function.__qualname__}"}
        assert job.meta["handler"] == f"tests.support.flows.{function.__qualname__}"
        assert resolve_function(job.args["function"], CONTEXT) is function

    @pytest.mark.parametrize(
        ("function", "reason"),
        [
            (lambda context: None, "a lambda cannot be imported by name; use def"),
            (flows.nameless, "a lambda cannot be imported by name; use def"),
            (flows.make_nested(), "make_nested.<locals>.nested is nested in a function; move it"),
            (flows.unnamed, "hidden.<locals>.wrapper is nested in a function; move it"),
            (functools.partial(flows.keep_item, 1), "a partial cannot be imported by name"),
            (flows.Toolbox().method, "a bound method cannot be imported by name"),
            (flows.Toolbox.factory, "a bound method cannot be imported by name"),
            (
                flows.Toolbox.close,
                "importing tests.support.flows.Toolbox.close must give this very function, got"
                " Toolbox.close in module tests.support.flows is a method; make it a staticmethod",
            ),
            (json.dumps, "module json is part of Python's standard library"),
            (flows.Toolbox, "it must be a function, got the class Toolbox; use add() for workers"),
            (Work, "it must be a function, got the class Work; use add() for workers"),
            (flows.Toolbox(), "it must be a function, got <tests.support.flows.Toolbox object"),
            (print, "it must be a function, got <built-in function print>"),
            (None, "it must be a function, got None"),
            ("tests.support.flows:one", "it must be a function, got 'tests.support.flows:one'"),
            (flows.generates, "generates is a generator; return a list instead"),
            (
                flows.original,
                "importing tests.support.flows.replaced must give this very function, got",
            ),
            (flows.no_arguments, "it must accept (context), got no_arguments()"),
            (flows.three_arguments, "it must accept (context), got three_arguments(item"),
            (flows.needs_keyword, "it must accept (context), got needs_keyword(context"),
            (flows.see_item, "it must accept (context), got see_item(item"),
            (flows.wrapped_two, "it must accept (context), got wrapped_two(item"),
        ],
    )
    def test_is_refused_with_the_reason(self, function: Any, reason: str) -> None:
        with pytest.raises(errors.InvalidFunctionError) as refusal:
            add(function)
        assert str(refusal.value).startswith(f"function of 'a' cannot be a cascade: {reason}")

    @pytest.mark.parametrize("function", [flows.one, flows.shouted, flows.no_arguments])
    def test_of_a_fan_out_must_take_item_and_context(self, function: Any) -> None:
        with pytest.raises(
            errors.InvalidFunctionError, match=r"must accept \(item, context\), got"
        ):
            add(function, items=[1])

    def test_of_a_module_that_cannot_be_imported_is_refused(self) -> None:
        function = types.FunctionType(flows.one.__code__, {}, "one")
        function.__module__ = "no.such.module"
        with pytest.raises(
            errors.InvalidFunctionError, match=r"importing no\.such\.module\.one must"
        ):
            add(function)

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("tests.support.flows:gone", "has no attribute 'gone'"),
            ("no_such_module:f", "No module named 'no_such_module'"),
            ("__main__:gone", "it lives in the program that enqueued it"),
            ("", "Empty module name"),
        ],
    )
    def test_that_is_gone_is_named(self, path: str, reason: str) -> None:
        with pytest.raises(errors.FunctionNotFoundError) as error:
            resolve_function(path, CONTEXT)
        assert repr(path) in str(error.value)
        assert reason in str(error.value)

    def test_is_found_in_a_module_that_is_still_being_imported(self) -> None:
        """Workflows may be built at the top of the module that defines the functions."""
        module = types.ModuleType("half_imported")
        sys.modules["half_imported"] = module
        try:
            exec(
                "from oban_pro import Workflow\n"
                "async def f(context): pass\n"
                "workflow = Workflow().add_cascade('a', f)\n",
                module.__dict__,
            )
        finally:
            del sys.modules["half_imported"]
        assert names(module.workflow) == ["a"]


class TestOptions:
    def test_are_those_that_a_job_has(self) -> None:
        assert set(JobOptions.__annotations__) == {
            "queue",
            "priority",
            "max_attempts",
            "tags",
            "scheduled_at",
            "scheduled_in",
            "meta",
        }

    @pytest.mark.parametrize(
        ("option", "hint"),
        [("que", "; did you mean 'queue'?"), ("state", ""), ("worker", ""), ("args", "")],
    )
    @pytest.mark.parametrize("items", [None, [1], []])
    def test_that_are_unknown_are_refused(self, option: str, hint: str, items: Any) -> None:
        function = flows.one if items is None else flows.keep_item
        with pytest.raises(errors.InvalidArgumentError) as refusal:
            add(function, items, **{option: "x"})
        assert str(refusal.value).startswith(f"unknown job option {option!r} of 'a'{hint}")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"queue": 5}, "queue of 'a' must be a string, got 5"),
            ({"priority": "high"}, "priority of 'a' must be an int, got 'high'"),
            ({"max_attempts": None}, "max_attempts of 'a' must be an int, got None"),
            ({"tags": "one"}, "tags of 'a' must be a list of strings, got 'one'"),
            ({"tags": 1}, "tags of 'a' must be a list of strings, got 1"),
            ({"tags": ["one", 2]}, "tags of 'a' must be a list of strings, got ['one', 2]"),
            ({"priority": True}, "priority of 'a' must be an int, got True"),
            ({"scheduled_at": "now"}, "scheduled_at of 'a' must be a datetime, got 'now'"),
            (
                {"scheduled_in": "1h"},
                "scheduled_in of 'a' must be a timedelta or seconds, got '1h'",
            ),
            ({"meta": [1]}, "meta of 'a' must be a dict, got [1]"),
        ],
    )
    def test_of_a_wrong_type_are_refused(self, options: Any, reason: str) -> None:
        with pytest.raises(errors.InvalidArgumentError) as refusal:
            add(flows.one, **options)
        assert str(refusal.value) == reason

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"queue": " "}, "queue must not be blank"),
            ({"priority": 10}, "priority must be between 0 and 9"),
            ({"max_attempts": 32_768}, "max_attempts must be at most 32767"),
            ({"max_attempts": 0}, "max_attempts must be greater than 0"),
            ({"scheduled_in": float("nan")}, "cannot convert float NaN to integer"),
            ({"scheduled_in": 1e300}, "Python int too large to convert to C int"),
            ({"scheduled_in": timedelta.max}, "date value out of range"),
        ],
    )
    @pytest.mark.parametrize("items", [None, []])
    def test_that_no_job_can_have_are_refused(self, options: Any, reason: str, items: Any) -> None:
        function = flows.one if items is None else flows.keep_item
        with pytest.raises(errors.InvalidOptionError) as refusal:
            add(function, items, **options)
        assert str(refusal.value) == f"options of 'a' must suit a job, got: {reason}"

    def test_leave_what_was_passed_alone(self) -> None:
        meta = {"mine": 1}
        workflow = Workflow()
        workflow.add_cascade("a", flows.one, meta=meta).add_cascade("b", flows.one, meta=meta)
        assert [job.meta["name"] for job in workflow] == ["a", "b"]
        assert meta == {"mine": 1}


class TestItems:
    def test_items_name_the_jobs_of_a_fan_out(self) -> None:
        assert names(add(flows.keep_item, ["x", "y"])) == ["0", "1"]
        assert names(add(flows.keep_item, (n for n in "xy"))) == ["0", "1"]
        assert names(add(flows.keep_item, {"x": 1, -7: 2})) == ["x", "-7"]
        assert names(add(flows.keep_item, [])) == []

    def test_are_encoded_when_they_are_added(self) -> None:
        item: dict[str, Any] = {"at": datetime(2024, 5, 1), "n": [1]}
        workflow = add(flows.keep_item, [item])
        item["n"].append(2)
        (job,) = workflow
        assert codec.from_json(job.args["item"]) == {"at": datetime(2024, 5, 1), "n": [1]}

    def test_that_cannot_be_stored_are_refused_with_job_item_and_type(self) -> None:
        with pytest.raises(errors.UnsupportedTypeError) as refusal:
            add(flows.keep_item, [1, {"deep": [flows.Thing()]}])
        message = str(refusal.value)
        assert message.startswith("item '1' of 'a' cannot be stored: value['deep'][0] must be of a")
        assert message.endswith("got tests.support.flows.Thing")

        with pytest.raises(errors.UnsupportedTypeError, match=r"item 'x' of 'a' .*Counter"):
            add(flows.keep_item, {"x": Counter()})

    @pytest.mark.parametrize("key", [None, 1.0, True, (1,), b"x"])
    def test_with_other_keys_are_refused(self, key: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="key in 'a' must be"):
            add(flows.keep_item, {key: 1})

    def test_whose_keys_become_equal_are_refused(self) -> None:
        with pytest.raises(errors.DuplicateNameError):
            add(flows.keep_item, {1: "a", "1": "b"})

    @pytest.mark.parametrize("items", ["text", b"bytes", 5, Workflow()])
    def test_that_are_no_collection_are_refused(self, items: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="must be made of a list or a dict"):
            add(flows.keep_item, items)

    @pytest.mark.parametrize("func_or_tuple", [(), ([1],), ([1], flows.keep_item, 3)])
    def test_must_come_with_one_function(self, func_or_tuple: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match=r"function or \(items, function\)"):
            Workflow().add_cascade("a", func_or_tuple)

    def test_must_stand_before_the_function(self) -> None:
        swapped: Any = (flows.keep_item, [1])
        with pytest.raises(errors.InvalidFunctionError, match=r"must be a function, got \[1\]"):
            Workflow().add_cascade("a", swapped)


class TestContext:
    @pytest.mark.parametrize("context", [None, [1], "x", {1: 2}, {None: 1}])
    def test_must_be_a_dict_with_string_keys(self, context: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="context must be a dict with string"):
            Workflow().add_context(context)

    def test_that_cannot_be_stored_is_refused(self) -> None:
        with pytest.raises(errors.UnsupportedTypeError, match=r"context cannot be stored: .*Thing"):
            Workflow().add_context({"a": flows.Thing()})

    def test_is_encoded_when_it_is_added(self) -> None:
        value = {"list": [1]}
        workflow = Workflow().add_context(value)
        value["list"].append(2)
        assert workflow._context == {"list": [1]}
