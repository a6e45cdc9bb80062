"""Conditions: `when` on jobs and groups, what is skipped with them, and merges."""

from __future__ import annotations

from typing import Any

import pytest
from oban import Cancel, Job, Oban, Snooze, Worker, current_job, worker
from oban.testing import drain_queue, process_job
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.errors import DuplicateNameError, InvalidFunctionError
from oban_pro.testing import run_workflow
from tests.support.engine import Engine, make_job
from tests.support.recount import assert_consistent

WRITTEN = """
SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables
WHERE relname LIKE 'oban_workflow%' OR relname = 'oban_jobs'
"""

asked: list[Any] = []
flags: dict[str, bool] = {}


@pytest.fixture(autouse=True)
def forget() -> None:
    asked.clear()
    flags.clear()


async def yes(context: dict[str, Any]) -> bool:
    asked.append("yes")

    return True


def no(context: dict[str, Any]) -> list[int]:
    asked.append("no")

    return []


async def if_large(context: dict[str, Any]) -> bool:
    asked.append(sorted(context))

    return bool(context["order"] > 100)


async def as_told(context: dict[str, Any]) -> bool:
    asked.append("told")

    return flags["met"]


async def fail_first(context: dict[str, Any]) -> bool:
    asked.append("fail")

    if len(asked) == 1:
        raise ValueError("not yet")

    return True


async def keys(context: dict[str, Any]) -> list[str]:
    return sorted(context)


async def order(context: dict[str, Any]) -> int:
    return int(context["sum"])


async def keep_item(item: Any, context: dict[str, Any]) -> Any:
    return [item, sorted(context)]


async def snooze_once(context: dict[str, Any]) -> Any:
    job = current_job()
    assert job is not None

    return "done" if "snoozed" in job.meta else Snooze(1)


async def fail_twice(context: dict[str, Any]) -> str:
    job = current_job()
    assert job is not None

    if job.attempt < 3:
        raise ValueError("again")

    return "done"


