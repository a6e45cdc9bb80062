"""The examples do what their READMEs say."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from examples.etl import pipeline
from examples.summarise import survey
from oban_pro import Workflow
from tests.conftest import StartOban
from tests.graphs import settled

ROOT = Path(__file__).parents[2]

type Run = Callable[[Workflow], Awaitable[dict[str, Any]]]


@pytest.fixture
async def run(start_oban: StartOban, wait_until: Callable[..., Awaitable[Any]]) -> Run:
    oban = await start_oban()

    async def run(workflow: Workflow) -> dict[str, Any]:
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)
        return await workflow.all_recorded()

    return run


def main(*arguments: str, dsn: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OBAN_DSN": dsn},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestEtl:
    async def test_loads_every_zone_that_has_a_region(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "zones.db"
        at = datetime(2024, 7, 1, tzinfo=UTC)
        results = await run(pipeline.build(str(path), at))
        with closing(sqlite3.connect(path)) as conn:
            rows = dict(conn.execute("SELECT name, minutes FROM zones"))
            regions = {region for (region,) in conn.execute("SELECT region FROM zones")}
        assert len(rows) == results["load"] == results["report"]["loaded"] > 300
        assert rows["Europe/Berlin"] == 120
        assert rows["Asia/Kathmandu"] == 345
        assert {"Europe", "Asia", "Africa", "America"} <= regions
        assert results["report"]["largest"][0][0] == "America"

    def test_runs_as_a_program(self, empty_dsn: str, tmp_path: Path) -> None:
        printed = main("examples.etl", str(tmp_path / "zones.db"), dsn=empty_dsn)
        assert " zones in " in printed
        assert "  America: " in printed


class TestSummarise:
    async def test_measures_every_module_once(self, run: Run) -> None:
        results = await run(survey.build(limit=25))
        summary = results["summarise"]
        assert summary["modules"] == len(results["measure"]) == 25
        assert summary["lines"] == sum(one["lines"] for one in results["measure"].values()) > 1_000
        assert summary["python"] == sys.version_info[:2]
        assert results["measure"][summary["longest"]]["lines"] == max(
            one["lines"] for one in results["measure"].values()
        )

    def test_runs_as_a_program(self, empty_dsn: str) -> None:
        printed = main("examples.summarise", dsn=empty_dsn)
        assert "coroutines: " in printed
        assert "longest: " in printed
