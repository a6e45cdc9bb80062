"""What is counted and linked before anything is inserted."""

import pytest

from oban_pro import Workflow
from oban_pro.building.plan import Plan, PlannedGroup, plan_of
from tests.support.graphs import diamond, plan_for, work


def group(plan: Plan, name: str) -> PlannedGroup:
    return next(one for one in plan.groups if one.sub_name == name)


def pending(plan: Plan) -> dict[str, int]:
    return {one.name: one.pending for one in plan.jobs}


def edges(plan: Plan) -> set[tuple[str, str]]:
    def name(pointer: int) -> str:
        if pointer >= 0:
            return plan.jobs[pointer].name
        return f"{plan.groups[~pointer].sub_name}*"

    return {(name(up), name(down)) for up, down in plan.edges}


class TestEdges:
    def test_edges_link_jobs_to_their_dependents(self) -> None:
        plan = plan_for(diamond())
        assert edges(plan) == {
            ("start", "left"),
            ("start", "right"),
            ("left", "end"),
            ("right", "end"),
        }
        assert pending(plan) == {"start": 0, "left": 1, "right": 1, "end": 2}

    def test_are_as_many_as_the_sum_where_groups_follow_groups(self) -> None:
        workflow = (
            Workflow()
            .add_many("up", [work() for _ in range(20)])
            .add_many("down", [work() for _ in range(30)], deps="up")
        )
        plan = plan_for(workflow)
        assert edges(plan) == {("up*", "down*")}
        assert [one.pending for one in plan.jobs] == [0] * 20 + [1] * 30
        assert [one.gated for one in plan.jobs] == [False] * 20 + [True] * 30

    def test_are_its_own_for_a_gated_job_with_flags_of_its_own(self) -> None:
        sub = Workflow().add("x", work(), ignore_cancelled=True).add("y", work())
        plan = plan_for(Workflow().add("setup", work()).add_workflow("sub", sub, deps="setup"))
        assert edges(plan) == {("setup", "sub*"), ("setup", "x")}
        assert {one.name: one.gated for one in plan.jobs} == {"setup": False, "x": False, "y": True}

    def test_pass_the_gate_on_to_groups_without_deps(self) -> None:
        sub = Workflow().add_many("inner", [work()]).add("x", work())
        plan = plan_for(Workflow().add("setup", work()).add_workflow("sub", sub, deps="setup"))
        assert edges(plan) == {("setup", "sub*")}
        assert group(plan, "inner").gated
        assert pending(plan) == {"setup": 0, "0": 1, "x": 1}


class TestCounters:
    def test_counters_of_a_plan_count_what_waits(self) -> None:
        plan = plan_for(diamond())
        (root,) = plan.groups
        assert (root.total, root.suspended, root.subs) == (4, 3, 0)

    def test_count_groups_in_the_group_that_holds_them_alone(self) -> None:
        sub = Workflow().add_many("many", [work(), work()])
        plan = plan_for(Workflow().add("a", work()).add_workflow("sub", sub))
        root, middle, leaf = plan.groups
        assert (root.total, root.subs) == (1, 1)
        assert (middle.total, middle.subs) == (0, 1)
        assert (leaf.total, leaf.subs) == (2, 0)
        assert [one.parent for one in plan.groups] == [None, 0, 1]


class TestEmptyGroups:
    def test_are_completed_where_they_wait_for_nothing(self) -> None:
        plan = plan_for(Workflow().add_many("none", []).add("a", work(), deps="none"))
        assert group(plan, "none").state == "completed"
        assert plan.groups[0].subs_completed == 1
        assert pending(plan) == {"a": 0}

    def test_are_completed_where_they_hold_nothing_but_such(self) -> None:
        shell = Workflow().add_workflow("inner", Workflow()).add_many("none", [])
        plan = plan_for(Workflow().add_workflow("shell", shell).add("a", work(), deps="shell"))
        assert group(plan, "shell").state == "completed"
        assert pending(plan) == {"a": 0}

    def test_wait_for_what_they_depend_on(self) -> None:
        workflow = (
            Workflow().add("a", work()).add_many("none", [], deps="a").add("b", work(), deps="none")
        )
        plan = plan_for(workflow)
        assert group(plan, "none").state == "executing"
        assert pending(plan) == {"a": 0, "b": 1}

    def test_wait_for_what_the_group_around_them_depends_on(self) -> None:
        shell = Workflow().add_workflow("inner", Workflow())
        workflow = Workflow().add("a", work()).add_workflow("shell", shell, deps="a")
        plan = plan_for(workflow.add("b", work(), deps="shell"))
        assert group(plan, "inner").state == "executing"
        assert group(plan, "shell").state == "executing"
        assert pending(plan) == {"a": 0, "b": 1}


class TestPlanOf:
    def test_is_shared_by_all_jobs_of_a_workflow(self) -> None:
        plans = {id(plan_of(job)) for job in diamond().add_workflow("sub", diamond())}
        assert len(plans) == 1

    def test_is_none_of_a_plain_job(self) -> None:
        assert plan_of(work()) is None

    @pytest.mark.parametrize("times", [1, 2])
    def test_the_plan_tells_which_jobs_wait(self, times: int) -> None:
        workflow = diamond()
        for _ in range(times):
            jobs = list(workflow)
        plan = plan_of(jobs[0])
        assert plan is not None
        assert [planned.pending > 0 for planned in plan.jobs] == [False, True, True, True]
        assert [planned.job for planned in plan.jobs] == jobs
