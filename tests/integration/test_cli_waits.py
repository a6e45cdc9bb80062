"""The commands that show what waits, and send signals to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.cli.bars import draw_legend
from tests.support.cli import assert_one_line, invoke
from tests.support.databases import Psql
from tests.support.fixtures import WaitUntil
from tests.support.graphs import work


def order(id: str = "order-17") -> Workflow:
    """Build an order that waits for two approvals, a review, and a time."""
    reviews = (
        Workflow()
        .add_signal("and/or", wait_for=timedelta(hours=1, seconds=30), choices=["yes", "no"])
        .add_timer("cool-down", timedelta(hours=3, seconds=30))
    )

    return (
        Workflow(id=id, name="order")
        .add_signal("approval", count=2)
        .add_workflow("reviews", reviews)
        .add("send", work(), deps=["approval", "reviews"])
        .add_signal("receipt", deps="send")
    )


def on(dsn: str, body: Callable[[Oban], Awaitable[Any]]) -> Any:
    """Run something on a client of the database."""

    async def run() -> Any:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            return await body(Oban(pool=pool))

    return asyncio.run(run())


@pytest.fixture
def site(dsn: str) -> str:
    """Provide a database with an order in it."""
    on(dsn, lambda oban: oban.enqueue_many(order()))

    return dsn


class TestWaits:
    def test_lists_open_waits_those_first_whose_time_is_up_first(self, site: str) -> None:
        on(site, lambda oban: oban.enqueue_many(Workflow(id="soon").add_signal("a", wait_for=60)))
        heading, *lines = invoke(site, "waits").stdout.splitlines()
        assert heading.split() == [
            *("Workflow", "Name", "Path", "Since", "Left", "Came", "Choices")
        ]
        assert [line.split()[0] for line in lines] == ["soon", "order-17", "order-17"]
        assert r"reviews/and\/or" in lines[1]
        assert "  1h  " in lines[1]
        assert lines[1].endswith("yes, no")
        assert "0 of 2" in lines[2]

    def test_waits_prints_open_waits_as_json(self, site: str) -> None:
        invoke(site, "signal", "order-17", "approval", "--by", "ada")
        review, approval = orjson.loads(invoke(site, "waits", "--json").stdout)
        assert (review["path"], review["choices"]) == (["reviews", "and/or"], ["yes", "no"])
        assert review["until"] > review["since"]
        assert {key: approval[key] for key in approval if key != "since"} == {
            "workflow_id": "order-17",
            "name": "order",
            "path": ["approval"],
            "kind": "signal",
            "until": None,
            "choices": None,
            "wanted": 2,
            "came": 1,
            "senders": ["ada"],
        }

    def test_says_that_there_are_more(self, site: str) -> None:
        shown = invoke(site, "waits", "--limit", "1").stdout
        assert len(shown.splitlines()) == 3
        assert "There are more" in shown

    def test_says_that_nothing_waits(self, dsn: str) -> None:
        on(dsn, lambda oban: oban.enqueue_many(Workflow().add("a", work()).add_timer("t", 60)))
        assert invoke(dsn, "waits").stdout == "Nothing waits for a signal.\n"


class TestSignal:
    def test_signal_settles_a_wait_by_its_path(self, site: str) -> None:
        done = invoke(site, "signal", "order-17", r"reviews/and\/or", '{"choice": "yes"}')
        assert (done.exit_code, done.stdout) == (0, "Signalled 1 wait of workflow order-17.\n")
        handle = Workflow(id="order-17")

        async def recorded(_: Oban) -> Any:
            return (await handle.all_recorded())["reviews"]

        assert on(site, recorded) == {"and/or": {"choice": "yes"}}

    def test_of_a_group_signals_all_waits_in_it(self, site: str) -> None:
        done = invoke(site, "signal", "order-17", "reviews", '"no"')
        assert done.stdout == "Signalled 1 wait of workflow order-17.\n"

    def test_signal_rejects_a_wait_with_a_reason(self, site: str) -> None:
        done = invoke(site, "signal", "order-17", "approval", "--reject", "too much", "--by", "ada")
        assert (done.exit_code, done.stdout) == (0, "Rejected 1 wait of workflow order-17.\n")
        text = invoke(site, "explain", "order-17", "approval").stdout
        assert text.startswith("Job 'approval' was cancelled: rejected by ada: too much.")

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["receipt"], "job 'receipt' has what it needs"),
            (["approval", "--by", "ada"], "job 'approval' has a signal of 'ada' already"),
            (["reviews"], "no wait in sub-workflow 'reviews' is left that needs it"),
            ([r"reviews/and\/or"], "job 'reviews/and/or' was completed"),
            (["reviews", "--reject", "no"], "no wait in sub-workflow 'reviews' is left"),
        ],
    )
    def test_says_why_nothing_took_it(self, site: str, arguments: list[str], expected: str) -> None:
        for taken in (["receipt"], ["approval", "--by", "ada"], ["reviews", '"yes"']):
            assert invoke(site, "signal", "order-17", *taken).exit_code == 0

        error = assert_one_line(invoke(site, "signal", "order-17", *arguments))
        assert f"nothing took it: {expected}" in error

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["order-18", "approval"], "there is no workflow 'order-18'; did you mean order-17"),
            (["order-17", "aproval"], "did you mean 'approval'?"),
            (["order-17", "reviews/and"], r"did you mean 'reviews/and\\/or'?"),
            (["order-17", "send"], "job 'send' of workflow 'order-17' takes no signals"),
            (["order-17", "reviews", '"maybe"'], "must choose one of yes, no, got maybe"),
            (["order-17", "approval"], "must say by whom it is"),
            (["order-17", "approval", "{"], "payload must be JSON, got '{'"),
            (["order-17", "approval", "NaN"], "payload must be JSON, got 'NaN'"),
            (["order-17", "send", "--reject", "no"], "is no wait, so it cannot be rejected"),
        ],
    )
    def test_refuses_what_cannot_work(self, site: str, arguments: list[str], expected: str) -> None:
        assert expected in assert_one_line(invoke(site, "signal", *arguments))

    def test_takes_a_payload_or_a_reason(self, site: str) -> None:
        done = invoke(site, "signal", "order-17", "approval", "1", "--reject", "no")
        assert done.exit_code == 2
        assert "--reject goes with neither JSON nor --name" in done.stderr


class TestShow:
    def test_lists_waits_with_their_clocks(self, site: str) -> None:
        shown = invoke(site, "show", "order-17").stdout
        assert "2 wait for a signal" in shown
        _, waits = shown.split("\nWaits\n")
        review, timer, approval = map(str.rstrip, waits.splitlines())
        assert r"reviews/and\/or" in review
        assert review.endswith(", for 1h more")
        assert "reviews/cool-down  waits until " in timer
        assert timer.endswith(" UTC, for 3h more")
        assert "waits for a signal since" in approval
        assert approval.endswith("; 0 of 2 came")

    def test_cuts_a_long_list(self, site: str) -> None:
        assert "  … and more\n" in invoke(site, "show", "order-17", "--limit", "1").stdout

    def test_show_prints_open_waits_as_json(self, site: str) -> None:
        shown = orjson.loads(invoke(site, "show", "order-17", "--json").stdout)
        assert (shown["waits"], shown["subs"]["reviews"]["waits"]) == (2, 1)
        assert [(one["kind"], one["path"]) for one in shown["open_waits"]] == [
            ("signal", ["reviews", "and/or"]),
            ("timer", ["reviews", "cool-down"]),
            ("signal", ["approval"]),
        ]

    def test_says_nothing_of_waits_where_there_are_none(self, dsn: str) -> None:
        workflow = Workflow(id="w").add("a", work()).add("b", work(), deps="a")
        on(dsn, lambda oban: oban.enqueue_many(workflow))
        assert "Waits" not in invoke(dsn, "show", "w").stdout


class TestExplain:
    def test_tells_the_clock_of_a_wait(self, site: str) -> None:
        shown = invoke(site, "explain", "order-17", "reviews").stdout
        assert "job 'reviews/and/or' waits for a signal since" in shown
        found = orjson.loads(invoke(site, "explain", "order-17", "approval", "--json").stdout)
        assert found["reason"] == "listening"
        assert found["chain"][0]["wait"]["wanted"] == 2


class TestWatch:
    async def test_draws_waits_on_a_terminal(
        self, oban: Oban, dsn: str, psql: Psql, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(id="w").add_signal("approval", wait_for=3600)
        await oban.enqueue_many(workflow)
        watching = asyncio.create_task(
            asyncio.to_thread(invoke, dsn, "watch", "w", FORCE_COLOR="1", COLUMNS="200")
        )
        # its connection shows the last statement that was executed on it
        looked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '-- Waits that are open%'"
        await wait_until(lambda: psql.rows(looked) != [(0,)])
        await workflow.cancel_jobs()
        shown = (await watching).stdout
        assert re.search(r"approval +waits for a signal since .*, for (1h|59m \d+s) more", shown)

    def test_tells_how_many_wait_where_nothing_is_redrawn(self) -> None:
        assert draw_legend({"suspended": 2}, waits=1).plain == "2 suspended  1 waits for a signal"
