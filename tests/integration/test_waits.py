"""Waits that nobody runs: when they open, what settles them, what becomes of them afterwards."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege

from oban_pro import Workflow
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    InvalidSignalError,
    UnknownNameError,
    UnknownWorkflowError,
    UnsupportedTypeError,
)
from tests.support.engine import Engine, make_job
from tests.support.waits import pass_time

HANDLE = Workflow(id="order")
ROLE = f"oban_test_{token_hex(4)}"


@pytest.fixture
async def engine(oban: Oban, conn: AsyncConnection) -> Engine:
    return Engine(oban, conn)


def order(**signal: Any) -> Workflow:
    """Build a workflow that is drafted, approved and sent."""
    return (
        Workflow(id="order")
        .add("draft", make_job())
        .add_signal("approval", deps="draft", **signal)
        .add("send", make_job(), deps="approval")
    )


class TestWaits:
    async def test_are_suspended_until_somebody_signals(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        assert await engine.states() == {
            "draft": "completed",
            "approval": "suspended",
            "send": "suspended",
        }

        assert await HANDLE.signal("approval", {"choice": "approve"}, by="ada") == 1
        assert await engine.states() == {
            "draft": "completed",
            "approval": "completed",
            "send": "available",
        }
        assert await HANDLE.get_recorded("approval") == {"choice": "approve"}

    async def test_release_what_follows_in_the_transaction_of_the_sender(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")

        async with conn.transaction(force_rollback=True):
            assert await HANDLE.signal("approval", conn=conn) == 1
            assert (await engine.states())["send"] == "available"

        assert (await engine.states())["approval"] == "suspended"
        assert await HANDLE.signals("approval") == []

    async def test_leave_the_transaction_of_a_sender_usable_whom_they_refuse(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        await engine.enqueue(order(choices=("yes",)))
        await engine.complete("draft")

        async with conn.transaction():
            with pytest.raises(InvalidSignalError):
                await HANDLE.signal("approval", "no", conn=conn)

            assert await HANDLE.signal("approval", "yes", conn=conn) == 1

        assert (await engine.states())["send"] == "available"

    async def test_keep_a_signal_that_comes_before_they_are_open(self, engine: Engine) -> None:
        await engine.enqueue(order())
        assert await HANDLE.signal("approval", 1) == 1
        assert await HANDLE.signal("approval", 2) == 0
        assert (await engine.states())["approval"] == "suspended"

        await engine.complete("draft")
        assert (await engine.states())["send"] == "available"
        assert await HANDLE.get_recorded("approval") == 1

    async def test_take_no_signal_once_they_have_settled(self, engine: Engine) -> None:
        await engine.enqueue(order(choices=("yes", "no")))
        await engine.complete("draft")
        assert await HANDLE.signal("approval", "yes") == 1
        # nothing is checked any more
        assert await HANDLE.signal("approval", "perhaps") == 0
        assert [signal.payload for signal in await HANDLE.signals("approval")] == ["yes"]

    async def test_at_the_start_of_a_workflow_are_open_at_once(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="order").add_signal("go").add("a", make_job(), deps="go"))
        assert await HANDLE.signal("go") == 1
        assert await engine.states() == {"go": "completed", "a": "available"}

    async def test_that_are_all_of_a_workflow_settle_it(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="order").add_signal("go"))
        assert (await HANDLE.status()).state == "executing"
        await HANDLE.signal("go")
        assert (await HANDLE.wait(timeout=5)).state == "completed"

    async def test_of_a_group_are_all_signalled_but_its_timers(self, engine: Engine) -> None:
        reviews = Workflow().add_signal("legal").add_signal("money").add_timer("pause", 60)
        inner = Workflow().add_workflow("more", Workflow().add_signal("deep", deps=()))
        await engine.enqueue(
            Workflow(id="order")
            .add_workflow("reviews", reviews)
            .add_workflow("inner", inner, deps="reviews")
        )
        assert await HANDLE.signal("reviews", "fine", by="ada") == 2
        assert await HANDLE.signal("inner", "fine") == 1
        states = await engine.states()
        assert states["reviews/pause"] == states["inner/more/deep"] == "suspended"
        assert states["reviews/legal"] == "completed"

        assert await HANDLE.signal("reviews/pause", "enough") == 1
        assert (await HANDLE.status()).state == "completed"

    async def test_of_a_group_take_nothing_where_one_cannot(self, engine: Engine) -> None:
        reviews = Workflow().add_signal("a").add_signal("b", choices=("yes", "no"))
        await engine.enqueue(Workflow(id="order").add_workflow("reviews", reviews))

        with pytest.raises(InvalidSignalError, match=r"reviews/b.*yes, no.*got perhaps"):
            await HANDLE.signal("reviews", "perhaps")

        assert await HANDLE.signals("reviews/a") == []
        assert await HANDLE.signal("reviews", {"choice": "yes"}) == 2

    async def test_are_found_by_a_path_with_slashes_in_names(self, engine: Engine) -> None:
        inner = Workflow().add_signal("b/c").add_signal("d\\e")
        await engine.enqueue(Workflow(id="order").add_signal("a/b").add_workflow("x/y", inner))
        assert await HANDLE.signal("a/b") == 1
        assert await HANDLE.signal("x\\/y/b\\/c") == 1
        assert await HANDLE.signal("x\\/y/d\\\\e") == 1
        assert (await HANDLE.status()).state == "completed"

    async def test_below_a_graft_are_found_by_its_name(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="order").add_graft("more", make_job()))
        (grafter,) = await engine.start("more/grafter")
        graft = Workflow.apply_graft(grafter, Workflow().add_signal("ok"))
        await engine.enqueue(graft)
        await engine.ack([grafter], "completed")
        assert (await HANDLE.status()).state == "executing"
        assert await HANDLE.signal("more/ok") == 1
        assert (await HANDLE.status()).state == "completed"

    async def test_may_be_appended_to_a_workflow_without_any(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="order").add("a", make_job()))
        more = Workflow(check_deps=False).add_signal("ok", deps="a").add("b", make_job(), deps="ok")
        await HANDLE.append(more.add("c", make_job()))
        await engine._learn()
        assert (await engine.states())["c"] == "available"
        await HANDLE.signal("ok", 1)
        await engine.complete("a")
        assert (await engine.states())["b"] == "available"


class TestSeveralSenders:
    async def test_are_counted_once_each(self, engine: Engine) -> None:
        await engine.enqueue(order(count=2))
        await engine.complete("draft")
        assert await HANDLE.signal("approval", 1, by="ada") == 1
        assert await HANDLE.signal("approval", 2, by="ada") == 0
        assert (await engine.states())["approval"] == "suspended"
        assert await HANDLE.signal("approval", [3], by="bob") == 1
        assert await HANDLE.get_recorded("approval") == [1, [3]]

    async def test_must_say_who_they_are(self, engine: Engine) -> None:
        await engine.enqueue(order(count=2))

        with pytest.raises(InvalidSignalError, match="by whom"):
            await HANDLE.signal("approval")

    async def test_are_listed_in_the_order_of_arrival(self, engine: Engine) -> None:
        await engine.enqueue(order(count=2))
        await HANDLE.signal("approval", 1, by="bob")
        await HANDLE.signal("approval", 2, by="ada")
        signals = await HANDLE.signals("approval")
        assert [(one.by, one.payload, one.taken) for one in signals] == [
            ("bob", 1, None),
            ("ada", 2, None),
        ]
        await engine.complete("draft")
        assert all(one.taken for one in await HANDLE.signals("approval"))


class TestRejecting:
    async def test_a_rejected_wait_cancels_what_follows(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        assert await HANDLE.reject("approval", "too expensive", by="ada") == 1
        assert await engine.states() == {
            "draft": "completed",
            "approval": "cancelled",
            "send": "cancelled",
        }
        row = await engine.row("approval")
        assert row.errors[-1]["error"] == "rejected by ada: too expensive"
        assert await HANDLE.reject("approval") == 0

    async def test_needs_no_open_wait(self, engine: Engine) -> None:
        await engine.enqueue(order())
        assert await HANDLE.reject("approval") == 1
        assert (await engine.row("approval")).errors[-1]["error"] == "rejected"

    async def test_comes_too_late_for_one_that_has_what_it_needs(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await HANDLE.signal("approval", 1)
        assert await HANDLE.reject("approval") == 0

    async def test_of_a_job_that_is_no_wait_is_refused(self, engine: Engine) -> None:
        await engine.enqueue(order())

        with pytest.raises(InvalidSignalError, match="'draft' of workflow 'order' is no wait"):
            await HANDLE.reject("draft")

    async def test_ends_a_timer_by_its_own_path_alone(self, engine: Engine) -> None:
        group = Workflow().add_timer("pause", 60).add_signal("ok")
        await engine.enqueue(Workflow(id="order").add_workflow("group", group))
        assert await HANDLE.reject("group") == 1
        assert (await engine.states())["group/pause"] == "suspended"
        assert await HANDLE.reject("group/pause") == 1


class TestTime:
    @pytest.mark.parametrize(
        ("on_timeout", "settled", "sends"),
        [("cancel", "cancelled", "cancelled"), ("discard", "discarded", "cancelled")],
    )
    async def test_ends_a_wait_that_is_open(
        self, engine: Engine, on_timeout: str, settled: str, sends: str
    ) -> None:
        await engine.enqueue(order(wait_for=timedelta(days=2), on_timeout=on_timeout))
        await pass_time(engine)
        assert (await engine.states())["approval"] == "suspended"

        await engine.complete("draft")
        await pass_time(engine)
        states = await engine.states()
        assert (states["approval"], states["send"]) == (settled, sends)
        assert (await engine.row("approval")).errors[-1]["error"] == "no signal within 2 days"

    async def test_completes_a_wait_with_a_default(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=60, on_timeout="complete", default={"ok": None}))
        await engine.complete("draft")
        await pass_time(engine)
        assert (await engine.states())["send"] == "available"
        assert await HANDLE.get_recorded("approval") == {"ok": None}

    async def test_completes_a_timer_that_records_nothing(self, engine: Engine) -> None:
        await engine.enqueue(
            Workflow(id="order").add_timer("pause", 60).add("a", make_job(), deps="pause")
        )
        assert (await engine.states())["a"] == "suspended"
        await pass_time(engine)
        assert await engine.states() == {"pause": "completed", "a": "available"}
        assert await HANDLE.all_recorded() == {}

    async def test_that_has_passed_ends_a_wait_with_the_next_tick(self, engine: Engine) -> None:
        past = datetime.now(UTC) - timedelta(hours=1)
        await engine.enqueue(order(wait_for=past))
        assert (await engine.states())["approval"] == "suspended"
        await engine.complete("draft")
        assert (await engine.states())["approval"] == "cancelled"
        (error,) = (await engine.row("approval")).errors
        assert error["error"] == f"no signal until {past.isoformat(timespec='seconds')}"

    async def test_does_not_end_a_wait_whose_signal_was_kept(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=datetime.now(UTC) - timedelta(hours=1)))
        await HANDLE.signal("approval", "early")
        await engine.complete("draft")
        assert (await engine.states())["send"] == "available"

    async def test_stops_for_a_wait_whose_upstream_is_retried(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=60, count=2))
        await engine.complete("draft")
        await HANDLE.signal("approval", 1, by="ada")
        await HANDLE.retry_jobs(names=["draft"])
        await pass_time(engine)
        assert (await engine.states())["approval"] == "suspended"

        await engine.complete("draft")
        assert await HANDLE.signal("approval", 2, by="bob") == 1
        assert (await engine.states())["send"] == "available"


class TestRetrying:
    async def test_opens_a_refused_wait_anew(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=60))
        await engine.complete("draft")
        await HANDLE.reject("approval")
        assert await HANDLE.retry_jobs() == 2
        assert (await engine.states())["approval"] == "suspended"
        await HANDLE.signal("approval", 1)
        assert (await engine.states())["send"] == "available"

    async def test_forgets_what_a_completed_wait_has_used(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        await HANDLE.signal("approval", 1)
        assert await HANDLE.retry_jobs() == 0
        assert await HANDLE.retry_jobs(names=["approval"]) == 1
        assert (await engine.states())["approval"] == "suspended"
        assert await HANDLE.signal("approval", 2) == 1
        assert await HANDLE.get_recorded("approval") == 2
        assert [signal.payload for signal in await HANDLE.signals("approval")] == [1, 2]

    async def test_of_one_that_never_opened_keeps_what_came(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await HANDLE.signal("approval", 1)
        await engine.discard("draft")
        assert (await engine.states())["approval"] == "cancelled"
        await HANDLE.retry_jobs()
        await engine.complete("draft")
        assert await HANDLE.get_recorded("approval") == 1

    async def test_of_a_dependent_does_not_ask_again(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        await HANDLE.signal("approval", 1)
        await engine.discard("send")
        await HANDLE.retry_jobs()
        states = await engine.states()
        assert (states["approval"], states["send"]) == ("completed", "available")


async def _refuse(conn: AsyncConnection, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(InsufficientPrivilege):
            async with conn.transaction():
                await conn.execute(statement.encode())


class TestOutsiders:
    async def test_cannot_make_a_wait_run(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=60))
        await engine.complete("draft")
        await engine.retry("approval")
        assert (await engine.states())["approval"] == "suspended"
        await engine.set_states({"approval": "available"})
        assert (await engine.states())["approval"] == "suspended"
        assert await HANDLE.signal("approval", 1) == 1

    async def test_who_make_a_settled_wait_available_open_it_anew(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        await HANDLE.signal("approval", 1)
        await engine.set_states({"approval": "available"})
        assert (await engine.states())["approval"] == "suspended"
        assert await HANDLE.signal("approval", 2) == 1

    async def test_may_settle_a_wait_by_hand(self, engine: Engine) -> None:
        await engine.enqueue(order(wait_for=60))
        await engine.complete("draft")
        await engine.set_states({"approval": "completed"})
        assert (await engine.states())["send"] == "available"
        await pass_time(engine)
        assert (await engine.states())["approval"] == "completed"

    async def test_may_signal_from_sql(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        ((taken,),) = await engine.rows(
            "SELECT oban_workflow_signal('order', 'approval', %s::jsonb, 'ada')",
            ['{"a": [1, -1, 300, -70000, 1e20, 1.5, "ü", null, true], "__python__": "x"}'],
        )
        assert taken == 1
        assert await HANDLE.get_recorded("approval") == {
            "a": [1, -1, 300, -70000, 10**20, 1.5, "ü", None, True],
            "__python__": "x",
        }

    async def test_may_signal_from_a_trigger_of_theirs(self, engine: Engine) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        await engine.psql("CREATE TABLE orders (id text, approved_by text)")
        await engine.psql("INSERT INTO orders VALUES ('order')")
        await engine.psql(
            "CREATE FUNCTION approve() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM oban_workflow_signal(NEW.id, 'approval', sender => NEW.approved_by);"
            " RETURN NULL; END; $$"
        )
        await engine.psql(
            "CREATE TRIGGER approve AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION approve()"
        )
        await engine.psql("UPDATE orders SET approved_by = 'ada'")
        await engine.check()
        assert (await engine.states())["send"] == "available"
        assert [signal.by for signal in await HANDLE.signals("approval")] == ["ada"]

    async def test_need_the_right_to_signal_and_no_other(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        await engine.enqueue(order())
        await engine.complete("draft")
        signal = "SELECT oban_workflow_signal('order', 'approval')"
        others = (
            "SELECT oban_workflow_signal_v1('order', 'approval', '', NULL, NULL, NULL)",
            "SELECT FROM oban_workflow_signals",
            "SELECT FROM oban_jobs",
            "UPDATE oban_jobs SET state = 'completed'",
        )

        async with conn.transaction(force_rollback=True):
            await conn.execute(f"CREATE ROLE {ROLE}")
            await conn.execute(f"SET LOCAL ROLE {ROLE}")
            await _refuse(conn, signal, *others)

            await conn.execute("RESET ROLE")
            await conn.execute(f"GRANT EXECUTE ON FUNCTION oban_workflow_signal TO {ROLE}")
            await conn.execute(f"SET LOCAL ROLE {ROLE}")
            await _refuse(conn, *others)
            await conn.execute(signal)

            await conn.execute("RESET ROLE")
            assert (await engine.states())["send"] == "available"

    async def test_are_refused_from_sql_as_from_python(self, engine: Engine) -> None:
        await engine.enqueue(order(choices=("yes",)))

        for statement, message in (
            ("'order', 'approval', '\"no\"'", "must choose one of yes, got no"),
            ("'order', 'approval', '{\"choice\": 1}'", "got no choice"),
            ("'order', 'nothing'", "nothing named 'nothing' in workflow 'order'"),
            ("'nobody', 'approval'", "no workflow 'nobody'"),
            ("'order', 'draft'", "takes no signals"),
        ):
            with pytest.raises(Exception, match=message):
                await engine.rows(f"SELECT oban_workflow_signal({statement})")


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"count": 0}, InvalidArgumentError, "count of 'a' must be an int from 1 on"),
            ({"count": True}, InvalidArgumentError, "count of 'a'"),
            ({"wait_for": 0}, InvalidOptionError, "wait_for of 'a' must be positive"),
            ({"wait_for": float("inf")}, InvalidOptionError, "finite"),
            ({"wait_for": True}, InvalidArgumentError, "wait_for of 'a'"),
            ({"wait_for": datetime(2026, 1, 1)}, InvalidArgumentError, "timezone"),
            ({"on_timeout": "ignore"}, InvalidArgumentError, "'cancel', 'discard', 'complete'"),
            ({"on_timeout": "complete"}, InvalidArgumentError, "needs wait_for"),
            ({"default": 1}, InvalidArgumentError, "needs on_timeout='complete'"),
            ({"choices": "yes"}, InvalidArgumentError, "choices of 'a' must be strings"),
            ({"choices": []}, InvalidArgumentError, "at least one"),
            ({"choices": ["a", "a"]}, InvalidArgumentError, "must differ"),
            (
                {"choices": ["a"], "wait_for": 1, "on_timeout": "complete", "default": "b"},
                InvalidSignalError,
                "default of 'a' must choose one of a",
            ),
            (
                {"wait_for": 1, "on_timeout": "complete", "default": object()},
                UnsupportedTypeError,
                "default of 'a'",
            ),
        ],
    )
    def test_is_refused_while_building(
        self, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            Workflow().add_signal("a", **options)

    async def test_is_refused_before_anything_is_sent(self, engine: Engine) -> None:
        await engine.enqueue(order())

        with pytest.raises(UnknownNameError, match="did you mean 'approval'"):
            await HANDLE.signal("aproval")

        with pytest.raises(UnknownWorkflowError):
            await Workflow(id="nobody").signal("approval")

        with pytest.raises(UnsupportedTypeError, match="payload for 'approval'"):
            await HANDLE.signal("approval", object())

        with pytest.raises(InvalidSignalError, match="must not have a name"):
            await HANDLE.signal("approval", name="x")

        assert await HANDLE.signals("approval") == []
