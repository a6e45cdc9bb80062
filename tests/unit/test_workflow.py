"""The builder, without a database."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from oban import Job

from oban_pro import Workflow, errors
from oban_pro.building.plan import Flags
from tests.support.graphs import Work, diamond, names, plan_for, work


def reverse(context: Any) -> None:
    pass


def double(item: Any, context: Any) -> None:
    pass


def flags(workflow: Workflow) -> dict[str, Flags]:
    return {one.name: one.flags for one in plan_for(workflow).jobs}


def metas(workflow: Workflow) -> dict[str, dict[str, Any]]:
    return {job.meta["name"]: job.meta for job in workflow}


class TestInit:
    def test_makes_up_an_id(self) -> None:
        one, other = Workflow(), Workflow()
        assert one.id != other.id
        assert str(UUID(one.id)) == one.id

    def test_keeps_an_id_and_a_name(self) -> None:
        workflow = Workflow("nightly-1", "nightly")
        assert (workflow.id, workflow.name) == ("nightly-1", "nightly")
        assert repr(workflow) == "<Workflow id='nightly-1', name='nightly', 0 members>"

    @pytest.mark.parametrize("value", ["", "a\0", "\ud800", 1])
    def test_refuses_an_id_and_a_name_that_are_no_text(self, value: Any) -> None:
        with pytest.raises(errors.InvalidNameError, match="workflow id must be"):
            Workflow(id=value)
        with pytest.raises(errors.InvalidNameError, match="workflow name must be"):
            Workflow(name=value)

    def test_takes_the_name_of_an_oban_by_keyword_alone(self) -> None:
        Workflow(oban="other")
        with pytest.raises(TypeError):
            Workflow("id", "name", True, False, False, "other")  # type: ignore[call-arg, arg-type]


class TestAdd:
    def test_add_returns_the_workflow(self) -> None:
        workflow = Workflow()
        assert workflow.add("a", work()) is workflow

    @pytest.mark.parametrize("name", ["", "a\0b", "\udc80", None, 3, ["a"]])
    def test_refuses_a_bad_name(self, name: Any) -> None:
        workflow = Workflow()
        with pytest.raises(errors.InvalidNameError, match="name must be"):
            workflow.add(name, work())
        assert list(workflow) == []

    def test_refuses_a_name_that_is_taken(self) -> None:
        with pytest.raises(errors.DuplicateNameError, match="'a'"):
            Workflow().add("a", work()).add("a", work())

    def test_refuses_an_unknown_dependency_and_suggests_another(self) -> None:
        workflow = Workflow().add("extract", work())
        with pytest.raises(
            errors.UnknownDependencyError,
            match="unknown dependency 'exract' of 'load'; did you mean 'extract'",
        ):
            workflow.add("load", work(), deps="exract")
        assert names(workflow) == ["extract"]

    def test_refuses_a_job_that_depends_on_itself(self) -> None:
        with pytest.raises(errors.CycleError, match="'a' must not depend on itself"):
            Workflow(check_deps=False).add("a", work(), deps=["a"])

    @pytest.mark.parametrize("job", [None, {}, "job", 1, object()])
    def test_refuses_what_is_no_job(self, job: Any) -> None:
        with pytest.raises(errors.InvalidJobError, match="job 'a' must be a Job, got"):
            Workflow().add("a", job)

    def test_says_what_to_do_with_a_worker_class(self) -> None:
        with pytest.raises(errors.InvalidJobError, match=r"call its \.new\("):
            Workflow().add("a", Work)  # type: ignore[arg-type]

    def test_says_what_to_do_with_a_workflow(self) -> None:
        with pytest.raises(errors.InvalidJobError, match=r"use add_workflow\(\)"):
            Workflow().add("a", Workflow())  # type: ignore[arg-type]

    @pytest.mark.parametrize("deps", [None, 5, [1], [["a"]]])
    def test_refuses_deps_that_are_no_names(self, deps: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="deps of 'b' must be"):
            Workflow().add("a", work()).add("b", work(), deps=deps)

    @pytest.mark.parametrize(
        ("need", "deps", "said"),
        [
            (0, ["a"], "need of 'b' must be from 1 to 1, as many as it has deps, got 0"),
            (2, ["a", "a"], "need of 'b' must be from 1 to 1, as many as it has deps, got 2"),
            (True, ["a"], "need of 'b' must be an int, got True"),
            (1.0, ["a"], "need of 'b' must be an int, got 1.0"),
            (1, [], "need of 'b' needs deps to count, got none"),
        ],
    )
    def test_refuses_to_need_what_there_is_not(self, need: Any, deps: Any, said: str) -> None:
        adds: list[Callable[[Workflow], Workflow]] = [
            lambda w: w.add("b", work(), deps=deps, need=need),
            lambda w: w.add_workflow("b", Workflow(), deps=deps, need=need),
            lambda w: w.add_many("b", [work()], deps=deps, need=need),
            lambda w: w.add_cascade("b", reverse, deps=deps, need=need),
            lambda w: w.add_cascade("b", ([1], double), deps=deps, need=need),
            lambda w: w.add_graft("b", work(), deps=deps, need=need),
            lambda w: w.add_signal("b", deps=deps, need=need),
            lambda w: w.add_timer("b", 1, deps=deps, need=need),
        ]

        for add in adds:
            with pytest.raises(errors.InvalidArgumentError, match=f"^{re.escape(said)}$"):
                add(Workflow().add("a", work()))

    def test_gives_a_job_added_twice_two_places(self) -> None:
        job = work()
        workflow = Workflow().add("a", job).add("b", job, deps="a")
        first, second = workflow
        assert first is not second
        assert (first.meta["name"], second.meta["name"]) == ("a", "b")

    def test_leaves_the_place_of_a_job_in_another_workflow_alone(self) -> None:
        job = work()
        one = list(Workflow("one").add("a", job))
        other = list(Workflow("other").add("b", job))
        assert [job.meta["workflow_id"] for job in (*one, *other)] == ["one", "other"]

    def test_raises_errors_that_are_builtin_ones_too(self) -> None:
        with pytest.raises(ValueError, match="taken"):
            Workflow().add("a", work()).add("a", work())
        with pytest.raises(TypeError, match="must be a Job"):
            Workflow().add("a", None)  # type: ignore[arg-type]
        assert issubclass(errors.CycleError, errors.WorkflowError)


class TestTolerance:
    @pytest.mark.parametrize("value", [-1, 1.0, 1.5, -0.1, True, "1", float("nan"), float("inf")])
    def test_is_a_number_or_a_share(self, value: Any) -> None:
        said = (
            f"tolerate of 'b' must be an int from 0 on, or a share below 1, got {value!r}",
            f"fail_fast of 'b' must be a bool, got {value!r}",
        )
        adds: list[Callable[[dict[str, Any]], Workflow]] = [
            lambda options: Workflow().add_many("b", [work()], **options),
            lambda options: Workflow().add_cascade("b", ([1], double), **options),
            lambda options: Workflow().add_graft("b", ([1], double), **options),
        ]

        for add in adds:
            with pytest.raises(errors.InvalidArgumentError, match=f"^{re.escape(said[0])}$"):
                add({"tolerate": value})

            if value is not True:
                with pytest.raises(errors.InvalidArgumentError, match=f"^{re.escape(said[1])}$"):
                    add({"fail_fast": value})

    def test_is_for_fan_outs_alone(self) -> None:
        for option, value in (("tolerate", 1), ("fail_fast", True)):
            options: dict[str, Any] = {option: value}
            said = f"{option} of 'b' is for fan-outs"

            with pytest.raises(errors.InvalidArgumentError, match=said):
                Workflow().add_cascade("b", reverse, **options)

            with pytest.raises(errors.InvalidArgumentError, match=said):
                Workflow().add_graft("b", work(), **options)


class TestNamespace:
    @pytest.mark.parametrize("taken", ["job", "sub", "many", "grow"])
    @pytest.mark.parametrize("add", ["add", "add_workflow", "add_many", "add_graft"])
    def test_is_one_for_jobs_and_groups(self, taken: str, add: str) -> None:
        workflow = (
            Workflow()
            .add("job", work())
            .add_workflow("sub", Workflow())
            .add_many("many", [])
            .add_graft("grow", work())
        )
        members = {"add": work(), "add_workflow": Workflow(), "add_many": [], "add_graft": work()}
        member: Any = members[add]
        with pytest.raises(errors.DuplicateNameError, match=repr(taken)):
            getattr(workflow, add)(taken, member)

    def test_is_one_for_each_workflow(self) -> None:
        sub = Workflow().add("a", work())
        assert names(Workflow().add("a", work()).add_workflow("b", sub)) == ["a", "a"]


class TestCheckDeps:
    def test_off_lets_names_come_later(self) -> None:
        workflow = (
            Workflow(check_deps=False)
            .add("c", work(), deps=["b", "many"])
            .add_many("many", [work()], deps="b")
            .add("b", work(), deps="a")
            .add("a", work())
        )
        assert names(workflow) == ["a", "b", "0", "c"]

    def test_off_still_finds_an_unknown_name_at_the_end(self) -> None:
        workflow = Workflow(check_deps=False).add("a", work(), deps="bee").add("be", work())
        with pytest.raises(
            errors.UnknownDependencyError,
            match="unknown dependency 'bee' of 'a'; did you mean 'be'",
        ):
            list(workflow)

    def test_off_still_finds_a_cycle_and_spells_it(self) -> None:
        workflow = (
            Workflow(check_deps=False)
            .add("a", work(), deps="b")
            .add("b", work(), deps="c")
            .add("c", work(), deps="a")
        )
        with pytest.raises(errors.CycleError, match=r"'[abc]' -> '[abc]' -> '[abc]' -> '[abc]'"):
            list(workflow)

    def test_finds_a_cycle_through_groups(self) -> None:
        workflow = (
            Workflow(check_deps=False)
            .add_many("many", [work()], deps="sub")
            .add_workflow("sub", Workflow().add("x", work()), deps="many")
        )
        with pytest.raises(errors.CycleError, match="'many'"):
            list(workflow)

    def test_finds_a_cycle_in_a_nested_workflow(self) -> None:
        sub = Workflow(check_deps=False).add("a", work(), deps="b").add("b", work(), deps="a")
        with pytest.raises(errors.CycleError):
            list(Workflow().add_workflow("sub", sub))

    def test_of_a_sub_workflow_does_not_see_names_outside(self) -> None:
        sub = Workflow(check_deps=False).add("a", work(), deps="setup")
        with pytest.raises(errors.UnknownDependencyError, match="'setup' of 'a'"):
            list(Workflow().add("setup", work()).add_workflow("sub", sub))


class TestIter:
    def test_puts_every_job_after_what_it_depends_on(self) -> None:
        workflow = (
            diamond()
            .add_workflow("sub", diamond(), deps="end")
            .add_many("many", [work(), work()], deps="sub")
            .add("last", work(), deps=["many", "start"])
        )
        plan = plan_for(workflow)
        assert all(up < down for up, down in plan.edges if up >= 0 and down >= 0)
        assert names(workflow) == [
            *("start", "left", "right", "end"),
            *("start", "left", "right", "end"),
            *("0", "1", "last"),
        ]

    def test_yields_the_very_jobs_that_were_added(self) -> None:
        job = work()
        assert list(Workflow().add("a", job)) == [job]

    def test_iterating_twice_yields_equal_jobs(self) -> None:
        workflow = diamond().add_workflow("sub", diamond())
        first = [job.meta for job in workflow]
        assert [job.meta for job in workflow] == first

    def test_yields_nothing_of_an_empty_workflow(self) -> None:
        assert list(Workflow()) == []

    def test_keeps_meta_of_the_users_own(self) -> None:
        job = work(meta={"tenant": 7, "name": "mine", "deps": "mine"})
        (placed,) = Workflow().add("a", job)
        assert placed.meta["tenant"] == 7
        assert (placed.meta["name"], placed.meta["deps"]) == ("a", [])


class TestAddWorkflow:
    def test_copies_so_that_later_changes_change_nothing(self) -> None:
        sub = Workflow().add("x", work())
        workflow = Workflow().add_workflow("sub", sub)
        sub.add("y", work())
        assert names(workflow) == ["x"]

    def test_gives_each_copy_an_id_of_its_own(self) -> None:
        sub = Workflow().add("x", work())
        workflow = Workflow().add_workflow("one", sub).add_workflow("two", sub, deps="one")
        ids = [job.meta["workflow_id"] for job in workflow]
        assert len({*ids, sub.id, workflow.id}) == 4

    def test_makes_the_same_ids_for_the_same_workflow_id(self) -> None:
        def ids() -> list[str]:
            sub = Workflow().add("x", work()).add_many("many", [work()])
            return [job.meta["workflow_id"] for job in Workflow("a").add_workflow("sub", sub)]

        assert ids() == ids()

    def test_keeps_an_id_that_was_given(self) -> None:
        sub = Workflow(id="mine").add("x", work())
        (job,) = Workflow().add_workflow("sub", sub)
        assert job.meta["workflow_id"] == "mine"

    def test_refuses_a_given_id_the_second_time(self) -> None:
        sub = Workflow(id="mine")
        workflow = Workflow().add_workflow("one", sub)
        with pytest.raises(errors.DuplicateIdError, match="id of 'two' must be unique, got 'mine'"):
            workflow.add_workflow("two", sub)

    def test_refuses_a_given_id_nested_in_two_others(self) -> None:
        sub = Workflow(id="mine")
        one, two = (Workflow().add_workflow("sub", sub) for _ in range(2))
        with pytest.raises(errors.DuplicateIdError, match="'mine'"):
            Workflow().add_workflow("one", one).add_workflow("two", two)

    def test_refuses_the_id_of_an_enclosing_workflow(self) -> None:
        inner = Workflow().add_workflow("deep", Workflow(id="mine"))
        with pytest.raises(errors.DuplicateIdError, match="'mine'"):
            Workflow(id="mine").add_workflow("inner", inner)
        with pytest.raises(errors.DuplicateIdError, match="'mine'"):
            Workflow(id="mine").add_workflow("inner", Workflow(id="mine"))

    def test_forgets_the_id_of_a_workflow_that_it_refused(self) -> None:
        workflow = Workflow().add("taken", work())
        sub = Workflow(id="mine")
        with pytest.raises(errors.DuplicateNameError):
            workflow.add_workflow("taken", sub)
        workflow.add_workflow("free", sub)

    def test_takes_a_workflow_into_itself_as_it_stands(self) -> None:
        workflow = Workflow().add("a", work())
        workflow.add_workflow("again", workflow, deps="a")
        assert names(workflow) == ["a", "a"]

    @pytest.mark.parametrize("sub", [None, [], {}, "sub"])
    def test_add_workflow_refuses_what_is_no_workflow(self, sub: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="sub_workflow 'a' must be a Workf"):
            Workflow().add_workflow("a", sub)

    def test_add_workflow_refuses_a_job(self) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="must be a Workflow, got"):
            Workflow().add_workflow("a", work())  # type: ignore[arg-type]

    def test_nests_three_hundred_levels_deep(self) -> None:
        workflow = Workflow().add("x", work())
        for _ in range(300):
            workflow = Workflow().add("before", work()).add_workflow("s", workflow, deps="before")
        plan = plan_for(workflow)
        assert (len(plan.groups), len(plan.jobs)) == (301, 301)
        assert all(one.pending for one in plan.jobs[1:])


class TestAddMany:
    def test_names_jobs_of_a_list_by_index(self) -> None:
        assert names(Workflow().add_many("m", [work(), work(), work()])) == ["0", "1", "2"]

    def test_add_many_takes_any_iterable(self) -> None:
        assert names(Workflow().add_many("m", (work() for _ in range(2)))) == ["0", "1"]

    def test_names_jobs_of_a_dict_by_key(self) -> None:
        jobs: Any = {"b": work(), 7: work()}
        assert names(Workflow().add_many("m", jobs)) == ["b", "7"]

    def test_takes_an_empty_collection(self) -> None:
        workflow = Workflow().add_many("m", []).add_many("n", {}).add("a", work(), deps=["m", "n"])
        assert names(workflow) == ["a"]

    @pytest.mark.parametrize("key", [1.5, None, True, ("a",), b"a"])
    def test_refuses_keys_that_are_neither_strings_nor_ints(self, key: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="'m' must be"):
            Workflow().add_many("m", {key: work()})

    @pytest.mark.parametrize("key", ["", "\0", "\ud800"])
    def test_refuses_keys_that_are_bad_names(self, key: str) -> None:
        with pytest.raises(errors.WorkflowError, match="must be"):
            Workflow().add_many("m", {key: work()})

    def test_refuses_keys_that_become_equal(self) -> None:
        jobs: Any = {1: work(), "1": work()}
        with pytest.raises(errors.DuplicateNameError, match="'1'"):
            Workflow().add_many("m", jobs)

    @pytest.mark.parametrize("jobs", [None, 5, "jobs", b"jobs", work(), diamond()])
    def test_refuses_what_is_no_collection(self, jobs: Any) -> None:
        with pytest.raises(errors.InvalidArgumentError, match=r"'m' must be .*a list or a dict"):
            Workflow().add_many("m", jobs)

    @pytest.mark.parametrize("job", [None, Work, Workflow()])
    def test_names_the_place_of_what_is_no_job(self, job: Any) -> None:
        with pytest.raises(errors.InvalidJobError, match=r"job 'm\.1' must be a Job"):
            Workflow().add_many("m", [work(), job])


class TestFlags:
    def test_flags_are_off_by_default(self) -> None:
        assert flags(Workflow().add("a", work())) == {"a": Flags(False, False)}

    def test_of_a_job_come_from_its_workflow_unless_it_has_its_own(self) -> None:
        workflow = (
            Workflow(ignore_cancelled=True)
            .add("inherits", work())
            .add("refuses", work(), ignore_cancelled=False)
            .add("adds", work(), ignore_discarded=True)
        )
        assert flags(workflow) == {
            "inherits": Flags(True, False),
            "refuses": Flags(False, False),
            "adds": Flags(True, True),
        }

    def test_of_a_nested_job_come_from_the_nested_workflow(self) -> None:
        sub = Workflow(ignore_discarded=True).add("inner", work())
        workflow = Workflow(ignore_cancelled=True).add("outer", work())
        assert flags(workflow.add_workflow("sub", sub)) == {
            "outer": Flags(True, False),
            "inner": Flags(False, True),
        }

    def test_of_a_nested_workflow_judge_what_it_depends_on(self) -> None:
        sub = Workflow(ignore_discarded=True).add("inner", work())
        workflow = Workflow(ignore_cancelled=True).add("outer", work())
        _, nested = plan_for(workflow.add_workflow("sub", sub, deps="outer")).groups
        assert nested.spec.flags == Flags(False, True)

    def test_of_a_fan_out_come_from_the_workflow_it_was_added_to(self) -> None:
        workflow = Workflow(ignore_cancelled=True).add("a", work()).add_many("m", [work()])
        assert flags(workflow)["0"] == Flags(True, False)


class TestMeta:
    def test_the_meta_of_a_job_names_its_workflow_and_deps(self) -> None:
        assert metas(diamond(id="w", name="nightly")) == {
            name: {
                "workflow": True,
                "workflow_id": "w",
                "workflow_name": "nightly",
                "name": name,
                "deps": deps,
            }
            for name, deps in {
                "start": [],
                "left": ["start"],
                "right": ["start"],
                "end": ["left", "right"],
            }.items()
        }

    def test_has_no_workflow_name_where_there_is_none(self) -> None:
        (job,) = Workflow("w").add("a", work())
        assert set(job.meta) == {"workflow", "workflow_id", "name", "deps"}

    def test_of_a_job_in_a_sub_workflow(self) -> None:
        sub = Workflow("s", "sub's name").add("x", work()).add("y", work(), deps="x")
        found = metas(Workflow("w", "outer").add_workflow("sub", sub))
        shared = {
            "workflow": True,
            "workflow_id": "s",
            "workflow_name": "sub's name",
            "sup_workflow_id": "w",
            "sub_name": "sub",
        }
        assert found == {
            "x": {**shared, "name": "x", "deps": []},
            "y": {**shared, "name": "y", "deps": ["x"]},
        }

    def test_of_a_job_that_depends_on_groups(self) -> None:
        workflow = (
            Workflow("w")
            .add_workflow("sub", Workflow("s").add("x", work()))
            .add_many("many", [work()])
            .add("last", work(), deps=["sub", "many"])
        )
        found = metas(workflow)
        many_id = found["0"]["workflow_id"]
        assert found["0"]["sub_name"] == "many"
        assert found["last"]["deps"] == [["s", "*"], [many_id, "*"]]

    def test_of_jobs_whose_group_depends_on_something(self) -> None:
        sub = Workflow("s").add("x", work()).add("y", work(), deps="x")
        workflow = (
            Workflow("w")
            .add("setup", work())
            .add_many("many", [work()], deps="setup")
            .add_workflow("sub", sub, deps=["setup", "many"])
        )
        found = metas(workflow)
        many_id = found["0"]["workflow_id"]
        assert found["0"]["deps"] == [["w", "setup"]]
        assert found["x"]["deps"] == [["w", "setup"], [many_id, "*"]]
        assert found["y"]["deps"] == ["x"]

    def test_of_jobs_that_wait_for_what_an_outer_group_depends_on(self) -> None:
        inner = Workflow("i").add("x", work())
        middle = Workflow("m").add_workflow("inner", inner).add_many("many", [work()])
        workflow = Workflow("w").add("setup", work()).add_workflow("middle", middle, deps="setup")
        found = metas(workflow)
        assert found["x"]["deps"] == [["w", "setup"]]
        assert found["0"]["deps"] == [["w", "setup"]]
        assert found["x"]["sup_workflow_id"] == "m"

    def test_of_jobs_whose_nested_group_has_deps_of_its_own(self) -> None:
        inner = Workflow("i").add("x", work())
        middle = Workflow("m").add("a", work()).add_workflow("inner", inner, deps="a")
        workflow = Workflow("w").add("setup", work()).add_workflow("middle", middle, deps="setup")
        found = metas(workflow)
        assert found["a"]["deps"] == [["w", "setup"]]
        assert found["x"]["deps"] == [["m", "a"]]

    def test_of_a_gated_job_with_flags_of_its_own(self) -> None:
        sub = Workflow("s").add("x", work(), ignore_cancelled=True)
        workflow = Workflow("w").add("setup", work()).add_workflow("sub", sub, deps="setup")
        assert metas(workflow)["x"]["deps"] == [["w", "setup"]]


class TestForJob:
    def test_finds_the_workflow_in_the_meta(self) -> None:
        first, *_ = diamond(id="w", name="nightly")
        handle = Workflow.for_job(first)
        assert (handle.id, handle.name) == ("w", "nightly")

    def test_finds_the_nested_workflow_of_a_nested_job(self) -> None:
        (job,) = Workflow("w").add_workflow("sub", Workflow("s").add("x", work()))
        assert Workflow.for_job(job).id == "s"

    @pytest.mark.parametrize("meta", [{}, {"workflow_id": None}, {"workflow_id": 7}])
    def test_refuses_a_job_that_is_in_no_workflow(self, meta: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="must belong to a workflow") as caught:
            Workflow.for_job(Job("worker", meta=meta))
        assert isinstance(caught.value, errors.NotInWorkflowError)
