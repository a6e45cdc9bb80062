"""Workers, and workflows made of them, that tests share."""

from typing import Any

from oban import Cancel, Job, Snooze, Worker, worker

from oban_pro import Workflow


@worker()
class Work(Worker):
    """Do what ``args["do"]`` says: nothing, ``fail``, ``cancel`` or ``snooze`` (once).

    ``args["delay"]`` says how many seconds to wait for another attempt.
    """

    async def process(self, job: Job) -> Any:
        match job.args.get("do"):
            case "fail":
                raise RuntimeError("told to fail")
            case "cancel":
                return Cancel("told to cancel")
            case "snooze" if not job.meta.get("snoozed"):
                return Snooze(job.args.get("delay", 0))
        return None

    def backoff(self, job: Job) -> int:
        return int(job.args.get("delay", 0))


def work(do: str | None = None, **params: Any) -> Job:
    """Make a job that succeeds, or does something else."""
    return Work.new({} if do is None else {"do": do}, **params)


def diamond(**options: Any) -> Workflow:
    """Build start -> left, right -> end."""
    return (
        Workflow(**options)
        .add("start", work())
        .add("left", work(), deps="start")
        .add("right", work(), deps="start")
        .add("end", work(), deps=["left", "right"])
    )


def names(jobs: Any) -> list[str]:
    """Name jobs by their place in their workflow."""
    return [job.meta["name"] for job in jobs]


async def settled(workflow: Workflow) -> bool:
    """Tell whether nothing of a workflow is left to do."""
    return (await workflow.status()).stopped_at is not None
