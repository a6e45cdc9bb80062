"""The nightly pipeline does what its README says."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from oban import Job, Oban

from examples.nightly import pipeline
from examples.nightly.__main__ import BAD, write_files
from oban_pro import Workflow
from oban_pro.schedules import schedules
from tests.examples.test_examples import main
from tests.support.fixtures import StartOban

type RunNight = Callable[[int], Awaitable[Workflow]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, 100)

    return tmp_path


@pytest.fixture
async def oban(start_oban: StartOban) -> Oban:
    return await start_oban({"default": 20})


@pytest.fixture
def run_night(oban: Oban, folder: Path) -> RunNight:
    async def run_night(day: int) -> Workflow:
        workflow = build(folder, day)
        await oban.enqueue_many(workflow)
        await workflow.wait(timeout=60)

        return workflow

    return run_night


def build(folder: Path, day: int) -> Workflow:
    return pipeline.build(folder, folder / "sales.db", date(2026, 11, day))


def loaded(folder: Path, day: int) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "sales.db")) as conn:
        return dict(
            conn.execute("SELECT product, amount FROM totals WHERE night = ?", [f"2026-11-{day}"])
        )


async def counts(workflow: Workflow) -> dict[str, int]:
    status = await workflow.status()
    assert status.state == "completed"

    return dict(status.counts)


async def get_job(workflow: Workflow, name: str) -> Job:
    job = await workflow.get_job(name)
    assert job

    return job


class TestNight:
    async def test_loads_what_can_be_read_and_names_the_rest(
        self, run_night: RunNight, folder: Path
    ) -> None:
        night = await run_night(27)

        assert await counts(night) == {"completed": 104, "discarded": 1}
        aggregate = await night.get_recorded("aggregate")
        assert aggregate["unread"] == [BAD]
        assert loaded(folder, 27) == aggregate["totals"]
        assert (await night.get_recorded("report")).endswith(f"\nnot read: {BAD}")

    async def test_tries_a_share_that_does_not_answer_again_and_a_bad_file_never(
        self, run_night: RunNight
    ) -> None:
        night = await run_night(27)

        assert (await night.timings())["read/shop-050-flaky.csv"].attempts == 2
        assert (await night.timings())[f"read/{BAD}"].attempts == 1

    async def test_loads_nothing_if_more_than_a_twentieth_fails(
        self, run_night: RunNight, folder: Path
    ) -> None:
        for number in range(10, 15):
            (folder / f"shop-{number:03}.csv").write_text("ink, none", encoding="utf-8")

        night = await run_night(27)

        assert (await night.status()).state == "discarded"
        assert (await get_job(night, "load")).state == "cancelled"
        assert not (folder / "sales.db").exists()

    async def test_reports_only_what_differs_from_the_night_before(
        self, run_night: RunNight, folder: Path
    ) -> None:
        await run_night(26)
        quiet = await run_night(27)
        (folder / "shop-003.csv").write_text("scissors, 2\n", encoding="utf-8")
        busy = await run_night(28)

        assert "report" not in await quiet.all_recorded()
        assert (await quiet.status()).counts["skipped"] == 1
        assert "scissors: 2 (+2)" in (await busy.get_recorded("report")).splitlines()
        before = (await busy.timings(compare=quiet.id))["report"].other
        assert before
        assert before.state == "skipped"

    async def test_reads_a_mended_file_and_does_again_what_hangs_on_it(
        self, run_night: RunNight, folder: Path
    ) -> None:
        night = await run_night(27)
        pens = loaded(folder, 27)["pen"]
        before = await night.timings()
        (folder / BAD).write_text("pen, 10", encoding="utf-8")

        assert await night.retry_jobs(names=[f"read/{BAD}"], downstream=True) == 4
        await night.wait(timeout=60)

        assert await counts(night) == {"completed": 105}
        assert loaded(folder, 27)["pen"] == pens + 10
        assert "not read" not in await night.get_recorded("report")
        after = await night.timings()
        assert after["read/shop-001.csv"] == before["read/shop-001.csv"]

    async def test_waits_until_the_night_before_has_ended(self, oban: Oban, folder: Path) -> None:
        first, second = build(folder, 27), build(folder, 28)
        await oban.enqueue_many([*first, *second])
        await second.wait(timeout=60)

        ended = (await get_job(first, "report")).completed_at
        began = (await get_job(second, "find")).attempted_at
        assert ended
        assert began
        assert ended <= began


class TestSchedule:
    def test_starts_at_two_in_kyiv(self) -> None:
        ticks = schedules()["nightly"].ticks(datetime(2026, 10, 24, tzinfo=UTC))

        # the clock is put back in the second of these nights
        assert [f"{next(ticks):%d %H:%M}" for _ in range(2)] == ["24 23:00", "26 00:00"]

    def test_builds_the_night_of_its_tick(self) -> None:
        workflow: Any = pipeline.nightly(datetime(2026, 11, 28, 2, tzinfo=UTC))

        assert workflow.name == "nightly"


def test_runs_as_a_program(empty_dsn: str) -> None:
    printed = main("examples.nightly", "100", dsn=empty_dsn)

    assert "The first night is completed: 104 completed, 1 discarded" in printed
    assert f"The first night, with {BAD} mended, is completed: 105 completed" in printed
    assert "The second night is completed: 104 completed, 1 skipped" in printed
    assert "  pen: " in printed.partition("The third night")[2]
