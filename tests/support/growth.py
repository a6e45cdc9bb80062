"""Workers and functions that let workflows grow: a row names each by its import path."""

import os
import signal
from typing import Any

from oban import Cancel, Job, Oban, Record, Snooze, Worker, current_job, worker

from oban_pro import Workflow
from tests.support.graphs import work

type Context = dict[str, Any]


def echo(item: Any, context: Context) -> Any:
    return item


def double(item: int, context: Context) -> int:
    return 2 * item


def seen(item: Any, context: Context) -> Context:
    """Record the whole context of a job."""
    return dict(context)


def received(context: Context) -> Context:
    return dict(context)


def numbers(context: Context) -> list[int]:
    return [1, 2, 3]


def collection(context: Context) -> Any:
    return context["given"]


def no_numbers(context: Context) -> None:
    return None


def squares(context: Context) -> Workflow:
    """Graft a job for each number of an upstream job."""
    return Workflow().add_cascade("each", (context["numbers"], double))


async def squares_async(context: Context) -> Workflow:
    return squares(context)


def graft_nothing(context: Context) -> None:
    return None


def graft_empty(context: Context) -> Workflow:
    return Workflow()


def graft_rubbish(context: Context) -> Any:
    return ["not", "a", "workflow"]


def graft_taken(context: Context) -> Workflow:
    return Workflow(id="taken").add("a", work())


def graft_cyclic(context: Context) -> Workflow:
    sub = Workflow(check_deps=False).add("a", work(), deps="b")
    return sub.add("b", work(), deps="a")


def graft_nul(context: Context) -> Workflow:
    job = work()
    job.args = {"text": "\0"}
    return Workflow().add("a", job)


def graft_late(context: Context) -> Workflow:
    """Graft a job that no queue of the tests runs."""
    return Workflow().add("a", work(queue="nobody"))


def graft_for(item: str, context: Context) -> Workflow | None:
    return Workflow().add_cascade("say", (["hi " + item], echo)) if item else None


def graft_deeper(context: Context) -> Workflow:
    """Graft another graft, until the counter is 0."""
    left = context["left"] - 1
    sub = Workflow().add_context({"left": left}).add_cascade("here", received)

    return sub.add_graft("deeper", graft_deeper) if left else sub


def graft_snooze(context: Context) -> Any:
    return Snooze(3600)


def graft_cancel(context: Context) -> Any:
    return Cancel("not today")


@worker()
class Grow(Worker):
    """Graft as many jobs as told, then do what ``args["do"]`` says in the first attempt."""

    async def process(self, job: Job) -> Any:
        sub = Workflow().add_many("many", [work() for _ in range(job.args["jobs"])])
        await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, sub))

        if job.attempt == 1 and not job.meta.get("snoozed"):
            match job.args.get("do"):
                case "fail":
                    raise RuntimeError("told to fail")
                case "cancel":
                    return Cancel("told to cancel")
                case "snooze":
                    return Snooze(0)
        return None

    def backoff(self, job: Job) -> int:
        return 0


@worker()
class Page(Worker):
    """Import one page, and graft the next."""

    async def process(self, job: Job) -> Any:
        left = job.args["left"] - 1
        sub = Workflow().add("import", work())

        if left:
            sub.add_graft("next", Page.new({"left": left}))

        await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, sub))


@worker()
class Append(Worker):
    """Append a job of its kind that waits for this one, as long as there are some left."""

    async def process(self, job: Job) -> Any:
        if left := job.args["left"]:
            addition = Workflow(check_deps=False)
            addition.add(f"n{left}", Append.new({"left": left - 1}), deps=job.meta["name"])
            await Workflow.for_job(job).append(addition)


@worker()
class Perish(Worker):
    """Graft, and in the first attempt kill the process before the ack."""

    async def process(self, job: Job) -> Any:
        names = ["a", "b", "c"] if job.attempt == 1 else ["x", "y"]
        sub = Workflow()

        for name in names:
            sub.add(name, work())

        jobs = await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, sub))
        perish(job.attempt)

        return Record([job.meta["name"] for job in jobs])


def graft_and_perish(context: Context) -> Workflow:
    """Build a workflow to graft, and in the first attempt kill the process before returning it."""
    job = current_job()
    assert job is not None
    perish(job.attempt)

    return Workflow().add("a", work()).add("b", work(), deps="a")


def perish(attempt: int) -> None:
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def graft_pair(context: Context) -> Workflow:
    return Workflow().add("a", work()).add("b", work(), deps="a")


def graft_seen(context: Context) -> Workflow:
    return Workflow().add_cascade("first", received)


@worker()
class GrowCascade(Worker):
    """Graft a fan-out."""

    async def process(self, job: Job) -> None:
        sub = Workflow().add_cascade("each", ([1, 2], double))
        await Oban.get_instance().enqueue_many(Workflow.apply_graft(job, sub))
