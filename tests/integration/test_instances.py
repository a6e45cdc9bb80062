"""Several Oban instances in one process: each job leads back to the one that it came from."""

import gc
import weakref
from collections.abc import AsyncIterator

import pytest
from oban import Job, Oban, Record, worker
from oban.oban import _instances
from oban.testing import drain_queue
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema


@worker()
class Count:
    async def process(self, job):
        return Record((await Workflow.for_job(job).status()).total)


def make_job() -> Job:
    return Job(worker=f"{__name__}.Count")


def double(context):
    return 2 * context["count"]


def workflow() -> Workflow:
    return (
        Workflow(oban="other").add("count", make_job()).add_cascade("double", double, deps="count")
    )


@pytest.fixture
async def other(pool: AsyncConnectionPool, oban: Oban) -> AsyncIterator[Oban]:
    """Provide a second instance, in a schema of its own, beside the one that is the default."""
    await schema.install(pool, "other")
    try:
        yield Oban(pool=pool, name="other", prefix="other")
    finally:
        _instances.pop("other")


class TestJobsOfASecondInstance:
    async def test_find_it_while_a_queue_is_drained(self, other: Oban) -> None:
        built = workflow()
        await other.enqueue_many(built)
        assert (await drain_queue(oban=other))["completed"] == 2
        assert await built.all_recorded() == {"count": 2, "double": 4}

    async def test_find_it_when_they_were_just_enqueued(self, other: Oban) -> None:
        jobs = await other.enqueue_many(workflow())
        assert (await Workflow.for_job(jobs[0]).status()).total == 2

    async def test_find_it_when_a_handle_fetched_them(self, other: Oban) -> None:
        built = workflow()
        await other.enqueue_many(built)
        (job,) = await built.all_jobs(names=["double"])
        (upstream,) = await built.all_jobs(deps_of=job)
        assert (await Workflow.for_job(job).status()).total == 2
        assert (await Workflow.for_job(upstream).status()).total == 2

    async def test_find_it_when_they_were_appended(self, other: Oban) -> None:
        built = workflow()
        await other.enqueue_many(built)
        (job,) = await built.append(Workflow().add("more", make_job()))
        assert (await Workflow.for_job(job).status()).total == 3


class TestAnInstanceThatIsGone:
    async def test_is_kept_by_nothing_of_ours(self, dsn: str) -> None:
        async with AsyncConnectionPool(dsn, min_size=1, max_size=4) as pool:
            async with Oban(pool=pool, name="gone", queues={"default": 5}) as gone:
                built = Workflow(oban="gone").add("count", make_job())
                built.add_cascade("double", double, deps="count")
                await gone.enqueue_many(built)
                assert (await built.wait(timeout=20)).state == "completed"

            query = weakref.ref(_instances.pop("gone")._query)

        del gone, built
        gc.collect()
        assert query() is None


class TestASmallPool:
    async def test_appends_on_the_callers_connection_alone(self, dsn: str) -> None:
        built = Workflow(oban="small").add("count", make_job())

        async with AsyncConnectionPool(dsn, min_size=1, max_size=1, timeout=5) as pool:
            small = Oban(pool=pool, name="small")
            try:
                async with pool.connection() as conn:
                    await small.enqueue_many(built, conn=conn)

                small = Oban(pool=pool, name="small")
                async with pool.connection() as conn:
                    await built.append(Workflow().add("more", make_job()), conn=conn)

                assert (await built.status()).total == 2
            finally:
                _instances.pop(small._name)
