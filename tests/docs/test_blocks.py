"""Every block of code on every page runs: Python here, commands in tests/packaging."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment
from tests.docs.page import PAGES, ROOT, blocks, python_of

PROGRAMS = [page for page in PAGES if python_of(ROOT / page)]

CODE = {"python", "sh", "console"}
NO_CODE = {"text", "mermaid", "{toctree}", "{eval-rst}"}
"""Output, drawings, and what Sphinx itself reads."""


class TestBlocks:
    @pytest.mark.parametrize("page", PROGRAMS)
    def test_run_in_the_order_of_the_page(self, page: str, dsn: str, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("page.py"), ROOT / page],
            cwd=tmp_path,
            env=environment(dsn) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

        assert done.returncode == 0, done.stderr[-3000:]

    @pytest.mark.parametrize("page", PAGES)
    def test_are_all_of_a_language_that_is_run(self, page: str) -> None:
        unknown = {
            (block.line, block.language)
            for block in blocks(ROOT / page)
            if block.language not in CODE | NO_CODE
        }

        assert unknown == set()

    @pytest.mark.parametrize("page", PAGES)
    def test_are_all_found(self, page: str) -> None:
        fences = (ROOT / page).read_text("utf-8").count("```")

        assert fences == 2 * len(blocks(ROOT / page))