async def graft_one(context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("grafted", keys)


async def graft_when(context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("when", keys)


@worker()
class Plain(Worker):
    async def process(self, _: Job) -> None:
        asked.append("ran")


@worker()
class Stop(Worker):
    async def process(self, _: Job) -> Cancel:
        return Cancel("enough")


def sub() -> Workflow:
    return Workflow().add_cascade("x", keys).add_cascade("y", keys, deps="x")


async def skipped(workflow: Workflow) -> dict[str, str]:
    """Return why jobs were skipped, by path of at most two names."""
    jobs = await workflow.all_jobs(with_subs=True)
    found = {}

    for job in jobs:
        if "skipped" in job.meta:
            assert (job.state, job.attempt) == ("completed", 0)
            assert not {"recorded", "return"} & job.meta.keys()
            names = job.meta.get("sub_name"), job.meta["name"]
            found["/".join(name for name in names if name)] = job.meta["skipped"]

    return found


class TestAJob:
    @pytest.mark.parametrize("total", [50, 500])
    async def test_runs_if_its_condition_is_met(self, oban: Oban, total: int) -> None:
        workflow = (
            Workflow()
            .add_context({"sum": total})
            .add_cascade("order", order)
            .add_cascade("fraud", keys, deps="order", when=if_large)
        )
        status = await run_workflow(workflow)

        assert asked == [["order", "sum"]]
        assert status.state == "completed"

        if total == 500:
            assert dict(status.counts) == {"completed": 2}
            assert await workflow.get_recorded("fraud") == ["order", "sum"]
        else:
            assert dict(status.counts) == {"completed": 1, "skipped": 1}
            assert status.total == 2
            assert list(await skipped(workflow)) == ["fraud"]
            assert await workflow.get_recorded("fraud") is None

    async def test_of_any_worker_is_asked_for_and_by_a_blocking_function(self, oban: Oban) -> None:
        workflow = Workflow().add("a", Plain.new({}), when=no).add("b", Plain.new({}), when=yes)
        await oban.enqueue_many(workflow)
        await drain_queue("default")

        assert sorted(asked) == ["no", "ran", "yes"]
        reason = "its condition tests.integration.test_conditions:no was not met"
        assert await skipped(workflow) == {"a": reason}

    async def test_fails_with_its_condition_and_is_asked_again(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", keys, when=fail_first, max_attempts=2)
        status = await run_workflow(workflow, with_safety=True)
        job = await workflow.get_job("a")

        assert status.counts["completed"] == 1
        assert asked == ["fail", "fail"]
        assert job is not None
        assert (job.attempt, len(job.errors)) == (2, 1)
        assert "not yet" in str(job.errors[0])

    @pytest.mark.parametrize("function", [fail_twice, snooze_once])
    async def test_is_not_asked_for_again_once_an_attempt_was_acked(
        self, oban: Oban, function: Any
    ) -> None:
        workflow = Workflow().add_cascade("a", function, when=yes, max_attempts=3)
        await run_workflow(workflow, with_safety=True)

        assert await workflow.get_recorded("a") == "done"
        assert asked == ["yes"]

    async def test_whose_node_died_before_is_asked_for_again(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", keys, when=no)
        await oban.enqueue_many(workflow)
        (job,) = await oban._query.fetch_jobs(1, "default", "gone", "gone")
        assert "workflow_judged" not in job.meta
        await oban._query.rescue_jobs(0)
        await drain_queue("default")

        assert asked == ["no"]

    async def test_that_is_retried_is_asked_for_again_by_name_alone(self, oban: Oban) -> None:
        flags["met"] = True
        workflow = Workflow().add("a", Stop.new({}), when=as_told)
        await run_workflow(workflow)
        assert (await workflow.status()).state == "cancelled"

        assert await workflow.retry_jobs() == 1
        await run_workflow(workflow)
        assert asked == ["told"]

        flags["met"] = False
        assert await workflow.retry_jobs(names=["a"]) == 1
        await run_workflow(workflow)
        assert asked == ["told", "told"]
        assert list(await skipped(workflow)) == ["a"]

    async def test_that_was_skipped_is_retried_by_name_alone(self, oban: Oban) -> None:
        flags["met"] = False
        workflow = Workflow().add_cascade("a", keys, when=as_told).add_cascade("b", keys, deps="a")
        await run_workflow(workflow)
        assert list(await skipped(workflow)) == ["a", "b"]
        assert await workflow.retry_jobs() == 0

        flags["met"] = True
        assert await workflow.retry_jobs(names=["a", "b"]) == 2
        status = await run_workflow(workflow)
        assert dict(status.counts) == {"completed": 2}
        assert await skipped(workflow) == {}

    async def test_that_was_skipped_is_skipped_again_by_what_it_depends_on(
        self, oban: Oban
    ) -> None:
        workflow = Workflow().add_cascade("a", keys, when=no).add_cascade("b", keys, deps="a")
        await run_workflow(workflow)
        assert await workflow.retry_jobs(names=["b"]) == 1
        assert dict((await workflow.status()).counts) == {"skipped": 2}

    @pytest.mark.parametrize("when", [lambda context: True, "yes", 1, keep_item])
    def test_refuses_a_condition_that_cannot_be_one(self, when: Any) -> None:
        with pytest.raises(InvalidFunctionError, match="function of 'a' cannot be a condition"):
            Workflow().add("a", Plain.new({}), when=when)


class TestWhatFollows:
    async def test_is_skipped_with_all_that_it_depends_on_and_a_merge_runs(
        self, oban: Oban
    ) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", keys)
            .add_cascade("left", keys, deps="a", when=no)
            .add_cascade("left_too", keys, deps="left")
            .add_cascade("right", keys, deps="a", when=yes)
            .add_cascade("merge", keys, deps=["left_too", "right"])
            .add_signal("signal", deps="left_too")
            .add_timer("timer", 3600, deps=["left", "left_too"])
            .add_cascade("anyway", keys, deps=["left", "a"])
            .add_graft("graft", graft_one, deps="left")
            .add_workflow("sub", sub(), deps="left_too")
            .add_many("empty", [], deps="sub")
            .add_cascade("last", keys, deps=["empty", "sub", "graft"])
        )
        status = await run_workflow(workflow)

        assert await skipped(workflow) == {
            "left": "its condition tests.integration.test_conditions:no was not met",
            "left_too": "upstream job 'left' was skipped",
            "signal": "upstream job 'left_too' was skipped",
            "timer": "upstream job 'left' was skipped",
            "graft": "its graft 'graft' was skipped",
            "sub/x": "its sub-workflow 'sub' was skipped",
            "sub/y": "upstream job 'x' was skipped",
            "last": (await job_of(workflow, "last")).meta["skipped"],
        }
        assert status.state == "completed"
        assert status.subs["sub"].state == "completed"
        assert dict(status.subs["sub"].counts) == {"skipped": 2}
        assert await workflow.get_recorded("merge") == ["right"]
        assert await workflow.get_recorded("anyway") == ["a"]

    async def test_runs_behind_an_empty_group_that_was_not_skipped(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", keys)
            .add_many("empty", [], deps="a")
            .add_cascade("b", keys, deps="empty")
        )
        await run_workflow(workflow.add_cascade("c", keys, when=no))
        assert list(await skipped(workflow)) == ["c"]

    async def test_runs_behind_a_workflow_of_final_jobs_that_were_skipped(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        finals = Workflow().add_final("f", Plain.new({}), on="failed")
        around = Workflow().add_workflow("finals", finals)
        all_skipped = Workflow().add_cascade("x", keys, when=no)
        all_skipped.add_final("f", Plain.new({}), on="failed")
        cleaned = Workflow().add_cascade("x", keys, when=no).add_final("f", Plain.new({}))
        workflow = (
            Workflow()
            .add_workflow("around", around)
            .add_workflow("judged", finals, when=yes)
            .add_workflow("all", all_skipped)
            .add_workflow("cleaned", cleaned)
            .add_cascade("b", keys, deps="around")
            .add_cascade("c", keys, deps=["around", "judged"], need=2)
            .add_cascade("d", keys, deps="all")
            .add_cascade("e", keys, deps="cleaned")
        )
        await run_workflow(workflow)
        assert [*await skipped(workflow)] == [
            "finals/f",
            "judged/f",
            "all/x",
            "all/f",
            "cleaned/x",
            "d",
        ]
        await assert_consistent(conn)

    async def test_skips_the_final_jobs_of_a_group_with_it(
        self, oban: Oban, conn: AsyncConnection
    ) -> None:
        inner = Workflow().add_cascade("x", keys).add_final("f", Plain.new({}))
        empty = Workflow().add_final("f", Plain.new({}))
        workflow = (
            Workflow()
            .add_cascade("a", keys, when=as_told)
            .add_workflow("judged", inner, when=no)
            .add_workflow("behind", inner, deps="a")
            .add_workflow("empty", empty, when=no)
            .add_workflow("around", Workflow().add_workflow("deep", inner), deps="a")
            .add_workflow("after", empty, deps=["behind", "empty"])
        )

        async def why() -> dict[str, str]:
            await run_workflow(workflow)
            await assert_consistent(conn)
            reasons = await skipped(workflow)

            return {path[:-2]: reasons[path] for path in reasons if path.endswith("/f")}

        flags["met"] = False
        assert await why() == {
            name: f"its sub-workflow '{name}' was skipped"
            for name in ("judged", "behind", "empty", "deep", "after")
        }

        flags["met"] = True
        assert await workflow.retry_jobs(names=["a"], downstream=True)
        assert [*await why()] == ["judged", "empty"]

    async def test_is_cancelled_where_something_broke(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add("broken", Stop.new({}))
            .add_cascade("skip", keys, when=no)
            .add_cascade("both", keys, deps=["broken", "skip"])
            .add_cascade("ignores", keys, deps=["broken", "skip"], ignore_cancelled=True)
        )
        status = await run_workflow(workflow)
        assert dict(status.counts) == {"cancelled": 2, "skipped": 1, "completed": 1}
        assert (await job_of(workflow, "both")).state == "cancelled"

    async def test_is_skipped_when_it_is_appended_later(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("a", keys, when=no).add_cascade("b", keys)
        await run_workflow(workflow)
        addition = (
            Workflow(check_deps=False)
            .add_cascade("c", keys, deps="a")
            .add_workflow("sub", sub(), deps="c")
            .add_cascade("d", keys, deps=["a", "b"])
        )
        await workflow.append(addition)
        await run_workflow(workflow)
        assert list(await skipped(workflow)) == ["a", "c", "sub/x", "sub/y"]

    async def test_is_skipped_however_its_upstream_was(self, engine: Engine) -> None:
        workflow = Workflow().add_cascade("x", keys, when=no)
        await engine.enqueue(workflow.add_cascade("a", keys).add_cascade("b", keys, deps="a"))
        await engine.psql(
            "UPDATE oban_jobs SET state = 'completed', meta = meta || '{\"skipped\": \"by hand\"}'"
            " WHERE id = %s",
            engine.ids["a"],
        )
        (row,) = await engine.rows(
            "SELECT state::text, meta ->> 'skipped' FROM oban_jobs WHERE id = %s",
            [engine.ids["b"]],
        )
        assert row == ("completed", "upstream job 'a' was skipped")
        await engine.delete("a", "b")
        await engine.psql("DELETE FROM oban_jobs")

    async def test_goes_a_thousand_levels_down(self, oban: Oban) -> None:
        workflow = Workflow().add_cascade("0", keys, when=no)

        for level in range(1, 1_000):
            workflow.add_cascade(str(level), keys, deps=str(level - 1))

        await oban.enqueue_many(workflow)
        await drain_queue("default", with_recursion=False)
        assert dict((await workflow.status()).counts) == {"skipped": 1_000}


class TestCosts:
    async def test_of_skipping_are_no_more_rows_than_of_completing(self, engine: Engine) -> None:
        """A wave of dependents that are skipped writes what a wave of released ones does."""
        rows: dict[bool, dict[str, int]] = {}

        for skips in (False, True):
            workflow = Workflow().add("x", make_job(), when=no).add("a", make_job())
            workflow.add_many("all", [make_job() for _ in range(300)], deps="a")

            for n in range(300):
                workflow.add(str(n), make_job(), deps="a")

            await engine.enqueue(workflow)
            skipped = '\'{"skipped": ""}\'' if skips else "'{}'"
            async with engine.conn.transaction():
                before = dict(await engine.rows(WRITTEN))
                await engine.rows(
                    f"UPDATE oban_jobs SET state = 'completed', meta = meta || {skipped}"
                    f" WHERE id = {engine.ids['a']}"
                )
                after = dict(await engine.rows(WRITTEN))

            rows[skips] = {name: after[name] - before.get(name, 0) for name in after}
            await engine.check()
            await engine.psql("DELETE FROM oban_jobs")

        assert rows[True]["oban_jobs"] == rows[False]["oban_jobs"] == 601
        assert rows[True]["oban_workflow_members"] == rows[False]["oban_workflow_members"]
        # that the group was skipped, and its end
        assert rows[True]["oban_workflow_groups"] <= rows[False]["oban_workflow_groups"] + 3


class TestAJoin:
    @pytest.mark.parametrize(
        ("need", "skip", "rest", "expected"),
        [
            # as many of the others as before, or all
            (2, 1, ["completed", "completed", ""], "available"),
            (2, 1, ["completed", "", ""], "suspended"),
            (3, 2, ["completed", "completed"], "available"),
            (3, 2, ["completed", ""], "suspended"),
            (1, 3, [""], "suspended"),
            (1, 3, ["completed"], "available"),
            (1, 4, [], "completed"),
            # a skip may break
            (2, 1, ["cancelled", "", ""], "suspended"),
            (2, 2, ["cancelled", ""], "cancelled"),
            (3, 0, ["cancelled", "", "", ""][:4], "suspended"),
            (3, 1, ["cancelled", "", ""], "cancelled"),
        ],
    )
    @pytest.mark.parametrize("skips_first", [True, False])
    async def test_does_without_what_was_skipped(
        self,
        engine: Engine,
        need: int,
        skip: int,
        rest: list[str],
        expected: str,
        skips_first: bool,
    ) -> None:
        names = [str(number) for number in range(4)]
        workflow = Workflow().add("x", make_job(), when=no)

        for name in names:
            workflow.add(name, make_job())

        await engine.enqueue(workflow.add("join", make_job(), deps=names, need=need))
        moves: list[tuple[str, str]] = [(name, "skipped") for name in names[:skip]]
        moves += [*zip(names[skip:], rest, strict=True)]

        for name, state in moves if skips_first else reversed(moves):
            if state == "skipped":
                await skip_by_hand(engine, name)
            elif state:
                await engine.set_states({name: state})

        row = await engine.row("join")
        assert row.state == expected
        assert ("skipped" in row.meta) is (skip == 4)

        if expected == "cancelled":
            assert f"{min(need, 4 - skip)} of {4 - skip} were needed" in row.errors[-1]["error"]

    async def test_takes_it_in_again_when_it_is_retried(self, engine: Engine) -> None:
        workflow = Workflow().add("x", make_job(), when=no)

        for name in ("a", "b", "c"):
            workflow.add(name, make_job())

        workflow.add("join", make_job(), deps=["a", "b", "c"], need=2)
        await engine.enqueue(workflow.add("all", make_job(), deps=["a", "b", "c"]))
        await skip_by_hand(engine, "a")
        await engine.set_states({"b": "completed"})
        assert (await engine.row("join")).state == "suspended"
        assert await Workflow(id=workflow.id).retry_jobs(names=["a"]) == 1
        await engine.check()
        await engine.set_states({"a": "completed"})
        assert (await engine.row("join")).state == "available"

    async def test_that_is_appended_knows_what_was_skipped(self, engine: Engine) -> None:
        workflow = Workflow().add("x", make_job(), when=no)
        await engine.enqueue(workflow.add("a", make_job()).add("b", make_job()))
        await skip_by_hand(engine, "a")
        addition = Workflow(check_deps=False).add("join", make_job(), deps=["a", "b"], need=1)
        await Workflow(id=workflow.id).append(addition)
        await engine._learn()
        assert (await engine.row("join")).state == "suspended"
        await engine.complete("b")
        assert (await engine.row("join")).state == "available"


class TestAGroup:
    async def test_is_judged_once_for_all_of_it(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", keys)
            .add_workflow("no", sub(), deps="a", when=no)
            .add_many("jobs", [Plain.new({}) for _ in range(3)], deps="a", when=no)
            .add_cascade("items", ([1, 2], keep_item), deps="a", when=no)
            .add_graft("graft", graft_one, deps="a", when=no)
            .add_many("empty", [], deps="a", when=no)
            .add_workflow("yes", sub(), deps="a", when=yes)
            .add_graft("grafts", graft_one, deps="a", when=yes)
            .add_cascade("each", ([1], keep_item), deps="a", when=yes)
            .add_cascade("after", keys, deps=["no", "jobs", "items", "graft", "empty"])
            .add_cascade("merge", keys, deps=["no", "yes"])
        )
        status = await run_workflow(workflow)

        assert asked.count("no") == 5
        assert asked.count("yes") == 3
        assert {name: dict(one.counts) for name, one in status.subs.items()} == {
            "no": {"completed": 1, "skipped": 2},
            "jobs": {"completed": 1, "skipped": 3},
            "items": {"completed": 1, "skipped": 2},
            "graft": {"completed": 1, "skipped": 1},
            "empty": {"completed": 1},
            "yes": {"completed": 3},
            "grafts": {"completed": 3},
            "each": {"completed": 2},
        }
        assert {one.state for one in status.subs.values()} == {"completed"}
        assert (await job_of(workflow, "after")).meta["skipped"]
        assert await workflow.get_recorded("merge") == ["no", "yes"]
        # what the group depends on is what its jobs receive
        assert await workflow.get_recorded("yes/x") == ["a"]
        assert await workflow.get_recorded("each/0") == [1, ["a"]]
        judge = await job_of(workflow, "no/when")
        assert (judge.state, judge.meta.get("return")) == ("completed", None)
        assert (await job_of(workflow, "graft/when")).meta["name"] == "when"
        assert (await job_of(workflow, "graft")).meta["skipped"]

    async def test_is_asked_for_with_the_queue_and_attempts_of_its_options(
        self, oban: Oban
    ) -> None:
        options: dict[str, Any] = {"queue": "other", "max_attempts": 7}
        workflow = (
            Workflow(defaults={"queue": "theirs"})
            .add_cascade("items", ([1], keep_item), when=yes, **options)
            .add_workflow("sub", sub(), when=yes)
            .add_graft("graft", Plain.new({}, queue="its own"), when=yes)
        )
        await oban.enqueue_many(workflow)
        queues = [(await job_of(workflow, f"{name}/when")).queue for name in ("items", "sub")]
        assert queues == ["other", "theirs"]
        assert (await job_of(workflow, "items/when")).max_attempts == 7
        assert (await job_of(workflow, "graft/when")).queue == "its own"

    async def test_inside_others_waits_for_what_they_do(self, oban: Oban) -> None:
        inner = Workflow().add_workflow("deep", sub(), when=if_large)
        middle = Workflow().add_workflow("inner", inner, when=yes)
        workflow = (
            Workflow()
            .add_context({"sum": 500})
            .add_cascade("order", order)
            .add_workflow("middle", middle, deps="order", when=yes)
            .add_cascade("skip", keys, when=no)
            .add_workflow("none", middle, deps="skip")
        )
        await run_workflow(workflow)
        assert asked.count("yes") == 2
        assert [one for one in asked if isinstance(one, list)] == [["order", "sum"]]
        assert await workflow.get_recorded("middle/inner/deep/x") == ["order", "sum"]

    async def test_whose_judge_fails_for_good_is_cancelled_whatever_it_ignores(
        self, oban: Oban
    ) -> None:
        inner = Workflow(ignore_cancelled=True, ignore_discarded=True).add_cascade("x", keys)
        workflow = Workflow(defaults={"max_attempts": 1}).add_cascade("order", keys)
        workflow.add_workflow("sub", inner, deps="order", when=if_large)
        status = await run_workflow(workflow, with_safety=True)
        assert dict(status.subs["sub"].counts) == {"discarded": 1, "cancelled": 1}

    async def test_whose_judge_failed_cancels_what_is_appended_whatever_it_ignores(
        self, engine: Engine
    ) -> None:
        ignores: Any = {"ignore_cancelled": True, "ignore_discarded": True}
        inner = Workflow(**ignores).add("x", make_job())
        middle = Workflow(**ignores).add_workflow("inner", inner)
        await engine.enqueue(Workflow().add_workflow("middle", middle, when=yes))
        await engine.cancel("middle/when")
        ids = await engine.rows("SELECT id FROM oban_workflow_groups WHERE parent IS NOT NULL")

        for (id,) in ids:
            await Workflow(id=id).append(Workflow(**ignores).add("y", make_job()))

        await engine._learn()
        assert {*(await engine.states()).values()} == {"cancelled"}

    async def test_whose_judge_fails_tolerates_nothing(self, engine: Engine) -> None:
        jobs = {"x": make_job(), "y": make_job()}
        await engine.enqueue(
            Workflow()
            .add("a", make_job())
            .add_many("many", jobs, tolerate=3, when=yes, deps="a")
            .add("b", make_job(), deps="many")
        )
        await engine.cancel("many/x", "many/y")
        await engine.cancel("a")
        assert await engine.group("many") == "cancelled"
        assert (await engine.states())["b"] == "cancelled"

    async def test_is_judged_by_its_own_flags(self, oban: Oban) -> None:
        inner = Workflow(ignore_cancelled=True).add_cascade("x", keys)
        strict = Workflow().add_cascade("x", keys)
        workflow = (
            Workflow()
            .add("a", Stop.new({}))
            .add_workflow("ignores", inner, deps="a", when=yes)
            .add_workflow("strict", strict, deps="a", when=yes)
        )
        status = await run_workflow(workflow)
        assert dict(status.subs["ignores"].counts) == {"completed": 2}
        assert dict(status.subs["strict"].counts) == {"cancelled": 2}

    async def test_does_not_count_its_judge_in_the_share_that_may_fail(self, oban: Oban) -> None:
        jobs = [Stop.new({}), Stop.new({}), Plain.new({})]
        workflow = Workflow().add_many("half", jobs, tolerate=0.5, when=yes)
        assert (await run_workflow(workflow)).state == "cancelled"
        workflow = Workflow().add_many("most", jobs, tolerate=0.67, when=yes)
        assert (await run_workflow(workflow)).state == "completed"

    async def test_is_judged_again_when_it_is_named(self, oban: Oban) -> None:
        flags["met"] = False
        workflow = Workflow().add_workflow("sub", sub(), when=as_told)
        await run_workflow(workflow)
        assert await workflow.retry_jobs(names=["sub/x"]) == 1
        assert dict((await workflow.status()).counts) == {"completed": 1, "skipped": 2}

        flags["met"] = True
        assert await workflow.retry_jobs(names=["sub"]) == 3
        status = await run_workflow(workflow)
        assert dict(status.counts) == {"completed": 3}

    def test_refuses_a_member_that_is_called_as_its_judge_is(self) -> None:
        when = Workflow().add_cascade("when", keys)

        for add in (
            lambda w: w.add_workflow("g", when, when=yes),
            lambda w: w.add_many("g", {"when": Plain.new({})}, when=yes),
            lambda w: w.add_cascade("g", ({"when": 1}, keep_item), when=yes),
        ):
            with pytest.raises(DuplicateNameError, match="must not be called 'when'"):
                add(Workflow())

        Workflow().add_workflow("g", when)

    async def test_refuses_it_in_what_is_grafted_too(self, oban: Oban) -> None:
        workflow = Workflow().add_graft("g", graft_when, when=yes, max_attempts=1)
        await run_workflow(workflow, with_safety=True)
        (error,) = (await job_of(workflow, "g")).errors
        assert "that is the job that asks the condition" in str(error)


class TestShown:
    async def test_by_explain_and_in_drawings(self, oban: Oban) -> None:
        workflow = (
            Workflow()
            .add_cascade("a", keys)
            .add_cascade("skip", keys, deps="a", when=no)
            .add_workflow("sub", sub(), deps="a", when=no)
        )
        built = workflow.to_graph()
        await run_workflow(workflow)
        explanation = await workflow.explain("skip")
        assert (explanation.state, explanation.reason) == ("completed", "skipped")
        reason = "its condition tests.integration.test_conditions:no was not met"
        assert explanation.summary == f"job 'skip' was skipped: {reason}"
        assert (await workflow.explain("sub")).summary == "sub-workflow 'sub' was skipped"
        graph = await workflow.fetch_graph()
        assert sorted(graph.edges) == sorted(built.edges) == [("a", "skip"), ("a", "sub")]
        assert ":::skipped" in graph.to_mermaid()

    def test_where_it_runs_without_a_database(self) -> None:
        workflow = (
            Workflow()
            .add_context({"sum": 5})
            .add_cascade("order", order)
            .add_cascade("skip", keys, deps="order", when=if_large)
            .add_cascade("gone", keys, deps="skip")
            .add_workflow("sub", sub(), deps="order", when=no)
            .add_cascade("merge", keys, deps=["gone", "order"])
            .add_cascade("nothing", keys, deps=["gone", "sub"])
        )
        results = {job.meta["name"]: process_job(job) for job in workflow}
        assert results["merge"].value == ["order", "sum"]
        assert all("skipped" in repr(results[name]) for name in ("gone", "x", "y", "nothing"))


async def skip_by_hand(engine: Engine, path: str) -> None:
    await engine.psql(
        "UPDATE oban_jobs SET state = 'completed', meta = meta || '{\"skipped\": \"by hand\"}'"
        " WHERE id = %s",
        engine.ids[path],
    )


async def job_of(workflow: Workflow, path: str) -> Job:
    job = await workflow.get_job(path)
    assert job is not None

    return job
