"""Nodes are killed while they keep results in a store that all of them share."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from oban_pro import Workflow, doctor
from tests.support import kept
from tests.support.nodes import Nodes, drain, rows

if TYPE_CHECKING:
    from pathlib import Path

    from oban import Oban
    from psycopg import AsyncConnection

    from tests.support.fixtures import WaitUntil

KILLS = 4
ITEMS = 150
DONE = "SELECT count(*) FROM oban_jobs WHERE state = 'completed'"


@pytest.fixture(autouse=True)
def few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thousand bytes be too many for a row, in other processes as well."""
    monkeypatch.setenv("OBAN_WORKFLOWS_STORE_ABOVE", "1000")


class TestKilledNodes:
    @pytest.mark.timeout(200)
    async def test_lose_no_value_and_leave_only_what_the_doctor_lists(
        self, oban: Oban, conn: AsyncConnection, dsn: str, tmp_path: Path, wait_until: WaitUntil
    ) -> None:
        rng = random.Random(3)
        workflow = (
            Workflow(store=f"file://{tmp_path}/results")
            .add_cascade("call", (range(ITEMS), kept.large_item_slowly), max_attempts=20)
            .add_cascade("read", kept.sizes_read, deps="call", max_attempts=20)
        )
        await oban.enqueue_many(workflow)

        with Nodes(dsn, limit=5) as nodes:
            for _ in range(2):
                nodes.start()

            for n in range(1, KILLS + 1):
                await wait_until(lambda n=n: is_done(conn, n * ITEMS // (KILLS + 1)), timeout=60)
                nodes.kill(rng.choice(nodes.running))
                nodes.start()

            await drain(conn, 120)

        assert set((await workflow.get_recorded("read"))["call"].values()) == {kept.LARGE}
        assert (await workflow.all_recorded())["call"]["7"] == kept.text("7")
        lost = await doctor.audit()
        assert len(lost) <= 2 * 5 * KILLS
        assert await doctor.repair() == len(lost)
        assert len(kept.objects(tmp_path)) == ITEMS + 1

    @pytest.mark.timeout(120)
    async def test_leave_an_object_that_the_next_attempt_removes(
        self, oban: Oban, conn: AsyncConnection, dsn: str, tmp_path: Path, wait_until: WaitUntil
    ) -> None:
        workflow = Workflow(store=f"file://{tmp_path}/results").add_cascade(
            "large", kept.dies_before_its_ack
        )
        (job,) = await oban.enqueue_many(workflow)

        with Nodes(dsn, limit=1) as nodes:
            nodes.start()
            await wait_until(lambda: kept.objects(tmp_path) == [f"{job.id}/1"], timeout=60)
            nodes.start()
            await drain(conn, 60)
            await wait_until(lambda: kept.objects(tmp_path) == [f"{job.id}/2"])

        assert await workflow.get_recorded("large") == kept.text("d")

    @pytest.mark.timeout(120)
    async def test_leave_an_object_for_the_doctor_where_there_is_no_next_attempt(
        self, oban: Oban, conn: AsyncConnection, dsn: str, tmp_path: Path
    ) -> None:
        workflow = Workflow(store=f"file://{tmp_path}/results").add_cascade(
            "large", kept.dies_before_its_ack, max_attempts=1
        )
        await oban.enqueue_many(workflow)

        with Nodes(dsn, limit=1) as nodes:
            nodes.start()
            nodes.start()
            await drain(conn, 60)

        (lost,) = await doctor.audit()
        assert str(lost).startswith(f"nothing refers to the object file://{tmp_path}/results/")
        assert await doctor.repair() == 1
        assert kept.objects(tmp_path) == []


async def is_done(conn: AsyncConnection, count: int) -> bool:
    ((done,),) = await rows(conn, DONE)

    return int(done) >= count
