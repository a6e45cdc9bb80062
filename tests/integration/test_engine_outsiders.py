"""Everybody else who settles, revives and deletes jobs: plain oban, other implementations, psql."""

import json
from collections.abc import AsyncIterator

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, schema
from tests.support.engine import Engine, make_job

pytestmark = pytest.mark.slow


@pytest.fixture
async def elsewhere(empty_dsn: str) -> AsyncIterator[Engine]:
    """Provide a database whose tables are in a schema of another name."""
    async with (
        AsyncConnectionPool(empty_dsn, open=False) as pool,
        await AsyncConnection.connect(empty_dsn, autocommit=True) as conn,
    ):
        await schema.install(pool, prefix="private")
        yield Engine(Oban(pool=pool, prefix="private"), conn, schema="private")


def pair() -> Workflow:
    return Workflow().add("a", make_job()).add("b", make_job(), deps="a")


def diamond() -> Workflow:
    workflow = Workflow().add("a", make_job())
    workflow.add("b", make_job(), deps="a").add("c", make_job(), deps="a")

    return workflow.add("d", make_job(), deps=["b", "c"])


class TestPlainOban:
    @pytest.mark.parametrize(
        ("state", "then"),
        [("completed", "available"), ("cancelled", "cancelled"), ("discarded", "cancelled")],
    )
    async def test_acks_of_nodes_without_this_package_count(self, engine, state, then):
        await engine.enqueue(pair())

        await engine.plain_ack(state, "a")
        assert (await engine.row("b")).state == then

    async def test_a_cancel_by_plain_oban_breaks_dependents(self, engine):
        await engine.enqueue(diamond())

        assert await engine.cancel("a") == 1
        assert set((await engine.states()).values()) == {"cancelled"}

    async def test_cancel_of_a_job_that_waits_breaks_its_dependents(self, engine):
        await engine.enqueue(diamond())

        await engine.cancel("b")
        states = await engine.states()
        assert states == {"a": "available", "b": "cancelled", "c": "suspended", "d": "cancelled"}

    async def test_cancel_of_a_running_job_waits_for_its_worker(self, engine):
        await engine.enqueue(pair())
        await engine.start("a")

        await engine.cancel("a")
        assert await engine.states() == {"a": "executing", "b": "suspended"}

        await engine.cancel_by_ack("a")
        assert await engine.states() == {"a": "cancelled", "b": "cancelled"}

    async def test_retry_of_a_discarded_job_runs_it(self, engine):
        await engine.enqueue(pair())
        await engine.discard("a")

        await engine.retry("a")
        assert await engine.states() == {"a": "available", "b": "cancelled"}

    async def test_retry_of_a_job_whose_deps_are_open_makes_it_wait(self, engine):
        await engine.enqueue(pair())

        await engine.retry("b")
        assert (await engine.row("b")).state == "suspended"

    async def test_retry_of_a_cancelled_dependent_waits_for_its_upstream(self, engine):
        await engine.enqueue(pair())
        await engine.discard("a")

        await engine.retry("b")
        assert (await engine.row("b")).state == "suspended"

        await engine.retry("a")
        await engine.complete("a")
        assert (await engine.row("b")).state == "available"

    async def test_retry_of_both_at_once_keeps_the_order(self, engine):
        await engine.enqueue(diamond())
        await engine.discard("a")

        await engine.retry("a", "b", "c", "d")
        states = await engine.states()
        assert states == {"a": "available"} | dict.fromkeys("bcd", "suspended")

    async def test_retry_of_completed_jobs_keeps_the_order(self, engine):
        await engine.enqueue(pair().add_many("none", [], deps="b"))
        await engine.complete("a")
        await engine.complete("b")

        await engine.retry("a", "b")
        assert await engine.states() == {"a": "available", "b": "suspended"}
        assert await engine.group("none") == "executing"

    async def test_retry_through_a_group_keeps_the_order(self, engine):
        workflow = Workflow().add_many("many", {"x": make_job()})
        await engine.enqueue(workflow.add("end", make_job(), deps="many"))
        await engine.complete("many/x")
        await engine.complete("end")

        await engine.retry("many/x", "end")
        assert await engine.states() == {"many/x": "available", "end": "suspended"}


