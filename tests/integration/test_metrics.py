"""Numbers for operators: stats, Prometheus text, counters of a node."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from oban import Oban
from oban._executor import AckAction
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from psycopg.errors import LockNotAvailable
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow, metrics, telemetry
from oban_pro.__main__ import main
from oban_pro._plugin import deferred_acks
from oban_pro._plugin.ack_jobs import retry_deferred
from oban_pro.web import create_app
from tests.support.dashboard import browse
from tests.support.graphs import settled, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import AsyncConnection

    from tests.support.fixtures import StartOban, WaitUntil

type Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    """Parse Prometheus text as Prometheus does; labels in the order of their names."""
    return {
        (one.name, tuple(one.labels[key] for key in sorted(one.labels))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def sample_workflows() -> list[Workflow]:
    waiting = Workflow(name="order").add_signal("approval").add("send", work(), deps="approval")

    return [
        waiting,
        Workflow(name="order").add("a", work()).add("b", work(), deps="a"),
        Workflow().add("late", work(queue="slow")).add_timer("cool-down", 3_600),
    ]


@pytest.fixture
async def stored(oban: Oban) -> Oban:
    for workflow in sample_workflows():
        await oban.enqueue_many(workflow)

    return oban


class TestNumbers:
    async def test_of_an_empty_database_are_none(self, oban: Oban) -> None:
        found = samples((await metrics.render()).decode())

        assert found["oban_workflows_waits", ("signal",)] == 0
        assert not [key for key in found if key[0] in ("oban_jobs", "oban_workflows_open")]

    async def test_count_what_is_open(
        self, stored: Oban, conn: AsyncConnection, pool: AsyncConnectionPool
    ) -> None:
        await conn.execute(
            "UPDATE oban_jobs SET scheduled_at = scheduled_at - interval '90 seconds'"
            " WHERE queue = 'slow'"
        )
        found = samples((await metrics.render()).decode())

        assert found["oban_jobs", ("default", "available")] == 1
        assert found["oban_jobs", ("default", "suspended")] >= 2
        assert found["oban_jobs", ("slow", "available")] == 1
        assert 90 <= found["oban_queue_oldest_seconds", ("slow",)] < 150
        assert found["oban_workflows_open", ("order",)] == 2
        assert found["oban_workflows_open", ("",)] == 1
        assert found["oban_workflows_waits", ("signal",)] == 1
        assert found["oban_workflows_waits", ("timer",)] == 1
        assert found["oban_workflows_late_timers_seconds", ()] == 0

        async with browse(create_app(pool)) as client:
            answer = await client.get("/metrics")

        assert answer.headers["content-type"] == metrics.CONTENT_TYPE
        assert samples(answer.text).keys() == found.keys()

    async def test_tell_slots_that_are_taken_and_free(self, oban: Oban) -> None:
        jobs = [work() for _ in range(3)]
        workflow = Workflow().add_many("call", jobs, limit=2)
        await oban.enqueue_many(workflow.add_many("few", jobs[:1], limit=5))
        await oban.enqueue_many(Workflow().add_many("call", jobs, limit=1, deps=()))
        found = samples((await metrics.render()).decode())

        assert found["oban_workflows_slots", ("taken",)] == 2 + 1 + 1
        assert found["oban_workflows_slots", ("free",)] == 4

    async def test_say_what_is_late(self, stored: Oban, conn: AsyncConnection) -> None:
        await conn.execute(
            "UPDATE oban_workflow_timers SET due = timezone('UTC', now()) - interval '1 minute'"
        )
        late = work(queue="slow", scheduled_in=3_600)
        await stored.enqueue(late)
        await conn.execute(
            "UPDATE oban_jobs SET scheduled_at = timezone('UTC', now()) - interval '1 hour'"
            " WHERE state = 'scheduled'"
        )
        found = samples((await metrics.render()).decode())

        assert 60 <= found["oban_workflows_late_timers_seconds", ()] < 120
        assert 3_600 <= found["oban_staging_late_seconds", ()] < 3_660

    async def test_metrics_include_the_producers_of_nodes(self, start_oban: StartOban) -> None:
        await start_oban({"default": 1, "other": 1}, node="here")
        found = samples((await metrics.render()).decode())

        assert found["oban_producer_alive", ("here", "default")] == 1
        assert found["oban_producer_paused", ("here", "other")] == 0
        assert found["oban_producer_heartbeat_seconds", ("here", "other")] < 30


class TestCommands:
    def test_commands_print_metrics_as_text_json_and_table(
        self, dsn: str, stored_sync: None
    ) -> None:
        runner = CliRunner()
        text = runner.invoke(main, ["metrics", "--dsn", dsn])
        as_json = runner.invoke(main, ["stats", "--json", "--dsn", dsn])
        table = runner.invoke(main, ["stats", "--dsn", dsn])

        assert (text.exit_code, as_json.exit_code, table.exit_code) == (0, 0, 0), text.output
        assert samples(text.stdout)["oban_workflows_open", ("order",)] == 2
        found = json.loads(as_json.stdout)
        by_name = {one["name"]: one["workflows"] for one in found["workflows"]}
        assert by_name == {"order": 2, None: 1}
        assert found["signals"] == 1
        assert "Open waits: 1 for signals, 1 timers." in table.stdout


@pytest.fixture
def stored_sync(dsn: str) -> None:
    """Provide the same for tests that run commands, each of which has a loop of its own."""

    async def store() -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            client = Oban(pool=pool)
            for workflow in sample_workflows():
                await client.enqueue_many(workflow)

    asyncio.run(store())


class TestCounters:
    @pytest.fixture
    def registry(self) -> Iterator[CollectorRegistry]:
        registry = CollectorRegistry()
        metrics.instrument(registry)
        yield registry
        metrics.uninstrument()

    async def test_count_what_a_node_does(
        self, registry: CollectorRegistry, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow(name="nightly").add("a", work()).add("b", work(), deps="a")
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        def value(metric: str, **labels: Any) -> float | None:
            return registry.get_sample_value(metric, labels)

        done = {"name": "nightly", "state": "completed"}
        await wait_until(lambda: value("oban_workflows_settled_total", **done) == 1)
        ended = {"queue": "default", "state": "completed"}
        assert value("oban_job_duration_seconds_count", **ended) == 2
        assert value("oban_workflows_inserted_total") == 1

    async def test_tell_acks_that_are_kept_aside(
        self, registry: CollectorRegistry, oban: Oban
    ) -> None:
        def aside() -> float:
            return registry.get_sample_value("oban_acks_deferred") or 0

        await oban.enqueue_many(workflow := Workflow().add("a", work()))
        (job,) = await oban._query.fetch_jobs(1, "default", "node", str(uuid4()))
        before = aside()
        deferred_acks.keep(oban._query, AckAction(job, "completed"), LockNotAvailable())
        assert aside() - before == 1
        await retry_deferred(oban._query, all_at_once=True)
        assert aside() == before
        assert await settled(workflow)

    async def test_keep_names_apart_up_to_a_hundred(self, registry: CollectorRegistry) -> None:
        for number in range(150):
            telemetry.execute(
                "oban.workflow.settled",
                {"workflow_id": "x", "name": f"made up {number}", "state": "completed"},
            )

        other = {"name": "other", "state": "completed"}
        assert registry.get_sample_value("oban_workflows_settled_total", other) == 50
