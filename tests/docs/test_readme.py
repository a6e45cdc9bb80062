"""The README: its example, run as printed, its picture and its links."""

import html
import re
import subprocess
import sys
from pathlib import Path

from tests.cli import environment
from tests.docs.page import blocks

README = Path(__file__).parents[2] / "README.md"
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


class TestReadme:
    def test_has_an_example_that_runs(self, empty_dsn: str, tmp_path: Path) -> None:
        assert run(EXAMPLE, tmp_path, empty_dsn) == "{'Kyiv': 68.0, 'Lima': 59.0}\ncompleted\n"

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