class TestDelete:
    @pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
    async def test_of_a_settled_job_changes_nothing(self, engine, state):
        workflow = pair().add("other", make_job())
        await engine.enqueue(
            workflow.add("end", make_job(), deps=["a", "other"], ignore_discarded=True)
        )
        await engine.plain_ack(state, "a")
        before = await engine.states()
        del before["a"]

        assert await engine.delete("a") == 1
        assert await engine.states() == before

    async def test_of_an_unsettled_job_breaks_its_dependents(self, engine):
        await engine.enqueue(diamond())

        await engine.delete("a")
        assert await engine.states() == dict.fromkeys("bcd", "cancelled")
        (error,) = (await engine.row("b")).errors
        assert error["error"] == "cancelled because upstream job 'a' was deleted"
        assert await engine.root() == "cancelled"

    async def test_breaks_dependents_whatever_they_ignore(self, engine):
        workflow = Workflow(ignore_cancelled=True, ignore_discarded=True).add("a", make_job())
        await engine.enqueue(workflow.add("b", make_job(), deps="a"))

        await engine.delete("a")
        assert (await engine.row("b")).state == "cancelled"

    async def test_of_everything_settles_the_workflow(self, engine):
        await engine.enqueue(diamond())

        await engine.psql("DELETE FROM oban_jobs")
        assert await engine.root() == "cancelled"

    async def test_of_one_in_a_group_cancels_the_group(self, engine):
        workflow = Workflow().add_many("many", [make_job(), make_job()])
        await engine.enqueue(workflow.add("end", make_job(), deps="many", ignore_cancelled=True))

        await engine.delete("many/0")
        await engine.complete("many/1")
        assert await engine.group("many") == "cancelled"
        assert (await engine.row("end")).state == "available"

    async def test_by_the_pruner_remembers_how_jobs_settled(self, engine):
        await engine.enqueue(diamond())
        await engine.complete("a")
        await engine.query.prune_jobs(0, 10)

        await engine.complete("b", "c")
        await engine.complete("d")
        assert await engine.root() == "completed"

    async def test_of_all_rows_by_truncate_forgets_the_workflows(self, engine):
        await engine.enqueue(diamond())

        await engine.query.reset()
        assert (await engine.check()).groups == {}

        await engine.enqueue(pair())
        await engine.complete("a")
        assert (await engine.row("b")).state == "available"


