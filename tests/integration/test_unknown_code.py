"""Jobs whose code a node does not have, as in a rolling deployment, and code that was renamed."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban, worker
from oban.testing import drain_queue
from oban.worker import WorkerResolutionError, _registry
from psycopg import AsyncConnection

import oban_pro
from oban_pro import Workflow, errors
from oban_pro.building.cascades import CASCADE_WORKER
from oban_pro.testing import run_workflow
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.graphs import settled

type Deploy = Callable[[str | None], None]

CODE = """
from oban import worker
from oban_pro import Workflow

@worker()
class Ship:
    async def process(self, job): ...

def charge(context):
    return "charged"

def item(item, context):
    return item

def graft(context):
    return Workflow().add_cascade("inner", charge)

def backoff(job):
    return 1

def when(context):
    return True
"""


def withdraw() -> None:
    """Take the module ``deployed`` from this node."""
    sys.modules.pop("deployed", None)
    _registry.pop("deployed.Ship", None)
    importlib.invalidate_caches()


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    """Provide a helper that brings the module ``deployed`` to this node, with its code."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def deploy(code: str | None) -> None:
        withdraw()
        file = tmp_path / "deployed.py"
        file.unlink(missing_ok=True)

        if code is not None:
            file.write_text(code, "utf-8")

    yield deploy
    withdraw()


def build(deploy: Deploy) -> Workflow:
    """Build a workflow with jobs of each kind, named by the code that this node then lacks."""
    deploy(CODE)
    code = importlib.import_module("deployed")
    workflow = (
        Workflow()
        .add("deployed.Ship", code.Ship.new({}))
        .add_cascade("deployed:charge", code.charge)
        .add_cascade("deployed:item", ({"0": 1}, code.item))
        .add_graft("deployed:graft", code.graft)
        .add_cascade("deployed:backoff", there, backoff=code.backoff)
        .add_cascade("deployed:when", there, when=code.when)
    )
    list(workflow)
    deploy(None)

    return workflow


async def codes_of(workflow: Workflow) -> dict[str, Job]:
    """Return the jobs of a workflow by the code that each lacks."""
    jobs = await workflow.all_jobs(with_subs=True)

    return {str(job.meta.get("unknown_code")): job for job in jobs}


def there(context: Any) -> str:
    return "there"


@worker()
class There:
    async def process(self, job: Job) -> None: ...


def first_error(job: Job) -> str:
    first: Any = job.errors[0]

    return str(first["error"])


def workflow_of(jobs: dict[str, Job]) -> Workflow:
    workflow = Workflow()

    for name, job in jobs.items():
        workflow.add(name, job)

    return workflow


async def jobs_of(workflow: Workflow) -> dict[str, Job]:
    return {str(job.meta["name"]): job for job in await workflow.all_jobs()}


async def age(conn: AsyncConnection, seconds: float) -> None:
    """Let deferred jobs have been deferred that long, and be due."""
    await conn.execute(
        """
        UPDATE oban_jobs
        SET
          meta = jsonb_set(
            meta,
            '{unknown_since}',
            to_jsonb((meta ->> 'unknown_since')::timestamptz - make_interval(secs => %s))
          ),
          scheduled_at = timezone('UTC', now())
        WHERE state = 'scheduled'
        """,
        [seconds],
    )


