"""Events about workflows."""

from collections.abc import Iterator
from typing import Any

import oban.telemetry
import pytest
from oban import Oban

from oban_pro import Workflow, doctor, telemetry
from oban_pro.testing import run_workflow
from tests.support.fixtures import StartOban
from tests.support.graphs import work

type Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def events() -> Iterator[Events]:
    heard: Events = []
    oban.telemetry.attach("test", list(telemetry.EVENTS), lambda *event: heard.append(event))
    yield heard
    oban.telemetry.detach("test")


def names(events: Events) -> list[str]:
    return [name.removeprefix("oban.workflow.") for name, _ in events]


class TestInserted:
    async def test_tells_the_workflow_and_how_many_jobs(self, oban: Oban, events: Events) -> None:
        workflow = Workflow(name="nightly").add("a", work()).add("b", work(), deps="a")
        await oban.enqueue_many(workflow)

        metadata = {"workflow_id": workflow.id, "name": "nightly", "count": 2}
        assert events == [("oban.workflow.inserted", metadata)]

    async def test_is_silent_about_an_id_that_exists(self, oban: Oban, events: Events) -> None:
        await oban.enqueue_many(Workflow(id="once").add("a", work()))
        await oban.enqueue_many(Workflow(id="once").add("a", work()))

        assert names(events) == ["inserted"]


class TestCancelled:
    async def test_tells_who_and_why(self, oban: Oban, events: Events) -> None:
        await oban.enqueue_many(Workflow(id="w").add("a", work()))
        await Workflow(id="w").cancel_jobs(names=["a"], by="ada", reason="too dear")
        metadata = {"workflow_id": "w", "names": ["a"], "count": 1, "by": "ada"}
        assert events[1] == ("oban.workflow.cancelled", {**metadata, "reason": "too dear"})


class TestSettled:
    async def test_is_told_once_by_all_nodes_together(
        self, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        nodes = [await start_oban(name=f"node-{number}") for number in range(3)]
        workflow = Workflow(oban="node-0").add("a", work())
        await nodes[0].enqueue_many(workflow)
        await wait_until(lambda: "settled" in names(events))
        second = Workflow(oban="node-0").add("a", work())
        await nodes[0].enqueue_many(second)
        await wait_until(lambda: names(events).count("settled") == 2)

        settled = [meta for name, meta in events if name.endswith("settled")]
        assert [meta["workflow_id"] for meta in settled] == [workflow.id, second.id]
        assert {meta["state"] for meta in settled} == {"completed"}

    async def test_is_told_whoever_settled_it(
        self, oban: Oban, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        workflow = Workflow().add("a", work(queue="nobody"))
        await oban.enqueue_many(workflow)
        async with oban._connection() as conn:
            await conn.execute("UPDATE oban_jobs SET state = 'discarded'")
        await start_oban(name="watcher", queues={})

        await wait_until(lambda: "settled" in names(events))
        assert events[-1][1]["state"] == "discarded"

    async def test_is_told_again_after_it_opened_again(
        self, oban: Oban, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        workflow = Workflow().add("a", work(queue="nobody"))
        await oban.enqueue_many(workflow)
        await start_oban(name="watcher", queues={})
        await workflow.cancel_jobs()
        await wait_until(lambda: names(events).count("settled") == 1)
        await workflow.retry_jobs()
        await workflow.cancel_jobs()
        await wait_until(lambda: names(events).count("settled") == 2)

        told = names(events)
        # The caller tells of the cancelling, the watcher of the end.
        assert sorted(told[1:3]) == sorted(told[4:]) == ["cancelled", "settled"]
        assert (told[0], told[3]) == ("inserted", "retried")


class TestUndoing:
    async def test_tells_the_workflow_and_how_many_undos(self, oban: Oban, events: Events) -> None:
        inner = Workflow().add("a", work(), undo=work()).add("b", work(), undo=work(), deps="a")
        inner.add("c", work("fail", max_attempts=1), deps="b")
        outer = Workflow(id="w").add_workflow("sub", inner)
        await run_workflow(outer, with_safety=True)
        (told,) = [meta for name, meta in events if name.endswith("undoing")]
        sub = (await outer.status()).subs["sub"]
        assert (told["workflow_id"], told["count"]) == (sub.id, 2)
        assert told["job"].meta["name"] == "undo"
        assert "grafted" not in names(events)


class TestWaits:
    async def test_that_open_are_told_once_by_all_nodes_together(
        self, oban: Oban, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        for number in range(3):
            await start_oban(name=f"node-{number}", queues={})

        inner = Workflow().add_signal("and/or").add_signal("later", deps="and/or")
        workflow = Workflow(name="order").add_workflow("sub", inner).add_timer("t", 3600)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: "waiting" in names(events))
        await workflow.signal(r"sub/and\/or", by="ada")
        await wait_until(lambda: names(events).count("waiting") == 2)
        first, second = [meta for name, meta in events if name.endswith("waiting")]
        assert first == {
            "workflow_id": workflow.id,
            "name": "order",
            "path": r"sub/and\/or",
            "by": None,
        }
        assert second["path"] == "sub/later"

    async def test_that_open_again_are_told_again(
        self, oban: Oban, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        await start_oban(name="watcher", queues={})
        workflow = Workflow().add_signal("a")
        await oban.enqueue_many(workflow)
        await wait_until(lambda: names(events).count("waiting") == 1)
        await workflow.reject("a", by="ada")
        await workflow.retry_jobs()
        await wait_until(lambda: names(events).count("waiting") == 2)
        assert "rejected" in names(events)

    async def test_that_are_signalled_are_told_where_somebody_took_it(
        self, oban: Oban, events: Events
    ) -> None:
        workflow = Workflow().add_signal("a")
        await oban.enqueue_many(workflow)
        events.clear()
        assert await workflow.signal("a", by="ada") == 1
        assert await workflow.signal("a", by="bob") == 0
        assert await workflow.reject("a", by="bob") == 0
        metadata = {"workflow_id": workflow.id, "path": "a", "by": "ada"}
        assert events == [("oban.workflow.signalled", metadata)]

    async def test_that_time_out_are_told(
        self, oban: Oban, start_oban: StartOban, events: Events, wait_until: Any
    ) -> None:
        await start_oban(name="watcher", queues={})
        workflow = Workflow(name="order").add_signal("a", wait_for=0.001).add_timer("t", 0.001)
        await oban.enqueue_many(workflow)
        await wait_until(lambda: "timed_out" in names(events))
        await wait_until(lambda: "settled" in names(events))
        metadata = {"workflow_id": workflow.id, "name": "order", "path": "a", "by": None}
        assert [one for one in events if one[0].endswith("timed_out")] == [
            ("oban.workflow.timed_out", metadata)
        ]


class TestRepaired:
    async def test_tells_how_many_rows_were_wrong(self, oban: Oban, events: Events) -> None:
        workflow = Workflow().add("a", work())
        await oban.enqueue_many(workflow)
        async with oban._connection() as conn:
            await conn.execute("UPDATE oban_workflow_groups SET total = 7")

        assert await doctor.repair() == 1
        assert events[-1] == (
            "oban.workflow.repaired",
            {"workflow_id": workflow.id, "count": 1},
        )