class TestPsql:
    async def test_settles_like_anybody_else(self, engine):
        await engine.enqueue(diamond())

        await engine.set_states({"a": "completed"})
        expected = {"a": "completed", "b": "available", "c": "available", "d": "suspended"}
        assert await engine.states() == expected

    async def test_may_settle_a_whole_workflow_in_one_statement(self, engine):
        await engine.enqueue(diamond())

        await engine.psql("UPDATE oban_jobs SET state = 'completed'")
        assert await engine.root() == "completed"

    async def test_that_changes_no_state_moves_nobody(self, engine):
        await engine.enqueue(pair())

        async with engine.audited() as changes:
            await engine.psql("UPDATE oban_jobs SET state = state, priority = 3")
            await engine.psql("UPDATE oban_jobs SET priority = 4 WHERE false")

        assert not changes

    async def test_may_complete_cancel_and_retry_in_one_statement(self, engine):
        workflow = Workflow()
        for name in "abc":
            workflow.add(name, make_job()).add(f"after {name}", make_job(), deps=name)
        await engine.enqueue(workflow)
        await engine.discard("c")

        await engine.set_states({"a": "completed", "b": "cancelled", "c": "available"})
        states = await engine.states()
        assert states["after a"] == "available"
        assert states["after b"] == "cancelled"
        assert states["after c"] == "cancelled"

    async def test_may_complete_the_upstream_and_revive_the_dependent(self, engine):
        await engine.enqueue(pair())
        await engine.discard("a")

        await engine.set_states({"a": "completed", "b": "available"})
        assert (await engine.row("b")).state == "available"

    async def test_does_not_break_on_a_group_that_seemed_settled(self, engine):
        inner = Workflow().add("x", make_job())
        group = Workflow().add_workflow("inner", inner).add("y", make_job())
        workflow = Workflow().add_workflow("group", group)
        await engine.enqueue(workflow.add("end", make_job(), deps="group"))
        await engine.complete("group/inner/x")

        # Counted upwards, "group" would be cancelled before "inner" is seen to be open again.
        await engine.set_states({"group/y": "cancelled", "group/inner/x": "available"})
        assert await engine.group("group") == "executing"
        assert (await engine.row("end")).state == "suspended"

    async def test_may_turn_one_settled_state_into_another(self, engine):
        workflow = pair().add("b2", make_job())
        await engine.enqueue(
            workflow.add("end", make_job(), deps=["a", "b2"], ignore_cancelled=True)
        )
        await engine.cancel_by_ack("a")

        await engine.set_states({"a": "discarded"})
        assert (await engine.row("end")).state == "cancelled"

    async def test_cannot_park_a_job_that_nothing_holds(self, engine):
        await engine.enqueue(pair())

        await engine.set_states({"a": "suspended"})
        assert (await engine.row("a")).state == "available"

    @pytest.mark.parametrize("limit", ["0", "7s"])
    async def test_a_session_of_psql_keeps_its_settings(self, engine, limit):
        await engine.enqueue(pair())

        async with engine.conn.transaction():
            await engine.conn.execute(f"SET lock_timeout = '{limit}'".encode())
            await engine.set_states({"a": "completed"})
            assert await engine.rows("SHOW lock_timeout") == [(limit,)]
            assert await engine.rows("SHOW search_path") == [('"$user", public',)]

    async def test_that_rolls_back_leaves_nothing(self, engine):
        await engine.enqueue(pair())

        async with engine.conn.transaction(force_rollback=True):
            await engine.set_states({"a": "completed"})
            assert (await engine.check()).states[engine.ids["b"]] == "available"

        assert await engine.states() == {"a": "available", "b": "suspended"}

    async def test_may_roll_back_to_a_savepoint(self, engine):
        await engine.enqueue(pair())

        async with engine.conn.transaction():
            async with engine.conn.transaction(force_rollback=True):
                await engine.set_states({"a": "completed"})

            await engine.set_states({"a": "discarded"})

        assert await engine.states() == {"a": "discarded", "b": "cancelled"}


class TestWakeUp:
    async def _notified(
        self, engine: Engine, dsn: str, *paths: str, state: str
    ) -> list[dict[str, str]]:
        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            await conn.execute(f'LISTEN "{engine.schema}.oban_insert"')
            await engine.ack(await engine.start(*paths), state)
            # A marker of our own follows everything that was sent before.
            await conn.execute(f"NOTIFY \"{engine.schema}.oban_insert\", '{{}}'")
            payloads: list[dict[str, str]] = []

            async for notification in conn.notifies():
                if notification.payload == "{}":
                    return payloads
                payloads.append(json.loads(notification.payload))

        raise AssertionError("the connection must not close")

    @staticmethod
    def _workflow() -> Workflow:
        workflow = Workflow().add("a", make_job()).add("other", make_job())
        for name in ("x", "y", "z"):
            workflow.add(name, make_job(queue="slow" if name == "z" else "quick"), deps="a")
        return workflow.add("end", make_job(), deps=["other", "z"])

    async def test_is_one_for_each_queue_that_got_work(self, engine, dsn):
        await engine.enqueue(self._workflow())

        sent = await self._notified(engine, dsn, "a", state="completed")
        assert sorted(one["queue"] for one in sent) == ["quick", "slow"]

    async def test_uses_the_channel_of_its_schema(self, elsewhere, empty_dsn):
        await elsewhere.enqueue(self._workflow())

        sent = await self._notified(elsewhere, empty_dsn, "a", state="completed")
        assert sorted(one["queue"] for one in sent) == ["quick", "slow"]

    @pytest.mark.parametrize(("path", "state"), [("other", "completed"), ("a", "discarded")])
    async def test_is_not_sent_where_nothing_is_released(self, engine, dsn, path, state):
        await engine.enqueue(self._workflow())

        assert await self._notified(engine, dsn, path, state=state) == []


