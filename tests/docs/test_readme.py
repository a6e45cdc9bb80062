"""The README: its example, run as printed, its picture and its links."""

import html
import re
import runpy
import subprocess
import sys
from pathlib import Path

from tests.cli import environment

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
)


class TestReadme:
    def test_has_an_example_that_runs(self, empty_dsn: str, tmp_path: Path) -> None:
        (example,) = EXAMPLES
        (tmp_path / "example.py").write_text(example, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "example.py"],
            cwd=tmp_path,
            env=environment(empty_dsn),
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert (lines[0], set(lines[1:3]), *lines[3:]) == (
            "running extract",
            {"running Kyiv", "running Lima"},
            "running load",
            "completed 4 jobs",
        )

    def test_shows_what_the_example_draws(self, tmp_path: Path) -> None:
        (example,) = EXAMPLES
        (tmp_path / "example.py").write_text(example, encoding="utf-8")
        workflow = runpy.run_path(str(tmp_path / "example.py"))["workflow"]
        picture = (README.parent / "docs" / "images" / "example.svg").read_text("utf-8")
        shown = {html.unescape(text) for text in re.findall(r">([^<\n]+)</text>", picture)}

        assert shown == set(re.findall(r'label="(.*?)"', workflow.to_dot()))

    def test_has_no_dead_link(self) -> None:
        links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text("utf-8"))

        assert [link for link in links if not (README.parent / link).exists()] == []
