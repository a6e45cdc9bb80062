"""A hot standby: everything that reads works there, and what writes says where to do it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from oban import Oban
from psycopg import Error
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, doctor, errors, schema
from oban_pro.testing import run_workflow
from oban_pro.web import create_app
from oban_pro.web.live import changes
from tests.support import flows
from tests.support.cli import assert_one_line, invoke
from tests.support.dashboard import TOKEN, browse
from tests.support.graphs import diamond, work
from tests.support.standby import Replicated, needs_replicas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    import httpx

pytestmark = [needs_replicas, pytest.mark.timeout(120)]


def pool_to(dsn: str) -> AbstractAsyncContextManager[AsyncConnectionPool]:
    return AsyncConnectionPool(dsn, min_size=1, max_size=4, open=False)


async def arrange(dsn: str) -> None:
    """Store a workflow that settled, one that broke, one that waits, and one that runs."""
    async with pool_to(dsn) as pool:
        await schema.install(pool)
        oban = Oban(pool=pool)
        settled = Workflow(id="settled", name="settled").add_context({"source": "s"})
        settled.add_cascade("extract", flows.extract)
        await run_workflow(settled.add_workflow("sub", diamond(), deps="extract"))
        broken = Workflow(id="broken").add("a", work("fail", max_attempts=1))
        await run_workflow(broken.add("b", work(), deps="a"), with_safety=True)
        await oban.enqueue_many(Workflow(id="running").add("r", work(queue="r")))
        await oban._query.insert_producer("0" * 32, "Oban", "node", "r", {"local_limit": 1})
        await oban._query.fetch_jobs(1, "r", "node", "0" * 32)
        await oban.enqueue_many(diamond(id="waiting"))
        await oban.enqueue_many(Workflow(id="approval").add_signal("boss", count=2))
        await Workflow(id="approval").signal("boss", {"ok": True}, by="ada")


@pytest.fixture(scope="module")
def replicated() -> Iterator[Replicated]:
    with Replicated() as replicated:
        asyncio.run(arrange(replicated.primary.dsn()))
        replicated.wait_for_replay()
        yield replicated


@pytest.fixture
def standby(replicated: Replicated) -> str:
    """Provide the DSN of a standby that shows all that is stored on the primary."""
    return replicated.standby.dsn()


@pytest.fixture
async def reader(standby: str) -> AsyncIterator[Oban]:
    """Provide a client on the standby."""
    async with pool_to(standby) as pool:
        yield Oban(pool=pool)


class TestHandles:
    async def test_handles_read_everything_from_a_standby(self, reader: Oban) -> None:
        settled, broken = Workflow(id="settled"), Workflow(id="broken")
        assert (await settled.status()).state == "completed"
        assert (await settled.wait(timeout=10)).total == 5
        assert await settled.get_context() == {"source": "s"}
        assert len((await settled.get_recorded("extract"))["records"]) == 3
        assert (await settled.all_recorded())["extract"]["records"]
        assert len(await settled.all_jobs(with_subs=True)) == 5
        (job, *_) = await settled.all_jobs(names=["extract"])
        assert await Workflow.for_job(job).status() == await settled.status()
        assert "extract" in (await settled.fetch_graph()).to_mermaid()
        assert (await broken.explain("b")).summary == (
            "job 'b' was cancelled because job 'a' was discarded after 1 of 1 attempts:"
            " RuntimeError: told to fail"
        )
        (came,) = await Workflow(id="approval").signals("boss")
        assert (came.payload, came.by) == ({"ok": True}, "ada")
        assert (await Workflow(id="approval").explain("boss")).state
        assert await doctor.audit() == []
        assert await doctor.repair() == 0

    async def test_leave_out_what_only_the_primary_knows(self, reader: Oban) -> None:
        waiting = await Workflow(id="waiting").explain("start")
        assert (waiting.reason, waiting.subject.nodes, waiting.subject.paused) == (
            "queued",
            None,
            None,
        )
        assert waiting.summary == (
            "job 'start' is next in queue 'default'; a standby cannot know which nodes run it"
        )
        running = await Workflow(id="running").explain("r")
        assert (running.reason, running.subject.alive) == ("running", None)

    async def test_see_a_workflow_settle(self, reader: Oban, replicated: Replicated) -> None:
        async with pool_to(replicated.primary.dsn()) as pool:
            Oban(pool=pool, name="primary")
            await Oban.get_instance("primary").enqueue_many(diamond(id="soon"))
            replicated.wait_for_replay()
            waiting = asyncio.create_task(Workflow(id="soon").wait(timeout=30))
            await asyncio.sleep(0)
            await Workflow(id="soon", oban="primary").cancel_jobs()

        assert (await waiting).state == "cancelled"

    async def test_say_where_to_change_something(self, reader: Oban) -> None:
        waiting, changes = Workflow(id="waiting"), "the database takes no changes"

        with pytest.raises(errors.ReadOnlyError, match=changes):
            await reader.enqueue_many(diamond())

        with pytest.raises(errors.ReadOnlyError, match=changes):
            await reader.enqueue(work())

        with pytest.raises(errors.ReadOnlyError, match=changes):
            await waiting.cancel_jobs()

        with pytest.raises(errors.ReadOnlyError, match=changes):
            await Workflow(id="broken").retry_jobs()

        with pytest.raises(errors.ReadOnlyError, match="use the primary"):
            await waiting.append(Workflow().add("more", work()))

        with pytest.raises(errors.ReadOnlyError, match=changes):
            await Workflow(id="approval").signal("boss", by="bob")

        async with reader._query.connection() as conn:
            with pytest.raises(errors.ReadOnlyError, match=changes):
                await reader.enqueue_many(diamond(), conn=conn)


class TestCommands:
    def test_commands_read_everything_from_a_standby(self, standby: str) -> None:
        listed: Any = orjson.loads(invoke(standby, "list", "--json").stdout)
        assert {one["id"] for one in listed} >= {"settled", "broken", "running", "waiting"}
        assert "5 of 5 jobs completed" in invoke(standby, "show", "settled").stdout
        assert "told to fail" in invoke(standby, "explain", "broken", "b").stdout
        assert "a standby cannot know" in invoke(standby, "explain", "waiting", "start").stdout
        assert '"alive": null' in invoke(standby, "explain", "running", "r", "--json").stdout
        assert "graph" in invoke(standby, "graph", "settled").stdout
        assert invoke(standby, "watch", "settled").exit_code == 0
        assert invoke(standby, "doctor").stdout == "Everything is right.\n"

    @pytest.mark.parametrize(
        "arguments",
        [["cancel", "waiting"], ["retry", "broken"], ["install"], ["uninstall", "--yes"]],
    )
    def test_say_where_to_change_something(self, standby: str, arguments: list[str]) -> None:
        line = assert_one_line(invoke(standby, *arguments))
        assert "the database takes no changes" in line
        assert "use the primary" in line


class TestTheDashboard:
    @pytest.fixture
    async def client(self, standby: str) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(standby, allow_operations=True, token=TOKEN)

        async with browse(app) as client:
            await client.get("/unlock", params={"token": TOKEN})
            client.headers["X-CSRF-Token"] = app.state.guard._prove("csrf")
            yield client

        await app.state.session.close()

    async def test_the_dashboard_shows_every_page_from_a_standby(
        self, client: httpx.AsyncClient, reader: Oban
    ) -> None:
        for id in ("settled", "broken", "running", "waiting", "approval"):
            jobs = await Workflow(id=id).all_jobs(with_subs=True)
            paths = ["", "/view.json", "/jobs", *(f"/jobs/{job.id}" for job in jobs)]

            for path in paths:
                answer = await client.get(f"/workflows/{id}{path}")
                assert answer.status_code == 200, answer.text

        assert (await client.get("/")).status_code == 200
        queues = await client.get("/queues")
        assert queues.status_code == 200
        assert "A standby cannot know of nodes" in queues.text

    async def test_says_where_to_act(self, client: httpx.AsyncClient, reader: Oban) -> None:
        (job, *_) = await Workflow(id="waiting").all_jobs()
        jobs = [f"jobs/{job.id}/{action}" for action in ("cancel", "retry", "retry-from")]

        for action in ("cancel", "retry", *jobs):
            answer = await client.post(f"/workflows/waiting/{action}")
            assert answer.status_code == 503
            assert "the database takes no changes" in answer.text
            assert "use the primary" in answer.text

    async def test_the_dashboard_follows_a_workflow_from_a_standby(
        self, standby: str, replicated: Replicated, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with pool_to(replicated.primary.dsn()) as pool:
            Oban(pool=pool, name="primary")
            workflow = diamond(id="followed")
            await Oban.get_instance("primary").enqueue_many(workflow)
            replicated.wait_for_replay()
            app = create_app(standby)
            session, listener = app.state.session, app.state.listener

            async with (
                asyncio.timeout(30),
                aclosing(changes(session, listener, "followed")) as told,
            ):
                assert (await anext(told)).startswith("event: changed")
                await Workflow(id="followed", oban="primary").cancel_jobs()

                while not (await anext(told)).startswith("event: changed"):
                    pass

            await session.close()

        assert "notifications are not sent on a standby" in caplog.text


class TestNodes:
    async def test_nodes_are_refused_on_a_standby(self, standby: str) -> None:
        async with pool_to(standby) as pool:
            with pytest.raises(Error, match="cannot execute INSERT"):
                await Oban(pool=pool, queues={"default": 1}).start()
