"""The README: its example, run as printed, its picture and its links."""

import asyncio
import html
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import environment
from tests.support.fixtures import StartOban
from tests.support.page import blocks
from tests.support.paths import ROOT

README = ROOT / "README.md"
(EXAMPLE,) = [block.text for block in blocks(README) if block.language == "python"]


def run(program: str, folder: Path, dsn: str | None = None) -> str:
    (folder / "example.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        env=environment(dsn),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr

    return done.stdout


PRINTED = "{'Kyiv': 68.0, 'Lima': 59.0}\ncompleted\n"

NOTEBOOK = """
import ast, asyncio, sys
flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
async def main_of_notebook(cells):
    await eval(compile(cells, "notebook", "exec", flags), globals())
asyncio.run(main_of_notebook(open("cells.py").read()))
"""
"""Runs code as a notebook does: in `__main__`, and in a loop that runs already."""


class TestReadme:
    def test_has_an_example_that_runs(self, empty_dsn: str, tmp_path: Path) -> None:
        assert run(EXAMPLE, tmp_path, empty_dsn) == PRINTED

    async def test_has_an_example_that_runs_where_others_run_the_default_queue(
        self, start_oban: StartOban, dsn: str, tmp_path: Path
    ) -> None:
        await start_oban(queues={"default": 10})
        assert await asyncio.to_thread(run, EXAMPLE, tmp_path, dsn) == PRINTED

    def test_has_an_example_that_runs_in_a_notebook(self, empty_dsn: str, tmp_path: Path) -> None:
        last = EXAMPLE.splitlines()[-1].strip()
        instead = "await main(dsn)"
        assert f"the last line is `{instead}`" in " ".join(README.read_text("utf-8").split())
        (tmp_path / "cells.py").write_text(EXAMPLE.replace(last, instead), encoding="utf-8")
        assert run(NOTEBOOK, tmp_path, empty_dsn) == PRINTED

    def test_has_an_example_of_fifteen_lines(self) -> None:
        assert len([line for line in EXAMPLE.splitlines() if line]) == 15

    def test_shows_what_the_example_draws(self, tmp_path: Path) -> None:
        builder = EXAMPLE.partition("async def main")[0]
        drawn = run(f"{builder}\nprint(workflow.to_dot())", tmp_path)
        picture = (README.parent / "docs" / "images" / "example.svg").read_text("utf-8")
        shown = {html.unescape(text) for text in re.findall(r">([^<\n]+)</text>", picture)}

        assert shown == set(re.findall(r'label="(.*?)"', drawn))

    def test_repeats_what_the_page_on_performance_says_of_others(self) -> None:
        page = (README.parent / "docs" / "explanation" / "performance.md").read_text("utf-8")
        rows = {
            row[0]: row for row in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|", page, re.MULTILINE)
        }
        shown = re.findall(r"\[([\d.]+) . ours\]", README.read_text("utf-8"))

        assert shown == [rows["Celery on Redis"][2], rows["DBOS, steps"][2]]

    def test_has_no_dead_link(self) -> None:
        links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text("utf-8"))

        assert [link for link in links if not (README.parent / link).exists()] == []