class TestAJobWhoseCodeANodeDoesNotHave:
    async def test_is_left_to_others_and_runs_where_the_code_is(
        self,
        start_oban: StartOban,
        conn: AsyncConnection,
        wait_until: WaitUntil,
        deploy: Deploy,
    ) -> None:
        oban = await start_oban()
        workflow = build(deploy)
        await oban.enqueue_many(workflow)

        async def deferred() -> bool:
            return {job.state for job in (await codes_of(workflow)).values()} == {"scheduled"}

        await wait_until(deferred)
        jobs = await codes_of(workflow)
        assert jobs.keys() == {
            "deployed.Ship",
            "deployed:charge",
            "deployed:item",
            "deployed:graft",
            "deployed:backoff",
            "deployed:when",
        }

        for job in jobs.values():
            assert (job.attempt, job.errors) == (0, [])

        explanation = await workflow.explain("deployed.Ship")
        assert explanation.reason == "deferred"
        assert explanation.summary.startswith(
            "job 'deployed.Ship' waits for a node that has 'deployed.Ship', and comes again in "
        )

        deploy(CODE)
        await conn.execute("UPDATE oban_jobs SET scheduled_at = now() WHERE state = 'scheduled'")
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "completed"

        # deferred again one day, they have their whole time
        for job in await workflow.all_jobs(with_subs=True):
            assert job.meta.get("unknown_since") is None
            assert job.attempt == 1

    async def test_fails_once_its_time_is_over(
        self, start_oban: StartOban, conn: AsyncConnection, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        plain = await oban.enqueue(Job("nowhere.Worker", max_attempts=1))
        cascade = await oban.enqueue(
            Job(CASCADE_WORKER, args={"function": "nowhere:f"}, max_attempts=2)
        )

        async def states() -> list[str]:
            cursor = await conn.execute("SELECT state::text FROM oban_jobs ORDER BY id")
            return [state for (state,) in await cursor.fetchall()]

        await wait_until(lambda: is_equal(states, ["scheduled", "scheduled"]))
        await age(conn, 899)
        await wait_until(lambda: is_equal(states, ["discarded", "retryable"]))
        assert plain.id is not None
        assert cascade.id is not None
        failed, retried = await oban.get_job(plain.id), await oban.get_job(cascade.id)
        assert failed is not None
        assert retried is not None
        assert "Module 'nowhere' not found for worker" in first_error(failed)
        assert "cannot import cascade function 'nowhere:f'" in first_error(retried)
        # a retry by hand has its whole time again
        assert failed.meta["unknown_since"] is None
        # an attempt that is left fails at once
        await conn.execute("UPDATE oban_jobs SET scheduled_at = now() WHERE state = 'retryable'")
        await wait_until(lambda: is_equal(states, ["discarded", "discarded"]))

    async def test_fails_at_once_where_the_setting_says_so(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban_pro.configure(unknown_for=0)
        oban = await start_oban()
        workflow = workflow_of({"a": Job("nowhere.Worker", max_attempts=1)})
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "discarded"

    async def test_comes_again_less_and_less_often(
        self, start_oban: StartOban, conn: AsyncConnection, wait_until: WaitUntil
    ) -> None:
        oban = await start_oban()
        deferrals: list[float] = []

        def note(_event: str, metadata: Any) -> None:
            deferrals.append(metadata["delay_seconds"])

        import oban.telemetry as telemetry

        telemetry.attach("deferrals", ["oban.workflow.deferred"], note)

        try:
            await oban.enqueue(Job("nowhere.Worker"))
            await wait_until(lambda: len(deferrals) == 1)

            for number, seconds in enumerate((20, 100, 772), 2):
                await wait_until(lambda: is_scheduled(conn))
                await age(conn, seconds)
                await wait_until(lambda n=number: len(deferrals) == n)
        finally:
            telemetry.detach("deferrals")

        first, second, third, last = deferrals
        assert first == 1
        assert second in (5, 6)
        assert third == 15
        # and once more when its time is over
        assert last < 9


async def is_equal(read: Callable[[], Any], expected: list[str]) -> bool:
    return bool(await read() == expected)


async def is_scheduled(conn: AsyncConnection) -> bool:
    cursor = await conn.execute("SELECT FROM oban_jobs WHERE state = 'scheduled'")

    return await cursor.fetchone() is not None


class TestWhatFailsAtOnce:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("import no_such_module", "No module named 'no_such_module'"),
            ("from oban import no_such_name", "cannot import name 'no_such_name'"),
            ("{}.there", "has no attribute 'there'"),
            ("charge = 1", "must be a function"),
        ],
    )
    async def test_is_code_that_is_there_and_broken(
        self,
        code: str,
        expected: str,
        start_oban: StartOban,
        wait_until: WaitUntil,
        deploy: Deploy,
    ) -> None:
        deploy(code)
        oban = await start_oban()
        job = Job(CASCADE_WORKER, args={"function": "deployed:charge"}, max_attempts=1)
        workflow = workflow_of({"a": job})
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        ((_, failed),) = (await jobs_of(workflow)).items()
        assert failed.state == "discarded"
        assert expected in first_error(failed)

    @pytest.mark.parametrize("code", ["import no_such_module", "from oban import no_such_name"])
    async def test_is_a_worker_whose_module_is_broken(
        self, code: str, start_oban: StartOban, wait_until: WaitUntil, deploy: Deploy
    ) -> None:
        deploy(code)
        oban = await start_oban()
        workflow = workflow_of({"a": Job("deployed.Ship", max_attempts=1)})
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "discarded"

    async def test_is_what_the_settings_do_not_permit(
        self, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        oban_pro.configure(modules=["shop"])
        oban = await start_oban()
        workflow = workflow_of({"a": Job("nowhere.Worker", max_attempts=1)})
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        assert (await workflow.status()).state == "discarded"

    async def test_is_what_has_no_other_node_to_be_left_to(
        self, oban: Oban, deploy: Deploy
    ) -> None:
        workflow = build(deploy)
        status = await run_workflow(workflow, oban, with_safety=True)
        assert status.state == "discarded"
        assert status.counts["discarded"] + status.subs["deployed:item"].counts["discarded"] >= 4

        with pytest.raises((errors.FunctionNotFoundError, WorkerResolutionError)):
            await run_workflow(build(deploy), oban)

        await oban.enqueue(Job("nowhere.Worker", queue="drained", max_attempts=1))
        counts = await drain_queue("drained", with_safety=True)
        assert counts["discarded"] == 1


class TestRenamedCode:
    async def test_code_that_was_renamed_is_found(self, oban: Oban) -> None:
        oban_pro.renamed("shop.old:charge", there)
        oban_pro.renamed("shop.old.Ship", There)
        workflow = (
            Workflow()
            .add("f", Job(CASCADE_WORKER, args={"function": "shop.old:charge"}))
            .add("w", Job("shop.old.Ship"))
        )
        status = await run_workflow(workflow, oban)
        assert status.state == "completed"
        assert await workflow.get_recorded("f") == "there"

    async def test_is_not_asked_while_code_is_at_the_old_path(
        self, oban: Oban, deploy: Deploy
    ) -> None:
        deploy(CODE)
        oban_pro.renamed("deployed:charge", there)
        job = Job(CASCADE_WORKER, args={"function": "deployed:charge"})
        workflow = Workflow().add("a", job)
        await run_workflow(workflow, oban)
        assert await workflow.get_recorded("a") == "charged"

    async def test_need_not_be_permitted_under_its_old_path(self, oban: Oban) -> None:
        oban_pro.configure(modules=[__name__], renamed={"shop.old:charge": there})
        job = Job(CASCADE_WORKER, args={"function": "shop.old:charge"})
        workflow = Workflow().add("a", job)
        await run_workflow(workflow, oban)
        assert await workflow.get_recorded("a") == "there"

    async def test_that_is_nowhere_names_both_paths(self, oban: Oban) -> None:
        oban_pro.renamed("shop.old:charge", "shop.new:charge")
        job = Job(CASCADE_WORKER, args={"function": "shop.old:charge"}, max_attempts=1)
        workflow = Workflow().add("a", job)
        await run_workflow(workflow, oban, with_safety=True)
        found = await workflow.get_job("a")
        assert found is not None
        error = first_error(found)
        assert "cannot import cascade function 'shop.old:charge'" in error
        assert "cannot import cascade function 'shop.new:charge'" in error
