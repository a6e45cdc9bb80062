"""Whatever raises while one ack settles costs that job at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from oban import Job, Oban, Record, Snooze, Worker, worker
from oban.testing import drain_queue
from psycopg import AsyncConnection, DataError
from psycopg.errors import RaiseException
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from oban_pro._plugin import ack_jobs, deferred_acks
from tests.support.graphs import settled, work
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Server
    from tests.support.fixtures import StartOban

ran: list[str] = []


@worker()
class Say(Worker):
    """Say something in the way that ``args["how"]`` says."""

    async def process(self, job: Job) -> Any:
        ran.append(job.args["name"])

        match job.args["how"]:
            case "raise":
                raise RuntimeError(job.args["name"] + " 😀 \ud800")
            case "record":
                return Record("😀")
            case "snooze" if not job.meta.get("snoozed"):
                return Snooze(0, meta={"said": "é 😀"})

        return None


def say(name: str, how: str = "nothing", **opts: Any) -> Job:
    return Say.new({"name": name, "how": how}, **opts)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
CREATE {kind} TRIGGER refuse {time} UPDATE ON oban_jobs {deferred} FOR EACH ROW
WHEN (OLD.state = 'executing' AND {condition}) EXECUTE FUNCTION refuse()
"""
RAISE = "RAISE EXCEPTION 'not this one'"
NOTIFY = "PERFORM pg_notify('anybody', repeat('x', 8000))"
BAD = "OLD.args ->> 'name' = 'bad'"


async def refuse(
    conn: AsyncConnection, condition: str, body: str = RAISE, *, at_commit: bool = False
) -> None:
    """Let a trigger of a user's raise for some of the jobs that stop executing."""
    options = (
        {"kind": "CONSTRAINT", "time": "AFTER", "deferred": "DEFERRABLE INITIALLY DEFERRED"}
        if at_commit
        else {"kind": "", "time": "BEFORE", "deferred": ""}
    )
    await conn.execute(REFUSE.format(condition=condition, body=body, **options).encode())


def fan_out(**opts: Any) -> Workflow:
    workflow = Workflow().add_many("fine", [say(f"fine {n}") for n in range(7)])

    return workflow.add("bad", say("bad", **opts)).add("after", say("after"), deps="fine")


async def all_but_one_completed(workflow: Workflow) -> bool:
    return (await workflow.status()).counts == {"completed": 8, "executing": 1}


class TestUserTriggers:
    @pytest.mark.parametrize(
        ("body", "at_commit"), [(RAISE, False), (RAISE, True), (NOTIFY, False)]
    )
    async def test_that_refuse_a_result_fail_its_job_alone(
        self,
        conn: AsyncConnection,
        start_oban: StartOban,
        wait_until: Any,
        body: str,
        at_commit: bool,
    ) -> None:
        await refuse(conn, f"NEW.state = 'completed' AND {BAD}", body, at_commit=at_commit)
        node = await start_oban()
        workflow = fan_out(max_attempts=1)
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        assert (await workflow.status()).counts == {"completed": 8, "discarded": 1}
        bad = await workflow.get_job("bad")
        assert bad is not None
        (error,) = bad.errors
        assert ("not this one" if body == RAISE else "payload string too long") in error["error"]  # type: ignore[index]
        assert ran.count("bad") == 1
        await assert_consistent(conn)

    async def test_that_refuse_whatever_a_job_ends_with_hold_up_no_other(
        self, conn: AsyncConnection, start_oban: StartOban, wait_until: Any
    ) -> None:
        await refuse(conn, f"NEW.state <> 'executing' AND {BAD}")
        # Nothing is tried again before the test says so.
        node = await start_oban({"default": 2}, stager={"interval": 3_600.0})
        first, second = fan_out(), fan_out()
        await node.enqueue_many([*first, *second])
        await wait_until(lambda: deferred_acks.count(node._query) == 2)

        for workflow in (first, second):
            await wait_until(lambda workflow=workflow: all_but_one_completed(workflow))

        # As soon as the database takes it, the result is the one of the only execution.
        await conn.execute("DROP TRIGGER refuse ON oban_jobs")
        await ack_jobs.retry_deferred(node._query)
        assert deferred_acks.count(node._query) == 0
        assert (await first.status()).counts == {"completed": 9}
        assert (await second.status()).counts == {"completed": 9}
        assert ran.count("bad") == 2
        await assert_consistent(conn)

    async def test_that_refuse_a_plain_job_hold_up_no_other(
        self, conn: AsyncConnection, start_oban: StartOban, wait_until: Any
    ) -> None:
        await refuse(conn, f"NEW.state <> 'executing' AND {BAD}")
        node = await start_oban({"default": 2})
        await node.enqueue_many([say(name) for name in ("one", "bad", "two", "three")])

        async def states() -> dict[str, int]:
            rows = await conn.execute("SELECT state::text, count(*) FROM oban_jobs GROUP BY state")

            return dict(await rows.fetchall())

        async def three_completed() -> bool:
            return await states() == {"completed": 3, "executing": 1}

        await wait_until(three_completed)

    async def test_are_an_error_of_whoever_has_no_producer(
        self, conn: AsyncConnection, oban: Oban
    ) -> None:
        await refuse(conn, f"NEW.state <> 'executing' AND {BAD}")
        await oban.enqueue(say("bad"))

        with pytest.raises(RaiseException, match="not this one"):
            await drain_queue("default")


