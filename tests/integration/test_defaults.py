"""Options of jobs that functions take from the workflows around them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from oban import Job, Oban, Worker, current_job, worker
from oban.testing import process_job

from oban_pro import Workflow, errors, from_result
from oban_pro.testing import run_workflow
from tests.support import flows, growth
from tests.support.databases import Psql
from tests.support.graphs import work

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def told(job: Job) -> tuple[Any, ...]:
    return job.queue, job.priority, job.max_attempts, job.tags


def by_name(workflow: Workflow) -> dict[str, Job]:
    return {job.meta["name"]: job for job in workflow}


def grown(context: Any) -> Workflow:
    return (
        Workflow(defaults={"priority": 7})
        .add_cascade("plain", flows.one)
        .add_cascade("own", flows.one, queue="own")
        .add("worker", work())
        .add_graft("deeper", grown_deeper)
    )


def grown_deeper(context: Any) -> Workflow:
    return Workflow().add_cascade("deepest", flows.one)


queues: list[str] = []


async def tell_queue(context: Any) -> None:
    job = current_job()
    assert job is not None
    queues.append(job.queue)


@worker()
class Plant(Worker):
    """Graft a function."""

    async def process(self, job: Job) -> Any:
        sub = Workflow().add_cascade("x", tell_queue)
        await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, sub))


def plant(context: Any) -> Workflow:
    return Workflow().add_cascade("x", tell_queue)


class TestTaking:
    def test_is_for_functions_and_not_for_jobs(self) -> None:
        workflow = (
            Workflow(defaults={"queue": "io", "priority": 3, "max_attempts": 5, "tags": ["x"]})
            .add("worker", work())
            .add_many("many", [work()])
            .add_cascade("a", flows.one)
            .add_cascade("each", (["x"], flows.keep_item))
            .add_cascade("mapped", (from_result("a"), flows.keep_item), deps="a")
            .add_graft("graft", growth.squares)
            .add_graft("grafts", (["x"], growth.graft_for))
            .add_graft("grafter", work())
        )
        plain: tuple[Any, ...] = ("default", 0, 20, [])
        taken = ("io", 3, 5, ["x"])
        assert [told(job) for job in workflow] == [plain, plain, *[taken] * 5, plain]

    def test_is_option_by_option_and_the_nearest_first(self) -> None:
        inner = Workflow(defaults={"priority": 2, "max_attempts": 2}).add_cascade(
            "a", flows.one, max_attempts=1
        )
        outer = Workflow(defaults={"queue": "io", "priority": 3, "max_attempts": 3})
        outer.add_workflow("sub", inner).add_cascade("b", flows.one)
        jobs = by_name(outer)
        assert told(jobs["a"]) == ("io", 2, 1, [])
        assert told(jobs["b"]) == ("io", 3, 3, [])

    def test_leaves_the_default_of_oban_where_that_was_asked_for(self) -> None:
        workflow = Workflow(defaults={"queue": "io", "max_attempts": 5})
        (job,) = workflow.add_cascade("a", flows.one, queue="default", max_attempts=20)
        assert told(job) == ("default", 0, 20, [])

    def test_merges_meta_key_by_key(self) -> None:
        inner = Workflow(defaults={"meta": {"b": "inner", "c": "inner"}})
        inner.add_cascade("a", flows.one, meta={"c": "own", "d": "own"})
        outer = Workflow(defaults={"meta": {"a": "outer", "b": "outer", "name": "x"}})
        (job,) = outer.add_workflow("sub", inner)
        assert {key: job.meta[key] for key in "abcd"} == {
            "a": "outer",
            "b": "inner",
            "c": "own",
            "d": "own",
        }
        assert job.meta["name"] == "a"
        assert job.meta["handler"] == "tests.support.flows.one"

    @pytest.mark.parametrize("outer", [{"scheduled_in": 60}, {"scheduled_at": LATER}])
    @pytest.mark.parametrize("inner", [{"scheduled_in": 90}, {"scheduled_at": LATER}])
    def test_of_a_time_hides_what_is_said_around_it(
        self, oban: Oban, outer: Any, inner: Any
    ) -> None:
        alone = [*Workflow().add_cascade("a", flows.one, **inner)]
        for workflow in (
            Workflow(defaults=outer).add_cascade("a", flows.one, **inner),
            Workflow(defaults=outer).add_workflow(
                "sub", Workflow(defaults=inner).add_cascade("a", flows.one)
            ),
        ):
            jobs = [*workflow]
            assert [job.scheduled_at for job in jobs] == [job.scheduled_at for job in alone]
            assert [job.extra.get("delay") for job in jobs] == [
                job.extra.get("delay") for job in alone
            ]

    def test_is_by_each_workflow_that_a_builder_is_added_to(self) -> None:
        inner = Workflow().add_cascade("a", flows.one)
        one = Workflow(defaults={"queue": "one"}).add_workflow("sub", inner)
        two = Workflow(defaults={"priority": 2}).add_workflow("sub", inner)
        for _ in range(2):
            assert [told(job) for job in one] == [("one", 0, 20, [])]
            assert [told(job) for job in two] == [("default", 2, 20, [])]
            assert [told(job) for job in inner] == [("default", 0, 20, [])]

    def test_does_not_follow_later_changes(self) -> None:
        meta = {"team": "blue"}
        workflow = Workflow(defaults={"meta": meta}).add_cascade("a", flows.one)
        meta["team"] = "red"
        (job,) = workflow
        assert job.meta["team"] == "blue"

    async def test_counts_a_delay_from_the_insertion(self, oban: Oban) -> None:
        workflow = Workflow(defaults={"scheduled_in": timedelta(hours=1)})
        workflow.add_cascade("a", flows.one).add("b", work())
        a, b = await oban.enqueue_many(workflow)
        assert (a.state, b.state) == ("scheduled", "available")
        assert a.scheduled_at is not None
        assert b.scheduled_at is not None
        assert a.scheduled_at - b.scheduled_at == timedelta(hours=1)


class TestGrafts:
    async def test_take_what_is_around_them_at_any_depth(self, oban: Oban) -> None:
        sub = Workflow(defaults={"max_attempts": 4}).add_graft("grow", grown)
        workflow = Workflow(defaults={"queue": "io", "priority": 1}).add_workflow("sub", sub)
        await run_workflow(workflow, oban)
        jobs = {job.meta["name"]: told(job) for job in await workflow.all_jobs(with_subs=True)}
        assert jobs == {
            "grow": ("io", 1, 4, []),
            "plain": ("io", 7, 4, []),
            "own": ("own", 7, 4, []),
            "worker": ("default", 0, 20, []),
            "deeper": ("io", 7, 4, []),
            "deepest": ("io", 7, 4, []),
        }

    async def test_of_a_worker_do_too(self, oban: Oban) -> None:
        workflow = Workflow(defaults={"queue": "io"}).add_graft("grow", Plant.new({}))
        await run_workflow(workflow, oban)
        jobs = await workflow.all_jobs(with_subs=True)
        assert {job.meta["name"]: job.queue for job in jobs} == {"grow": "default", "x": "io"}

    async def test_over_recorded_items_do_too_and_wait_once(self, oban: Oban) -> None:
        workflow = (
            Workflow(defaults={"queue": "io", "scheduled_in": 3600})
            .add_cascade("list", growth.numbers, scheduled_in=0)
            .add_cascade("each", (from_result("list"), growth.double), deps="list", priority=4)
        )
        await run_workflow(workflow, oban)
        mapper, *items = [
            job for job in await workflow.all_jobs(with_subs=True) if job.meta["name"] != "list"
        ]
        assert [told(job)[:2] for job in items] == [("io", 4)] * len(items)
        assert items

        for job in items:
            assert job.scheduled_at is not None
            assert mapper.scheduled_at is not None
            assert job.scheduled_at - mapper.scheduled_at < timedelta(minutes=30)

    async def test_leave_meta_of_yours_alone(self, oban: Oban) -> None:
        workflow = Workflow().add_graft("grow", Plant.new({}, meta={"defaults": {"a": 1}}))
        await run_workflow(workflow, oban)
        grafter = await workflow.get_job("grow")
        assert grafter is not None
        assert grafter.meta["defaults"] == {"a": 1}

    def test_take_them_without_a_database(self) -> None:
        queues.clear()
        for job in Workflow(defaults={"queue": "io"}).add_graft("grow", plant):
            process_job(job)
        assert queues == ["io"]


class TestAppended:
    async def test_take_what_is_stored(self, oban: Oban) -> None:
        sub = Workflow(id="s", defaults={"priority": 2}).add("a", work())
        workflow = Workflow(id="w", defaults={"queue": "io", "meta": {"team": "blue"}})
        await oban.enqueue_many(workflow.add_workflow("sub", sub))

        addition = Workflow(defaults={"max_attempts": 3}).add_cascade("b", flows.one)
        addition.add_workflow("deep", Workflow().add_cascade("c", flows.one, priority=1))
        b, c = await Workflow(id="w").append(addition)
        assert [told(job) for job in (b, c)] == [("io", 0, 3, []), ("io", 1, 3, [])]
        assert b.meta["team"] == "blue"

        (d,) = await Workflow(id="s").append(Workflow().add_cascade("d", flows.one))
        assert told(d) == ("io", 2, 20, [])

    async def test_graft_with_it_too(self, oban: Oban) -> None:
        workflow = Workflow(id="w", defaults={"queue": "io"}).add_cascade("a", flows.one)
        await oban.enqueue_many(workflow)
        await Workflow(id="w").append(Workflow().add_graft("grow", grown_deeper))
        await run_workflow(workflow, oban)
        jobs = await workflow.all_jobs(with_subs=True)
        assert {job.meta["name"]: job.queue for job in jobs} == dict.fromkeys(
            ["a", "grow", "deepest"], "io"
        )


class TestStored:
    async def test_only_where_there_are_any(self, oban: Oban, psql: Psql) -> None:
        with_some = Workflow(id="w", defaults={"queue": "io"})
        with_some.add_workflow("sub", Workflow(id="s").add_cascade("a", flows.one))
        without = Workflow(id="x").add_workflow("sub", Workflow(id="y").add("a", work()))
        await oban.enqueue_many([*with_some, *without])
        rows = psql.rows("SELECT id, defaults FROM oban_workflow_groups ORDER BY id")
        expected = {"queue": "io"}
        assert rows == [("s", expected), ("w", expected), ("x", None), ("y", None)]


class TestRefused:
    @pytest.mark.parametrize(
        ("defaults", "error", "reason"),
        [
            (
                {"que": "io"},
                errors.InvalidArgumentError,
                "unknown job option 'que' of the defaults; did you mean 'queue'? Known: queue,"
                " priority, max_attempts, tags, scheduled_at, scheduled_in, meta",
            ),
            (
                {"timeout": 5},
                errors.InvalidArgumentError,
                "unknown job option 'timeout' of the defaults; known: queue, priority,"
                " max_attempts, tags, scheduled_at, scheduled_in, meta",
            ),
            (
                {"priority": True},
                errors.InvalidArgumentError,
                "priority of the defaults must be an int, got True",
            ),
            (
                {"scheduled_at": datetime(2100, 1, 1)},
                errors.InvalidArgumentError,
                "scheduled_at of the defaults must be a datetime with a timezone, got"
                " datetime.datetime(2100, 1, 1, 0, 0)",
            ),
            (
                {"max_attempts": 0},
                errors.InvalidOptionError,
                "options of the defaults must suit a job, got: max_attempts must be greater than 0",
            ),
            (
                [("queue", "io")],
                errors.InvalidArgumentError,
                "defaults must be a dict of job options, got [('queue', 'io')]",
            ),
        ],
    )
    def test_wrong_defaults_are_refused_by_name(
        self, defaults: Any, error: type[Exception], reason: str
    ) -> None:
        with pytest.raises(error) as refusal:
            Workflow(defaults=defaults)
        assert str(refusal.value) == reason

    def test_if_they_cannot_be_stored(self) -> None:
        with pytest.raises(errors.UnsupportedTypeError, match="defaults cannot be stored: "):
            Workflow(defaults={"meta": {"a": object()}})

    @pytest.mark.parametrize("defaults", [None, {}])
    def test_unless_there_are_none(self, defaults: Any) -> None:
        (job,) = Workflow(defaults=defaults).add_cascade("a", flows.one)
        assert told(job) == ("default", 0, 20, [])
