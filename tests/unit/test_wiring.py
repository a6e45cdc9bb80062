"""Calls are wired while a workflow is built: names, deps, placeholders, and what is refused."""

import copy
import inspect
import math
import pickle
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from oban import Job
from oban.testing import process_job

from oban_pro import Workflow
from oban_pro.building.call_options import CallOptions
from oban_pro.errors import (
    CascadeError,
    DuplicateNameError,
    InvalidArgumentError,
    InvalidFunctionError,
    InvalidOptionError,
    MissingContextError,
    NotYetError,
    UnknownDependencyError,
    UnsupportedTypeError,
)
from oban_pro.values.placeholder import Placeholder
from tests.support.wired import (
    Holder,
    Row,
    Table,
    clean,
    doubled,
    echo,
    extract,
    fail,
    from_context,
    give_up,
    item_of,
    maybe,
    only,
    report,
    resize,
    same,
    skip_odd,
    sum_up,
    wrapped,
)


def deps_of(workflow: Workflow) -> dict[str, list[str]]:
    return {name: list(spec.deps) for name, spec in workflow._members.items()}


async def run(workflow: Workflow) -> Any:
    """Run a workflow in place, and return what its last job recorded."""
    result: Any = None
    for job in workflow:
        result = await process_job(job)
    return result


class TestNames:
    def test_are_those_of_the_functions_and_numbered(self) -> None:
        workflow = Workflow()
        for _ in range(3):
            workflow.call(extract, "api")

        assert list(workflow._members) == ["extract", "extract_2", "extract_3"]

    def test_pass_over_what_is_taken(self) -> None:
        workflow = Workflow().add("extract", Job("worker")).add("extract_2", Job("worker"))
        workflow.call(extract, "api")

        assert list(workflow._members) == ["extract", "extract_2", "extract_3"]

    def test_are_given_as_an_option(self) -> None:
        workflow = Workflow()
        named = workflow.options(name="get it")
        named.call(extract, "api")

        assert list(workflow._members) == ["get it"]
        with pytest.raises(DuplicateNameError, match="'get it' is already taken"):
            named.call(extract, "api")


class TestDeps:
    def test_are_the_placeholders_among_the_arguments_at_any_depth(self) -> None:
        workflow = Workflow()
        rows = workflow.call(extract, "api")
        table = workflow.call(clean, rows, strict=True)
        workflow.call(
            echo, [{"a": ({"b": [rows[0].tags]},)}], 1, key={1: table.title}, again=rows[1:]
        )

        assert deps_of(workflow) == {
            "extract": [],
            "clean": ["extract"],
            "echo": ["extract", "clean"],
        }

    def test_come_with_those_that_are_given(self) -> None:
        workflow = Workflow().add("setup", Job("worker"))
        rows = workflow.call(extract, "api")
        workflow.options(deps="setup").call(clean, rows)
        workflow.options(deps=["setup", rows]).call(echo)
        workflow.options(deps=rows).options(deps="setup").call(echo)

        assert [*deps_of(workflow).values()][2:] == [
            ["extract", "setup"],
            ["setup", "extract"],
            ["extract", "setup"],
        ]

    def test_of_all_other_members_may_be_placeholders(self) -> None:
        workflow = Workflow()
        rows: Any = workflow.call(extract, "api")
        thumbs: Any = workflow.each(resize, [Path("a")], 640)
        workflow.add("a", Job("worker"), deps=rows)
        workflow.add_workflow("b", Workflow().add("x", Job("worker")), deps=[thumbs, "a"])
        workflow.add_many("c", [Job("worker")], deps=(rows[0], thumbs))
        workflow.add_cascade("d", from_context, deps=[rows.x])
        workflow.add_graft("e", Job("worker"), deps=rows)
        workflow.add_signal("f", deps=rows)
        workflow.add_timer("g", 5, deps=[rows])

        deps = deps_of(workflow)
        assert deps["b"] == ["resize", "a"]
        assert deps["c"] == ["extract", "resize"]
        assert [deps[name] for name in "adefg"] == [["extract"]] * 5
        assert all(type(dep) is str for names in deps.values() for dep in names)

    def test_of_another_workflow_are_refused(self) -> None:
        rows: Any = Workflow(name="other").call(extract, "api")
        workflow = Workflow()

        for wrong in (
            lambda: workflow.call(clean, rows),
            lambda: workflow.call(echo, [{"a": rows[0]}]),
            lambda: workflow.each(item_of, rows),
            lambda: workflow.each(item_of, [rows[0]]),
            lambda: workflow.options(deps=rows).call(echo),
            lambda: workflow.add("a", Job("worker"), deps=rows),
            lambda: workflow.add_signal("a", deps=[rows]),
        ):
            with pytest.raises(InvalidArgumentError, match=r"own workflow.*name='other'"):
                wrong()

        assert workflow._members == {}


