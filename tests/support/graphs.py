"""Workers, and workflows made of them, that tests share."""

from typing import Any

from oban import Cancel, Job, Snooze, Worker, worker

from oban_pro import Workflow
from oban_pro.building.plan import Plan, plan_of


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
    """Make a job that succeeds, or does what ``do`` says."""
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


def plan_for(workflow: Workflow) -> Plan:
    """Return the plan with which a workflow is inserted."""
    plan = plan_of(next(iter(workflow)))
    assert plan is not None

    return plan


def names(jobs: Any) -> list[str]:
    """Return the paths of jobs in their workflow."""
    return [job.meta["name"] for job in jobs]


def last_error(job: Job) -> str:
    """Return the last error of a job."""
    errors: list[Any] = job.errors
    assert errors, f"{job} must have failed"

    return str(errors[-1]["error"])


async def error_of(workflow: Workflow, name: str, *, within: str | None = None) -> str:
    """Return the last error of a job, also of a job in the nested workflow with that name."""
    jobs = await workflow.all_jobs(names=[name], with_subs=True)
    (job,) = (job for job in jobs if within is None or job.meta.get("sub_name") == within)

    return last_error(job)


async def settled(workflow: Workflow) -> bool:
    """Tell whether a workflow has settled."""
    return (await workflow.status()).stopped_at is not None