class TestAnotherSchema:
    async def test_runs_workflows_like_public(self, elsewhere):
        await elsewhere.enqueue(diamond().add_many("none", [], deps="d"))
        await elsewhere.complete("a")
        await elsewhere.discard("b")
        assert (await elsewhere.row("d")).state == "cancelled"

        await elsewhere.retry("b", "d")
        await elsewhere.complete("b", "c")
        await elsewhere.complete("d")
        assert await elsewhere.root() == "completed"
        await elsewhere.delete("a")
        await elsewhere.query.reset()
        assert (await elsewhere.check()).groups == {}


class TestPlans:
    async def test_a_big_statement_after_a_small_one_touches_rows_in_proportion(self, engine):
        workflow = (
            Workflow().add("small", make_job(queue="small")).add("s", make_job(), deps="small")
        )
        workflow.add_many("many", [make_job() for _ in range(4_000)])
        await engine.enqueue(workflow.add("end", make_job(), deps="many"))

        small = await self._rows_read(
            engine, "UPDATE oban_jobs SET state = 'completed' WHERE queue = 'small'"
        )
        big = await self._rows_read(
            engine, "UPDATE oban_jobs SET state = 'completed' WHERE state = 'available'"
        )
        assert big <= small + 100 * 4_000

    async def _rows_read(self, engine: Engine, statement: str) -> int:
        """Count rows and index entries that one statement reads, its triggers included."""
        async with engine.conn.transaction():
            await engine.conn.execute(statement.encode())
            ((count,),) = await engine.rows(
                "SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::bigint"
                " FROM pg_stat_xact_user_tables"
            )

        return int(count)


class TestTriggersOfTheUser:
    """A trigger of the user's that changes other jobs while the engine changes some."""

    @pytest.fixture
    async def engine(self, engine: Engine) -> Engine:
        await engine.rows(
            """
            CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              UPDATE
                oban_jobs
              SET
                state = NEW.state,
                completed_at = NEW.completed_at,
                cancelled_at = NEW.cancelled_at
              WHERE
                args ->> 'follows' = NEW.args ->> 'leads'
                AND state NOT IN ('completed', 'cancelled');

              RETURN NULL;
            END;
            $$
            """
        )
        await engine.rows(
            "CREATE TRIGGER follow AFTER UPDATE OF state ON oban_jobs FOR EACH ROW"
            " WHEN (NEW.state IN ('completed', 'cancelled')) EXECUTE FUNCTION follow()"
        )

        return engine

    async def test_settles_a_job_of_another_workflow_in_our_ack(self, engine):
        leader = Workflow().add("a", make_job(args={"leads": 1}))
        follower = Workflow().add("b", make_job(args={"follows": 1}))
        follower.add("c", make_job(), deps="b")
        await engine.enqueue(leader, follower)

        await engine.complete("a")
        assert await engine.states() == {"a": "completed", "b": "completed", "c": "available"}

    async def test_settles_a_job_of_the_same_workflow_in_our_ack(self, engine):
        workflow = Workflow().add("a", make_job(args={"leads": 1}))
        workflow.add("b", make_job(args={"follows": 1})).add("c", make_job(), deps=["a", "b"])
        await engine.enqueue(workflow)

        await engine.complete("a")
        assert await engine.states() == {"a": "completed", "b": "completed", "c": "available"}

    async def test_breaks_a_job_while_the_engine_breaks_others(self, engine):
        workflow = Workflow().add("a", make_job()).add("b", make_job(args={"leads": 1}), deps="a")
        workflow.add("c", make_job(args={"follows": 1})).add("d", make_job(), deps="c")
        await engine.enqueue(workflow)

        await engine.cancel_by_ack("a")
        assert set((await engine.states()).values()) == {"cancelled"}

    async def test_is_seen_after_a_plain_job_was_stopped_in_the_same_transaction(self, engine):
        workflow = Workflow().add("b", make_job(args={"follows": 1}))
        await engine.enqueue(workflow.add("c", make_job(), deps="b"))
        await engine.oban.enqueue_many([make_job("plain"), make_job(args={"leads": 1})])
        (plain,) = await engine.fetch("plain")

        async with engine.conn.transaction():
            await engine.rows("UPDATE oban_jobs SET state = 'cancelled' WHERE id = %s", [plain.id])
            await engine.rows(
                "UPDATE oban_jobs SET state = 'completed' WHERE args ->> 'leads' = '1'"
            )

        assert (await engine.row("c")).state == "available"
