"""The examples do what their READMEs say."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.crawler import crawl
from examples.etl import pipeline
from tests.support.fixtures import Run
from tests.support.paths import ROOT


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


class TestCrawler:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "deep" / "deeper").mkdir(parents=True)
        (tmp_path / "empty").mkdir()
        (tmp_path / "loop").symlink_to(tmp_path)
        contents = {
            "a.txt": "same",
            "deep/b.txt": "same",
            "c": "else",
            "deep/deeper/d.txt": "more!",
        }

        for name, content in contents.items():
            (tmp_path / name).write_text(content, encoding="utf-8")

        return tmp_path

    async def test_reads_every_file_once_however_deep(self, run: Run, folder: Path) -> None:
        results = await run(crawl.build(str(folder)))

        assert results["report"] == {
            "files": 4,
            "bytes": 17,
            "largest": [(".txt", 13), ("no suffix", 4)],
            "copies": [[str(folder / "a.txt"), str(folder / "deep/b.txt")]],
        }

    async def test_of_an_empty_folder_finds_nothing(self, run: Run, folder: Path) -> None:
        results = await run(crawl.build(str(folder / "empty")))

        assert results["report"] == {"files": 0, "bytes": 0, "largest": [], "copies": []}

    def test_runs_as_a_program(self, empty_dsn: str, folder: Path) -> None:
        printed = main("examples.crawler", str(folder), dsn=empty_dsn)

        assert printed.startswith(f"4 files in {folder}, 17 bytes\n")
        assert f"  equal: {folder / 'a.txt'}, {folder / 'deep/b.txt'}\n" in printed
