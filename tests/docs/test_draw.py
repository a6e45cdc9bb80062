"""The page on drawing: its code, run as printed, and its image."""

import html
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import environment
from tests.support.paths import DOCS

PAGE = DOCS / "how-to" / "draw.md"


def blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


class TestDraw:
    def test_has_code_that_runs_and_prints_what_is_shown(
        self, empty_dsn: str, tmp_path: Path
    ) -> None:
        (tmp_path / "example.py").write_text("\n".join(blocks("python")), encoding="utf-8")
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
        (mermaid,) = blocks("mermaid")
        assert done.stdout.startswith(mermaid + "digraph workflow {\n")

        svg = PAGE.with_suffix(".svg").read_text("utf-8")
        shown = {html.unescape(text) for text in re.findall(r">([^<\n]+)</text>", svg)}
        labels = re.findall(r'label="(.*?)(?:\\n\w+)?"', done.stdout)
        assert shown - {"completed", "executing", "suspended"} == set(labels)