class TestBinding:
    @pytest.mark.parametrize(
        ("wire", "message"),
        [
            (lambda w: w.call(clean), r"clean\(rows.*\).*: missing a required argument: 'rows'"),
            (lambda w: w.call(clean, 1, 2), "too many positional arguments"),
            (lambda w: w.call(clean, 1, strikt=True), "unexpected keyword argument 'strikt'"),
            (lambda w: w.call(only, number=1, factor=2), "'number'|positional"),
            (lambda w: w.call(wrapped), "missing a required argument: 'number'"),
            (lambda w: w.each(resize, ["a"]), "missing a required argument: 'width'"),
            (lambda w: w.each(resize, ["a"], 1, 2), "too many positional arguments"),
            (lambda w: w.each(resize, "abc", 1), "must be made of a list or a dict, got 'abc'"),
            (lambda w: w.each(resize, b"abc", 1), "must be made of a list or a dict"),
            (lambda w: w.each(resize, 5, 1), "must be made of a list or a dict, got 5"),
            (lambda w: w.each(resize, {(1,): "a"}, 1), "key in 'resize'"),
        ],
    )
    def test_refuses_what_the_function_cannot_take(self, wire: Any, message: str) -> None:
        workflow = Workflow()

        with pytest.raises(InvalidArgumentError, match=message):
            wire(workflow)

        assert workflow._members == {}

    @pytest.mark.parametrize(
        "function",
        [
            lambda: 1,
            partial(clean, []),
            print,
            Row,
            Holder().method,
            None,
            "clean",
        ],
    )
    def test_refuses_what_no_other_process_can_import(self, function: Any) -> None:
        def nested() -> None: ...

        wrong: Any
        for wrong in (function, nested):
            with pytest.raises(InvalidFunctionError, match="cannot be a cascade"):
                Workflow().call(wrong)
            with pytest.raises(InvalidFunctionError, match="cannot be a cascade"):
                Workflow().each(wrong, [1])

    def test_refuses_what_cannot_be_stored_and_names_it(self) -> None:
        workflow = Workflow()

        with pytest.raises(
            UnsupportedTypeError, match=r"argument 2 of 'echo' .* value\['a'\] must"
        ):
            workflow.call(echo, 1, {"a": object()})
        with pytest.raises(UnsupportedTypeError, match="argument 'key' of 'echo' cannot be stored"):
            workflow.call(echo, key=object())
        with pytest.raises(UnsupportedTypeError, match="item 'b' of 'same' cannot be stored"):
            workflow.each(same, {"a": 1, "b": object()})

    def test_takes_the_values_as_they_are_now(self) -> None:
        workflow, rows = Workflow(), [Row(1)]
        workflow.call(clean, rows)
        rows.append(Row(2))

        assert len(next(iter(workflow)).args["call"][0][0]) == 1

    def test_takes_static_methods_and_decorated_functions(self) -> None:
        workflow = Workflow()
        workflow.call(Holder.double, workflow.call(wrapped, 2, by=3))

        assert list(workflow._members) == ["wrapped", "double"]

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"que": "cpu"}, InvalidArgumentError, "unknown.*'que'.*did you mean 'queue'"),
            ({"queue": 5}, InvalidArgumentError, "queue of 'echo' must be a string"),
            ({"priority": 10}, InvalidOptionError, "options of 'echo'"),
            ({"timeout": -1}, InvalidOptionError, "timeout of 'echo'"),
            ({"deps": "gone"}, UnknownDependencyError, "unknown dependency 'gone' of 'echo'"),
            ({"deps": 5}, InvalidArgumentError, "deps of 'echo'"),
        ],
    )
    def test_refuses_options_that_cannot_be(
        self, options: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            Workflow().options(**options).call(echo)


class TestOptions:
    def test_are_all_that_add_cascade_takes(self) -> None:
        given = inspect.signature(Workflow.add_cascade).parameters.values()
        taken = {one.name for one in given if one.kind is one.KEYWORD_ONLY}

        assert taken - CallOptions.__annotations__.keys() == set()

    def test_say_where_lazy_belongs(self) -> None:
        with pytest.raises(InvalidArgumentError, match="lazy must be given to add_cascade"):
            Workflow().options(lazy=True)  # type: ignore[call-overload]

    @pytest.mark.parametrize(
        ("option", "other"), [("rate_limit", "rate"), ("global_limit", "limit")]
    )
    def test_say_what_a_fan_out_has_where_a_queue_has_another(
        self, option: str, other: str
    ) -> None:
        options: Any = {option: 5}
        said = f"'{option}' of a call; it is for queues, and a fan-out has '{other}'. Known: "

        with pytest.raises(InvalidArgumentError, match=said):
            Workflow().options(**options)

    @pytest.mark.parametrize(
        ("option", "value"),
        [("limit", 3), ("rate", (3, 1)), ("tolerate", 1), ("fail_fast", True)],
    )
    def test_of_fan_outs_send_a_call_to_each(self, option: str, value: Any) -> None:
        options: Any = {option: value}

        with pytest.raises(InvalidArgumentError, match=rf"{option} of 'echo' .* each\(\)"):
            Workflow().options(**options).call(echo)

    def test_with_a_batch_are_for_fan_outs(self) -> None:
        view = Workflow().options(batch=2).options(queue="io")

        assert not hasattr(view, "call")

    def test_add_up_in_views_that_may_be_kept(self) -> None:
        workflow = Workflow()
        cpu = workflow.options(queue="cpu", meta={"a": 1}, max_attempts=3)
        slow = cpu.options(meta={"b": 2}, max_attempts=5, timeout=timedelta(minutes=1))
        slow.call(echo)
        cpu.call(echo)
        workflow.call(echo)
        first, second, third = workflow

        assert (first.queue, first.max_attempts, first.args["timeout"]) == ("cpu", 5, 60)
        assert {"a", "b"} <= first.meta.keys()
        assert (second.queue, second.max_attempts) == ("cpu", 3)
        assert "timeout" not in second.args
        assert third.queue == "default"
        assert "options {'queue': 'cpu'" in repr(cpu)

    def test_reach_every_job_of_a_fan_out(self) -> None:
        workflow = Workflow()
        workflow.options(queue="io").each(resize, [Path("a"), Path("b")], 640)

        assert [job.queue for job in workflow] == ["io", "io"]


class TestPlaceholders:
    @pytest.mark.parametrize(
        "use",
        [
            bool,
            len,
            list,
            iter,
            str,
            hash,
            int,
            float,
            math.floor,
            round,
            next,
            lambda p: p + 1,
            lambda p: 1 + p,
            lambda p: -p,
            lambda p: p @ p,
            lambda p: p == 1,
            lambda p: p != 1,
            lambda p: p < 1,
            lambda p: 1 in p,
            lambda p: f"{p}",
            lambda p: f"{p:>3}",
            ",".join,
            lambda p: "a" + p,
            lambda p: {p: 1},
            lambda p: {p},
            lambda p: [*p],
            lambda p: {**p},
            lambda p: p(),
            lambda p: p.title(),
            lambda p: getattr(p, "_private", 1),
            sorted,
            range,
            lambda p: [1][p],
            Path,
            lambda p: setattr(p, "x", 1),
            lambda p: p.__setitem__(0, 1),
            lambda p: p.__enter__(),
            lambda p: p.__await__(),
            pickle.dumps,
        ],
    )
    def test_are_no_values_yet(self, use: Any) -> None:
        rows: Any = Workflow().call(extract, "api")

        for placeholder in (rows, rows[0].tags):
            with pytest.raises(NotYetError, match=r"'extract'.* is not there yet"):
                use(placeholder)

    def test_are_not_swallowed_where_python_swallows_errors(self) -> None:
        assert issubclass(NotYetError, RuntimeError)
        assert not issubclass(NotYetError, TypeError | AttributeError)

    def test_can_be_looked_at(self) -> None:
        rows: Any = Workflow().call(extract, "api")

        assert repr(rows[0].tags["a"]) == "<placeholder of 'extract'[0].tags['a']>"
        assert repr(rows[1:]) == "<placeholder of 'extract'[1:]>"
        assert [isinstance(rows, kind) for kind in (Placeholder, list)] == [True, False]
        assert rows is rows
        assert copy.deepcopy([rows])[0] is rows
        assert not hasattr(rows, "__html__")

    def test_are_refused_where_a_value_is_stored(self) -> None:
        workflow = Workflow()
        rows: Any = workflow.call(extract, "api")

        with pytest.raises(UnsupportedTypeError, match="must be known when it is stored"):
            workflow.add_context({"a": [rows]})
        with pytest.raises(UnsupportedTypeError, match="must be known when it is stored"):
            workflow.add_cascade("x", ([rows], from_context_item))
        with pytest.raises(UnsupportedTypeError, match="must be known when it is stored"):
            workflow.call(same, rows[rows[0]])


def from_context_item(item: Any, context: dict[str, Any]) -> Any:
    return item, context


class TestFailed:
    def test_failed_makes_a_dependency(self) -> None:
        workflow = Workflow()
        numbers = workflow.each(maybe, [1])
        workflow.call(same, workflow.failed(numbers))

        assert deps_of(workflow)["same"] == ["maybe"]
        assert repr(workflow.failed(numbers)) == "<placeholder of the failures of 'maybe'>"

    def test_must_be_of_all_that_a_dependency_records(self) -> None:
        workflow = Workflow().add_many("many", {"k": Job("worker")})
        results: Any = workflow.each(same, [1])
        wrong = {
            "must get what call": ["same", None, [1]],
            "must get all that": [results[0], results.x, workflow.value("many/k", dict)],
            "of its own workflow": [Workflow().each(same, [1])],
        }

        for message, given in wrong.items():
            for one in given:
                with pytest.raises(InvalidArgumentError, match=message):
                    workflow.failed(one)


class TestValue:
    def test_leads_to_any_other_member(self) -> None:
        sub = Workflow().add_cascade("a/b", from_context)
        workflow = Workflow().add_cascade("x", from_context).add_workflow("sub", sub)
        workflow.add_many("many", {"k": Job("worker")}).add_cascade("odd/name", from_context)
        workflow.add_graft("graft", Job("worker"))
        for path in ("x", r"sub/a\/b", "sub", "many/k", "odd/name", "graft/anything"):
            workflow.call(same, workflow.value(path, dict))

        assert [*deps_of(workflow).values()][5:] == [
            ["x"],
            ["sub"],
            ["sub"],
            ["many"],
            ["odd/name"],
            ["graft"],
        ]

    @pytest.mark.parametrize(
        ("path", "close"),
        [("extrakt", "'extract'"), ("sub/bb", "'sub/b'"), ("extract/x", ""), ("sub/b/c", "")],
    )
    def test_of_what_is_not_there_is_refused(self, path: str, close: str) -> None:
        workflow = Workflow().add_workflow("sub", Workflow().add("b", Job("worker")))
        workflow.call(extract, "api")

        with pytest.raises(UnknownDependencyError, match=f"nothing named {path!r}.*{close}"):
            workflow.value(path, int)

    def test_may_come_later_without_the_check(self) -> None:
        workflow = Workflow(check_deps=False)
        workflow.call(same, workflow.value("later", int))
        workflow.add("later", Job("worker"))

        assert [job.meta["name"] for job in workflow] == ["later", "same"]


class TestInPlace:
    """Without a database, as `process_job` and the inline mode of oban run jobs."""

    async def test_wired_calls_pass_values_on(self) -> None:
        workflow = Workflow()
        rows = workflow.call(extract, "api")
        table = workflow.call(clean, rows, strict=True)
        thumbs = workflow.each(resize, [Path(f"{n}.png") for n in range(11)], 640)
        workflow.call(report, table, thumbs)

        assert (await run(workflow)).value == "strict: 3 rows, " + " ".join(
            f"{n}.640" for n in range(11)
        )

    async def test_maps_over_what_was_recorded(self) -> None:
        workflow = Workflow()
        rows = workflow.call(extract, "api")
        workflow.call(same, workflow.each(item_of, rows, factor=3))

        assert (await run(workflow)).value == [0, 3, 6]

    async def test_passes_items_on_one_by_one(self) -> None:
        workflow = Workflow()
        first = workflow.options(name="first").each(doubled, {"a": 1, "b": 2})
        workflow.call(same, workflow.each(doubled, first, by=workflow.call(same, 10)))

        assert (await run(workflow)).value == {"a": 20, "b": 40}

    async def test_follows_items_and_attributes(self) -> None:
        workflow = Workflow()
        table = workflow.call(clean, workflow.call(extract, "api"))
        workflow.call(echo, table.rows[-1].tags[0], table.rows[1:], {"a": (table.title, [table])})

        (tag, rows, nested), _ = (await run(workflow)).value
        assert tag == "api"
        assert rows == [Row(1, ["api"]), Row(2, ["api"])]
        assert nested["a"][0] == "clean"
        assert type(nested["a"][1][0]) is Table

    async def test_takes_data_that_looks_like_a_placeholder_as_data(self) -> None:
        data = {"__python__": "placeholder", "value": [["extract"], "value", []]}
        workflow = Workflow()
        workflow.call(extract, "api")
        workflow.call(echo, data, [data], key=data)

        assert (await run(workflow)).value == ((data, [data]), {"key": data})

    async def test_takes_the_default_where_nothing_was_recorded(self) -> None:
        workflow = Workflow(ignore_cancelled=True).add_context({"give_up": "not this"})
        nothing: Any = workflow.call(give_up, "x")
        workflow.call(maybe, nothing, other=nothing[0].attribute)

        assert (await run(workflow)).value == ("default", "other default")

    @pytest.mark.parametrize(
        "wire",
        [
            lambda w, nothing: w.call(same, nothing),
            lambda w, nothing: w.call(maybe, [nothing]),
            lambda w, nothing: w.call(echo, nothing),
            lambda w, nothing: w.each(same, nothing),
        ],
    )
    async def test_misses_what_has_no_default(self, wire: Any) -> None:
        workflow = Workflow(ignore_cancelled=True)
        wire(workflow, workflow.call(give_up, "x"))

        with pytest.raises(MissingContextError, match="needs what 'give_up' records, and that"):
            await run(workflow)

    async def test_says_what_it_looked_for_in_a_value(self) -> None:
        workflow = Workflow()
        rows: Any = workflow.call(extract, "api")
        workflow.call(same, rows[7].name)

        with pytest.raises(CascadeError, match=r"'same' must find 'extract'\[7\]\.name .*IndexErr"):
            await run(workflow)

    async def test_lists_what_was_recorded_in_the_order_of_the_items(self) -> None:
        workflow = Workflow(ignore_cancelled=True)
        workflow.call(same, workflow.each(skip_odd, range(12)))

        assert (await run(workflow)).value == [0, 2, 4, 6, 8, 10]

    async def test_calls_nothing_private_that_a_row_names(self) -> None:
        workflow = Workflow()
        rows: Any = workflow.call(extract, "api")
        workflow.call(same, rows.public)
        jobs = [*workflow]
        jobs[1].args["call"][0][0]["value"][2] = [["attribute", "__class__"]]
        await process_job(jobs[0])

        with pytest.raises(CascadeError, match="attribute '__class__' is private"):
            await process_job(jobs[1])

    async def test_says_when_the_function_has_changed(self) -> None:
        workflow = Workflow()
        workflow.call(clean, [])
        (job,) = workflow
        job.args["call"] = [[], {"row": []}]

        with pytest.raises(CascadeError, match=r"'clean' cannot call clean.*missing a required"):
            await process_job(job)

    async def test_fails_as_a_cascade_does(self) -> None:
        workflow = Workflow()
        workflow.call(fail, "broken")

        with pytest.raises(ValueError, match="broken"):
            await run(workflow)


class TestFinal:
    def test_is_a_final_job_with_options(self) -> None:
        workflow = Workflow()
        table = workflow.call(clean, [])
        told = workflow.options(on="failed", queue="ops", max_attempts=9).final(sum_up, table)
        workflow.options(name="after", deps="sum_up").final(sum_up, told)
        workflow.final(sum_up)
        first, second, third, fourth = workflow

        assert first.meta["name"] == "clean"
        assert (second.queue, second.max_attempts) == ("ops", 9)
        assert [job.meta["final"] for job in (second, third, fourth)] == [
            "failed",
            "always",
            "always",
        ]
        assert [job.meta["deps"] for job in (second, third)] == [[], ["sum_up"]]
        assert fourth.meta["name"] == "sum_up_2"

    @pytest.mark.parametrize(
        ("wire", "message"),
        [
            (lambda w, x: w.final(sum_up, 1, 2, 3), "'sum_up' cannot call sum_up"),
            (lambda w, x: w.options(limit=3).final(sum_up), "'limit' of a final job"),
            (lambda w, x: w.options(on="failed", limit=3), "'limit' of a final job"),
            (lambda w, x: w.options(on="sometimes").final(sum_up), "on of 'sum_up' must be one of"),
            (lambda w, x: w.final(sum_up, w.failed(x)), "must read failures in its outcome"),
            (lambda w, x: w.options(deps=x).final(sum_up), "must depend on final jobs alone"),
        ],
    )
    def test_refuses_what_it_cannot_be(self, wire: Any, message: str) -> None:
        workflow = Workflow()

        with pytest.raises(InvalidArgumentError, match=message):
            wire(workflow, workflow.call(same, 1))


class TestUndo:
    @pytest.mark.parametrize(
        ("wire", "message"),
        [
            (lambda w, x, each: w.undo(5, same, x), "must get what call"),
            (lambda w, x, each: w.undo(each, same, each), r"each\(\) takes options\(undo=…\)"),
            (lambda w, x, each: w.undo(w.final(sum_up), same, 1), "must get what call"),
            (lambda w, x, each: w.undo(x, same, each), "must take what 'same' returns or depends"),
            (lambda w, x, each: w.undo(x, same), "'undo of same' cannot call same"),
            (lambda w, x, each: Workflow().undo(x, same, 1), "of its own workflow"),
        ],
    )
    def test_refuses_what_it_cannot_be(self, wire: Any, message: str) -> None:
        workflow = Workflow()
        value = workflow.call(same, 1)
        each = workflow.options(name="each").each(same, [1])

        with pytest.raises(InvalidArgumentError, match=message):
            wire(workflow, value, each)


class TestWhen:
    def test_may_be_a_placeholder_which_makes_a_dependency(self) -> None:
        workflow = Workflow()
        table = workflow.call(clean, [])
        workflow.options(when=table.is_empty).call(echo)
        workflow.add_cascade("old", from_context, when=table.is_empty)
        workflow.add_workflow("sub", Workflow().add("job", Job("worker")), when=table.is_empty)
        names = {job.meta["name"]: job for job in workflow}

        assert names["echo"].meta["deps"] == ["clean"]
        assert names["old"].meta["deps"] == ["clean"]
        assert names["when"].meta["deps"] == [[workflow.id, "clean"]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"when": True}, "when of 'echo' must be a function, or a placeholder"),
            ({"when": 5}, "function of 'echo' cannot be a condition"),
            ({"need": 1, "deps": "clean"}, "when of 'echo' must be a function beside need"),
        ],
    )
    def test_refuses_what_it_cannot_be(self, options: Any, message: str) -> None:
        workflow = Workflow()
        table = workflow.call(clean, [])

        with pytest.raises((InvalidArgumentError, InvalidFunctionError), match=message):
            workflow.options(**{"when": table.is_empty, **options}).call(echo)

    def test_of_another_workflow_is_refused(self) -> None:
        table = Workflow().call(clean, [])

        with pytest.raises(InvalidArgumentError, match="its own workflow"):
            Workflow().options(when=table.is_empty).call(echo)