class TestResults:
    async def test_that_cannot_be_stored_keep_the_error_of_the_job(
        self, start_oban: StartOban, wait_until: Any
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add("x", BadBackoff.new({}))
        await node.enqueue_many(workflow)

        async def failed() -> Any:
            job = await workflow.get_job("x")
            assert job is not None

            return job.errors

        (error,) = await wait_until(failed)
        assert "RuntimeError: the reason" in error["error"]
        assert "interval out of range" in error["error"]


@worker()
class BadBackoff(Worker):
    async def process(self, job: Job) -> None:
        raise RuntimeError("the reason")

    def backoff(self, job: Job) -> int:
        return 10**15


@pytest.fixture
async def latin_pool(postgres: Server) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a database that has no emoji."""
    with postgres.database(encoding="LATIN1") as name:
        async with AsyncConnectionPool(postgres.dsn(name), min_size=1, open=False) as pool:
            await schema.install(pool)
            yield pool


@pytest.fixture
async def latin_client(dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide connections that cannot spell an emoji, to a database that can."""
    options = {"client_encoding": "LATIN1"}

    async with AsyncConnectionPool(dsn, kwargs=options, min_size=1, open=False) as pool:
        yield pool


class TestEncodings:
    async def test_of_a_database_without_emoji_stop_nothing(
        self, latin_pool: AsyncConnectionPool, start_oban: StartOban, wait_until: Any
    ) -> None:
        node = await start_oban(pool=latin_pool)
        workflow = Workflow().add("fine", say("fine"))

        for how in ("raise", "record", "snooze"):
            workflow.add(how, say(how, how, max_attempts=1))

        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        assert (await workflow.status()).counts == {"completed": 3, "discarded": 1}
        assert await workflow.get_recorded("record") == "😀"
        raised, snoozed = await workflow.get_job("raise"), await workflow.get_job("snooze")
        assert raised is not None
        assert snoozed is not None
        (error,) = raised.errors
        assert r"RuntimeError: raise \U0001f600 \ud800" in error["error"]  # type: ignore[index]
        assert snoozed.meta["said"] == r"\xe9 \U0001f600"

    async def test_of_a_database_refuse_an_id_that_it_does_not_have(
        self, latin_pool: AsyncConnectionPool
    ) -> None:
        oban = Oban(pool=latin_pool)

        with pytest.raises(DataError):
            await oban.enqueue_many(Workflow(id="😀").add("x", work()))

        await oban.enqueue_many(Workflow(id="é").add("é", work()))
        assert (await Workflow(id="é").status()).counts == {"available": 1}

    @pytest.mark.parametrize("how", ["raise", "record", "snooze"])
    async def test_of_a_connection_stop_nothing(
        self, latin_client: AsyncConnectionPool, start_oban: StartOban, wait_until: Any, how: str
    ) -> None:
        node = await start_oban(pool=latin_client)
        workflow = Workflow(id="😀").add("é 😀", say("é 😀", how, max_attempts=1))
        workflow.add("fine", say("fine"))
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        job = await workflow.get_job("é 😀")
        assert job is not None

        if how == "raise":
            (error,) = job.errors
            assert r"RuntimeError: é 😀 😀 \ud800" in error["error"]  # type: ignore[index]
        elif how == "record":
            assert await workflow.get_recorded("é 😀") == "😀"
        else:
            assert job.meta["said"] == "é 😀"


LOSE = """
CREATE SEQUENCE acks;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- what a sequence has drawn is drawn, whatever becomes of the transaction
  IF nextval('acks') = 1 THEN
    PERFORM pg_terminate_backend(pg_backend_pid());
  END IF;

  RETURN NEW;
END;
$$;
CREATE TRIGGER lose BEFORE UPDATE ON oban_jobs FOR EACH ROW
WHEN (OLD.state = 'executing' AND NEW.state = 'completed') EXECUTE FUNCTION lose()
"""
"""Cuts the connection of the first ack before it is committed."""


class TestLostAcks:
    @pytest.mark.parametrize("in_workflow", [True, False])
    async def test_are_tried_again_though_no_other_job_wakes_the_queue(
        self, conn: AsyncConnection, start_oban: StartOban, wait_until: Any, in_workflow: bool
    ) -> None:
        await conn.execute(LOSE)

        node = await start_oban()
        job = say("only")
        await node.enqueue_many([*Workflow().add("only", job)] if in_workflow else [job])

        async def is_completed() -> bool:
            cursor = await conn.execute("SELECT FROM oban_jobs WHERE state = 'completed'")

            return cursor.rowcount == 1

        await wait_until(is_completed)
        assert await (await conn.execute("SELECT last_value FROM acks")).fetchall() == [(2,)]
        assert ran == ["only"]
